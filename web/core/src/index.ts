// A chat client without pictures, over the official SDK.

export { Chat, type ChatOptions, type ConnectionState } from './chat.js';
export {
  Conversation, conversationOf, directChannel, groupChannel, isPeer, roomChannel,
  type Access, type ConversationKind, type Marks,
} from './conversation.js';
export {
  GIVEN_ROLES, Roster, isMember, leads, mayKick, roleOf,
  type MuteLength, type Role, type RoleChange, type RosterMember,
} from './group.js';
export { Members, type Member, type Person } from './members.js';
export {
  ATTACHMENTS_MAX, NO_REACTIONS, TEXT_UNITS_MAX, contentOf, dataOf,
  type Attachment, type Author, type Content, type Message, type Publication, type Reactions, type ReactionTotal,
} from './message.js';
export { Outbox, afterError, entriesOf, type Deed, type Entry, type EntryState, type RequestError } from './outbox.js';
export { MESSAGES_MAX, Timeline, type PageKind, type Taken } from './timeline.js';
export { upload } from './upload.js';
export { rowsInView, topOf, type RowRange, type ViewportOptions } from './viewport.js';
