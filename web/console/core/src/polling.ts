// When the server is asked again, and what an answer means for that.
//
// Invariant: a page that nobody looks at asks nothing, and one whose server is gone or busy asks
// seldom.

export type Outcome =
  // It answered.
  | { readonly kind: 'good' }
  // It asks for patience, in seconds.
  | { readonly kind: 'later'; readonly afterSeconds: number | null }
  // It could not be reached, or could not answer.
  | { readonly kind: 'failed' }
  // Nobody is signed in any more.
  | { readonly kind: 'signed-out' }
  // It refused: asking again changes nothing.
  | { readonly kind: 'refused'; readonly status: number; readonly text: string };

const LATER_MS_MAX = 30_000;

// What a status means.
export function outcomeOf(status: number, text: string, retryAfter: string | null): Outcome {
  if (status >= 200 && status < 300) return { kind: 'good' };
  if (status === 401) return { kind: 'signed-out' };
  if (status === 429 || status === 503) {
    const seconds = retryAfter === null ? Number.NaN : Number(retryAfter);
    return { kind: 'later', afterSeconds: Number.isFinite(seconds) && seconds >= 0 ? seconds : null };
  }
  if (status >= 500) return { kind: 'failed' };
  return { kind: 'refused', status, text };
}

export class Polling {
  #failures = 0;
  #isSeen = true;
  readonly #everyMs: number;

  constructor(everyMs: number) {
    this.#everyMs = everyMs;
  }

  // How many answers in a row are missing.
  get failures(): number {
    return this.#failures;
  }

  // Whether somebody looks at the page.
  setSeen(isSeen: boolean): void {
    this.#isSeen = isSeen;
  }

  // After how many ms it is asked again; none: not by itself.
  next(outcome: Outcome): number | null {
    this.#failures = outcome.kind === 'good' ? 0 : this.#failures + 1;
    if (outcome.kind === 'signed-out' || outcome.kind === 'refused') return null;
    if (!this.#isSeen) return null;
    const backoffMs = Math.min(this.#everyMs * 2 ** Math.max(0, this.#failures - 1), LATER_MS_MAX);
    if (outcome.kind === 'later' && outcome.afterSeconds !== null) {
      return Math.min(Math.max(outcome.afterSeconds * 1000, backoffMs), LATER_MS_MAX);
    }
    return backoffMs;
  }
}
