// Values as people read them. The unit is guessed from the field's name, as in rss_bytes or written_bytes_per_s.
export type Unit = 'bytes' | 'bytes/s' | 'mib' | 'percent' | 'ms' | 's' | 'time' | 'id' | 'plain';

export function unitOf(field: string, value?: unknown): Unit {
  const name = field.slice(field.lastIndexOf('.') + 1).toLowerCase();
  if (/bytes_(per_)?s(ec|econd)?$/.test(name)) return 'bytes/s';
  if (/(^|_)(mb|mib)$/.test(name)) return 'mib';
  if (/(^|_)bytes$/.test(name)) return 'bytes';
  if (/(^|_)(percent|pct)$/.test(name)) return 'percent';
  if (isTime(name, value)) return 'time';
  if (/_ms$/.test(name)) return 'ms';
  if (/(_s|_sec|_seconds)$/.test(name) && !/per_s/.test(name)) return 's';
  if (/(^|_)(pid|ppid|id|uid|port|year)$/.test(name)) return 'id';
  return 'plain';
}

function isTime(name: string, value: unknown): boolean {
  if (!/(^|_)(ts|time|timestamp|at|started|ended)(_ms)?$/.test(name)) return false;
  return typeof value !== 'number' || (value > 1e12 && value < 1e13) || (value > 1e9 && value < 1e10);
}

const grouped = new Intl.NumberFormat('en', { useGrouping: true, maximumFractionDigits: 0 });

// A field's name without the unit that its values show: read_bytes_s is "read".
export function caption(field: string): string {
  const bare = field.replace(/_?(bytes_(per_)?s(ec|econd)?|bytes|mb|mib|percent|pct|ms)$/, '');
  return (bare === '' || bare.endsWith('.') ? field : bare).replace(/_/g, ' ');
}

export function count(value: number): string {
  return grouped.format(value);
}

// Large counts for tiles: 12,345 is 12.3 k.
export function short(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e9) return `${(value / 1e9).toFixed(1)} G`;
  if (size >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
  if (size >= 1e4) return `${(value / 1e3).toFixed(1)} k`;
  return size >= 100 || Number.isInteger(value) ? grouped.format(value) : value.toFixed(1);
}

const sizes = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

export function bytes(value: number): string {
  let size = Math.abs(value);
  let step = 0;
  while (size >= 1024 && step < sizes.length - 1) {
    size /= 1024;
    step++;
  }
  const digits = step === 0 || size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return `${value < 0 ? '-' : ''}${size.toFixed(digits)} ${sizes[step]}`;
}

export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const s = ms / 1000;
  if (s < 60) return `${s.toFixed(s < 10 ? 1 : 0)} s`;
  const m = Math.floor(s / 60);
  if (m < 60) return `${m} min ${Math.floor(s % 60)} s`;
  const hours = Math.floor(m / 60);
  return hours < 48 ? `${hours} h ${m % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

// How old the newest change was when the node sent it, and what was left out on the way: " · 120 ms old · 34 conflated".
export function freshness({ age, conflated }: { age: number | null; conflated: number }): string {
  return `${age === null ? '' : ` · ${duration(age)} old`}${conflated > 0 ? ` · ${short(conflated)} conflated` : ''}`;
}

const two = (n: number) => String(n).padStart(2, '0');

export function clock(ms: number, millis = false): string {
  const d = new Date(ms);
  const plain = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  return millis ? `${plain}.${String(d.getMilliseconds()).padStart(3, '0')}` : plain;
}

// Epoch milliseconds from what an API gives: a number in ms or s, or an ISO text. Nothing otherwise.
export function instant(value: unknown): number | null {
  if (typeof value === 'number' && value > 0) return value > 1e11 ? value : value * 1000;
  if (typeof value === 'string' && value !== '') {
    const parsed = Date.parse(value);
    return Number.isNaN(parsed) ? null : parsed;
  }
  return null;
}

export function ago(ms: number, now: number): string {
  const past = now - ms;
  return past < 1500 ? 'just now' : `${duration(Math.round(past / 1000) * 1000).replace('.0 s', ' s')} ago`;
}

// `decimals`: of the whole column, so that its points stand below each other.
export function number(value: number, unit: Unit, decimals = 2): string {
  switch (unit) {
    case 'bytes': return bytes(value);
    case 'bytes/s': return `${bytes(value)}/s`;
    case 'mib': return bytes(value * 1048576);
    case 'percent': return `${value.toFixed(1)} %`;
    case 'ms': return duration(value);
    case 's': return duration(value * 1000);
    case 'time': return clock(instant(value) ?? 0, true);
    case 'id': return String(value);
    case 'plain': break;
  }
  if (Number.isInteger(value) && decimals === 0) return Math.abs(value) >= 1e15 ? String(value) : grouped.format(value);
  if (value !== 0 && Math.abs(value) < 0.005) return value.toPrecision(2);
  if (Math.abs(value) >= 1e15) return value.toExponential(3);
  return value.toLocaleString('en', { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

export function cell(value: unknown, unit: Unit, decimals: number): string {
  if (value === null || value === undefined) return '–';
  if (typeof value === 'number') return number(value, unit, decimals);
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
