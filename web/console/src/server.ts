// The way to the server. The token is sent once and kept nowhere; the session is a cookie that no
// script sees, and the number that goes with what changes something is in this object alone.

import { AnswerError, outcomeOf, readSession, type Outcome, type SessionAnswer } from 'rookery-console-core';

const ANSWER_MS_MAX = 12_000;

// What came back: an answer, or why there is none.
export type Answer<T> =
  | { readonly outcome: { readonly kind: 'good' }; readonly value: T }
  | { readonly outcome: Exclude<Outcome, { readonly kind: 'good' }>; readonly status: number };

export interface ActBody {
  readonly act: string;
  readonly tenant?: string;
  readonly user?: string;
  readonly channel?: string;
  readonly offset?: number;
  readonly address?: string;
  readonly prefix?: string;
  readonly instance?: string;
  readonly seconds?: number;
}

export class Server {
  #csrf = '';

  // Whoever has a session already.
  async session(): Promise<Answer<SessionAnswer>> {
    return this.#kept(await ask('session', { method: 'GET' }, readSession));
  }

  async signIn(token: string): Promise<Answer<SessionAnswer>> {
    return this.#kept(await ask('session', { method: 'POST', body: JSON.stringify({ token }) }, readSession));
  }

  async signOut(): Promise<Answer<null>> {
    const answer = await ask('session', { method: 'DELETE', headers: this.#proof() }, () => null);
    this.#csrf = '';
    return answer;
  }

  read<T>(path: string, read: (value: unknown) => T): Promise<Answer<T>> {
    return ask(path, { method: 'GET' }, read);
  }

  act(body: ActBody): Promise<Answer<null>> {
    return ask('acts', { method: 'POST', headers: this.#proof(), body: JSON.stringify(body) }, () => null);
  }

  #proof(): Record<string, string> {
    return { 'X-CSRF-Token': this.#csrf };
  }

  #kept(answer: Answer<SessionAnswer>): Answer<SessionAnswer> {
    if (answer.outcome.kind === 'good' && 'value' in answer) this.#csrf = answer.value.csrf;
    return answer;
  }
}

async function ask<T>(path: string, init: RequestInit, read: (value: unknown) => T): Promise<Answer<T>> {
  const headers = { 'Content-Type': 'application/json', ...init.headers };
  try {
    const response = await fetch(`./api/${path}`, {
      ...init, headers, cache: 'no-store', credentials: 'same-origin', redirect: 'error',
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    });
    const text = await response.text();
    const outcome = outcomeOf(response.status, text.trim().slice(0, 300), response.headers.get('retry-after'));
    if (outcome.kind !== 'good') return { outcome, status: response.status };
    return { outcome, value: read(text === '' ? null : JSON.parse(text)) };
  } catch (error) {
    // An answer that cannot be read is one of another server, or of another version of it.
    const isRead = error instanceof AnswerError || error instanceof SyntaxError;
    if (isRead) return { outcome: { kind: 'refused', status: 200, text: error.message }, status: 200 };
    return { outcome: { kind: 'failed' }, status: 0 };
  }
}
