// What npm would publish.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import vm from 'node:vm';

const folder = fileURLToPath(new URL('..', import.meta.url));

test('the package has what it declares and nothing else', async () => {
  const { stdout } = await promisify(execFile)('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: folder });
  const files = JSON.parse(stdout)[0].files.map((file) => file.path).sort();
  assert.deepEqual(files, ['README.md', 'dist/browser.js', 'dist/connection.d.ts', 'dist/index.d.ts', 'dist/index.js', 'dist/index.js.map', 'dist/live.d.ts', 'dist/log.d.ts', 'dist/table.d.ts', 'dist/types.d.ts', 'package.json']);
  const { exports, types, main } = JSON.parse(await readFile(`${folder}/package.json`, 'utf8'));
  for (const path of [types, main, exports['.'].types, exports['.'].default, exports['./browser']]) assert.ok(files.includes(path.replace('./', '')), path);
});

test('the SDK stays outside of the module and is inside of the script for pages', async () => {
  assert.match(await readFile(`${folder}/dist/index.js`, 'utf8'), /from "centrifuge"/);
  const context = vm.createContext({ MessageChannel, URL, console, setTimeout, clearTimeout });
  context.globalThis = context;
  vm.runInContext(`${await readFile(`${folder}/dist/browser.js`, 'utf8')}\nglobalThis.kind = typeof weir.connect`, context);
  assert.equal(context.kind, 'function');
});

test('the lock file names no addresses', async () => {
  assert.doesNotMatch(await readFile(`${folder}/package-lock.json`, 'utf8'), /https?:\/\/(?!github\.com|opencollective|.*funding)|resolved/);
});
