//! Which runs belong together, which figures come out of them, and how large they are.
//!
//! Deliberately absent: how they run.

use super::figure::FigureName;
use crate::attack::Attack;

/// How large everything is.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Connections of the run for which a million is the goal.
    pub connections: u32,
    /// Beside the messages whose latency is measured.
    pub idle: u32,
    /// How long idle connections are watched: a whole round of pings, and two where
    /// proxies are expected.
    pub hold_ms: u64,
    /// Members of the one room.
    pub subscribers: u32,
    /// How long each load with messages is measured.
    pub measure_ms: u64,
    /// Messages a second among idle connections.
    pub rate: u32,
    /// Connections that publish to the disk at a time.
    pub publishers: u32,
    /// Clients that come back at once.
    pub storm: u32,
    /// Channels of the store that a server starts with.
    pub channels: u32,
    /// Messages in each.
    pub messages: u32,
    /// Connections that live through a storm of connects.
    pub pressed: u32,
    /// How long that storm lasts.
    pub pressure_ms: u64,
}

impl Sizes {
    /// Those of the figures.
    pub const FULL: Sizes = Sizes {
        connections: 1_000_000,
        idle: 500_000,
        hold_ms: 120_000,
        subscribers: 2_000,
        measure_ms: 10_000,
        rate: 2_000,
        publishers: 256,
        storm: 50_000,
        channels: 100_000,
        messages: 100,
        pressed: 15_000,
        pressure_ms: 60_000,
    };

    /// For a check that everything works; the numbers mean little.
    pub const QUICK: Sizes = Sizes {
        connections: 1_000,
        idle: 1_000,
        hold_ms: 1_000,
        subscribers: 100,
        measure_ms: 500,
        rate: 200,
        publishers: 16,
        storm: 200,
        channels: 100,
        messages: 20,
        pressed: 200,
        pressure_ms: 2_000,
    };
}

/// A row for each attack.
const BYSTANDERS: [FigureName; Attack::ALL.len()] = {
    let mut figures = [FigureName::Bystander(Attack::ALL[0]); Attack::ALL.len()];
    let mut at = 0;
    while at < figures.len() {
        figures[at] = FigureName::Bystander(Attack::ALL[at]);
        at += 1;
    }
    figures
};

/// Runs that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Very many connections.
    Million,
    /// One room, one message at a time.
    Paced,
    /// One room, as much as goes.
    Saturated,
    /// 64 that talk to themselves.
    Echo,
    /// A few that talk among very many that do not.
    AmongIdle,
    /// An operator looks at very many connections.
    Console,
    /// Very many connections where others take a third of all cores.
    Busy,
    /// Very many connect while a server has a quarter of a core.
    Pressure,
    /// One user does the worst it can.
    Bystander,
    /// A backend publishes into rooms in memory.
    Api,
    /// A backend publishes into rooms on disk.
    ApiDurable,
    /// As many messages to the disk as go, and half of that.
    DurablePublish,
    /// As many messages are removed from the disk as are written, or none.
    DurableRetention,
    /// One durable room beside one in memory.
    DurableFanout,
    /// Very many come back at once and catch up.
    DurableStorm,
    /// A server starts with very many messages.
    DurableStart,
}

impl Group {
    /// In the order in which they run: short ones first.
    pub const ALL: [Group; 16] = [
        Group::Echo,
        Group::Paced,
        Group::Saturated,
        Group::DurablePublish,
        Group::DurableRetention,
        Group::DurableFanout,
        Group::DurableStorm,
        Group::DurableStart,
        Group::Bystander,
        Group::Pressure,
        Group::Api,
        Group::ApiDurable,
        Group::AmongIdle,
        Group::Console,
        Group::Million,
        Group::Busy,
    ];

    /// On the command line.
    pub fn name(self) -> &'static str {
        match self {
            Group::Million => "million",
            Group::Paced => "paced",
            Group::Saturated => "saturated",
            Group::Echo => "echo",
            Group::AmongIdle => "among-idle",
            Group::Console => "console",
            Group::Busy => "busy",
            Group::Pressure => "pressure",
            Group::Bystander => "bystander",
            Group::Api => "api",
            Group::ApiDurable => "api-durable",
            Group::DurablePublish => "durable-publish",
            Group::DurableRetention => "durable-retention",
            Group::DurableFanout => "durable-fanout",
            Group::DurableStorm => "durable-storm",
            Group::DurableStart => "durable-start",
        }
    }

    /// Whether its servers keep messages on disk.
    pub fn is_durable(self) -> bool {
        match self {
            Group::DurablePublish
            | Group::DurableRetention
            | Group::DurableFanout
            | Group::DurableStorm
            | Group::DurableStart
            | Group::ApiDurable => true,
            Group::Million
            | Group::Paced
            | Group::Saturated
            | Group::Echo
            | Group::AmongIdle
            | Group::Console
            | Group::Busy
            | Group::Pressure
            | Group::Bystander
            | Group::Api => false,
        }
    }

    /// The figures that come out of it.
    pub fn figures(self) -> &'static [FigureName] {
        match self {
            Group::Million => &[
                FigureName::LiveConnections,
                FigureName::ResidentBytes,
                FigureName::ChargedBytes,
                FigureName::ConnectTime,
                FigureName::JoinTime,
                FigureName::IdleCpu,
                FigureName::IdleBusy,
                FigureName::ScrapeCpu,
            ],
            Group::Paced => &[FigureName::PacedCpu],
            Group::Saturated => &[FigureName::SaturatedRate, FigureName::SaturatedCpu],
            Group::Echo => &[FigureName::EchoCpu],
            Group::AmongIdle => &[FigureName::LatencyAmongIdle, FigureName::ScrapeLatency],
            Group::Console => &[FigureName::ConsoleCpu, FigureName::ConsoleLatency],
            Group::Busy => &[FigureName::BusyLive],
            Group::Pressure => &[
                FigureName::PressureClosed,
                FigureName::PressureConnects,
                FigureName::PressureRecovery,
            ],
            Group::Bystander => &BYSTANDERS,
            Group::Api => &[
                FigureName::ApiBatchRate,
                FigureName::ApiSingleRate,
                FigureName::ApiBatchOthers,
                FigureName::ApiSingleOthers,
            ],
            Group::ApiDurable => &[FigureName::ApiDurableRate],
            Group::DurablePublish => {
                &[FigureName::DurableRate, FigureName::DurableStream, FigureName::DurableLatency]
            }
            Group::DurableRetention => &[FigureName::RetentionLatency],
            Group::DurableFanout => &[FigureName::DurableCpu],
            Group::DurableStorm => &[FigureName::StormRecovered, FigureName::StormLatency],
            Group::DurableStart => {
                &[FigureName::StartTime, FigureName::StartMemory, FigureName::DiskBytes]
            }
        }
    }
}
