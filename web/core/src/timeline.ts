// What was said in one channel, as far as it is loaded: histories and live publications
// merged by offset, with edits, retractions and reactions applied.
//
// Invariants: what is loaded has no gap between `first` and `top`; messages are in the order
// of their offsets, each once; of an edit and a message, whichever comes later finds the
// other. A retraction is final.
//
// Deliberately absent: when something is loaded, and from where.

import {
  NO_CONTENT, NO_REACTIONS, read, totalsOf, type Content, type Message, type Publication, type Reactions, type Said,
} from './message.js';

// What became of a publication that came live.
export type Taken =
  // It is the next one.
  | 'next'
  // It stands here already.
  | 'known'
  // Something before it is missing: it is kept aside until that is read.
  | 'gap'
  // Nothing is loaded yet: it is kept aside until the history is read.
  | 'unloaded';

// The last change of a message that is known, also before the message is.
interface Change {
  readonly offset: number;
  readonly content: Content;
  readonly isRetracted: boolean;
}

// Where a page of history belongs.
export type PageKind = 'newest' | 'earlier' | 'later';

// Publications that came too early and are kept aside; beyond them the gap is read anew.
const AHEAD_MAX = 200;
// Messages that are kept of a page that stays open; beyond them the first tenth goes, and is
// history that can be read again.
export const MESSAGES_MAX = 20_000;
const MESSAGES_DROPPED = MESSAGES_MAX / 10;

export class Timeline {
  #messages: Message[] = [];
  #shown: readonly Message[] | null = null;
  #changes = new Map<number, Change>();
  // What is known of reactions, and when it was learnt, by a count of all that came.
  #reactions = new Map<number, { reactions: Reactions; at: number }>();
  #ahead = new Map<number, Publication>();
  #clock = 0;
  #first = 0;
  #top = 0;
  #isLoaded = false;
  #hasEarlier = false;

  // The messages in order; another array after each change.
  get messages(): readonly Message[] {
    this.#shown ??= this.#messages.slice();
    return this.#shown;
  }

  // Whether a history was read.
  get isLoaded(): boolean {
    return this.#isLoaded;
  }

  // Whether there may be something before the first message.
  get hasEarlier(): boolean {
    return this.#hasEarlier;
  }

  // Whether something came of which what stands before it is missing.
  get isBehind(): boolean {
    return this.#isLoaded && this.#ahead.size > 0;
  }

  // The offset of the last publication, a message or a change.
  get top(): number {
    return this.#top;
  }

  // The offset of the first publication that is loaded.
  get first(): number {
    return this.#first;
  }

  // A mark for a question that begins now; its answer knows nothing of what comes behind it.
  mark(): number {
    return this.#clock;
  }

  // Nothing is known any more: the stream is another one, or has a gap that cannot be filled.
  reset(): void {
    this.#messages = [];
    this.#changes.clear();
    this.#reactions.clear();
    this.#ahead.clear();
    this.#first = 0;
    this.#top = 0;
    this.#isLoaded = false;
    this.#hasEarlier = false;
    this.#shown = null;
  }

  // A publication came.
  live(publication: Publication, offset: number, now: number): Taken {
    this.#clock += 1;
    if (this.#isLoaded && offset <= this.#top) return 'known';
    if (!this.#isLoaded || offset > this.#top + 1) {
      if (this.#ahead.size < AHEAD_MAX) this.#ahead.set(offset, publication);
      return this.#isLoaded ? 'gap' : 'unloaded';
    }
    this.#append(publication, offset, now);
    this.#takeAhead(now);
    return 'next';
  }

  // A page of history, in the order of offsets, and whether there may be more of that kind.
  // `mark` is from before the question.
  page(
    kind: PageKind,
    publications: readonly Publication[],
    { hasMore, mark, now, top = 0 }: { hasMore: boolean; mark: number; now: number; top?: number },
  ): void {
    const said = publications.map((publication) => ({ publication, offset: publication.offset ?? 0 }));
    if (kind === 'newest') {
      // What came live meanwhile stands behind this page, or in it.
      const [reactions, ahead] = [this.#reactions, this.#ahead];
      [this.#reactions, this.#ahead] = [new Map(), new Map()];
      this.reset();
      [this.#reactions, this.#ahead] = [reactions, ahead];
    }
    if (kind === 'earlier') {
      const before = said.filter(({ offset }) => offset < this.#first);
      this.#add(before.map(({ publication, offset }) => this.#learn(publication, offset, now, mark)));
      this.#first = before[0]?.offset ?? this.#first;
      this.#hasEarlier = hasMore;
      return;
    }
    for (const { publication, offset } of said) {
      if (offset > this.#top) this.#append(publication, offset, now, mark);
    }
    if (kind === 'newest') {
      this.#first = said[0]?.offset ?? top + 1;
      this.#isLoaded = true;
      this.#hasEarlier = hasMore;
    }
    // Where all that is left was read, what is missing is not kept any more.
    if (kind === 'newest' || !hasMore) this.#top = Math.max(this.#top, top);
    this.#takeAhead(now);
  }

  // A notice says what a message is reacted to with; the first of a quiet room says whose
  // reaction changed.
  reacted(notice: unknown, me: string): void {
    if (typeof notice !== 'object' || notice === null) return;
    const { offset, user, value, totals } = notice as Record<string, unknown>;
    const read = totalsOf(totals);
    if (typeof offset !== 'number' || read === null) return;
    this.#clock += 1;
    const before = this.#reactions.get(offset)?.reactions.own ?? this.#find(offset)?.reactions.own ?? '';
    const own = user === me && typeof value === 'string' ? value : before;
    this.#setReactions(offset, { totals: read, own });
  }

  // The answer to a question about reactions: of each message that was asked about.
  reactionsRead(asked: readonly number[], answer: ReadonlyMap<number, Reactions>, mark: number): void {
    for (const offset of asked) {
      const known = this.#reactions.get(offset);
      if (known !== undefined && known.at > mark) continue;
      this.#setReactions(offset, answer.get(offset) ?? NO_REACTIONS);
    }
  }

  // What this user reacts with, before the server tells it.
  reactOwn(offset: number, value: string): void {
    const message = this.#find(offset);
    if (message === undefined) return;
    this.#clock += 1;
    const { totals, own } = message.reactions;
    const without = totals
      .map((one) => (one.value === own ? { ...one, count: one.count - 1 } : one))
      .filter(({ count }) => count > 0);
    if (value === '') {
      this.#setReactions(offset, { totals: without, own: '' });
      return;
    }
    const isThere = without.some((one) => one.value === value);
    const added = isThere
      ? without.map((one) => (one.value === value ? { ...one, count: one.count + 1 } : one))
      : [...without, { value, count: 1 }];
    this.#setReactions(offset, { totals: added, own: value });
  }

  // The message at an offset, if it is loaded.
  #find(offset: number): Message | undefined {
    const at = this.#indexOf(offset);
    const message = this.#messages[at];
    return message?.offset === offset ? message : undefined;
  }

  // The index of the first message that does not stand before an offset.
  #indexOf(offset: number): number {
    let [low, high] = [0, this.#messages.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#messages[middle]!.offset < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #append(publication: Publication, offset: number, now: number, mark = this.#clock): void {
    const message = this.#learn(publication, offset, now, mark);
    if (message !== null) this.#messages.push(message);
    this.#shown = null;
    this.#top = offset;
    if (this.#messages.length > MESSAGES_MAX) this.#dropFirst();
  }

  #dropFirst(): void {
    this.#messages = this.#messages.slice(MESSAGES_DROPPED);
    this.#first = this.#messages[0]!.offset;
    this.#hasEarlier = true;
    for (const known of [this.#changes, this.#reactions]) {
      for (const offset of known.keys()) {
        if (offset < this.#first) known.delete(offset);
      }
    }
  }

  #add(earlier: readonly (Message | null)[]): void {
    // A change behind its message in the same page was learnt after it.
    const changed = earlier.filter((message) => message !== null).map((message) => this.#changed(message));
    this.#messages = [...changed, ...this.#messages];
    this.#shown = null;
  }

  // What is kept of a publication: the message that it is, if it is one.
  #learn(publication: Publication, offset: number, now: number, mark: number): Message | null {
    const said = read(publication, offset, now);
    if (said.kind !== 'message') {
      this.#change(said, offset);
      return null;
    }
    const known = this.#reactions.get(offset);
    if (said.reactions !== null && (known === undefined || known.at <= mark)) {
      this.#reactions.set(offset, { reactions: said.reactions, at: mark });
    }
    const reactions = this.#reactions.get(offset)?.reactions ?? NO_REACTIONS;
    return this.#changed({ ...said.message, reactions });
  }

  #change(said: Exclude<Said, { kind: 'message' }>, offset: number): void {
    if (said.kind === 'superseded') return;
    const isRetracted = said.kind === 'retraction';
    const known = this.#changes.get(said.target);
    // A retraction is final, and of edits the last one counts.
    if (known !== undefined && (known.isRetracted || (!isRetracted && known.offset >= offset))) return;
    const content = said.kind === 'edit' ? said.content : NO_CONTENT;
    this.#changes.set(said.target, { offset, content, isRetracted });
    this.#replace(said.target, (message) => this.#changed(message));
  }

  // A message as its last change has it.
  #changed(message: Message): Message {
    const change = this.#changes.get(message.offset);
    if (change === undefined || message.isRetracted) return message;
    const { content } = change;
    if (change.isRetracted) {
      return { ...message, ...content, isRetracted: true, reactions: NO_REACTIONS };
    }
    // A history that was read behind the edit has its words already.
    if (message.editOffset >= change.offset) return message;
    return { ...message, ...content, editOffset: change.offset };
  }

  #setReactions(offset: number, reactions: Reactions): void {
    this.#reactions.set(offset, { reactions, at: this.#clock });
    this.#replace(offset, (message) => (message.isRetracted ? message : { ...message, reactions }));
  }

  #replace(offset: number, changed: (message: Message) => Message): void {
    const at = this.#indexOf(offset);
    const message = this.#messages[at];
    if (message?.offset !== offset) return;
    this.#messages[at] = changed(message);
    this.#shown = null;
  }

  #takeAhead(now: number): void {
    for (const offset of [...this.#ahead.keys()].sort((one, other) => one - other)) {
      if (offset > this.#top + 1) return;
      const publication = this.#ahead.get(offset)!;
      this.#ahead.delete(offset);
      if (offset === this.#top + 1) this.#append(publication, offset, now);
    }
  }
}
