// Serves an example's folder on loopback, and the built weir-client as /weir-client.js.
//
//   node serve.mjs plain|react [--port 5173]
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const [folder = '', flag, number] = process.argv.slice(2);
const port = flag === '--port' ? Number(number) : 5173;
const here = fileURLToPath(new URL('.', import.meta.url));
const roots = { plain: join(here, 'plain'), react: join(here, 'react', 'dist') };
const client = join(here, '..', '..', 'web', 'client', 'dist', 'browser.js');
const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8' };
const root = roots[folder];
if (!root || !(port >= 0 && port < 65536)) {
  console.error('usage: node serve.mjs plain|react [--port 5173]');
  process.exit(64);
}

const server = createServer(async (request, response) => {
  const path = normalize(new URL(request.url ?? '/', 'http://x').pathname); // never above its folder
  const file = path === '/weir-client.js' ? client : join(root, path === '/' ? 'index.html' : path);
  try {
    const content = await readFile(file);
    response.writeHead(200, { 'content-type': types[extname(file)] ?? 'application/octet-stream', 'cache-control': 'no-store' }).end(content);
  } catch {
    response.writeHead(404, { 'content-type': 'text/plain' }).end(`no ${path}: is it built?\n`);
  }
});
server.listen(port, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}/`));
