//! Changes of a manifest: in the first place, then in the second, and only then do they count.
//!
//! Invariant: a place is written only while the other one has, durable, all that counts.
//!
//! Deliberately absent: what changes, and when.

use super::two_places::{ManifestPlace, PlacedManifest};

/// The manifest as it counts, and the one that is being written.
#[derive(Debug)]
pub struct ManifestWriter<M> {
    generation: u64,
    writing: Option<(M, ManifestPlace)>,
}

/// Bytes that are to be written in a place, and made durable.
#[derive(Debug)]
pub struct PlaceWrite {
    /// The place.
    pub place: ManifestPlace,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// How a change goes on.
#[derive(Debug)]
pub enum ManifestStep<M> {
    /// This is to be done.
    Go(PlaceWrite),
    /// It counts.
    Done(M),
}

impl<M: PlacedManifest> ManifestWriter<M> {
    /// Both places have this generation, durable.
    pub fn new(generation: u64) -> ManifestWriter<M> {
        ManifestWriter { generation, writing: None }
    }

    /// Whether none is being written.
    pub fn is_idle(&self) -> bool {
        self.writing.is_none()
    }

    /// Begins to write this one, under the next generation.
    pub fn begin(&mut self, manifest: M) -> PlaceWrite {
        assert!(self.is_idle(), "one change at a time");
        let manifest = manifest.with_generation(self.generation + 1);
        let place = ManifestPlace::First;
        let bytes = manifest.encode();
        self.writing = Some((manifest, place));
        PlaceWrite { place, bytes }
    }

    /// A place is written and durable.
    pub fn on_written(&mut self) -> ManifestStep<M> {
        let (manifest, place) = self.writing.take().expect("one is being written");
        match place {
            ManifestPlace::First => {
                let (place, bytes) = (ManifestPlace::Second, manifest.encode());
                self.writing = Some((manifest, place));
                ManifestStep::Go(PlaceWrite { place, bytes })
            }
            ManifestPlace::Second => {
                self.generation = manifest.generation();
                ManifestStep::Done(manifest)
            }
        }
    }
}
