//! An application's backend that is asked by hooks: it answers late and in any order, and now
//! and then it does not.
//!
//! It lets everybody do what the namespaces say anyway, so all other checkers see the same
//! rules in worlds with hooks.
//!
//! Deliberately absent: HTTP.

use rookery::base::{MonotonicMs, Prng};
use rookery::hook::{Hook, HookReply, HookResult, PublishTerms};
use rookery::shard::{HookCall, HookReturn};
use rookery::wire::Payload;

/// An answer comes at most this much later.
const DELAY_MS_MAX: u64 = 400;

/// See the module.
pub struct Backend {
    prng: Prng,
    /// By core, with the time when they are known.
    returns: Vec<(usize, MonotonicMs, HookReturn)>,
}

impl Backend {
    /// Nobody asks anything yet.
    pub fn new(seed: u64) -> Backend {
        Backend { prng: Prng::from_seed(seed ^ 0xBAC_0E2D), returns: Vec::new() }
    }

    /// A core asks.
    pub fn ask(&mut self, core: usize, now: MonotonicMs, calls: Vec<HookCall>) {
        for HookCall { id, request, .. } in calls {
            let due = now.plus_ms(self.prng.below(DELAY_MS_MAX));
            let reply = match self.prng.below(20) {
                0 => HookReply::Failed,
                1 => HookReply::Busy,
                _ => HookReply::Result(yes(request.question.hook())),
            };
            self.returns.push((core, due, HookReturn { id, reply }));
        }
    }

    /// The answers for a core that are known by now, in any order.
    pub fn take(&mut self, core: usize, now: MonotonicMs) -> Vec<HookReturn> {
        let mut taken = Vec::new();
        let mut index = 0;
        while let Some((of, due, _)) = self.returns.get(index) {
            if *of == core && *due <= now {
                taken.push(self.returns.swap_remove(index).2);
            } else {
                index += 1;
            }
        }
        taken
    }

    /// Whether everybody is answered.
    pub fn is_quiet(&self) -> bool {
        self.returns.is_empty()
    }

    /// The process that asked is gone.
    pub fn forget(&mut self) {
        self.returns.clear();
    }
}

/// What allows what the namespaces do.
fn yes(hook: Hook) -> HookResult {
    match hook {
        Hook::Connect | Hook::Refresh | Hook::Subscribe | Hook::SubRefresh => {
            HookResult::Grant(None)
        }
        Hook::Rpc => HookResult::Rpc(Payload { bytes: bytes::Bytes::new(), is_json: false }),
        Hook::Publish => HookResult::Publish(PublishTerms::default()),
    }
}
