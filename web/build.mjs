// Bundles the dashboard: index.html, app-<hash>.js, app-<hash>.css, boot-<hash>.js, icon.svg.
//
//   node build.mjs [--out DIR]    (default: dist)
import { build } from 'esbuild';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));

export async function bundle(out) {
  await rm(out, { recursive: true, force: true });
  await mkdir(out, { recursive: true });
  const result = await build({
    absWorkingDir: here,
    entryPoints: { app: 'src/main.ts', boot: 'src/boot.ts' },
    outdir: out,
    entryNames: '[name]-[hash]',
    bundle: true,
    minify: true,
    format: 'iife',
    target: ['es2020', 'chrome100', 'firefox100', 'safari15'],
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
  });
  const files = Object.keys(result.metafile.outputs).map((file) => basename(file));
  const name = (pattern) => files.find((file) => pattern.test(file)) ?? fail(`nothing like ${pattern} was built`);
  const names = { 'app.js': name(/^app-.*\.js$/), 'app.css': name(/^app-.*\.css$/), 'boot.js': name(/^boot-.*\.js$/) };
  const page = (await readFile(join(here, 'index.html'), 'utf8')).replace(/\{\{([\w.]+)\}\}/g, (_, key) => names[key] ?? fail(`unknown ${key}`));
  await writeFile(join(out, 'index.html'), page);
  await cp(join(here, 'icon.svg'), join(out, 'icon.svg'));
}

function fail(message) {
  throw new Error(message);
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const at = process.argv.indexOf('--out');
  await bundle(resolve(at < 0 ? join(here, 'dist') : process.argv[at + 1]));
}
