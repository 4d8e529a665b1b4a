//! Tenants that have a label value: those that the operator names, and after them the
//! first that come, up to a limit. The others are one value together.
//!
//! A tenant's name comes from a signed token, so it is no stranger's; but nobody
//! promised that there are few of them, or that it is a word.

use std::sync::OnceLock;

/// Tenants that have a label value of their own.
pub const TENANTS_MAX: usize = 50;

/// Bytes of a tenant's name; a longer one is among the others.
const NAME_BYTES_MAX: usize = 64;

/// What all the others are called. A name that begins like this is among them.
const OTHER: &str = "_other";

/// A tenant, as cells know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenant(u8);

impl Tenant {
    /// One without a label value of its own.
    pub const OTHER: Tenant = Tenant(TENANTS_MAX as u8);

    /// Dense, for tables by tenant.
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The names, shared by all cores. A place is written once and never changes; two
/// cores that meet a new tenant at the same moment wait for each other's copy of the
/// name, once in the life of the server.
#[derive(Debug)]
pub struct Tenants {
    names: [OnceLock<Box<str>>; TENANTS_MAX],
}

impl Default for Tenants {
    fn default() -> Tenants {
        Tenants { names: std::array::from_fn(|_| OnceLock::new()) }
    }
}

impl Tenants {
    /// These have a value from the start, as far as there is room.
    pub fn with(names: &[String]) -> Tenants {
        let tenants = Tenants::default();
        for name in names {
            tenants.of(name);
        }
        tenants
    }

    /// The tenant of this name. `None` for the empty name: who has no tenants counts
    /// nothing by tenant.
    pub fn of(&self, name: &str) -> Option<Tenant> {
        if name.is_empty() {
            return None;
        }
        let is_fit = name.len() <= NAME_BYTES_MAX
            && !name.starts_with('_')
            && !name.chars().any(char::is_control);
        if !is_fit {
            return Some(Tenant::OTHER);
        }
        let place = self.names.iter().position(|place| {
            let known = place.get_or_init(|| name.into());
            **known == *name
        });
        Some(place.map_or(Tenant::OTHER, |place| Tenant(place as u8)))
    }

    /// All that have cells, and what a query sees of them.
    pub(super) fn shown(&self) -> impl Iterator<Item = (Tenant, &str)> {
        let known = self.names.iter().enumerate();
        let known = known.filter_map(|(place, name)| Some((Tenant(place as u8), &**name.get()?)));
        known.chain([(Tenant::OTHER, OTHER)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_have_a_value_and_the_others_share_one() {
        let tenants = Tenants::with(&["acme".to_owned()]);
        assert_eq!(tenants.of(""), None);
        assert_eq!(tenants.of("acme"), Some(Tenant(0)));
        for number in 1..TENANTS_MAX {
            assert_eq!(tenants.of(&format!("t{number}")), Some(Tenant(number as u8)));
        }
        assert_eq!(tenants.of("one-too-many"), Some(Tenant::OTHER));
        assert_eq!(tenants.of("t7"), Some(Tenant(7)));
        let shown: Vec<&str> = tenants.shown().map(|(_, name)| name).collect();
        assert_eq!((shown.len(), shown[0], shown[TENANTS_MAX]), (51, "acme", "_other"));
    }

    #[test]
    fn a_name_that_is_no_word_is_among_the_others() {
        let tenants = Tenants::default();
        for name in ["_other", "_", "a\nb", "a\u{7f}", &"x".repeat(65)] {
            assert_eq!(tenants.of(name), Some(Tenant::OTHER), "{name}");
        }
        assert_eq!(tenants.shown().count(), 1);
        // Quotes and letters of any script are the exposition's affair.
        assert_eq!(tenants.of("\"\\{}"), Some(Tenant(0)));
        assert_eq!(tenants.of(&"\u{e9}".repeat(32)), Some(Tenant(1)));
    }
}
