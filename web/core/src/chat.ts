// The chat of one user over the official SDK: which conversations there are, and what is asked
// and told when.
//
// The SDK connects, comes back and recovers rooms. Here, conversations of two are filled up
// after a return, gaps are read, the outbox is sent, and what came is acknowledged. Whoever
// shows it is told by `onChange` that something is different, and reads the state.
//
// Deliberately absent: tokens (the SDK's `getToken`), and what anything looks like.

import type { Centrifuge, PublicationContext, ServerPublicationContext, Subscription } from 'centrifuge';

import { Conversation, conversationOf, directChannel, groupChannel, roomChannel } from './conversation.js';
import { isMember, roleOf, type MuteLength, type Role, type RosterMember } from './group.js';
import {
  dataOf, nameOf, totalsOf, type Attachment, type Message, type Publication, type Reactions,
} from './message.js';
import { Outbox, type Entry, type RequestError } from './outbox.js';
import type { PageKind } from './timeline.js';

export type ConnectionState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'connected' }
  // It does not come back by itself.
  | { readonly kind: 'ended'; readonly code: number; readonly reason: string };

export interface ChatOptions {
  readonly client: Centrifuge;
  // The user of the token.
  readonly me: string;
  readonly onChange: () => void;
  // An error that somebody should see, such as of a reaction that was refused.
  readonly onError: (error: RequestError) => void;
  // What was not sent before the page was loaded again.
  readonly unsent?: readonly Entry[];
  readonly now?: () => number;
  readonly newId?: () => string;
}

// Messages of one page of history.
const PAGE_COUNT = 50;
// Of a gap that is longer, only the end is read.
const GAP_MAX = 500;
// How often this user's typing is told.
const TYPING_EVERY_MS = 2_000;
// What the server takes of it: one a second.
const TYPING_AGAIN_MS = 1_100;
// The server's word for what a namespace does not have.
const NOT_AVAILABLE_CODE = 108;
// Until what failed for a while is asked again.
const AGAIN_MS = 1_000;
// In larger rooms nobody is told who read how far.
const READERS_MAX = 50;
// How often who read how far in a room is asked.
const RECEIPTS_EVERY_MS = 3_000;
// Offsets that one question about reactions may have.
const REACTIONS_MAX = 100;

interface HistoryAnswer {
  readonly channels: readonly {
    readonly publications?: readonly Publication[];
    readonly offset?: number;
    readonly epoch?: string;
    readonly error?: RequestError;
    readonly truncated?: boolean;
  }[];
}

interface RoomsAnswer {
  readonly rooms: readonly {
    readonly channel: string;
    readonly head: number;
    readonly read: number;
    readonly unread: number;
    readonly last?: Publication;
    // Of groups.
    readonly role?: string;
    readonly muted_until?: number;
  }[];
  readonly next?: string;
}

export class Chat {
  readonly outbox = new Outbox();
  readonly me: string;
  #client: Centrifuge;
  #options: ChatOptions;
  #now: () => number;
  #newId: () => string;
  #conversations = new Map<string, Conversation>();
  #subscriptions = new Map<string, Subscription>();
  #state: ConnectionState = { kind: 'connecting' };
  #typingTold = new Map<string, number>();
  #receiptsAsked = new Map<string, number>();
  #timers = new Set<ReturnType<typeof setTimeout>>();

  constructor(options: ChatOptions) {
    this.#options = options;
    this.#client = options.client;
    this.me = options.me;
    this.#now = options.now ?? Date.now;
    this.#newId = options.newId ?? randomId;
    this.outbox.restore(options.unsent ?? []);
    this.#listen();
  }

  get state(): ConnectionState {
    return this.#state;
  }

  // All conversations, in no order.
  get conversations(): Conversation[] {
    return [...this.#conversations.values()];
  }

  conversation(channel: string): Conversation | undefined {
    return this.#conversations.get(channel);
  }

  connect(): void {
    this.#client.connect();
  }

  // Ends the connection and all that waits.
  end(): void {
    this.#timers.forEach(clearTimeout);
    this.#timers.clear();
    this.#client.disconnect();
  }

  // Enters a room; its channel.
  join(id: string): string {
    const channel = roomChannel(id);
    if (!this.#subscriptions.has(channel)) {
      this.#open(channel);
      this.#subscribe(channel);
      this.#changed();
    }
    return channel;
  }

  // Leaves a room.
  leave(channel: string): void {
    this.#conversations.delete(channel);
    const subscription = this.#subscriptions.get(channel);
    if (subscription !== undefined) {
      this.#subscriptions.delete(channel);
      subscription.removeAllListeners();
      subscription.unsubscribe();
      this.#client.removeSubscription(subscription);
    }
    this.#changed();
  }

  // Begins a group, whose owner this user is; its channel, or nothing where that is refused.
  async beginGroup(title: string): Promise<string> {
    const channel = groupChannel(title, this.#newId().slice(0, 8));
    return (await this.joinGroup(channel)) ? channel : '';
  }

  // Becomes a member, where this user may.
  async joinGroup(channel: string): Promise<boolean> {
    if (!(await this.#tell('chat.join', { channel }))) return false;
    const { role } = this.#open(channel);
    // A notice may have said more.
    this.#become(channel, isMember(role) ? role : 'member');
    return true;
  }

  // Is no member any more, or declines an invitation.
  async leaveGroup(channel: string): Promise<boolean> {
    const isDone = await this.#tell('chat.leave', { channel });
    if (isDone) this.leave(channel);
    return isDone;
  }

  invite(channel: string, member: string): Promise<boolean> {
    return this.#tell('chat.invite', { channel, member });
  }

  // Sends a member away, or takes an invitation back.
  kick(channel: string, member: string): Promise<boolean> {
    return this.#tell('chat.kick', { channel, member });
  }

  setRole(channel: string, member: string, role: Role): Promise<boolean> {
    return this.#tell('chat.set_role', { channel, member, role });
  }

  // Mutes a group for this user, on all devices: a notice says so to each.
  mute(channel: string, length: MuteLength): Promise<boolean> {
    return this.#tell('chat.mute', length === null ? { channel } : { channel, mute_s: length });
  }

  // Begins or goes on with a conversation of two; its channel.
  talkTo(peer: string): string {
    const channel = directChannel(this.me, peer);
    this.#open(channel).access = { kind: 'in' };
    this.#changed();
    return channel;
  }

  // Somebody looks at it: what was said lately is loaded.
  async look(channel: string): Promise<void> {
    const conversation = this.#conversations.get(channel);
    if (conversation === undefined || !this.#isConnected()) return;
    if (conversation.access.kind !== 'in') return;
    if (!conversation.timeline.isLoaded) await this.#load(conversation, 'newest');
    if (conversation.kind === 'group' && !conversation.roster.isLoaded) void this.#readRoster(conversation);
    await this.#readReceipts(conversation);
  }

  // Asks who read how far in a room or a group, which no notice tells, while somebody looks at it and there
  // is something to learn: whether others who are there have read what this user said last.
  async lookAtReceipts(channel: string): Promise<void> {
    const conversation = this.#conversations.get(channel);
    if (conversation === undefined || conversation.kind === 'direct') return;
    if (!conversation.hasReceipts || !this.#isConnected()) return;
    const others = conversation.members.count - 1;
    const own = conversation.timeline.messages.findLast(({ author }) => author?.user === this.me);
    if (own === undefined || others < 1 || others >= READERS_MAX) return;
    const now = this.#now();
    if (conversation.receiptsOf(own.offset).read >= others) return;
    if (now - (this.#receiptsAsked.get(channel) ?? 0) < RECEIPTS_EVERY_MS) return;
    this.#receiptsAsked.set(channel, now);
    await this.#readReceipts(conversation);
  }

  // Loads what was said before.
  async loadEarlier(channel: string): Promise<void> {
    const conversation = this.#conversations.get(channel);
    if (conversation === undefined || !this.#isConnected()) return;
    if (conversation.timeline.hasEarlier) await this.#load(conversation, 'earlier');
  }

  say(channel: string, text: string, attachments: readonly Attachment[] = []): void {
    this.#put(channel, text, attachments, { kind: 'say' });
  }

  // Gives a message another text; its files stay.
  edit(channel: string, { offset, attachments }: Message, text: string): void {
    this.#put(channel, text, attachments, { kind: 'edit', offset });
  }

  retry(id: string): void {
    this.outbox.retry(id);
    this.#changed();
    this.#send();
  }

  discard(id: string): void {
    this.outbox.discard(id);
    this.#changed();
  }

  retract(channel: string, offset: number): Promise<boolean> {
    return this.#tell('chat.retract', { channel, offset });
  }

  // Reacts to a message; an empty value takes it back.
  async react(channel: string, offset: number, value: string): Promise<void> {
    const conversation = this.#conversations.get(channel);
    conversation?.timeline.reactOwn(offset, value);
    this.#changed();
    await this.#tell('chat.react', { channel, offset, value });
  }

  // Somebody sees all that is loaded.
  readAll(channel: string): void {
    const conversation = this.#conversations.get(channel);
    if (conversation === undefined || !this.#isConnected()) return;
    if (!conversation.timeline.isLoaded || conversation.timeline.top === 0) return;
    const offset = conversation.timeline.top;
    const hadUnread = conversation.unread > 0;
    const isNews = conversation.readUpTo(offset);
    if (isNews) {
      // Where it is lost, the next one says more.
      this.#rpc('chat.read', { channel, offset }).catch(() => {});
    }
    if (isNews || hadUnread) this.#changed();
  }

  // This user is typing there.
  types(channel: string): void {
    const now = this.#now();
    if (now - (this.#typingTold.get(channel) ?? 0) < TYPING_EVERY_MS || !this.#isConnected()) return;
    this.#typingTold.set(channel, now);
    this.#rpc('chat.typing', { channel }).catch(() => {});
  }

  // --- what comes ---------------------------------------------------------------

  #listen(): void {
    const client = this.#client;
    client.on('connected', () => {
      this.#state = { kind: 'connected' };
      this.#changed();
      this.#arrive();
    });
    client.on('connecting', () => {
      this.#state = { kind: 'connecting' };
      this.#changed();
    });
    client.on('disconnected', ({ code, reason }) => {
      this.#state = { kind: 'ended', code, reason };
      this.#changed();
    });
    client.on('publication', (context) => this.#inInbox(context));
    client.on('message', ({ data }) => this.#notice(data));
  }

  // After each connect: what conversations there are, what was missed in them, and what waits.
  #arrive(): void {
    this.#send();
    const groups = this.conversations.filter(({ kind }) => kind === 'group').map(({ channel }) => channel);
    this.#readRooms('', new Set(groups)).catch((error: RequestError) => {
      // A server without inboxes has none.
      if (error.temporary || error.code < 100) this.#later(AGAIN_MS, () => this.#isConnected() && this.#arrive());
    });
    for (const conversation of this.#conversations.values()) {
      if (conversation.kind === 'direct' && conversation.timeline.isLoaded) {
        void this.#load(conversation, 'later').then(() => this.#readReactions(conversation));
      }
    }
  }

  // `gone` has the groups that were not among them yet.
  async #readRooms(after: string, gone: Set<string>): Promise<void> {
    const answer = await this.#rpc<RoomsAnswer>('chat.rooms', { after });
    for (const { channel, read, unread, last, head, role, muted_until: mutedUntil = 0 } of answer.rooms) {
      const conversation = this.#open(channel);
      if (role === undefined) conversation.access = { kind: 'in' };
      else this.#become(channel, roleOf(role));
      gone.delete(channel);
      conversation.mutedUntil = mutedUntil;
      conversation.readTo = Math.max(conversation.readTo, read);
      conversation.unread = unread;
      if (!conversation.timeline.isLoaded && last !== undefined && last.offset === head) {
        conversation.live(last, head, this.#now());
        conversation.unread = unread;
      }
    }
    this.#changed();
    if (answer.next !== undefined) {
      await this.#readRooms(answer.next, gone);
      return;
    }
    gone.forEach((channel) => this.leave(channel));
    this.#forgetUnsent();
  }

  // What waits for a group of which this user is no member any more never goes.
  #forgetUnsent(): void {
    for (const { channel } of this.outbox.entries) {
      if (conversationOf(channel, this.me)?.kind === 'group' && !this.#subscriptions.has(channel)) {
        this.outbox.forget(channel);
        this.#changed();
      }
    }
  }

  #inInbox({ data, info, tags }: ServerPublicationContext): void {
    const offset = Number(tags?.['offset']);
    const channel = tags?.['channel'];
    if (channel === undefined || !Number.isSafeInteger(offset)) return;
    const conversation = this.#open(channel);
    conversation.access = { kind: 'in' };
    this.#take(conversation, { data, info, tags }, offset);
    if (info?.user !== this.me) {
      // Where that is lost, it comes again.
      this.#rpc('chat.ack', { channel, offset }).catch(() => {});
    }
  }

  #take(conversation: Conversation, publication: Publication, offset: number): void {
    const taken = conversation.live(publication, offset, this.#now());
    this.outbox.arrived(conversation.channel, publication.tags?.['id'] ?? '');
    if (taken === 'gap') void this.#load(conversation, 'later');
    this.#changed();
  }

  #notice(data: unknown): void {
    if (typeof data !== 'object' || data === null) return;
    const [name, fields] = Object.entries(data)[0] ?? [];
    if (typeof fields !== 'object' || fields === null) return;
    const { channel, user, delivered, read, role, until } = fields as Record<string, unknown>;
    if (name === 'group' && typeof channel === 'string' && user === this.me) {
      this.#become(channel, roleOf(role));
      return;
    }
    const conversation = typeof channel === 'string' ? this.#conversations.get(channel) : undefined;
    if (conversation === undefined) return;
    if (name === 'typing' && typeof user === 'string') {
      const forMs = conversation.types(user, this.#now());
      this.#later(forMs, () => this.#changed());
    } else if (name === 'receipt' && typeof user === 'string') {
      conversation.mark(user, { delivered: Number(delivered) || 0, read: Number(read) || 0 });
    } else if (name === 'reacted') {
      conversation.timeline.reacted(fields, this.me);
    } else if (name === 'muted') {
      conversation.mutedUntil = Number(until) || 0;
    } else if (name === 'crowd') {
      void this.#readMembers(conversation);
    }
    this.#changed();
  }

  // --- rooms --------------------------------------------------------------------

  // What this user is in a group from now on.
  #become(channel: string, role: Role | 'none'): void {
    if (role === 'none') {
      this.leave(channel);
      return;
    }
    const conversation = this.#open(channel);
    conversation.role = role;
    if (!isMember(role)) conversation.access = { kind: 'invited' };
    else if (!this.#subscriptions.has(channel)) {
      this.#subscribe(channel);
      this.#send();
    }
    this.#changed();
  }

  async #readRoster(conversation: Conversation): Promise<void> {
    interface RosterAnswer { readonly members: readonly { user: string; role: string }[]; readonly next?: string }
    const { channel } = conversation;
    const members: RosterMember[] = [];
    try {
      for (let after: string | undefined = ''; after !== undefined;) {
        const answer: RosterAnswer = await this.#rpc('chat.roster', { channel, after, limit: 1000 });
        for (const { user, role } of answer.members) {
          const known = roleOf(role);
          if (known !== 'none') members.push({ user, role: known });
        }
        after = answer.next;
      }
      conversation.roster.set(members);
      this.#changed();
    } catch {
      // It is asked again when somebody looks.
    }
  }

  #subscribe(channel: string): void {
    const conversation = this.#open(channel);
    const options = { recoverable: true, positioned: true, joinLeave: true };
    const subscription = this.#client.newSubscription(channel, options);
    this.#subscriptions.set(channel, subscription);
    subscription.on('subscribed', ({ recovered, wasRecovering }) => {
      conversation.access = { kind: 'in' };
      this.#changed();
      void this.#enter(conversation, wasRecovering && recovered);
    });
    subscription.on('subscribing', () => {
      conversation.access = { kind: 'joining' };
      this.#changed();
    });
    subscription.on('unsubscribed', ({ code, reason }) => {
      conversation.access = { kind: 'refused', code, reason };
      this.#changed();
    });
    subscription.on('publication', ({ data, info, tags, offset }: PublicationContext) => {
      this.#take(conversation, { data, info, tags }, offset ?? 0);
    });
    subscription.on('join', ({ info }) => {
      conversation.members.join({ client: info.client, user: info.user, name: nameOf(info.connInfo) });
      this.#changed();
    });
    subscription.on('leave', ({ info }) => {
      conversation.members.leave(info.client);
      this.#changed();
    });
    subscription.subscribe();
  }

  async #enter(conversation: Conversation, isWhole: boolean): Promise<void> {
    void this.#readMembers(conversation);
    if (conversation.roster.isLoaded && !isWhole) void this.#readRoster(conversation);
    if (isWhole && conversation.timeline.isLoaded) {
      await this.#readReactions(conversation);
      return;
    }
    await this.#load(conversation, 'newest');
    await this.#readReceipts(conversation);
    conversation.countUnread();
    this.#changed();
  }

  async #readMembers(conversation: Conversation): Promise<void> {
    const subscription = this.#subscriptions.get(conversation.channel);
    if (subscription === undefined) return;
    try {
      const { clients } = await subscription.presence();
      const members = Object.values(clients);
      conversation.members.set(members.map(({ client, user, connInfo }) => ({
        client, user, name: nameOf(connInfo),
      })));
    } catch {
      // Too many to be listed, or not to be seen.
      const stats = await subscription.presenceStats().catch(() => null);
      conversation.members.setCount(stats?.numUsers ?? 0);
    }
    this.#changed();
  }

  // --- questions ----------------------------------------------------------------

  async #load(conversation: Conversation, kind: PageKind): Promise<void> {
    if (conversation.isLoading) return;
    conversation.isLoading = true;
    this.#changed();
    try {
      await this.#loadPages(conversation, kind);
      conversation.noteLast();
      this.outbox.loaded(conversation.channel, conversation.timeline.top);
    } catch (error) {
      const { code, temporary } = error as RequestError;
      // A connection that broke loads again when it is back; a refusal is final.
      if (temporary) this.#later(AGAIN_MS, () => void this.#load(conversation, kind));
      else if (code >= 100) this.#options.onError(error as RequestError);
    } finally {
      conversation.isLoading = false;
      this.#changed();
    }
    if (conversation.timeline.isBehind && kind !== 'later') await this.#load(conversation, 'later');
  }

  async #loadPages(conversation: Conversation, first: PageKind): Promise<void> {
    const { timeline, channel } = conversation;
    let kind = first;
    for (;;) {
      const at = kind === 'later' ? timeline.top : timeline.first;
      const place = kind === 'newest' ? channel : { channel, offset: at, epoch: conversation.epoch };
      const mark = timeline.mark();
      const answer = await this.#rpc<HistoryAnswer>('chat.history', {
        channels: [place], limit: PAGE_COUNT, reverse: kind !== 'later',
      });
      const { publications = [], offset = 0, epoch = '', error, truncated } = answer.channels[0] ?? {};
      if (truncated) continue;
      if (error?.code === 112 || (kind === 'later' && offset - at > GAP_MAX)) {
        timeline.reset();
        kind = 'newest';
        continue;
      }
      if (error !== undefined) throw error;
      const inOrder = kind === 'later' ? publications : [...publications].reverse();
      const last = inOrder.at(-1)?.offset ?? 0;
      const isBefore = kind !== 'later';
      const hasMore = isBefore ? (inOrder[0]?.offset ?? 1) > 1 : inOrder.length > 0 && last < offset;
      if (kind === 'newest' && conversation.epoch !== '' && conversation.epoch !== epoch) {
        conversation.beginAnew();
      }
      timeline.page(kind, inOrder, { hasMore, mark, now: this.#now(), top: offset });
      conversation.epoch = epoch;
      inOrder.forEach(({ tags }) => this.outbox.arrived(channel, tags?.['id'] ?? ''));
      if (kind !== 'later' || !hasMore) return;
    }
  }

  async #readReceipts(conversation: Conversation): Promise<void> {
    interface ReceiptsAnswer { readonly receipts: readonly { user: string; delivered: number; read: number }[] }
    try {
      const { channel } = conversation;
      const answer = await this.#rpc<ReceiptsAnswer>('chat.receipts', { channel, limit: 1000 });
      answer.receipts.forEach(({ user, ...marks }) => conversation.mark(user, marks));
      this.#changed();
    } catch (error) {
      // What was lost is asked for the next time.
      if ((error as RequestError).code === NOT_AVAILABLE_CODE) conversation.hasReceipts = false;
    }
  }

  // What recovery gives says nothing of reactions.
  async #readReactions(conversation: Conversation): Promise<void> {
    interface ReactionsAnswer { readonly messages: readonly { offset: number; totals: unknown; own?: string }[] }
    const { timeline, channel } = conversation;
    const offsets = timeline.messages.slice(-REACTIONS_MAX).map(({ offset }) => offset);
    if (offsets.length === 0) return;
    const mark = timeline.mark();
    try {
      const answer = await this.#rpc<ReactionsAnswer>('chat.reactions', { channel, offsets });
      const found = new Map<number, Reactions>();
      for (const { offset, totals, own = '' } of answer.messages) {
        found.set(offset, { totals: totalsOf(totals) ?? [], own });
      }
      timeline.reactionsRead(offsets, found, mark);
      this.#changed();
    } catch {
      // The next notice has all totals.
    }
  }

  // --- the outbox ---------------------------------------------------------------

  #put(channel: string, text: string, attachments: readonly Attachment[], deed: Entry['deed']): void {
    this.outbox.add({ id: this.#newId(), channel, text, attachments, time: this.#now(), deed });
    // The message ends the typing, so what comes next is told as soon as the server takes it.
    const told = this.#typingTold.get(channel) ?? 0;
    this.#typingTold.set(channel, told - TYPING_EVERY_MS + TYPING_AGAIN_MS);
    this.#changed();
    this.#send();
  }

  #send(): void {
    if (!this.#isConnected()) return;
    // A group takes nothing from whom it does not know to be a member yet.
    const isReady = (channel: string) =>
      this.#subscriptions.has(channel) || conversationOf(channel, this.me)?.kind !== 'group';
    for (const entry of this.outbox.take(isReady)) void this.#sendOne(entry);
  }

  async #sendOne(entry: Entry): Promise<void> {
    const { id, channel, text, attachments, time, deed } = entry;
    const peer = conversationOf(channel, this.me);
    const said = { id, data: dataOf(text, attachments), sent_at_ms: time };
    // Behind what was refused for a while nothing else of the conversation goes.
    let goesOn = true;
    try {
      interface Place { readonly offset: number }
      const answer = deed.kind === 'edit'
        ? await this.#rpc<Place>('chat.edit', { ...said, channel, offset: deed.offset })
        : peer?.kind === 'direct'
          ? await this.#rpc<Place>('chat.send', { ...said, to: peer.title })
          : await this.#rpc<Place>('chat.publish', { ...said, channel });
      const top = this.#conversations.get(channel)?.timeline.top ?? 0;
      this.outbox.answered(id, answer.offset, answer.offset <= top);
    } catch (error) {
      const after = this.outbox.refused(id, error as RequestError);
      if (after.kind === 'later') this.#later(after.waitMs, () => this.#send());
      goesOn = after.kind === 'failed';
    }
    this.#changed();
    if (goesOn) this.#send();
  }

  // --- helpers ------------------------------------------------------------------

  // Whether it was done.
  async #tell(method: string, fields: object): Promise<boolean> {
    try {
      await this.#rpc(method, fields);
      return true;
    } catch (error) {
      this.#options.onError(error as RequestError);
      return false;
    }
  }

  async #rpc<Answer>(method: string, fields: object): Promise<Answer> {
    const { data } = await this.#client.rpc(method, fields);
    return data as Answer;
  }

  #open(channel: string): Conversation {
    const known = this.#conversations.get(channel);
    if (known !== undefined) return known;
    // Names that the server gives and that this chat does not know are shown as rooms.
    const made = conversationOf(channel, this.me) ?? new Conversation(channel, 'room', channel, this.me);
    this.#conversations.set(channel, made);
    return made;
  }

  #isConnected(): boolean {
    return this.#state.kind === 'connected';
  }

  #later(ms: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, ms);
    this.#timers.add(timer);
  }

  #changed(): void {
    this.#options.onChange();
  }
}

// An id that nobody else makes. Pages that came by plain HTTP have no `randomUUID`.
function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
