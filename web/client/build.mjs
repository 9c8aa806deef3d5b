// Builds dist/: index.js (centrifuge stays outside), browser.js (all in one, as `weir`), declarations.
//
//   node build.mjs
import { build } from 'esbuild';
import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, 'dist');
const common = { absWorkingDir: here, entryPoints: ['src/index.ts'], bundle: true, sourcemap: true, sourcesContent: true, logLevel: 'warning', target: ['es2020', 'node18'] };

await rm(dist, { recursive: true, force: true });
const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
await Promise.all([
  build({ ...common, format: 'esm', external: ['centrifuge'], outfile: 'dist/index.js' }),
  build({ ...common, format: 'iife', globalName: 'weir', minify: true, sourcemap: false, outfile: 'dist/browser.js', target: ['es2020', 'chrome100', 'firefox100', 'safari15'] }),
  promisify(execFile)(process.execPath, [tsc, '-p', here, '--emitDeclarationOnly']).catch((error) => {
    throw new Error(error.stdout || error.message);
  }),
]);
