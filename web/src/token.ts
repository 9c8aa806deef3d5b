// The token of a node that asks for one. It lives in this page's memory alone: not in an address, not in any storage.
import { announce, h } from './dom';

let token = '';
let handedOut = '';
let waiting: ((token: string) => void) | null = null;
const listeners = new Set<(token: string) => void>();

const field = h('input', { type: 'password', id: 'token', name: 'token', autocomplete: 'off', spellcheck: 'false', required: true, 'aria-describedby': 'token-why' });
const why = h('p', { id: 'token-why', class: 'why' });
const form = h('form', { class: 'token', id: 'token-form', hidden: true, 'aria-label': 'Token' }, h('label', { for: 'token' }, 'This node asks for a token'), field, h('button', { type: 'submit', class: 'button primary' }, 'Use token'), why);
form.addEventListener('submit', (event) => {
  event.preventDefault();
  const given = field.value.trim().replace(/^Bearer\s+/i, '');
  if (!given) return;
  field.value = '';
  form.hidden = true;
  token = handedOut = given;
  waiting?.(token);
  waiting = null;
  for (const listener of listeners) listener(token);
});

export const tokenForm = form;

// Called with each token that the reader gives.
export function onToken(listener: (token: string) => void): void {
  listeners.add(listener);
}

export function headers(): Record<string, string> {
  return token ? { authorization: `Bearer ${token}` } : {};
}

// Shows the field; what the node said says why.
export function wanted(message: string): void {
  const said = message && token ? `The last one was refused: ${message}.` : message ? `${message[0]?.toUpperCase() ?? ''}${message.slice(1)}.` : '';
  if (why.textContent !== said) why.textContent = said;
  if (!form.hidden) return;
  form.hidden = false;
  announce('This node asks for a token');
}

// For the SDK: a token that it has had already has run out, so the reader is asked for the next one.
export function getToken(): Promise<string> {
  if (!token || token !== handedOut) {
    handedOut = token;
    return Promise.resolve(token);
  }
  wanted('the token has expired');
  return new Promise((resolve) => {
    waiting = resolve;
  });
}
