// What a message is: the form of its data, and how a publication is read.
//
// Nothing that users wrote is trusted here: a field of another type is as if it were absent,
// and data of another form is shown as such.

import { roleOf, type RoleChange } from './group.js';

// Who said something.
export interface Author {
  readonly user: string;
  // What the token says of the user, if it is a name.
  readonly name: string;
}

// What a message is reacted to with, and how often, in the order in which the values came.
export interface ReactionTotal {
  readonly value: string;
  readonly count: number;
}

export interface Reactions {
  readonly totals: readonly ReactionTotal[];
  // What this user reacts with, if anything.
  readonly own: string;
}

// A file that somebody put elsewhere; the message says where.
export interface Attachment {
  readonly url: string;
  readonly name: string;
  readonly type: string;
  readonly bytes: number;
}

// A message as it is shown. Values do not change: whatever changes a message makes another.
export interface Message {
  readonly offset: number;
  readonly id: string;
  // Absent for what a backend published.
  readonly author: Author | null;
  readonly time: number;
  // Empty where the data has no text.
  readonly text: string;
  readonly attachments: readonly Attachment[];
  // Whether the data had the form that this chat knows.
  readonly isKnown: boolean;
  readonly isRetracted: boolean;
  // Where the last edit stands; 0 for none.
  readonly editOffset: number;
  readonly reactions: Reactions;
  // Of a group: who is what from now on, where that is all that it says.
  readonly member: RoleChange | null;
}

// A publication as a history or the SDK gives it. Those of a history have `time` and
// `conn_info`, those of the SDK `connInfo`.
export interface Publication {
  readonly offset?: number | undefined;
  readonly data: unknown;
  readonly time?: number | undefined;
  readonly tags?: Readonly<Record<string, string>> | undefined;
  readonly info?: {
    readonly user: string;
    readonly connInfo?: unknown;
    readonly conn_info?: unknown;
  } | undefined;
}

// What a publication says of the channel.
export type Said =
  | { readonly kind: 'message'; readonly message: Message; readonly reactions: Reactions | null }
  | { readonly kind: 'edit'; readonly target: number; readonly content: Content }
  | { readonly kind: 'retraction'; readonly target: number }
  // An edit whose words were replaced: it only takes its place.
  | { readonly kind: 'superseded' };

// What the data of a message says.
export interface Content {
  readonly text: string;
  readonly attachments: readonly Attachment[];
  readonly isKnown: boolean;
}

export const NO_CONTENT: Content = { text: '', attachments: [], isKnown: true };

export const NO_REACTIONS: Reactions = { totals: [], own: '' };

// The longest text that is sent, in UTF-16 units.
export const TEXT_UNITS_MAX = 4000;

// The most files of one message, and units of a file's name.
export const ATTACHMENTS_MAX = 10;
const NAME_UNITS_MAX = 255;

// The data of a message.
export function dataOf(text: string, attachments: readonly Attachment[]): object {
  return attachments.length === 0 ? { text } : { text, attachments };
}

// What a message's data says; data of another form is not known.
export function contentOf(data: unknown): Content {
  const unknown = { ...NO_CONTENT, isKnown: false };
  if (typeof data !== 'object' || data === null) return unknown;
  const { text, attachments } = data as { text?: unknown; attachments?: unknown };
  if (typeof text !== 'string') return unknown;
  return { text, attachments: attachmentsOf(attachments), isKnown: true };
}

// Files whose addresses a page may lead to. `javascript:` and the like are none.
function attachmentsOf(value: unknown): Attachment[] {
  if (!Array.isArray(value)) return [];
  const good: Attachment[] = [];
  for (const one of (value as unknown[]).slice(0, ATTACHMENTS_MAX)) {
    if (typeof one !== 'object' || one === null) continue;
    const { url, name, type, bytes } = one as Record<string, unknown>;
    if (typeof url !== 'string' || typeof name !== 'string' || !isWebAddress(url)) continue;
    good.push({
      url,
      name: name.slice(0, NAME_UNITS_MAX),
      type: typeof type === 'string' ? type : '',
      bytes: typeof bytes === 'number' && bytes >= 0 ? bytes : 0,
    });
  }
  return good;
}

export function isWebAddress(url: string): boolean {
  try {
    return ['https:', 'http:'].includes(new URL(url).protocol);
  } catch {
    return false;
  }
}

// What a publication at this offset says. `now` is when it came, for those without a time.
export function read(publication: Publication, offset: number, now: number): Said {
  const { data, info, tags = {} } = publication;
  if (tags['superseded'] !== undefined) return { kind: 'superseded' };
  const retracts = numberOf(tags['retracts']);
  if (retracts > 0) return { kind: 'retraction', target: retracts };
  const content = contentOf(data);
  const edits = numberOf(tags['edits']);
  if (edits > 0) return { kind: 'edit', target: edits, content };
  const isRetracted = tags['retracted'] !== undefined;
  const user = tags['group_member'];
  const member = user === undefined ? null : { user, role: roleOf(tags['group_role']) };
  const message: Message = {
    offset,
    id: tags['id'] ?? '',
    author: info === undefined ? null : authorOf(info),
    time: timeOf(publication, now),
    ...(isRetracted || member !== null ? NO_CONTENT : content),
    isRetracted,
    editOffset: numberOf(tags['edit_offset']),
    reactions: NO_REACTIONS,
    member,
  };
  return { kind: 'message', message, reactions: reactionsOf(tags['reactions']) };
}

// What the other side of a notice or a tag says about reactions; nothing where it is none.
export function totalsOf(value: unknown): ReactionTotal[] | null {
  if (!Array.isArray(value)) return null;
  const totals: ReactionTotal[] = [];
  for (const one of value as unknown[]) {
    if (typeof one !== 'object' || one === null) continue;
    const { value: said, count } = one as { value?: unknown; count?: unknown };
    if (typeof said === 'string' && typeof count === 'number' && count > 0) {
      totals.push({ value: said, count });
    }
  }
  return totals;
}

// Reads the tag of a history's message.
export function reactionsOf(tag: string | undefined): Reactions | null {
  if (tag === undefined) return null;
  try {
    const { totals, own } = JSON.parse(tag) as { totals?: unknown; own?: unknown };
    return { totals: totalsOf(totals) ?? [], own: typeof own === 'string' ? own : '' };
  } catch {
    return null;
  }
}

function authorOf(info: NonNullable<Publication['info']>): Author {
  return { user: info.user, name: nameOf(info.connInfo ?? info.conn_info) };
}

// A user's name as the token's `info` has it, or nothing.
export function nameOf(info: unknown): string {
  if (typeof info !== 'object' || info === null) return '';
  const { name } = info as { name?: unknown };
  return typeof name === 'string' ? name : '';
}

// When it was said. The SDK gives no time with what comes live; what its author says of that
// is believed as far as it is not in the future.
function timeOf({ time, tags = {} }: Publication, now: number): number {
  if (time !== undefined && time > 0) return time;
  const sent = numberOf(tags['sent_at_ms']);
  return sent > 0 ? Math.min(sent, now) : now;
}

function numberOf(tag: string | undefined): number {
  const number = Number(tag ?? 0);
  return Number.isSafeInteger(number) && number > 0 ? number : 0;
}
