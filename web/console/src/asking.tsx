// What stands where an answer is not there yet, or is not good.

import type { Polled } from './use-polled';
import { useLook } from './context';

// A page's last answer stays in sight while the next one is missing; this says why it is.
export function Asking<T>({ polled }: { readonly polled: Polled<T> }) {
  const { words } = useLook();
  const { value, outcome } = polled;
  if (outcome === null) return <p role="status">{words.loading}</p>;
  switch (outcome.kind) {
    case 'good':
    case 'signed-out': return null;
    case 'later':
    case 'failed': return value === null ? <p class="notice" role="alert">{words.cannotReach}</p> : null;
    case 'refused':
      return <p class="notice" role="alert" dir="auto">{words.refused(outcome.status, outcome.text)}</p>;
  }
}
