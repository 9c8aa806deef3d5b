// Dark and light: the system's wish, until the reader chooses.
export type Theme = 'system' | 'light' | 'dark';
const order: Theme[] = ['system', 'light', 'dark'];
const key = 'weir.theme';

export function chosen(): Theme {
  const kept = remembered(key);
  return kept === 'light' || kept === 'dark' ? kept : 'system';
}

export function apply(theme: Theme): void {
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

export function next(theme: Theme): Theme {
  const following = order[(order.indexOf(theme) + 1) % order.length] ?? 'system';
  remember(key, following);
  apply(following);
  return following;
}

// localStorage throws where the reader's settings forbid it; then nothing is kept.
export function remembered(name: string): string | null {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

export function remember(name: string, value: string): void {
  try {
    localStorage.setItem(name, value);
  } catch {
    // Not kept: the page works without.
  }
}
