// --name value and --flag of the command line.
export function options(defaults, flags = []) {
  const found = { ...defaults };
  const args = process.argv.slice(2);
  while (args.length) {
    const name = args.shift().replace(/^--/, '');
    if (flags.includes(name)) found[name] = true;
    else if (name in defaults && args.length) found[name] = typeof defaults[name] === 'number' ? Number(args.shift()) : args.shift();
    else fail(`unknown or incomplete option --${name}; there are: ${[...Object.keys(defaults), ...flags].map((n) => `--${n}`).join(' ')}`, 64);
  }
  return found;
}

export function fail(message, code = 1) {
  console.error(message);
  process.exit(code);
}

// Asks until `condition` gives something, but not for ever.
export async function until(what, condition, ms = 20000, every = 50) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > end) throw new Error(`${what}: not within ${ms} ms`);
    await new Promise((wake) => setTimeout(wake, every));
  }
}
