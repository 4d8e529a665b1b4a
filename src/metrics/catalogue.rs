//! The table of everything that is counted. A line here is the whole registration.

use super::labels::{
    AcceptFailure, Blame, CloseReason, HandshakeOutcome, LaneKind, Protocol, PublishResult,
    Recovery, StoreFailure,
};

/// What a row of the catalogue is to Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only grows.
    Counter,
    /// Goes both ways; the sum over cores is the server's value.
    Gauge,
    /// Buckets, and the sum of what was observed.
    Histogram,
}

/// One row of the catalogue. Rows with the same name stand next to each other
/// and differ in their fixed labels: together they are one metric family.
#[derive(Debug)]
pub(super) struct Row {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Kind,
    /// Labels with one value, which tell the rows of a family apart.
    pub fixed: &'static [(&'static str, &'static str)],
    /// Labels with all their values, the slowest first.
    pub axes: &'static [Axis],
    /// Upper bounds in microseconds, rising; exposed in seconds. Empty but for
    /// histograms. `+Inf` is not listed.
    pub bounds_us: &'static [u64],
}

/// A label and the values it can have.
#[derive(Debug)]
pub(super) struct Axis {
    pub label: &'static str,
    pub words: &'static [&'static str],
}

impl Row {
    /// How many combinations of label values there are.
    pub const fn series(&self) -> usize {
        let mut series = 1;
        let mut axis = 0;
        while axis < self.axes.len() {
            series *= self.axes[axis].words.len();
            axis += 1;
        }
        series
    }

    /// Cells of one series: a histogram has its buckets, `+Inf`, and the sum.
    pub const fn cells_per_series(&self) -> usize {
        match self.kind {
            Kind::Counter | Kind::Gauge => 1,
            Kind::Histogram => self.bounds_us.len() + 2,
        }
    }

    /// The unit in which values are exposed, as far as the name says one.
    pub fn unit(&self) -> &'static str {
        let stem = self.name.strip_suffix("_total").unwrap_or(self.name);
        ["seconds", "bytes"].into_iter().find(|unit| stem.ends_with(unit)).unwrap_or("")
    }
}

/// The first cell of each row when the table begins at `start`; the last entry
/// is the end.
const fn places<const N: usize>(rows: &[Row], start: usize) -> [usize; N] {
    assert!(N == rows.len() + 1);
    let mut places = [start; N];
    let mut row = 0;
    while row < rows.len() {
        places[row + 1] = places[row] + rows[row].series() * rows[row].cells_per_series();
        row += 1;
    }
    places
}

macro_rules! catalogue {
    (@bounds) => { &[] };
    (@bounds $bounds:ident) => { $bounds };
    (
        $(#[$about:meta])*
        $table:ident from $start:expr, $kind:ident of
        $(
            #[doc = $help:literal]
            $row:ident $(($($label:ident: $axis:ident),+))? =
                $name:literal $({$($key:ident = $value:literal),+})? $(, $bounds:ident)?;
        )+
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $table {
            $(#[doc = $help] $row $(($($axis),+))?,)+
        }

        impl $table {
            pub(super) const ROWS: &'static [Row] = &[$(Row {
                name: $name,
                help: $help.trim_ascii(),
                kind: Kind::$kind,
                fixed: &[$($((stringify!($key), $value)),+)?],
                axes: &[$($(Axis { label: stringify!($label), words: $axis::WORDS }),+)?],
                bounds_us: catalogue!(@bounds $($bounds)?),
            }),+];

            #[cfg(test)]
            const WRITTEN_AS: &'static [&'static str] =
                &[$(concat!(stringify!($table), "::", stringify!($row))),+];

            const PLACES: [usize; Self::ROWS.len() + 1] = places(Self::ROWS, $start);

            /// Where the next table begins.
            pub(super) const END: usize = Self::PLACES[Self::ROWS.len()];

            /// The first of this series' cells, dense over all tables.
            #[inline]
            pub const fn index(self) -> usize {
                let (row, series) = self.place();
                Self::PLACES[row] + series * Self::ROWS[row].cells_per_series()
            }

            /// The row, and which of its series.
            #[inline]
            const fn place(self) -> (usize, usize) {
                enum Place { $($row),+ }
                match self {$(
                    $table::$row $(($($label),+))? => {
                        let series = 0;
                        $($(let series = series * $axis::WORDS.len() + $label as usize;)+)?
                        (Place::$row as usize, series)
                    }
                )+}
            }
        }
    };
}

/// Four of these bounds are kept from where this product's monitoring comes
/// from (1 ms, 10 ms, 100 ms, 1 s), so that its rules read the same here.
const HANDSHAKE_US: &[u64] = &[
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000,
];

/// A turn below the first bound is no stall and is not observed.
const STALL_US: &[u64] =
    &[2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000];

/// One sync of a good disk takes 0.1 ms, of a bad one tens of ms.
const STORE_TURN_US: &[u64] =
    &[100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000];

catalogue! {
    /// What only grows.
    Counter from 0, Counter of
    /// Connections taken from the listener.
    Accepted = "chat_conn_accepted_total";
    /// Connections that could not be taken from the listener.
    AcceptFailed(reason: AcceptFailure) = "chat_conn_accept_failed_total";
    /// Upgrades to WebSocket that ended, well or not.
    Handshakes(outcome: HandshakeOutcome) = "chat_handshakes_total";
    /// Connections that were upgraded.
    Opened(protocol: Protocol) = "chat_conn_opened_total";
    /// Upgraded connections that ended.
    Closed(reason: CloseReason) = "chat_conn_closed_total";
    /// Upgraded connections that ended, by who has to do something about it.
    ClosedBy(blame: Blame) = "chat_conn_closed_blame_total";
    /// WebSocket messages received.
    MessagesIn(protocol: Protocol) = "chat_ws_messages_received_total";
    /// Commands of the chat protocol received.
    CommandsIn = "chat_commands_received_total";
    /// Publications handed to connections.
    Deliveries = "chat_msg_recipients_total";
    /// Publish commands.
    Published(result: PublishResult) = "chat_msg_publish_total";
    /// Replies to commands, errors too.
    Replies = "chat_replies_sent_total";
    /// Replies that say an error.
    ErrorsSent = "chat_error_replies_sent_total";
    /// Bytes of TCP payload.
    BytesIn = "chat_bytes_total" {direction = "in"};
    /// Bytes of TCP payload.
    BytesOut = "chat_bytes_total" {direction = "out"};
    /// Turns of the core's loop.
    Turns = "chat_core_turns_total";
    /// Turns after which the core went to sleep.
    Sleeps = "chat_core_sleeps_total";
    /// Batches of work given to the kernel.
    RingSubmits = "chat_uring_submits_total";
    /// Completions taken from the kernel.
    CompletionsReaped = "chat_uring_completions_total";
    /// Completions that came for a connection that was over.
    StaleCompletions = "chat_uring_stale_completions_total";
    /// Sends of which the kernel took a part.
    SendsShort = "chat_uring_short_sends_total";
    /// Times that a queue or a pool shared with the kernel had no room.
    RecvBufferEmpty = "chat_uring_overflow_total" {kind = "bufring_empty"};
    /// Times that a queue or a pool shared with the kernel had no room.
    CompletionOverflow = "chat_uring_overflow_total" {kind = "cq_overflow"};
    /// Times that a queue or a pool shared with the kernel had no room.
    SubmissionFull = "chat_uring_overflow_total" {kind = "sq_full"};
    /// Letters between cores.
    LettersSent = "chat_letters_total" {direction = "sent"};
    /// Letters between cores.
    LettersReceived = "chat_letters_total" {direction = "received"};
    /// Letters refused because the lane to the other core was full.
    LaneFull(lane: LaneKind) = "chat_core_mailbox_full_total";
    /// Panics that ended one session only.
    Panics = "chat_session_panics_total";
    /// Pings sent.
    Pings = "chat_pings_sent_total";
    /// Heartbeats that ended.
    PongsMissed = "chat_heartbeat_total" {outcome = "timeout"};
    /// Subscriptions that asked for what they had missed.
    Recovered(result: Recovery) = "chat_recoveries_total";
    /// Subscriptions that lost a publication and were told to recover.
    DroppedGaps = "chat_subscription_gaps_total";
    /// Messages that the store keeps since the start.
    StoreMessages = "chat_store_messages_total";
    /// Bytes of their data.
    StoreMessageBytes = "chat_store_message_bytes_total";
    /// Batches that the store wrote.
    StoreCommits = "chat_store_commits_total";
    /// Times that the store waited for the disk.
    StoreSyncs = "chat_store_syncs_total";
    /// Requests that the store refused.
    StoreRefused(cause: StoreFailure) = "chat_store_refused_total";
    /// Times that the store was read anew after a failure.
    StoreReopened = "chat_store_reopened_total";
    /// Messages that the store removed because of their number, age or bytes.
    StoreExpired = "chat_store_expired_total";
    /// Direct messages that were given up.
    DeadLetters = "chat_dead_letter_total";
}

catalogue! {
    /// What goes both ways.
    Gauge from Counter::END, Gauge of
    /// Upgraded connections.
    Connections(protocol: Protocol) = "chat_active_connections";
    /// Connections whose upgrade is not finished.
    HandshakesInFlight = "chat_handshake_inflight";
    /// Bytes that wait for a connection's send under way to leave.
    SendQueueBytes = "chat_send_queue_bytes";
    /// Rooms that exist, each counted on its home shard.
    Rooms = "chat_rooms";
    /// Subscriptions of connections to rooms.
    Subscriptions = "chat_subscriptions";
    /// Requests that the store has not answered.
    StoreRequests = "chat_store_requests";
    /// Bytes that the store takes on the disk.
    StoreUsedBytes = "chat_store_used_bytes";
    /// Bytes that it may still take.
    StoreFreeBytes = "chat_store_free_bytes";
}

catalogue! {
    /// What is spread over buckets.
    Histogram from Gauge::END, Histogram of
    /// Time from the TCP connection to the end of the upgrade.
    Handshake(outcome: HandshakeOutcome) = "chat_handshake_duration_seconds", HANDSHAKE_US;
    /// Turns of the storage thread in which something was written.
    StoreTurn = "chat_store_turn_seconds", STORE_TURN_US;
    /// Turns of a core's loop that took longer than 1 ms.
    Stall = "chat_executor_stall_seconds", STALL_US;
}

/// Cells of one core.
pub(super) const CELLS: usize = Histogram::END;

impl Histogram {
    /// Upper bounds of the buckets in microseconds.
    #[inline]
    pub(super) const fn bounds_us(self) -> &'static [u64] {
        Self::ROWS[self.place().0].bounds_us
    }
}

/// All rows in the order of their cells, each with its first cell.
pub(super) fn rows() -> impl Iterator<Item = (&'static Row, usize)> {
    let rows = [Counter::ROWS, Gauge::ROWS, Histogram::ROWS].into_iter().flatten();
    rows.scan(0, |place, row| {
        let first = *place;
        *place += row.series() * row.cells_per_series();
        Some((row, first))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn cells_are_dense() {
        let last = HandshakeOutcome::Gone;
        assert_eq!(Counter::Accepted.index(), 0);
        assert_eq!(Counter::AcceptFailed(AcceptFailure::Other).index(), 3);
        assert_eq!(Counter::DeadLetters.index() + 1, Gauge::Connections(Protocol::Json).index());
        let histogram = HANDSHAKE_US.len() + 2;
        assert_eq!(Histogram::Handshake(last).index() + histogram, Histogram::StoreTurn.index());
        let (row, first) = rows().last().unwrap();
        assert_eq!(first + row.cells_per_series(), CELLS);
    }

    #[test]
    fn everything_is_written_by_somebody() {
        let mut source = String::new();
        let mut folders = vec![std::path::PathBuf::from("src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.ends_with("metrics") {
                    folders.push(path);
                } else if path.extension().is_some_and(|end| end == "rs") {
                    source.push_str(&std::fs::read_to_string(path).unwrap());
                }
            }
        }
        let words: BTreeSet<&str> =
            source.split(|c: char| !c.is_alphanumeric() && c != ':').collect();
        let all = [Counter::WRITTEN_AS, Gauge::WRITTEN_AS, Histogram::WRITTEN_AS];
        for name in all.into_iter().flatten() {
            assert!(words.contains(name), "{name} would be 0 for ever");
        }
    }

    #[test]
    fn names_follow_the_rules_of_prometheus() {
        let snake = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        for (row, _) in rows() {
            assert!(row.name.starts_with("chat_") && row.name.chars().all(snake), "{}", row.name);
            assert_eq!(row.name.ends_with("_total"), row.kind == Kind::Counter, "{}", row.name);
            assert!(row.help.ends_with('.') && !row.help.contains('\n'), "{}", row.name);
            assert_eq!(row.bounds_us.is_empty(), row.kind != Kind::Histogram, "{}", row.name);
            assert!(row.bounds_us.is_sorted_by(|a, b| a < b), "{}", row.name);
            let is_time = row.name.ends_with("_seconds");
            assert_eq!(is_time, row.kind == Kind::Histogram, "{}: observed in us", row.name);
        }
    }

    #[test]
    fn rows_of_a_family_stand_together_and_agree() {
        let rows: Vec<&Row> = rows().map(|(row, _)| row).collect();
        let mut seen = BTreeSet::new();
        for family in rows.chunk_by(|a, b| a.name == b.name) {
            assert!(seen.insert(family[0].name), "{} stands apart", family[0].name);
            for row in family {
                assert_eq!((row.kind, row.help), (family[0].kind, family[0].help), "{}", row.name);
            }
            let fixed: BTreeSet<_> = family.iter().map(|row| row.fixed).collect();
            assert_eq!(fixed.len(), family.len(), "{}: rows look the same", family[0].name);
        }
    }
}
