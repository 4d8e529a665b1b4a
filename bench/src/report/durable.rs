//! The figures of messages on disk: beside a bare loop over fjall, beside memory,
//! beside the time before a storm.
//!
//! Deliberately absent: figures of servers that keep nothing.

use std::path::{Path, PathBuf};

use super::child::{Kept, Kind};
use super::figure::FigureName;
use super::measure::{Bench, Cores, TALKERS, load, shards_for};
use crate::clock::{Clock, unix_ms};
use crate::disk_loop;
use crate::outcome::Outcome;
use crate::scenario::{Load, Pace, Scenario};
use crate::stored::{self, Content};

/// Bytes of a message in the figure of publishes.
const PUBLISH_BYTES: u32 = 256;

/// Messages of one publisher that are under way where it does not wait for each.
const STREAM_OUTSTANDING: u32 = 16;

/// Messages a second, over all publishers, beside which as many are removed.
const RETENTION_PER_S: u32 = 5_000;

/// What a room keeps then: the publishers of a full run fill it in a second.
const RETENTION_COUNT_MAX: u32 = 16;

/// More than a room ever gets: nothing is removed, and what is measured is not beside
/// removing.
const COUNT_MAX: u32 = 1_000_000;

/// Handshakes of those who come back that are under way at a time. With fewer the others
/// would wait less, but nobody holds back a storm.
const RETURNING: u32 = 512;

/// Messages that each of those who come back has missed.
const MISSED: u32 = 20;

/// Messages a second in other rooms meanwhile.
const TALK_PER_S: u32 = 500;

const MEBIBYTE: f64 = (1 << 20) as f64;

impl Bench {
    /// The bare loop goes in between: whatever else the disk does meets all three. Its
    /// batches are as large as the server's were.
    pub(super) fn durable_publish(&mut self, round: u64) -> Result<(), String> {
        let (publishers, measure_ms) = (self.sizes.publishers, self.sizes.measure_ms);
        let pace = |bench: &Bench, pace| {
            let load = Load::Echo { pace, measure_ms };
            let scenario = bench.scenario(load, publishers, publishers, round);
            Scenario { data_bytes: PUBLISH_BYTES, ..scenario }
        };
        let single = pace(self, Pace::Closed { outstanding: 1 });
        let (single, batch_count) = self.run_counted(&single)?;
        let bare = self.disk_loop(batch_count)?;
        let per_s = single.deliveries_per_s();
        self.value(FigureName::DurableRate, per_s);
        self.floor(FigureName::DurableRate, bare.messages_per_s);
        let half = pace(self, Pace::Open { per_s: (per_s / 2.0).max(1.0) as u32 });
        let (half, _) = self.run_counted(&half)?;
        self.value(FigureName::DurableLatency, half.latency.p99_ns as f64 / 1e6);
        self.floor(FigureName::DurableLatency, bare.sync.p50_ns as f64 / 1e6);
        let stream = pace(self, Pace::Closed { outstanding: STREAM_OUTSTANDING });
        let (stream, batch_count) = self.run_counted(&stream)?;
        let bare = self.disk_loop(batch_count)?;
        self.value(FigureName::DurableStream, stream.deliveries_per_s());
        self.floor(FigureName::DurableStream, bare.messages_per_s);
        self.measured.outcomes.extend([single, half, stream]);
        Ok(())
    }

    /// A load against a server with an empty store, and how many messages that put
    /// into a batch.
    fn run_counted(&mut self, scenario: &Scenario) -> Result<(Outcome, u32), String> {
        let store = self.stores.empty()?;
        let kind = self.durable_kind(scenario.connections, store.dir());
        let server = self.start(&kind, Cores::Any, shards_for(scenario.connections))?;
        let outcome = load("rookery, durable", &server, scenario, Cores::Any)?;
        let messages = server.metric("chat_store_messages_total")?;
        let commits = server.metric("chat_store_commits_total")?;
        let syncs = server.metric("chat_store_syncs_total")?;
        let batch_count = (messages / commits.max(1.0)).round().max(1.0) as u32;
        eprintln!("  {messages} messages in {commits} batches, {syncs} syncs");
        Ok((outcome, batch_count))
    }

    fn disk_loop(&mut self, batch_count: u32) -> Result<disk_loop::Found, String> {
        let measure_ms = self.sizes.measure_ms;
        let store = self.stores.empty()?;
        let options = disk_loop::Options { batch_count, message_bytes: PUBLISH_BYTES, measure_ms };
        let found = disk_loop::run(&store.dir().join("db"), options)?;
        let ms = |ns: u64| ns as f64 / 1e6;
        eprintln!(
            "fjall alone: {:.0} messages/s in batches of {batch_count}, sync ms p50 {:.3} p99 \
             {:.3}, batch ms p50 {:.3} p99 {:.3}",
            found.messages_per_s,
            ms(found.sync.p50_ns),
            ms(found.sync.p99_ns),
            ms(found.batch.p50_ns),
            ms(found.batch.p99_ns)
        );
        Ok(found)
    }

    /// The same load twice: where rooms keep so little that each message removes one, and
    /// where they keep all.
    pub(super) fn durable_retention(&mut self, round: u64) -> Result<(), String> {
        let (publishers, measure_ms) = (self.sizes.publishers, self.sizes.measure_ms);
        let per_s = RETENTION_PER_S.min(self.sizes.publishers * RETENTION_COUNT_MAX * 4);
        let load = Load::Echo { pace: Pace::Open { per_s }, measure_ms };
        let scenario = self.scenario(load, publishers, publishers, round);
        let scenario = Scenario { data_bytes: PUBLISH_BYTES, ..scenario };
        let (keeping, removed) = self.run_removing(&scenario, COUNT_MAX)?;
        if removed != 0.0 {
            return Err(format!("{removed} messages were removed that should stay"));
        }
        let (removing, removed) = self.run_removing(&scenario, RETENTION_COUNT_MAX)?;
        // Rooms keep a little more than they must, and the last turns' are still there.
        if removed < removing.tally.delivered as f64 / 4.0 {
            return Err(format!("only {removed} messages were removed"));
        }
        let ms = |outcome: &Outcome| outcome.latency.p99_ns as f64 / 1e6;
        self.value(FigureName::RetentionLatency, ms(&removing));
        self.floor(FigureName::RetentionLatency, ms(&keeping));
        self.measured.outcomes.extend([keeping, removing]);
        Ok(())
    }

    /// A load against an empty store whose rooms keep so many messages, and how many
    /// that removed.
    fn run_removing(
        &mut self,
        scenario: &Scenario,
        count_max: u32,
    ) -> Result<(Outcome, f64), String> {
        let store = self.stores.empty()?;
        let kept = Kept { dir: store.dir().to_owned(), count_max };
        let kind = self.kind(scenario.connections, Some(kept));
        let server = self.start(&kind, Cores::Any, shards_for(scenario.connections))?;
        let outcome = load("rookery, durable", &server, scenario, Cores::Any)?;
        let removed = server.metric("chat_store_expired_total")?;
        eprintln!("  {removed} messages removed where rooms keep {count_max}");
        Ok((outcome, removed))
    }

    pub(super) fn durable_fanout(&mut self, round: u64) -> Result<(), String> {
        let scenario = self.fanout(1, round);
        let durable = self.run_durable(&scenario, Cores::Apart)?;
        let memory = self.run_rookery(&scenario, Cores::Apart)?;
        self.cpu(FigureName::DurableCpu, &durable, &memory)?;
        self.measured.outcomes.push(durable);
        Ok(())
    }

    pub(super) fn durable_storm(&mut self, round: u64) -> Result<(), String> {
        let calm_ms = self.sizes.measure_ms;
        let load = Load::Storm { missed: MISSED, per_s: TALK_PER_S, calm_ms };
        let storm = self.scenario(load, self.sizes.storm + TALKERS, TALKERS, round);
        // Those who stay have a thread for themselves.
        let threads = storm.threads + 1;
        let storm = Scenario { threads, handshakes_max: RETURNING, ..storm };
        let found = self.run_durable(&storm, Cores::Any)?;
        let calm = found.calm.ok_or("nobody talked before the storm")?;
        self.value(FigureName::StormRecovered, found.tally.recovered as f64);
        self.value(FigureName::StormLatency, found.latency.p99_ns as f64 / 1e6);
        self.floor(FigureName::StormLatency, calm.p99_ns as f64 / 1e6);
        self.measured.outcomes.push(found);
        Ok(())
    }

    pub(super) fn durable_start(&mut self, _: u64) -> Result<(), String> {
        let (dir, content) = self.fill()?;
        let payload_bytes = content.messages() * u64::from(content.data_bytes);
        let disk_bytes = stored::disk_bytes(&dir).map_err(|error| error.to_string())?;
        let beside = disk_bytes as f64 - payload_bytes as f64;
        self.value(FigureName::DiskBytes, beside / content.messages() as f64);
        let empty = self.stores.empty()?;
        let without = self.start_with(empty.dir())?;
        let with = self.start_with(&dir)?;
        self.value(FigureName::StartTime, with.first_answer_s);
        let more = with.resident_bytes as f64 - without.resident_bytes as f64;
        self.value(FigureName::StartMemory, more / MEBIBYTE);
        Ok(())
    }

    /// The full store, made when it is asked for first.
    fn fill(&self) -> Result<(PathBuf, Content), String> {
        let dir = self.stores.full();
        let scenario = self.one_echo();
        let content = Content {
            channels_count: self.sizes.channels,
            messages_count: self.sizes.messages,
            data_bytes: scenario.data_bytes,
            time_unix_ms: unix_ms(),
            seed: self.seed,
        };
        if !dir.exists() {
            let clock = Clock::start();
            stored::write(&dir, &content, |channel| scenario.channel(channel))?;
            let seconds = clock.elapsed().as_secs();
            eprintln!("stored {} messages in {seconds} s", content.messages());
        }
        Ok((dir, content))
    }

    /// One publisher, in a channel of the full store.
    fn one_echo(&self) -> Scenario {
        let load = Load::Echo { pace: Pace::Closed { outstanding: 1 }, measure_ms: 1 };
        self.scenario(load, 1, 1, 0)
    }

    fn start_with(&mut self, dir: &Path) -> Result<Start, String> {
        let clock = Clock::start();
        let kind = self.durable_kind(1, dir);
        let server = self.start(&kind, Cores::Any, 1)?;
        let listens_s = clock.elapsed().as_secs_f64();
        let scenario = self.one_echo();
        let first = load("rookery, started", &server, &scenario, Cores::Any)?;
        let answer_s = first.connect_ms as f64 / 1e3 + first.latency.max_ns as f64 / 1e9;
        eprintln!("  listens after {listens_s:.3} s, first answer {answer_s:.3} s later");
        // What it does by itself after a start takes memory, too.
        let measure_ms = self.sizes.measure_ms;
        let longer = Load::Echo { pace: Pace::Open { per_s: 10 }, measure_ms };
        let later =
            load("rookery, started", &server, &Scenario { load: longer, ..scenario }, Cores::Any)?;
        let later = later.server_after.ok_or("no memory of the server")?;
        Ok(Start { first_answer_s: listens_s + answer_s, resident_bytes: later.resident_bytes })
    }

    fn durable_kind(&self, connections: u32, dir: &Path) -> Kind {
        let kept = Kept { dir: dir.to_owned(), count_max: COUNT_MAX };
        self.kind(connections, Some(kept))
    }

    /// A load against a server with an empty store.
    fn run_durable(&mut self, scenario: &Scenario, cores: Cores) -> Result<Outcome, String> {
        let store = self.stores.empty()?;
        let kind = self.durable_kind(scenario.connections, store.dir());
        let server = self.start(&kind, cores, shards_for(scenario.connections))?;
        load("rookery, durable", &server, scenario, cores)
    }
}

/// How a start went.
struct Start {
    first_answer_s: f64,
    resident_bytes: u64,
}
