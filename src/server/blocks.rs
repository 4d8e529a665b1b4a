//! Who is kept out, as a part of the control thread: changes by backends are written to their file,
//! then told to all cores, and answered when each has let go who is not to be in.
//!
//! Invariants: a change is told to cores when it is on the disk, where there is one, and answered
//! behind that; each core gets the states of the list in their order; updates that cores have not
//! confirmed are bounded.
//!
//! Deliberately absent: what a change means (`api`), and how a core lets go (`shard`).

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::spawn_blocking;
use tokio::time;

use super::StartError;
use super::api_calls::ApiRequest;
use super::block_journal::open_blocks;
use crate::api::{BlockAsks, BlockReplies, Questions};
use crate::base::UserHash;
use crate::blocks::{
    BlockChange, BlockKey, BlockKinds, BlockList, BlockStorage, BlockTable, BlockTarget,
    BlockTerms, write_record,
};
use crate::clock::unix_ms;
use crate::metrics::{Gauge, SharedMetricsWriter};
use crate::record_file::RecordFile;
use crate::session::NameKey;
use crate::shard::BlocksUpdate;
use crate::wire::ErrorCode;

/// Requests that wait to be written.
const REQUESTS_WAITING_MAX: usize = 256;

/// Changes that are written with one sync, before those of the next request.
const COMMIT_CHANGES_MAX: usize = 4_096;

/// Updates that some core has not confirmed; while there are so many, changes wait.
const UPDATES_MAX: usize = 256;

/// Blocks that are looked at each second, whether they have ended: all within a minute and a half.
const LOOKED_AT_MAX: usize = 4_096;

/// What one request asks.
pub(super) struct BlockRequest {
    pub asks: BlockAsks,
    /// Who waits; may be gone.
    pub done: oneshot::Sender<BlockReplies>,
}

/// The list as it was kept.
pub(super) struct OpenedBlocks {
    list: BlockList,
    journal: Option<RecordFile>,
}

impl OpenedBlocks {
    /// Reads the list of a directory; without one there is none.
    pub async fn open(dir: Option<PathBuf>) -> Result<OpenedBlocks, StartError> {
        let Some(dir) = dir else {
            return Ok(OpenedBlocks { list: BlockList::default(), journal: None });
        };
        let now_unix_s = unix_ms() / 1_000;
        let open = move || {
            let (mut journal, changes) = open_blocks(&dir)?;
            let mut list = BlockList::default();
            for BlockChange { target, terms } in changes {
                list.set(target, terms.filter(|terms| terms.holds(now_unix_s)));
            }
            // All of it was read, so this server may serve; a change tries again.
            if let Err(error) = journal.rewrite(&all_records(&list)) {
                tracing::error!("blocks cannot be written to {}: {error}", dir.display());
            }
            Ok(OpenedBlocks { list, journal: Some(journal) })
        };
        let opened = spawn_blocking(open).await.expect("a panic there ends the process");
        opened.map_err(StartError::Blocks)
    }

    /// What is blocked.
    pub fn list(&self) -> &BlockList {
        &self.list
    }

    /// Keeps the list from now on, as a task of its own. Returns where it is changed.
    pub fn keep(
        self,
        names: NameKey,
        asks: Sender<ApiRequest>,
        metrics: SharedMetricsWriter,
    ) -> Sender<BlockRequest> {
        let (sender, requests) = channel(REQUESTS_WAITING_MAX);
        let OpenedBlocks { list, journal } = self;
        let storage = if journal.is_some() { BlockStorage::Disk } else { BlockStorage::Memory };
        let keeper = BlockKeeper {
            table: block_table(&list, names),
            list,
            names,
            journal,
            storage,
            asks,
            updates: Arc::new(Semaphore::new(UPDATES_MAX)),
            metrics,
        };
        keeper.count();
        tokio::spawn(keeper.run(requests));
        sender
    }
}

/// All blocks by hash.
pub(super) fn block_table(list: &BlockList, names: NameKey) -> BlockTable {
    let mut table = BlockTable::default();
    list.iter().for_each(|(target, terms)| table.set(key_of(target, names), Some(terms)));
    table
}

fn key_of(target: &BlockTarget, names: NameKey) -> BlockKey {
    match target {
        BlockTarget::User { tenant, user } => BlockKey::User(names.user_hash(tenant, user)),
        BlockTarget::UserTokens { tenant, user } => {
            BlockKey::UserTokens(names.user_hash(tenant, user))
        }
        BlockTarget::Token { tenant, id } => BlockKey::Token(names.token_hash(tenant, id)),
        BlockTarget::Address(range) => BlockKey::Address(*range),
    }
}

fn all_records(list: &BlockList) -> Vec<u8> {
    let mut records = Vec::new();
    list.iter().for_each(|(target, terms)| write_record(target, Some(terms), &mut records));
    records
}

/// See the module.
struct BlockKeeper {
    list: BlockList,
    /// What cores were told last.
    table: BlockTable,
    names: NameKey,
    /// Away while it is written.
    journal: Option<RecordFile>,
    storage: BlockStorage,
    asks: Sender<ApiRequest>,
    updates: Arc<Semaphore>,
    metrics: SharedMetricsWriter,
}

/// A change that was made in the list, and can be taken back.
struct Made {
    target: BlockTarget,
    before: Option<BlockTerms>,
    after: Option<BlockTerms>,
}

impl BlockKeeper {
    /// Until cores are asked nothing any more. Blocks end also where nobody asks.
    async fn run(mut self, mut requests: Receiver<BlockRequest>) {
        let mut looks = time::interval(Duration::from_secs(1));
        looks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
        loop {
            let told = tokio::select! {
                Some(request) = requests.recv() => match request.asks.changes.is_empty() {
                    true => self.show(request),
                    false => self.change(request, &mut requests).await,
                },
                _ = looks.tick() => self.expire().await,
            };
            if told.is_none() {
                return;
            }
        }
    }

    /// Makes the changes of a request, and of those that wait behind it. `None` where the server
    /// ends.
    async fn change(
        &mut self,
        first: BlockRequest,
        others: &mut Receiver<BlockRequest>,
    ) -> Option<()> {
        let permit = self.permit().await;
        let mut requests = vec![first];
        let mut changes_count = requests[0].asks.changes.len();
        while changes_count < COMMIT_CHANGES_MAX
            && let Ok(request) = others.try_recv()
        {
            changes_count += request.asks.changes.len();
            requests.push(request);
        }
        let (mut made, mut replies) = (Vec::new(), Vec::new());
        for request in &mut requests {
            let changes = std::mem::take(&mut request.asks.changes).into_iter();
            let changes = changes.map(|change| self.make(change, &mut made)).collect();
            replies.push(BlockReplies { changes, pages: self.pages(request) });
        }
        if let Err(error) = self.write(&made).await {
            tracing::error!("blocks were not changed, as they cannot be written: {error}");
            self.take_back(made);
            for (request, reply) in requests.iter().zip(&mut replies) {
                reply.changes.fill(Err(ErrorCode::Internal));
                reply.pages = self.pages(request);
            }
            answer(requests, replies);
            return Some(());
        }
        let mut added = BlockKinds::default();
        for Made { target, after, .. } in &made {
            self.table.set(key_of(target, self.names), *after);
            if after.is_some() {
                added.insert(target.kind());
            }
        }
        self.count();
        let confirmed = self.tell(added).await?;
        tokio::spawn(async move {
            // Where the server ends instead, nobody is answered.
            if confirmed.await.is_ok() {
                answer(requests, replies);
            }
            drop::<OwnedSemaphorePermit>(permit);
        });
        Some(())
    }

    /// Answers a request that changes nothing.
    fn show(&self, request: BlockRequest) -> Option<()> {
        let pages = self.pages(&request);
        let _ = request.done.send(BlockReplies { changes: Vec::new(), pages }); // it may be gone
        Some(())
    }

    fn pages(&self, request: &BlockRequest) -> Vec<Vec<(BlockTarget, BlockTerms)>> {
        let now_unix_s = unix_ms() / 1_000;
        request.asks.pages.iter().map(|page| self.list.page(now_unix_s, page)).collect()
    }

    /// Makes a change in the list.
    fn make(
        &mut self,
        change: BlockChange,
        made: &mut Vec<Made>,
    ) -> Result<BlockStorage, ErrorCode> {
        let after = self.list.changed(&change).map_err(|_| ErrorCode::LimitExceeded)?;
        let target = change.target;
        let before = self.list.set(target.clone(), after);
        if before != after {
            made.push(Made { target, before, after });
        }
        Ok(self.storage)
    }

    /// The last change first.
    fn take_back(&mut self, made: Vec<Made>) {
        for Made { target, before, .. } in made.into_iter().rev() {
            self.list.set(target, before);
        }
    }

    /// Writes changes that were made, on a thread that may wait for a disk.
    async fn write(&mut self, made: &[Made]) -> io::Result<()> {
        if made.is_empty() && self.journal.as_ref().is_none_or(|one| !one.needs_rewrite()) {
            return Ok(());
        }
        let Some(mut journal) = self.journal.take() else { return Ok(()) };
        let written = if journal.needs_rewrite() {
            let records = all_records(&self.list);
            spawn_blocking(move || (journal.rewrite(&records), journal)).await
        } else {
            let mut records = Vec::new();
            let each = made.iter();
            each.for_each(|one| write_record(&one.target, one.after, &mut records));
            spawn_blocking(move || (journal.append(&records), journal)).await
        };
        let (written, journal) = written.expect("a panic there ends the process");
        self.journal = Some(journal);
        written
    }

    /// Removes some of the blocks that have ended. They hold for nobody, so nobody waits.
    async fn expire(&mut self) -> Option<()> {
        let over = self.list.expire(unix_ms() / 1_000, LOOKED_AT_MAX);
        if over.is_empty() {
            return Some(());
        }
        let permit = self.permit().await;
        over.iter().for_each(|target| self.table.set(key_of(target, self.names), None));
        self.count();
        let confirmed = self.tell(BlockKinds::default()).await?;
        tokio::spawn(async move {
            // However it ends.
            let _ = confirmed.await;
            drop::<OwnedSemaphorePermit>(permit);
        });
        Some(())
    }

    /// Tells all cores what is blocked. What is returned ends when each has let go who is not to
    /// be in.
    async fn tell(
        &self,
        added: BlockKinds,
    ) -> Option<oneshot::Receiver<super::api_calls::RequestOutcome>> {
        let mut questions = Questions::default();
        questions.ask_blocks(BlocksUpdate { table: self.table.clone(), added });
        let (done, confirmed) = oneshot::channel();
        let request = ApiRequest { asker: UserHash::NOBODY, questions, done };
        self.asks.send(request).await.ok()?;
        Some(confirmed)
    }

    async fn permit(&self) -> OwnedSemaphorePermit {
        let updates = Arc::clone(&self.updates);
        updates.acquire_owned().await.expect("nobody closes it")
    }

    fn count(&self) {
        self.metrics.set(Gauge::Blocks, self.list.len() as u64);
    }
}

fn answer(requests: Vec<BlockRequest>, replies: Vec<BlockReplies>) {
    for (request, replies) in requests.into_iter().zip(replies) {
        let _ = request.done.send(replies); // it may be gone
    }
}
