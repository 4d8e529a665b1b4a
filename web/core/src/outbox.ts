// What this user said and the server has not confirmed: in the order of each conversation,
// each with an id of its own, so that a repeat makes no second message.
//
// Invariant: of one conversation at most one entry is under way, so what is said arrives in
// the order in which it was said.
//
// Deliberately absent: sending, and files, which are uploaded before. `take` says what is next, and the answer comes back by
// `answered` or `refused`.

import { contentOf, type Attachment } from './message.js';

// What an entry does.
export type Deed =
  | { readonly kind: 'say' }
  // Gives the message at this offset another text.
  | { readonly kind: 'edit'; readonly offset: number };

export type EntryState =
  // It waits for the connection or for its turn.
  | 'waiting'
  // It is under way.
  | 'sending'
  // It is kept by the server, and its publication has not come yet.
  | 'sent'
  // It was refused for good.
  | 'failed';

export interface Entry {
  readonly id: string;
  readonly channel: string;
  readonly text: string;
  readonly attachments: readonly Attachment[];
  readonly time: number;
  readonly deed: Deed;
  readonly state: EntryState;
  // Why it failed: the server's code and word.
  readonly error: string;
  // How often it was tried in vain.
  readonly tries: number;
  // Where it stands, once that is known.
  readonly offset: number;
}

// What the sender of an entry should do after an error.
export type AfterError =
  // It may go again once the client is connected.
  | { readonly kind: 'when-connected' }
  // It may go again after so long.
  | { readonly kind: 'later'; readonly waitMs: number }
  // It is refused for good.
  | { readonly kind: 'failed' };

// Errors of a request.
export interface RequestError {
  readonly code: number;
  readonly message: string;
  readonly temporary?: boolean | undefined;
}

// What is kept of entries over a reload: so many of the newest, and units of their texts. A message
// that the server has is none of them.
const KEPT_MAX = 100;
const KEPT_UNITS_MAX = 100_000;

// Codes from here on are the server's; those below are the SDK's.
const SERVER_CODE_MIN = 100;
// The SDK's code of an answer that did not come in time, on a connection that lives.
const TIMEOUT_CODE = 1;
const WAIT_MS_MIN = 500;
const WAIT_MS_MAX = 15_000;

export class Outbox {
  #entries: readonly Entry[] = [];

  // All entries in order; another array after each change.
  get entries(): readonly Entry[] {
    return this.#entries;
  }

  // Those of one conversation.
  of(channel: string): Entry[] {
    return this.#entries.filter((entry) => entry.channel === channel);
  }

  // What is to be kept over a reload, oldest first. What is under way may have arrived or not: its id
  // makes a repeat harmless.
  get unsent(): readonly Entry[] {
    const kept: Entry[] = [];
    let units = 0;
    for (const entry of [...this.#entries].reverse()) {
      if (entry.state === 'sent') continue;
      units += entry.text.length;
      if (kept.length === KEPT_MAX || units > KEPT_UNITS_MAX) break;
      kept.unshift(entry);
    }
    return kept;
  }

  // Puts back what was kept.
  restore(entries: readonly Entry[]): void {
    this.#entries = entries.map((entry) => ({
      ...entry, state: entry.state === 'failed' ? 'failed' : 'waiting', tries: 0, offset: 0,
    }));
  }

  // Gives up all of a conversation that is not this user's any more.
  forget(channel: string): void {
    if (this.of(channel).length > 0) this.#entries = this.#entries.filter((entry) => entry.channel !== channel);
  }

  add(entry: Pick<Entry, 'id' | 'channel' | 'text' | 'attachments' | 'time' | 'deed'>): void {
    const fresh: Entry = { ...entry, state: 'waiting', error: '', tries: 0, offset: 0 };
    this.#entries = [...this.#entries, fresh];
  }

  // The next entry of each conversation that takes one, and in which nothing is under way; it is
  // from now on.
  take(isReady: (channel: string) => boolean = () => true): Entry[] {
    const busy = new Set<string>();
    const taken: Entry[] = [];
    for (const entry of this.#entries) {
      if (entry.state === 'sending') busy.add(entry.channel);
    }
    for (const entry of this.#entries) {
      if (entry.state !== 'waiting' || busy.has(entry.channel) || !isReady(entry.channel)) continue;
      busy.add(entry.channel);
      taken.push(entry);
    }
    taken.forEach(({ id }) => this.#set(id, { state: 'sending' }));
    return taken;
  }

  // The server keeps it, at this offset. An edit is over with that, and so is a message where
  // nothing is kept; another one is shown until its publication comes.
  answered(id: string, offset: number, isThere: boolean): void {
    const entry = this.#entries.find((one) => one.id === id);
    if (entry === undefined) return;
    if (entry.deed.kind === 'edit' || isThere || offset === 0) this.#drop(id);
    else this.#set(id, { state: 'sent', offset });
  }

  // It was not answered well.
  refused(id: string, error: RequestError): AfterError {
    const entry = this.#entries.find((one) => one.id === id);
    if (entry === undefined) return { kind: 'failed' };
    const after = afterError(error, entry.tries);
    if (after.kind === 'failed') {
      this.#set(id, { state: 'failed', error: `${error.code} ${error.message}` });
    } else {
      this.#set(id, { state: 'waiting', tries: entry.tries + 1 });
    }
    return after;
  }

  // Its publication came, or is in a history.
  arrived(channel: string, id: string): void {
    if (id === '') return;
    const is = (entry: Entry) => entry.id === id && entry.channel === channel;
    if (this.#entries.some(is)) this.#entries = this.#entries.filter((entry) => !is(entry));
  }

  // Everything up to this offset is loaded, so what was sent before it is there.
  loaded(channel: string, top: number): void {
    const is = (entry: Entry) =>
      entry.channel === channel && entry.state === 'sent' && entry.offset <= top;
    if (this.#entries.some(is)) this.#entries = this.#entries.filter((entry) => !is(entry));
  }

  // Somebody wants it to be tried again, with the same id.
  retry(id: string): void {
    if (this.#entries.some((entry) => entry.id === id && entry.state === 'failed')) {
      this.#set(id, { state: 'waiting', error: '', tries: 0 });
    }
  }

  // Somebody gives it up. What is under way or sent cannot be.
  discard(id: string): void {
    const entry = this.#entries.find((one) => one.id === id);
    if (entry?.state === 'failed' || entry?.state === 'waiting') this.#drop(id);
  }

  #set(id: string, change: Partial<Entry>): void {
    this.#entries = this.#entries.map((entry) => (entry.id === id ? { ...entry, ...change } : entry));
  }

  #drop(id: string): void {
    this.#entries = this.#entries.filter((entry) => entry.id !== id);
  }
}

// What was kept, as far as it is what an entry is.
export function entriesOf(kept: unknown): Entry[] {
  if (!Array.isArray(kept)) return [];
  const entries: Entry[] = [];
  for (const one of (kept as unknown[]).slice(-KEPT_MAX)) {
    if (typeof one !== 'object' || one === null) continue;
    const { id, channel, text, attachments, time, deed, state, error } = one as Record<string, unknown>;
    const content = contentOf({ text, attachments });
    const known = deedOf(deed);
    if (typeof id !== 'string' || typeof channel !== 'string' || typeof time !== 'number') continue;
    if (id === '' || channel === '' || !content.isKnown || known === null) continue;
    entries.push({
      id, channel, text: content.text, attachments: content.attachments, time, deed: known, tries: 0, offset: 0,
      state: state === 'failed' ? 'failed' : 'waiting', error: typeof error === 'string' ? error : '',
    });
  }
  return entries;
}

function deedOf(deed: unknown): Deed | null {
  if (typeof deed !== 'object' || deed === null) return null;
  const { kind, offset } = deed as Record<string, unknown>;
  if (kind === 'say') return { kind };
  return kind === 'edit' && typeof offset === 'number' ? { kind, offset } : null;
}

// What follows from an error: a server's error that is not temporary is its last word.
export function afterError({ code, temporary }: RequestError, tries: number): AfterError {
  const waitMs = Math.min(WAIT_MS_MAX, WAIT_MS_MIN * 2 ** Math.min(tries, 10));
  if (code >= SERVER_CODE_MIN) return temporary ? { kind: 'later', waitMs } : { kind: 'failed' };
  return code === TIMEOUT_CODE ? { kind: 'later', waitMs } : { kind: 'when-connected' };
}
