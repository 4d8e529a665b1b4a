// One conversation, a room, a group or two people: what is said, who is there, what is unread, who
// read how far, and who is typing.
//
// Deliberately absent: asking the server (`chat`).

import { Roster, type Role } from './group.js';
import { Members } from './members.js';
import { read, type Message, type Publication } from './message.js';
import { Timeline, type Taken } from './timeline.js';

export type ConversationKind = 'room' | 'group' | 'direct';

// Whether this user is in.
export type Access =
  | { readonly kind: 'joining' }
  | { readonly kind: 'in' }
  // A group of which this user may become a member.
  | { readonly kind: 'invited' }
  | { readonly kind: 'refused'; readonly code: number; readonly reason: string };

// How far somebody is.
export interface Marks {
  readonly delivered: number;
  readonly read: number;
}

// So long after a notice somebody counts as typing.
const TYPING_MS = 5_000;

export class Conversation {
  readonly timeline = new Timeline();
  readonly members = new Members();
  // Of a group: its members, wherever they are.
  readonly roster = new Roster();
  // Of a group: what this user is there.
  role: Role | 'none' = 'none';
  // Of a group: until when it is muted, Unix ms.
  mutedUntil = 0;
  access: Access = { kind: 'joining' };
  // The last message, as the list shows it.
  last: Message | null = null;
  // How many messages of others this user has not read.
  unread = 0;
  // How far this user read.
  readTo = 0;
  // The epoch of the stream that is loaded.
  epoch = '';
  isLoading = false;
  // Whether the server keeps who read how far, which it does where messages are on disk.
  hasReceipts = true;
  #marks = new Map<string, Marks>();
  #typing = new Map<string, number>();

  constructor(
    readonly channel: string,
    readonly kind: ConversationKind,
    // The room's name, or the other one of a conversation.
    readonly title: string,
    readonly me: string,
  ) {}

  // A publication came. What is missing before it has to be read where it says so.
  live(publication: Publication, offset: number, now: number): Taken {
    const taken = this.timeline.live(publication, offset, now);
    const said = read(publication, offset, now);
    if (taken !== 'known' && said.kind === 'message' && said.message.member !== null) {
      this.roster.change(said.message.member);
    }
    if (taken !== 'known' && said.kind === 'message' && offset > (this.last?.offset ?? 0)) {
      this.last = said.message;
      const { author, member } = said.message;
      if (member === null && author?.user !== this.me && offset > this.readTo) this.unread += 1;
      if (author !== null) this.#typing.delete(author.user);
    } else {
      this.noteLast();
    }
    return taken;
  }

  // The list's last message follows the timeline, in which it may have changed.
  noteLast(): void {
    const last = this.timeline.messages.at(-1);
    if (last !== undefined && last.offset >= (this.last?.offset ?? 0)) this.last = last;
  }

  // Counts what is unread in what is loaded.
  countUnread(): void {
    const isUnread = ({ offset, author, isRetracted, member }: Message) =>
      offset > this.readTo && author?.user !== this.me && !isRetracted && member === null;
    this.unread = this.timeline.messages.filter(isUnread).length;
  }

  // Whether this user wants to hear nothing of it.
  isMuted(now: number): boolean {
    return now < this.mutedUntil;
  }

  // This user read up to here; false where that is not news.
  readUpTo(offset: number): boolean {
    if (offset <= this.readTo && this.unread === 0) return false;
    const isNews = offset > this.readTo;
    this.readTo = Math.max(this.readTo, offset);
    this.unread = 0;
    return isNews;
  }

  // How far somebody is; marks never go back.
  mark(user: string, { delivered, read: readTo }: Marks): void {
    const known = this.#marks.get(user) ?? { delivered: 0, read: 0 };
    this.#marks.set(user, {
      delivered: Math.max(known.delivered, delivered),
      read: Math.max(known.read, readTo),
    });
    if (user === this.me) this.readTo = Math.max(this.readTo, readTo);
  }

  // How many others read a message, and how many got it.
  receiptsOf(offset: number): { delivered: number; read: number } {
    const counts = { delivered: 0, read: 0 };
    for (const [user, marks] of this.#marks) {
      if (user === this.me) continue;
      if (marks.delivered >= offset) counts.delivered += 1;
      if (marks.read >= offset) counts.read += 1;
    }
    return counts;
  }

  // Somebody is typing; how long that holds, in ms.
  types(user: string, now: number): number {
    if (user !== this.me) this.#typing.set(user, now + TYPING_MS);
    return TYPING_MS;
  }

  // Who is typing now.
  typing(now: number): string[] {
    return [...this.#typing].filter(([, until]) => until > now).map(([user]) => user);
  }

  // The stream is another one, in which nobody has read anything.
  beginAnew(): void {
    this.#marks.clear();
    this.readTo = 0;
    this.last = null;
    this.unread = 0;
  }
}

const DIRECT = 'dm#';
const ROOM = 'room:';
const GROUP = 'group:';
// What keeps groups with the same title apart.
const MARK = /~[0-9a-f]{8}$/;

// Whether the name of another user can be in a conversation's name.
export function isPeer(name: string, me: string): boolean {
  return name !== '' && name !== me && !/[,#\p{Cc}]/u.test(name);
}

// The channel of the conversation of two, whose names are in the order of their bytes.
export function directChannel(me: string, peer: string): string {
  const [one, other] = compareBytes(me, peer) < 0 ? [me, peer] : [peer, me];
  return `${DIRECT}${one},${other}`;
}

export function roomChannel(id: string): string {
  return ROOM + id;
}

// The channel of a group that begins; eight hexadecimal digits make it another one than others of
// that title.
export function groupChannel(title: string, mark: string): string {
  return `${GROUP}${title}~${mark}`;
}

// The conversation behind a channel's name; nothing for other channels.
export function conversationOf(channel: string, me: string): Conversation | null {
  if (channel.startsWith(ROOM) && channel.length > ROOM.length) {
    return new Conversation(channel, 'room', channel.slice(ROOM.length), me);
  }
  if (channel.startsWith(GROUP) && channel.length > GROUP.length) {
    const name = channel.slice(GROUP.length);
    return new Conversation(channel, 'group', name.replace(MARK, '') || name, me);
  }
  const pair = channel.startsWith(DIRECT) ? channel.slice(DIRECT.length).split(',') : [];
  const peer = pair.find((user) => user !== me);
  if (pair.length !== 2 || peer === undefined || !pair.includes(me)) return null;
  return new Conversation(channel, 'direct', peer, me);
}

// Bytes of UTF-8 have the order of code points, which UTF-16 has not.
function compareBytes(one: string, other: string): number {
  const [left, right] = [Array.from(one), Array.from(other)];
  for (let at = 0; at < Math.min(left.length, right.length); at += 1) {
    const difference = left[at]!.codePointAt(0)! - right[at]!.codePointAt(0)!;
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}
