use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::base::RoomId;
use crate::room::Namespace;

/// The namespace of personal channels; also the prefix of their names.
pub const INBOX_NAMESPACE: &str = "@";

/// The server's key for names: with it, and only with it, can one tell which
/// room lives where. Equal on all shards.
#[derive(Clone, Copy, Debug)]
pub struct NameKey(pub [u64; 2]);

impl NameKey {
    /// The room of a channel; tenants never share one.
    pub fn room(&self, tenant: &str, channel: &str) -> RoomId {
        let mut hasher = SipHasher24::new_with_keys(self.0[0], self.0[1]);
        // The length keeps ("a", "bc") and ("ab", "c") apart.
        hasher.write_usize(tenant.len());
        hasher.write(tenant.as_bytes());
        hasher.write(channel.as_bytes());
        RoomId(hasher.finish128().as_u128())
    }
}

/// The index of the namespace that a channel belongs to.
///
/// `@ann` belongs to `@`, `news:1` to `news`, `lobby` to the one without a
/// name. `#` in the namespace part is reserved for conversations of two.
pub fn namespace_of(namespaces: &[Namespace], channel: &str) -> Option<u16> {
    let name = if channel.starts_with(INBOX_NAMESPACE) {
        INBOX_NAMESPACE
    } else {
        channel.split_once(':').map_or("", |(name, _)| name)
    };
    if name.is_empty() && channel.contains('#') {
        return None;
    }
    let index = namespaces.iter().position(|namespace| namespace.name == name)?;
    u16::try_from(index).ok()
}

/// The user whose personal channel this is.
pub fn inbox_owner(channel: &str) -> Option<&str> {
    channel.strip_prefix(INBOX_NAMESPACE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(channel: &str, want: Option<u16>) {
        let names = ["", "room", "@"];
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
        check("dm#a,b", None);
    }

    #[test]
    fn tenants_and_keys_keep_rooms_apart() {
        let key = NameKey([1, 2]);
        assert_eq!(key.room("t", "a"), key.room("t", "a"));
        assert_ne!(key.room("t", "a"), key.room("", "ta"));
        assert_ne!(key.room("t", "a"), NameKey([1, 3]).room("t", "a"));
    }
}
