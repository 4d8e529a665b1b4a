//! Two places for one small thing that changes: each change is written and synced in the first and
//! then in the second before anything is done that it allows. So one of them may be torn by a
//! crash, or rot later, and the other one says all that was ever relied on.
//!
//! | bytes of a place | what |
//! |---|---|
//! | 0..8 | sum: XXH3-64 of all that follows |
//! | 8..16 | letters that say what it is |
//! | 16..20 | form |
//! | 20..24 | the content's own |
//! | 24..32 | generation: grows by one with each change |
//! | 32.. | the content's own |
//!
//! Deliberately absent: what the content says.

use xxhash_rust::xxh3::xxh3_64;

use super::batch::{u32_at, u64_at};

/// Bytes before all that is the content's alone.
pub const PLACE_HEAD_BYTES: usize = 32;

/// One of the two places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestPlace {
    /// Written first.
    First,
    /// Written when the first is synced.
    Second,
}

impl ManifestPlace {
    /// Both, as they are written.
    pub const ALL: [ManifestPlace; 2] = [ManifestPlace::First, ManifestPlace::Second];

    /// The other one.
    pub fn other(self) -> ManifestPlace {
        match self {
            ManifestPlace::First => ManifestPlace::Second,
            ManifestPlace::Second => ManifestPlace::First,
        }
    }
}

/// What stands in two places.
pub trait PlacedManifest: Sized {
    /// Bytes of one place.
    const BYTES: usize;
    /// Letters that say what it is.
    const LETTERS: &'static [u8; 8];
    /// The form that is written and read.
    const FORM: u32;

    /// Its generation.
    fn generation(&self) -> u64;

    /// The same as another generation.
    fn with_generation(self, generation: u64) -> Self;

    /// Its own bytes 20..24.
    fn own_head(&self) -> u32;

    /// Adds its own bytes behind the head.
    fn encode_content(&self, bytes: &mut Vec<u8>);

    /// Reads a place whose sum is right; `None` for what is not possible.
    fn parse(place: &[u8]) -> Option<Self>;

    /// As one place has it.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; 8];
        bytes.extend(Self::LETTERS);
        bytes.extend(Self::FORM.to_le_bytes());
        bytes.extend(self.own_head().to_le_bytes());
        bytes.extend(self.generation().to_le_bytes());
        self.encode_content(&mut bytes);
        assert!(bytes.len() <= Self::BYTES, "what a manifest lists is bounded");
        bytes.resize(Self::BYTES, 0);
        let sum = xxh3_64(&bytes[8..]);
        bytes[..8].copy_from_slice(&sum.to_le_bytes());
        bytes
    }
}

/// Why there is no manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestError {
    /// Neither place has one, and nothing is new here.
    Damaged,
    /// A newer program wrote it, in this form.
    NewerForm(u32),
}

/// Whether there are files that a manifest would name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HasFiles {
    /// There is none.
    None,
    /// There is one, or perhaps one.
    Some,
}

/// What was found in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlaceContent<M> {
    /// Nothing.
    Blank,
    /// Nothing that is whole.
    Torn,
    /// Another form.
    Newer(u32),
    /// This.
    Whole(M),
}

/// What was found in both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChosenManifest<M> {
    /// This one counts, and stands there.
    Found(M, ManifestPlace),
    /// Nothing was ever relied on.
    New,
}

/// The manifest that counts. Blank places are new only where there are no files: these are made
/// when both places have a manifest.
pub fn choose<M: PlacedManifest>(
    first: &[u8],
    second: &[u8],
    has_files: HasFiles,
) -> Result<ChosenManifest<M>, ManifestError> {
    use ManifestPlace::{First, Second};
    use PlaceContent::{Blank, Newer, Torn, Whole};
    match (read_place::<M>(first), read_place::<M>(second)) {
        (Newer(form), _) | (_, Newer(form)) => Err(ManifestError::NewerForm(form)),
        (Whole(one), Whole(other)) => Ok(if one.generation() < other.generation() {
            ChosenManifest::Found(other, Second)
        } else {
            ChosenManifest::Found(one, First)
        }),
        (Whole(one), Blank | Torn) => Ok(ChosenManifest::Found(one, First)),
        (Blank | Torn, Whole(other)) => Ok(ChosenManifest::Found(other, Second)),
        // Perhaps the first write of all was torn: nothing could begin before the second place.
        (Blank | Torn, Blank) if has_files == HasFiles::Some => Err(ManifestError::Damaged),
        (Blank | Torn, Blank) => Ok(ChosenManifest::New),
        (Blank | Torn, Torn) => Err(ManifestError::Damaged),
    }
}

/// What one place has.
pub fn read_place<M: PlacedManifest>(bytes: &[u8]) -> PlaceContent<M> {
    if bytes.iter().all(|byte| *byte == 0) {
        return PlaceContent::Blank;
    }
    let is_whole = bytes.len() == M::BYTES
        && &bytes[8..16] == M::LETTERS
        && u64_at(bytes, 0) == xxh3_64(&bytes[8..]);
    if !is_whole {
        return PlaceContent::Torn;
    }
    if u32_at(bytes, 16) != M::FORM {
        return PlaceContent::Newer(u32_at(bytes, 16));
    }
    M::parse(bytes).map_or(PlaceContent::Torn, PlaceContent::Whole)
}
