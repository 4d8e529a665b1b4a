//! Changes of the manifest: in the first place, then in the second, and only then do they count.
//!
//! Invariant: a place is written only while the other one has, durable, all that counts.
//!
//! Deliberately absent: what changes, and when (`machine`).

use super::disk::LogCommand;
use super::manifest::{Manifest, ManifestPlace};

/// The manifest as it counts, and the one that is being written.
#[derive(Debug)]
pub struct ManifestWriter {
    generation: u64,
    writing: Option<(Manifest, ManifestPlace)>,
}

/// How a change goes on.
#[derive(Debug)]
pub enum ManifestStep {
    /// This is to be done.
    Go(LogCommand),
    /// It counts.
    Done(Manifest),
}

impl ManifestWriter {
    /// Both places have this generation, durable.
    pub fn new(generation: u64) -> ManifestWriter {
        ManifestWriter { generation, writing: None }
    }

    /// Whether none is being written.
    pub fn is_idle(&self) -> bool {
        self.writing.is_none()
    }

    /// Begins to write this one, under the next generation.
    pub fn begin(&mut self, manifest: Manifest) -> LogCommand {
        assert!(self.is_idle(), "one change at a time");
        let manifest = Manifest { generation: self.generation + 1, ..manifest };
        let place = ManifestPlace::First;
        let bytes = manifest.encode();
        self.writing = Some((manifest, place));
        LogCommand::WriteManifest { place, bytes }
    }

    /// A place is written and durable.
    pub fn on_written(&mut self) -> ManifestStep {
        let (manifest, place) = self.writing.take().expect("one is being written");
        match place {
            ManifestPlace::First => {
                let (place, bytes) = (ManifestPlace::Second, manifest.encode());
                self.writing = Some((manifest, place));
                ManifestStep::Go(LogCommand::WriteManifest { place, bytes })
            }
            ManifestPlace::Second => {
                self.generation = manifest.generation;
                ManifestStep::Done(manifest)
            }
        }
    }
}
