// Bundles the page into dist/.
import { build } from 'esbuild';
import { cp, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
await rm(`${here}/dist`, { recursive: true, force: true });
await build({
  absWorkingDir: here, entryPoints: ['src/app.jsx'], outfile: 'dist/app.js', bundle: true, minify: true, jsx: 'automatic', target: 'es2020', logLevel: 'warning',
  define: { 'process.env.NODE_ENV': '"production"' },
});
await cp(`${here}/index.html`, `${here}/dist/index.html`);
