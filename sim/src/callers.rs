//! Backends that call the server API of a world: one removes what was said, and one changes who is
//! in groups.
//!
//! Deliberately absent: what each of them does (`remover`, `groups`).

use rookery::session::NameKey;
use rookery::shard::{ServerAnswer, ShardCommand};
use rookery::store::Disk;

use crate::groups::GroupCaller;
use crate::oracle::Oracle;
use crate::remover::Remover;
use crate::scenario::Scenario;
use crate::violation::CheckResult;

/// See the module.
pub struct ApiCallers {
    remover: Remover,
    groups: GroupCaller,
}

impl ApiCallers {
    /// Nothing was asked yet.
    pub fn new(seed: u64) -> ApiCallers {
        ApiCallers { remover: Remover::new(seed), groups: GroupCaller::new(seed) }
    }

    /// What they ask now, and of which core.
    pub fn act(
        &mut self,
        scenario: &Scenario,
        names: NameKey,
        oracle: &mut Oracle,
    ) -> impl Iterator<Item = (usize, ShardCommand)> {
        let asked = [self.remover.act(scenario, names, oracle), self.groups.act(scenario, names)];
        asked.into_iter().flatten()
    }

    /// A core answers.
    pub fn on_answers(
        &mut self,
        core: usize,
        answers: Vec<ServerAnswer>,
        oracle: &mut Oracle,
        now_unix_ms: u64,
    ) -> CheckResult {
        let (groups, others): (Vec<_>, Vec<_>) =
            answers.into_iter().partition(|answer| GroupCaller::has_asked(answer.id));
        self.remover.on_answers(core, others, oracle, now_unix_ms);
        groups.into_iter().try_for_each(|answer| self.groups.on_answer(answer))
    }

    /// Whether everything is answered.
    pub fn is_quiet(&self) -> bool {
        self.remover.is_quiet() && self.groups.is_quiet()
    }

    /// The process that was asked is gone.
    pub fn forget(&mut self, oracle: &mut Oracle, now_unix_ms: u64) {
        self.remover.forget(oracle, now_unix_ms);
        self.groups.forget();
    }

    /// The disk has what they were told.
    pub fn check_disk(&self, disk: &impl Disk, names: NameKey) -> CheckResult {
        self.groups.check_disk(disk, names)
    }
}
