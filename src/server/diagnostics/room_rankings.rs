//! The largest rooms of all cores, when an operator asks: each core walks through its own.
//!
//! Invariant: one walk is in progress at a time, and it ends at its deadline, whoever has answered
//! by then.
//!
//! Deliberately absent: what a core looks at (`shard`), and how often somebody may ask (`admin`).

use std::time::Duration;

use tokio::time::Instant;

use crate::admin::{AnswerSender, QuestionError};
use crate::console::{LargestRooms, ROOMS_MAX, RoomRow};
use crate::server::core_lanes::CoreCommand;
use crate::server::cores::CoreHandles;
use crate::shard::{RANKED_ROOMS_MAX, RankedRoom, RoomRanking, ShardCommand};

/// How long cores may take to answer.
const RANKING_MS_MAX: u64 = 2_000;

// A core tells as many as are kept of all, or the first of all would not be exact.
const _: () = assert!(ROOMS_MAX <= RANKED_ROOMS_MAX);

/// The walk in progress.
pub(super) struct RoomRankings {
    cores_count: u16,
    in_progress: Option<RankingInProgress>,
    scan_id: u64,
}

struct RankingInProgress {
    scan_id: u64,
    until: Instant,
    /// Cores that have not answered.
    silent: Vec<u16>,
    found: LargestRooms,
    answer: AnswerSender<LargestRooms>,
}

impl RoomRankings {
    /// Nobody walks.
    pub fn new(cores_count: usize) -> RoomRankings {
        RoomRankings { cores_count: cores_count as u16, in_progress: None, scan_id: 0 }
    }

    /// When the walk in progress ends at the latest.
    pub fn until(&self) -> Option<Instant> {
        self.in_progress.as_ref().map(|ranking| ranking.until)
    }

    /// An operator asks. One question at a time is taken.
    pub fn ask(&mut self, cores: &mut CoreHandles, answer: AnswerSender<LargestRooms>) {
        if self.in_progress.is_some() {
            let _ = answer.send(Err(QuestionError::Busy)); // it may be gone
            return;
        }
        self.scan_id += 1;
        let scan_id = self.scan_id;
        let mut asked_count = 0;
        let silent: Vec<u16> = (0..self.cores_count).collect();
        for &core in &silent {
            let command = CoreCommand::Shard(ShardCommand::RankRooms(scan_id));
            asked_count += usize::from(cores.try_send(usize::from(core), command));
        }
        let until = Instant::now() + Duration::from_millis(RANKING_MS_MAX);
        let found = LargestRooms::default();
        self.in_progress = Some(RankingInProgress { scan_id, until, silent, found, answer });
        if asked_count == 0 {
            self.finish();
        }
    }

    /// A core has walked through all of its rooms.
    pub fn on_ranked(&mut self, core: u16, scan_id: u64, ranking: RoomRanking) {
        // Another id is that of a walk that ended without this core.
        let in_progress = self.in_progress.as_mut().filter(|one| one.scan_id == scan_id);
        let Some(in_progress) = in_progress else { return };
        in_progress.silent.retain(|&other| other != core);
        let RoomRanking { largest, rooms_count } = ranking;
        let rows = largest.into_rooms().into_iter().map(|room| row(core, room)).collect();
        in_progress.found.add(rows, rooms_count);
        if in_progress.silent.is_empty() {
            self.finish();
        }
    }

    /// Ends a walk whose deadline has passed.
    pub fn on_time(&mut self, now: Instant) {
        if self.until().is_some_and(|until| until <= now) {
            self.finish();
        }
    }

    /// Answers with what there is.
    fn finish(&mut self) {
        let Some(in_progress) = self.in_progress.take() else { return };
        let RankingInProgress { silent, mut found, answer, .. } = in_progress;
        found.set_silent(silent);
        let _ = answer.send(Ok(found)); // it may be gone
    }
}

fn row(core: u16, room: RankedRoom) -> RoomRow {
    let RankedRoom { channel_key, members_count, .. } = room;
    let (tenant, channel) = ((*channel_key.tenant).into(), (*channel_key.channel).into());
    RoomRow { core, tenant, channel, members_count }
}
