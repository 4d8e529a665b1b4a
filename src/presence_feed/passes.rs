//! Passes of shards that have lost facts: in each a shard says all that is there.
//!
//! Deliberately absent: who was not heard of in one (`table`).

use crate::base::ShardId;

/// How often each shard has begun one.
#[derive(Debug, Default)]
pub(super) struct Passes(Vec<u32>);

impl Passes {
    /// The pass that a shard is in, or has ended.
    pub fn of(&self, shard: ShardId) -> u32 {
        self.0.get(usize::from(shard.0)).copied().unwrap_or(0)
    }

    /// A shard begins one. One that it had begun does not end.
    pub fn begin(&mut self, shard: ShardId) {
        let index = usize::from(shard.0);
        if self.0.len() <= index {
            self.0.resize(index + 1, 0);
        }
        self.0[index] = self.0[index].wrapping_add(1);
    }
}
