//! The meaning of a channel's name: its room, its namespace, and whether it is a personal channel,
//! a conversation of two, or one for the users that it lists.
//!
//! Rooms are found by a keyed hash of tenant and name, so that peers cannot choose names that
//! collide or that live on one shard.
//!
//! Deliberately absent: the characters of names (`wire`).

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::base::{ClientId, RoomId, TokenHash, UserHash};
use crate::room::{Namespace, PersonalChannel};
pub use crate::wire::INBOX_NAMESPACE;
use crate::wire::channel_is_valid;

/// The namespace of conversations of two.
pub const CONVERSATION_NAMESPACE: &str = "dm";

/// Before the names of the two.
const CONVERSATION_PREFIX: &str = "dm#";

/// Before the names of the users who alone may be in a channel.
const LIST_BOUNDARY: char = '#';

/// Between these names.
const LIST_SEPARATOR: char = ',';

/// The server's key for names: with it, and only with it, can one tell which shard is the
/// home of which room. Equal on all shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameKey(pub [u64; 2]);

impl NameKey {
    /// The key of a store.
    pub fn from_bytes(bytes: [u8; 16]) -> NameKey {
        let word = |at: usize| u64::from_be_bytes(std::array::from_fn(|index| bytes[at + index]));
        NameKey([word(0), word(8)])
    }

    /// The room of a channel; tenants never share one.
    pub fn room(&self, tenant: &str, channel: &str) -> RoomId {
        self.room_of(tenant, &[channel])
    }

    /// A hash of a client id, where the id itself must not be shown; never 0. Only the server can
    /// tell that two hashes are of the same client.
    pub fn client_hash(&self, client: ClientId) -> u64 {
        let mut hasher = self.hasher();
        // No name of a room is hashed with such a length before it.
        hasher.write_usize(usize::MAX);
        hasher.write_u128(client.0);
        (hasher.finish128().h1).max(1)
    }

    /// The room of a user's personal channel.
    pub fn inbox(&self, tenant: &str, user: &str) -> RoomId {
        self.room_of(tenant, &[INBOX_NAMESPACE, user])
    }

    /// Of the two of a conversation of a tenant, whose personal channel this is, and the other one;
    /// `None` of any other channel, and where it is neither's.
    pub fn parties<'c>(
        &self,
        tenant: &str,
        kind: ChannelKind<'c>,
        inbox: RoomId,
    ) -> Option<(&'c str, &'c str)> {
        let [one, other] = match kind {
            ChannelKind::Conversation(users) => users,
            ChannelKind::Open | ChannelKind::Inbox(_) | ChannelKind::Listed(_) => return None,
        };
        let pairs = [(one, other), (other, one)];
        pairs.into_iter().find(|(user, _)| self.inbox(tenant, user) == inbox)
    }

    /// A hash of a user.
    pub fn user_hash(&self, tenant: &str, user: &str) -> UserHash {
        match user {
            "" => UserHash::NOBODY,
            user => UserHash::of_inbox(self.inbox(tenant, user)),
        }
    }

    /// A hash of a token by its own id; never `NONE`, unless it has none.
    pub fn token_hash(&self, tenant: &str, id: &str) -> TokenHash {
        if id.is_empty() {
            return TokenHash::NONE;
        }
        let mut hasher = self.hasher();
        // No name of a room is hashed with such a length before it.
        hasher.write_usize(usize::MAX - 2);
        write_name(&mut hasher, tenant, &[id]);
        TokenHash::from_bits(hasher.finish128().h1.max(1))
    }

    fn room_of(&self, tenant: &str, parts: &[&str]) -> RoomId {
        let mut hasher = self.hasher();
        write_name(&mut hasher, tenant, parts);
        RoomId(hasher.finish128().as_u128())
    }

    fn hasher(&self) -> SipHasher24 {
        SipHasher24::new_with_keys(self.0[0], self.0[1])
    }
}

/// Hashes a name of a tenant.
fn write_name(hasher: &mut SipHasher24, tenant: &str, parts: &[&str]) {
    // The length keeps ("a", "bc") and ("ab", "c") apart.
    hasher.write_usize(tenant.len());
    hasher.write(tenant.as_bytes());
    parts.iter().for_each(|part| hasher.write(part.as_bytes()));
}

/// The kind of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelKind<'n> {
    /// A group, by the rules of its namespace.
    Open,
    /// The personal channel of this user.
    Inbox(&'n str),
    /// The conversation of these two users, in the order of their bytes.
    Conversation([&'n str; 2]),
    /// A group of these users, with commas between them, where its namespace reads lists.
    Listed(&'n str),
}

impl<'n> ChannelKind<'n> {
    /// Parses a channel's name; `None` for one that no channel can have.
    ///
    /// `dm:` would be a group by the rules of conversations. Whether `#` begins a list of users,
    /// is for the namespace to say (`under`).
    pub fn of(channel: &'n str) -> Option<ChannelKind<'n>> {
        if let Some(owner) = channel.strip_prefix(INBOX_NAMESPACE) {
            return Some(ChannelKind::Inbox(owner));
        }
        if let Some(names) = channel.strip_prefix(CONVERSATION_PREFIX) {
            let (one, other) = names.split_once(',')?;
            let are_two = !one.is_empty() && one < other;
            let are_plain = !other.contains(',') && !names.contains('#');
            return (are_two && are_plain).then_some(ChannelKind::Conversation([one, other]));
        }
        if namespace_name(channel) == CONVERSATION_NAMESPACE {
            return None;
        }
        let listed =
            channel.rsplit_once(LIST_BOUNDARY).map(|(_, users)| ChannelKind::Listed(users));
        Some(listed.unwrap_or(ChannelKind::Open))
    }

    /// The same under the rules of the channel's namespace. A name without a colon has no `#`
    /// unless that begins a list: so conversations of two cannot be mistaken for anything else.
    fn under(self, rules: &Namespace) -> Option<ChannelKind<'n>> {
        if matches!(self, ChannelKind::Listed(_)) && !rules.has_user_lists() {
            return (!rules.name.is_empty()).then_some(ChannelKind::Open);
        }
        Some(self)
    }

    /// Whether a user may use it at all.
    pub fn admits(self, user: &str) -> bool {
        match self {
            ChannelKind::Open => true,
            ChannelKind::Inbox(owner) => owner == user,
            ChannelKind::Conversation(parties) => parties.contains(&user),
            ChannelKind::Listed(users) => {
                !user.is_empty() && users.split(LIST_SEPARATOR).any(|one| one == user)
            }
        }
    }

    /// The other user of this user's conversation.
    pub fn other_than(self, user: &str) -> Option<&'n str> {
        match self {
            ChannelKind::Open | ChannelKind::Inbox(_) | ChannelKind::Listed(_) => None,
            ChannelKind::Conversation([one, other]) if one == user => Some(other),
            ChannelKind::Conversation([one, other]) => (other == user).then_some(one),
        }
    }
}

/// The index of the namespace that a channel belongs to, and its kind there.
///
/// `@ann` belongs to `@`, `dm#ann,bob` to `dm`, `news:1` to `news`, `lobby` to
/// the one without a name.
pub fn resolve<'n>(namespaces: &[Namespace], channel: &'n str) -> Option<(u16, ChannelKind<'n>)> {
    let kind = ChannelKind::of(channel)?;
    let name = match kind {
        ChannelKind::Inbox(_) => INBOX_NAMESPACE,
        ChannelKind::Conversation(_) => CONVERSATION_NAMESPACE,
        ChannelKind::Open | ChannelKind::Listed(_) => namespace_name(channel),
    };
    let index = namespaces.iter().position(|namespace| namespace.name == name)?;
    Some((u16::try_from(index).ok()?, kind.under(&namespaces[index])?))
}

/// The index of the namespace that a channel belongs to.
pub fn namespace_of(namespaces: &[Namespace], channel: &str) -> Option<u16> {
    resolve(namespaces, channel).map(|(index, _)| index)
}

/// The channels that the server subscribes each connection of a user to: the inbox, and what
/// namespaces have in its place for clients of other servers. None where the name of the user has
/// no place in the channel's: it would name somebody else.
pub fn personal_channels(namespaces: &[Namespace], user: &str) -> impl Iterator<Item = String> {
    let named = namespaces.iter().filter(move |_| !user.is_empty());
    named.filter_map(move |rules| {
        if rules.name == INBOX_NAMESPACE {
            return Some(format!("{INBOX_NAMESPACE}{user}"));
        }
        let channel = match (rules.personal_channel, &*rules.name) {
            (PersonalChannel::None, _) => return None,
            (PersonalChannel::Listed, "") => format!("{LIST_BOUNDARY}{user}"),
            (PersonalChannel::Listed, name) => format!("{name}:{LIST_BOUNDARY}{user}"),
        };
        let kind = resolve(namespaces, &channel).map(|(_, kind)| kind);
        (kind == Some(ChannelKind::Listed(user))
            && channel_is_valid(&channel)
            && !user.contains(LIST_SEPARATOR))
        .then_some(channel)
    })
}

/// What stands before the first colon.
fn namespace_name(channel: &str) -> &str {
    channel.split_once(':').map_or("", |(name, _)| name)
}

/// The channel of the conversation of two users; `None` for names that cannot
/// have one.
pub fn conversation(one: &str, other: &str) -> Option<String> {
    let parties = if one < other { [one, other] } else { [other, one] };
    let channel = format!("{CONVERSATION_PREFIX}{},{}", parties[0], parties[1]);
    let reads_back = ChannelKind::of(&channel) == Some(ChannelKind::Conversation(parties));
    (reads_back && channel_is_valid(&channel)).then_some(channel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(channel: &str, want: Option<u16>) {
        let names = ["", "room", "@", "dm"];
        let named = |name: &str| Namespace { name: name.to_owned(), ..Namespace::default() };
        assert_eq!(namespace_of(&names.map(named), channel), want);
    }

    #[test]
    fn the_first_colon_ends_the_namespace() {
        check("lobby", Some(0));
        check("room:1", Some(1));
        check("room:a:b", Some(1));
        check("@ann", Some(2));
        check("@ann:x", Some(2));
        check("news:1", None);
        check(":x", Some(0));
        check("a#b", None);
        check("room:a#b", Some(1));
    }

    #[test]
    fn a_conversation_is_named_by_two_sorted_names() {
        for good in ["dm#a,b", "dm#B,a", "dm#a,a:b", "dm#ann,日本", "dm#@,a b"] {
            check(good, Some(3));
        }
        for bad in [
            "dm#", "dm#a", "dm#,", "dm#a,", "dm#,b", "dm#b,a", "dm#a,a", "dm#a,b,c", "dm#a,,b",
            "dm#a,b#", "dm##a,b", "dm:1", "dm:a,b", "dm", "dm#a:b",
        ] {
            check(bad, if bad == "dm" { Some(0) } else { None });
        }
    }

    #[test]
    fn two_names_have_one_conversation_whoever_begins() {
        for (one, other) in [("ann", "bob"), ("a:b", "a"), ("B", "a"), ("a b", "@")] {
            let channel = conversation(one, other).unwrap();
            assert_eq!(conversation(other, one).as_ref(), Some(&channel));
            let kind = ChannelKind::of(&channel).unwrap();
            assert!(kind.admits(one) && kind.admits(other) && !kind.admits(""), "{channel}");
        }
        for (one, other) in [("a", "a"), ("", "a"), ("a,b", "c"), ("a", "b#"), ("a", "\n")] {
            assert_eq!(conversation(one, other), None, "{one:?} {other:?}");
        }
        let half = "x".repeat(126);
        assert!(conversation(&half, &"y".repeat(125)).is_some());
        assert_eq!(conversation(&half, &"y".repeat(126)), None);
    }

    /// Namespaces as `check` has them, of which these read lists.
    fn listing(with_lists: &[&str]) -> Vec<Namespace> {
        let named = |name: &str| Namespace {
            name: name.to_owned(),
            user_lists: with_lists.contains(&name),
            ..Namespace::default()
        };
        ["", "room", "@", "dm"].map(named).into()
    }

    #[test]
    fn a_list_of_users_is_read_where_its_namespace_says_so() {
        use ChannelKind::{Conversation, Listed, Open};
        let (with, without) = (listing(&["", "room"]), listing(&[]));
        for (channel, want, otherwise) in [
            ("room:1#ann,bob", Some((1, Listed("ann,bob"))), Some((1, Open))),
            ("room:1#a#b", Some((1, Listed("b"))), Some((1, Open))),
            ("room:#ann", Some((1, Listed("ann"))), Some((1, Open))),
            ("room:1#", Some((1, Listed(""))), Some((1, Open))),
            ("room:1#a:b", Some((1, Listed("a:b"))), Some((1, Open))),
            ("#ann", Some((0, Listed("ann"))), None),
            ("lobby#ann,bob", Some((0, Listed("ann,bob"))), None),
            ("lobby#a:b", None, None),
            ("lobby", Some((0, Open)), Some((0, Open))),
            (
                "dm#ann,bob",
                Some((3, Conversation(["ann", "bob"]))),
                Some((3, Conversation(["ann", "bob"]))),
            ),
            ("dm#ann", None, None),
            ("dm:1#ann", None, None),
            ("news:1#ann", None, None),
        ] {
            assert_eq!(resolve(&with, channel), want, "{channel}");
            assert_eq!(resolve(&without, channel), otherwise, "{channel}");
        }
    }

    #[test]
    fn a_list_admits_whole_names_alone() {
        let list = ChannelKind::Listed("ann,bob,,日本");
        for (user, want) in [
            ("ann", true),
            ("bob", true),
            ("日本", true),
            ("", false),
            ("an", false),
            ("ann,bob", false),
            ("Ann", false),
            (" ann", false),
        ] {
            assert_eq!(list.admits(user), want, "{user:?}");
        }
        assert_eq!(list.other_than("ann"), None);
    }

    #[test]
    fn a_personal_channel_lists_its_user_and_nobody_else() {
        let with = |names: &[&str]| -> Vec<Namespace> {
            let one = |name: &&str| Namespace {
                name: (*name).to_owned(),
                personal_channel: PersonalChannel::Listed,
                ..Namespace::default()
            };
            names.iter().map(one).chain(listing(&[]).into_iter().skip(2)).collect()
        };
        let of = |names: &[&str], user: &str| -> Vec<String> {
            personal_channels(&with(names), user).collect()
        };
        assert_eq!(of(&[], "ann"), ["@ann"]);
        assert_eq!(of(&["", "p"], "ann"), ["#ann", "p:#ann", "@ann"]);
        assert_eq!(of(&["", "p"], ""), [""; 0]);
        // Names that would be a list of others, or another namespace's.
        assert_eq!(of(&["", "p"], "ann,bob"), ["@ann,bob"]);
        assert_eq!(of(&["", "p"], "a#bob"), ["@a#bob"]);
        assert_eq!(of(&["", "p"], "a:b"), ["p:#a:b", "@a:b"]);
        let longest = "x".repeat(254);
        assert_eq!(of(&["", "p"], &longest), [format!("#{longest}"), format!("@{longest}")]);
    }

    #[test]
    fn an_inbox_is_the_room_of_its_channel() {
        let key = NameKey([1, 2]);
        assert_eq!(key.inbox("t", "ann"), key.room("t", "@ann"));
    }

    #[test]
    fn a_user_is_known_by_its_hash_and_nobody_is_nobody() {
        let key = NameKey([1, 2]);
        assert_eq!(key.user_hash("t", "ann"), UserHash::of_inbox(key.room("t", "@ann")));
        assert_ne!(key.user_hash("t", "ann"), key.user_hash("u", "ann"));
        assert_eq!(key.user_hash("t", ""), UserHash::NOBODY);
    }

    #[test]
    fn tenants_and_keys_keep_rooms_apart() {
        let key = NameKey([1, 2]);
        assert_eq!(key.room("t", "a"), key.room("t", "a"));
        assert_ne!(key.room("t", "a"), key.room("", "ta"));
        assert_ne!(key.room("t", "a"), NameKey([1, 3]).room("t", "a"));
    }

    #[test]
    fn a_client_is_known_by_its_hash_to_those_with_the_key() {
        let (key, client) = (NameKey([1, 2]), ClientId(7));
        assert_eq!(key.client_hash(client), key.client_hash(client));
        assert_ne!(key.client_hash(client), key.client_hash(ClientId(8)));
        assert_ne!(key.client_hash(client), NameKey([1, 3]).client_hash(client));
    }
}
