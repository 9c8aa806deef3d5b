// A module of src/ for a test under Node.js.
import { build } from 'esbuild';
import { fileURLToPath } from 'node:url';

export async function source(name) {
  const result = await build({ entryPoints: [fileURLToPath(new URL(`../src/${name}.ts`, import.meta.url))], bundle: true, format: 'esm', write: false, platform: 'neutral' });
  return import(`data:text/javascript;base64,${Buffer.from(result.outputFiles[0].contents).toString('base64')}`);
}
