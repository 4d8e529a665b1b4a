//! Limits that no setting changes, on what turns, lanes, the store and peers may take, and the
//! relations between them: here all are seen, and compared, in one place.
//!
//! Deliberately absent: what bounds only the work of one file, and stands there.

use std::ops::RangeInclusive;

/// Shards in one process; 60 carry a million connections where a descriptor
/// table ends at 20,000.
pub const SHARDS_MAX: u16 = 256;

/// Addresses that clients connect to; each shard has a listener for each of them.
pub const LISTENERS_MAX: usize = 16;

/// Events that one turn of a core takes from the `Io`.
pub const TURN_EVENTS_MAX: usize = 4_096;

/// Messages that one turn of a core takes from the lanes of its neighbours.
pub const TURN_MESSAGES_MAX: usize = 8_192;

/// Answers of the store that one turn of a core takes.
pub const TURN_REPLIES_MAX: usize = 8_192;

/// New peers that one turn of a core takes, while it keeps its times. Each is an upgrade, a
/// token and a subscription or two, so the backlog of a storm must not become one turn.
pub const PEERS_PER_TURN_MAX: u16 = 16;

/// And while it is late.
pub const PEERS_PER_LATE_TURN_MAX: u16 = 4;

/// Pings that one turn of a core sends: 64 take 0.8 ms.
pub const TURN_PINGS_MAX: usize = 64;

/// And while nothing else waits for the turn to end.
pub const IDLE_TURN_PINGS_MAX: usize = 256;

/// Timers that one turn of a core lets fire.
pub const TURN_TIMERS_MAX: usize = 1_024;

/// How long after a connection's time was over it is looked at again, in ms, while nobody is
/// judged.
pub const LOOK_AGAIN_MS: u64 = 250;

/// Commands and control frames of one connection that a turn serves, or that are served as
/// they come; what is left waits for its next turn.
pub const TURN_SHARE_COUNT_MAX: usize = 16;

/// The same for all together whose commands had to wait.
pub const TURN_POSTPONED_COUNT_MAX: usize = 64;

/// Bytes of one connection that wait for later turns: two long messages. Beyond it
/// the oldest is served when more comes.
pub const POSTPONED_PER_CONNECTION_BYTES_MAX: usize = 512 << 10;

/// Bytes of all connections of a shard that wait for later turns; beyond it the same.
pub const POSTPONED_BYTES_MAX: usize = 16 << 20;

/// Requests that one shard may have under way at another at a time: each gets
/// exactly one answer, so this bounds the answers in the lane back, too.
pub const LANE_REQUESTS_MAX: usize = 4_096;

/// Requests of one shard to itself that are under way; over it they are refused (111).
pub const OWN_REQUESTS_MAX: usize = 16_384;

/// Of these and of those to other shards, those that one user has under way by all its
/// connections to a shard, a quarter of a lane; over it they are refused (111).
pub const USER_REQUESTS_MAX: usize = 1_024;

/// Commands of one connection that rooms have not answered; over it more are refused
/// (111). A message may hold as many.
pub const UNANSWERED_MAX: usize = 1_024;

/// Connections that are gone and of which another shard is told in one lane, so that
/// it does not answer what they asked; it answers the others for nothing.
pub const LANE_GONE_MAX: usize = 256;

/// Parts of messages that all connections of a shard keep together, in bytes, until the
/// rest comes; over it, who keeps most is closed (3013).
pub const PARTIAL_MESSAGES_BYTES_MAX: usize = 32 << 20;

/// Publications and notices that wait in one lane from core to core.
pub const LANE_PUSHES_MAX: usize = 8_192;

/// Batches that wait in one lane from core to core.
pub const LANE_BATCHES_MAX: usize = 4;

/// Messages in one of them.
pub const LANE_BATCH_MESSAGES_MAX: usize = LANE_PUSHES_MAX / LANE_BATCHES_MAX;

/// Batches that wait in one lane from a core to the store, or back.
pub const STORE_LANE_BATCHES_MAX: usize = 8;

/// Requests or answers in one of them.
pub const STORE_LANE_BATCH_ITEMS_MAX: usize = 2_048;

/// Commands of the control thread that wait for one core.
pub const LANE_COMMANDS_MAX: usize = 8;

/// Trace events that wait in the lane of one shard to the control thread.
pub const LANE_TRACE_EVENTS_MAX: usize = 1_024;

/// Rooms that a home names when it lost their publications on the way to another
/// shard; over it, all of its rooms there are suspected.
pub const GAP_ROOMS_MAX: usize = 64;

/// How long a repeated id gets the first answer, in ms.
pub const IDS_MS: u64 = 300_000;

/// Ids that one room remembers of one user's messages; over it, that user's messages with
/// an id are refused there (111) until the oldest is five minutes old. More than one
/// connection can say in that time by default.
pub const USER_IDS_MAX: usize = 65_536;

/// Questions that wait in one shard for rooms to be read from the store.
pub const WAITING_REQUESTS_MAX: usize = 16_384;

/// Bytes of messages that wait in one shard, for rooms to be read or for the
/// store to keep them; over it they are refused (111).
pub const WAITING_BYTES_MAX: usize = 32 << 20;

/// Of both, what one user has by all its connections, a quarter; one message passes
/// alone, whatever its size. Over it, its questions are refused (111).
pub const USER_WAITING_REQUESTS_MAX: usize = WAITING_REQUESTS_MAX / 4;

/// See `USER_WAITING_REQUESTS_MAX`.
pub const USER_WAITING_BYTES_MAX: usize = WAITING_BYTES_MAX / 4;

/// Bytes that may be said in a conversation of two since the oldest message that waits for
/// the other one; over it messages to that one are refused (111) until it is acknowledged
/// or given up. So whoever speaks to somebody who is away fills no disk.
pub const CONVERSATION_WAITING_BYTES_MAX: u64 = 16 << 20;

/// Reads of the store that one shard has under way, or queued, for recoveries,
/// histories, conversations and receipts; over it they are refused (111).
pub const READINGS_MAX: usize = 8_192;

/// Of these, those that are under way for one user, by all its connections; its others
/// stand in line.
pub const READINGS_AT_ONCE_MAX: u32 = 4;

/// A user's questions that stand in line for the store; over it they are refused (111).
pub const QUESTIONS_IN_LINE_MAX: usize = 64;

/// The same with a user's recoveries, of which each connection has one for each channel;
/// over it they are refused (111).
pub const READINGS_IN_LINE_MAX: usize = READINGS_MAX / 4;

/// What all recoveries of one shard have found so far, in bytes; over it the next one
/// is told that it must read anew.
pub const READINGS_BYTES_MAX: usize = 64 << 20;

/// Requests that one shard has under way at the store; over it messages, read
/// markers and retractions are refused (111).
pub const STORE_REQUESTS_MAX: usize = 32_768;

/// Messages of one step of such a read.
pub const READING_STEP_COUNT_MAX: u32 = 256;

/// What the messages of one step of a read cost.
pub const READING_STEP_BYTES_MAX: u32 = 256 << 10;

/// What the messages cost that a subscription recovers; who missed more reads anew.
pub const RECOVERY_BYTES_MAX: usize = 1 << 20;

/// Direct messages that wait for a user and are sent again at a time.
pub const PENDING_PAGE_MAX: u32 = 128;

/// Bytes of a channel's name, of a user's name, and of an rpc method's name.
pub const NAME_BYTES_MAX: usize = 255;

/// Bytes of an id that a client gives to a message.
pub const MESSAGE_ID_BYTES_MAX: usize = 64;

/// Bytes of what somebody reacts to a message with.
pub const REACTION_BYTES_MAX: usize = 32;

/// Different values that one message is reacted to with; over it a new one is refused (106).
pub const REACTION_KINDS_MAX: usize = 20;

/// Users who react to one message; over it one more is refused (106).
pub const REACTION_USERS_MAX: usize = 1_000;

/// Members of one group, with those who are invited; over it nobody joins or is invited (106).
pub const GROUP_MEMBERS_MAX: usize = 1_000;

/// Groups of one user, with those that it is invited to; over it the user joins none and is
/// invited to none (106).
pub const USER_GROUPS_MAX: u32 = 1_000;
/// How long a user may mute a group, in seconds: ten years. What is longer is for good.
pub const MUTE_S_MAX: u64 = 10 * 365 * 86_400;
/// Until when a group is muted for good, Unix ms: the end of the year 9999, so that whoever compares
/// it with a clock need not know of it.
pub const MUTED_FOR_GOOD_UNIX_MS: u64 = 253_402_300_799_000;

/// Reactions that one room has in memory, where its messages are there only; over it one
/// more is refused (106).
pub const ROOM_REACTIONS_MAX: usize = 16_384;

/// Messages whose reactions one question asks for.
pub const REACTION_OFFSETS_MAX: usize = 100;

/// Bytes of the filter over tags of one subscription; over it the subscribe is refused (107).
pub const TAG_FILTER_BYTES_MAX: usize = 2 << 10;

/// Bytes of all such filters of a connection; over it a subscribe is refused (106). In memory a
/// filter takes up to twelve times as much.
pub const TAG_FILTERS_BYTES_MAX: usize = 16 << 10;

/// Levels of such a filter. They are walked by a function that calls itself.
pub const TAG_FILTER_LEVELS_MAX: usize = 8;

/// Bytes of data up to which a publication is told as the difference to the one before. Finding it
/// takes about 2 ns a byte, once for each shard with subscribers who have deltas.
pub const DELTA_DATA_BYTES_MAX: usize = 64 << 10;

/// Members of a room up to which each coming and going is told by name, however often somebody
/// comes and goes: it costs no more than a message in that room, which may be said as often.
pub const JOIN_LEAVE_UNCOUNTED_MEMBERS_MAX: usize = 16;

/// Entries of one page of members, conversations or receipts.
pub const PAGE_MAX: u32 = 1_000;

/// Entries of a page when the client does not say.
pub const PAGE_DEFAULT: u32 = 100;

/// Facts for the presence feed that wait in one shard; over it they are lost, and the shard says
/// anew all that is there.
pub const PRESENCE_FACTS_MAX: usize = 65_536;

/// Batches of facts that wait in the lane of one shard to the presence feed.
pub const PRESENCE_BATCHES_MAX: usize = 8;

/// Facts in one of them.
pub const PRESENCE_BATCH_FACTS_MAX: usize = 4_096;

/// Connections of one shard whose clients' clocks are known: of those that say when
/// they sent their messages.
pub const CLOCKS_MAX: usize = 4_096;

/// What channels of one shard said in a turn and has not left wholly; over it, when
/// it has is not measured.
pub const BATCHES_MAX: usize = 4_096;

/// Messages of one shard that are measured until they are acknowledged.
pub const RECENT_MAX: usize = 1_024;

/// Levels of arrays and objects in JSON data: each reader's parser must get
/// through, and many recurse (Python gives up near 1,000, some libraries at 128).
pub const DATA_LEVELS_MAX: usize = 120;

/// The same in what calls a method, which is handed on to nobody: data of its own may be in
/// it, a few levels down, and is measured there.
pub const CALL_LEVELS_MAX: usize = 1_024;

/// Channels that one connection may be in, whatever the configuration says.
pub const CHANNELS_PER_CONNECTION_MAX: usize = 4_096;

/// Bytes of one reason text in a close frame: 125 less the code (RFC 6455, 5.5).
pub const CLOSE_REASON_BYTES_MAX: usize = 123;

/// Commands in one WebSocket message; a batch of more is a peer gone wrong.
pub const COMMANDS_PER_MESSAGE_MAX: usize = 1_024;

/// Commands of one connection that wait for the answer to its connect or subscribe;
/// over it they are refused (111).
pub const HELD_COUNT_MAX: usize = 1_024;

/// Bytes of such commands; one alone may have more, up to a message's.
pub const HELD_BYTES_MAX: usize = 64 << 10;

/// Channels of one connection that are remembered because their subscribe was refused with
/// 111; of more, the latest.
pub const DEFERRED_SUBSCRIBES_MAX: usize = 64;

/// Members that a presence answer lists; larger rooms answer 106.
pub const PRESENCE_CLIENTS_MAX: usize = 2_000;

/// Bytes of names and infos in a presence answer; more is answered with 106, too.
pub const PRESENCE_BYTES_MAX: usize = 256 << 10;

/// What the messages of one history answer cost, and those of a page of conversations;
/// a client that wants more asks again from where the answer ends.
pub const HISTORY_ANSWER_BYTES_MAX: usize = 512 << 10;

/// Messages in one history answer, whatever the client asks for.
pub const HISTORY_ANSWER_MAX: u32 = 1_000;

/// Channels of one history of several.
pub const HISTORY_CHANNELS_MAX: usize = 50;

/// Histories of several channels of one connection of which rooms have yet to answer; more
/// are refused.
pub const PENDING_HISTORIES_MAX: usize = 4;

/// Calls in one batch of the server API.
pub const API_CALLS_MAX: usize = 1_000;

/// Channels of one broadcast of the server API.
pub const API_CHANNELS_MAX: usize = 1_000;

/// Tags that the server API gives to one message.
pub const API_TAGS_MAX: usize = 16;

/// Questions to rooms that the calls of one request of the server API lead to; over it the
/// calls that lead to more are refused (106).
pub const API_REQUEST_QUESTIONS_MAX: usize = 4_096;

/// As so many questions one counts whose answer may be long: a history, or who is there. So one
/// request has 32 of them, and all requests together 512.
pub const API_READ_QUESTIONS: usize = 128;

/// Batches of the store whose direct messages the presence feed may not have told of yet; of more,
/// the oldest are taken as told.
pub const RECENT_BATCHES_MAX: usize = 65_536;

/// Direct messages of those batches that are said again after a start.
pub const RECENT_FOUND_MAX: usize = 65_536;

/// As so many questions each channel counts of a history of several, which has half of what a
/// history has, or less.
pub const API_SHARED_READ_QUESTIONS: usize = API_READ_QUESTIONS / 2;

/// A message counts as one question more for each so many bytes of its data, once for all
/// channels that it is for.
pub const API_QUESTION_BYTES: usize = 4 << 10;

/// As so many questions one counts that looks for the connections of a user, on each core. So
/// one request has 256 of them.
pub const API_USER_QUESTIONS: usize = 16;

/// Connections that one `disconnect` of the server API keeps.
pub const API_WHITELIST_MAX: usize = 100;

/// Connections in one answer of the server API; a user with more is answered 106.
pub const API_CONNECTIONS_MAX: usize = 1_000;

/// Connections on a page of a user's.
pub const API_CONNECTIONS_PAGE_MAX: usize = 100;

/// The same where a call does not say.
pub const API_CONNECTIONS_PAGE_DEFAULT: usize = 25;

/// Channels that are named of one connection there; it says how many there are.
pub const API_CONNECTION_CHANNELS_MAX: usize = 64;

/// Rooms on a page of those that come first by some measure.
pub const API_ROOMS_PAGE_MAX: usize = 100;

/// The same where a call does not say.
pub const API_ROOMS_PAGE_DEFAULT: usize = 25;

/// Dead letters that one page looks at.
pub const API_DEAD_LETTERS_PAGE_MAX: usize = 256;

/// The same where a call does not say.
pub const API_DEAD_LETTERS_PAGE_DEFAULT: usize = 100;

/// Dead letters that one call changes: others wait while the store does it.
pub const DEAD_LETTERS_CHANGED_MAX: usize = 100;

/// Bytes of the tenant, and of the user's name, in the prefix of similar clients: each of their
/// bytes may be written with three.
pub const PREFIX_PART_BYTES_MAX: usize = 96;

/// The longest time for which a program keeps a kind of clients out, in s.
pub const QUARANTINE_S_MAX: u64 = 86_400;

/// Bytes of `info`, which travels with everything that its peer publishes.
pub const INFO_BYTES_MAX: usize = 4 << 10;

/// Bytes of an epoch as it is told, with all that it may carry.
pub const EPOCH_BYTES_MAX: usize = 128;

/// Channels in one answer of the server API; more are answered 106.
pub const API_CHANNELS_LISTED_MAX: usize = 2_000;

/// Blocks in one answer of the server API.
pub const API_BLOCKS_LISTED_MAX: usize = 1_000;

/// The same where a call does not say.
pub const API_BLOCKS_LISTED_DEFAULT: usize = 100;

/// Codes with which others may have connections closed: those of libraries, and of applications
/// (RFC 6455, 7.4.2).
pub const CLOSE_CODES_OF_OTHERS: RangeInclusive<u16> = 3_000..=4_999;

/// Headers in a connect command for the application's backend.
pub const CONNECT_HEADERS_MAX: usize = 64;

/// Bytes of one of them.
pub const CONNECT_HEADER_BYTES_MAX: usize = 4 << 10;

/// Questions of one shard to an application's backend that are not answered; over it they are
/// refused (111).
pub const HOOKS_MAX: usize = 4_096;

/// Of these, those of one user, by all its connections to a shard; over it the same.
pub const USER_HOOKS_MAX: usize = 256;

/// What all of these cost together; over it the same. A message that is as long as messages may
/// be has room.
pub const HOOKS_BYTES_MAX: usize = 32 << 20;

/// Of both, the part that all clients without a name may have together, and who connects has
/// none yet: so many of these parts are the whole.
pub const STRANGERS_HOOKS_PART: usize = 2;

/// Questions to an application's backend in one batch of a shard's lane to the control thread,
/// and batches that wait there; what has no room waits in the shard, which bounds all of them.
pub const HOOK_BATCH_MAX: usize = 256;

/// See `HOOK_BATCH_MAX`.
pub const HOOK_BATCHES_MAX: usize = 16;

/// Answers of an application's backend that one command takes to a shard.
pub const HOOK_ORDER_ANSWERS_MAX: usize = 256;

/// Questions of the server API to rooms that are not answered, of all requests together, of
/// which each core has an equal part; over it a request is refused (111).
pub const API_QUESTIONS_MAX: usize = 65_536;

/// Questions of the server API that one command takes to a shard: two long answers, or a turn's
/// share of messages.
pub const API_ORDER_QUESTIONS_MAX: usize = 256;

/// Blocks of users, tokens and addresses; more are refused (106). One takes some 200 bytes for the
/// whole server.
pub const BLOCKS_MAX: usize = 262_144;

/// Bytes of the name of what is blocked: a user, a token's id, a tenant.
pub const BLOCK_NAME_BYTES_MAX: usize = NAME_BYTES_MAX;

/// Commands of the control thread that one turn takes.
pub const TURN_COMMANDS_MAX: usize = 4;

/// Users of one shard whose new rooms are counted.
pub const ROOM_CREATORS_MAX: usize = 65_536;

/// Users of one room whose joins and leaves are counted.
pub const JOIN_LEAVE_USERS_MAX: usize = 2_048;

/// Users of one room whose typing is remembered, so that it is told once a second;
/// what is over it is not told.
pub const TYPING_USERS_MAX: usize = 64;

const _: () = {
    assert!(0 < PEERS_PER_LATE_TURN_MAX && PEERS_PER_LATE_TURN_MAX <= PEERS_PER_TURN_MAX);
    assert!(TURN_PINGS_MAX <= IDLE_TURN_PINGS_MAX && IDLE_TURN_PINGS_MAX <= TURN_TIMERS_MAX);
    assert!(0 < TURN_SHARE_COUNT_MAX && TURN_SHARE_COUNT_MAX <= TURN_POSTPONED_COUNT_MAX);
    assert!(POSTPONED_PER_CONNECTION_BYTES_MAX <= POSTPONED_BYTES_MAX);
    // One turn may answer every request that a lane holds.
    assert!(LANE_REQUESTS_MAX <= TURN_MESSAGES_MAX);
    assert!(LANE_PUSHES_MAX <= TURN_MESSAGES_MAX);
    assert!(NAME_BYTES_MAX <= u8::MAX as usize);
    assert!(PAGE_DEFAULT <= PAGE_MAX);
    assert!(HISTORY_CHANNELS_MAX * API_SHARED_READ_QUESTIONS <= API_REQUEST_QUESTIONS_MAX);
    assert!(REACTION_KINDS_MAX <= REACTION_USERS_MAX && REACTION_USERS_MAX <= ROOM_REACTIONS_MAX);
    assert!(UNANSWERED_MAX < u16::MAX as usize);
    assert!(4 * USER_REQUESTS_MAX <= LANE_REQUESTS_MAX && LANE_REQUESTS_MAX <= OWN_REQUESTS_MAX);
    assert!(UNANSWERED_MAX <= USER_REQUESTS_MAX);
    assert!(4 * USER_HOOKS_MAX <= HOOKS_MAX && HOOK_BATCHES_MAX * HOOK_BATCH_MAX <= HOOKS_MAX);
    assert!(QUESTIONS_IN_LINE_MAX < READINGS_IN_LINE_MAX);
    // A batch's number fits a connection's two bytes, and one means none.
    assert!(BATCHES_MAX < u16::MAX as usize);
};
