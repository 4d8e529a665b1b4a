//! The figures of a report: their names, goals, and how a number meets one.
//!
//! Names are stable: whoever compares two reports compares by name.

use serde::{Deserialize, Serialize};

use crate::attack::Attack;
use crate::stats::median;

/// What is measured. Closed, in the order of the table in docs/BENCHMARKS.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "`Definition` says it")]
pub enum FigureName {
    LiveConnections,
    ResidentBytes,
    ChargedBytes,
    ConnectTime,
    JoinTime,
    PacedCpu,
    SaturatedRate,
    SaturatedCpu,
    EchoCpu,
    LatencyAmongIdle,
    IdleCpu,
    IdleBusy,
    ScrapeCpu,
    ScrapeLatency,
    ConsoleCpu,
    ConsoleLatency,
    BusyLive,
    PressureClosed,
    PressureConnects,
    PressureRecovery,
    Bystander(Attack),
    ApiBatchRate,
    ApiSingleRate,
    ApiBatchOthers,
    ApiSingleOthers,
    ApiDurableRate,
    DurableRate,
    DurableStream,
    DurableLatency,
    RetentionLatency,
    DurableCpu,
    StormRecovered,
    StormLatency,
    StartTime,
    StartMemory,
    DiskBytes,
}

/// Which number the goal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GoalOf {
    /// The value itself.
    Value,
    /// The value divided by the floor's.
    Ratio,
}

/// On which side of the goal is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GoalIs {
    /// The goal or less.
    AtMost,
    /// The goal or more.
    AtLeast,
}

/// What is to be reached. Flat in the JSON of a figure: `goal`, `goal_of`, `goal_is`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Goal {
    /// The number itself.
    #[serde(rename = "goal")]
    pub number: f64,
    /// By the value or by the ratio.
    #[serde(rename = "goal_of")]
    pub of: GoalOf,
    /// As a ceiling or as a floor.
    #[serde(rename = "goal_is")]
    pub is: GoalIs,
}

impl Goal {
    const fn value_at_least(number: f64) -> Goal {
        Goal { number, of: GoalOf::Value, is: GoalIs::AtLeast }
    }

    const fn value_at_most(number: f64) -> Goal {
        Goal { number, of: GoalOf::Value, is: GoalIs::AtMost }
    }

    const fn ratio_at_most(number: f64) -> Goal {
        Goal { number, of: GoalOf::Ratio, is: GoalIs::AtMost }
    }

    const fn ratio_at_least(number: f64) -> Goal {
        Goal { number, of: GoalOf::Ratio, is: GoalIs::AtLeast }
    }

    /// What was not measured meets nothing.
    fn is_met(self, value: Option<f64>, ratio: Option<f64>) -> bool {
        let measured = match self.of {
            GoalOf::Value => value,
            GoalOf::Ratio => ratio,
        };
        measured.is_some_and(|measured| match self.is {
            GoalIs::AtMost => measured <= self.number,
            GoalIs::AtLeast => self.number <= measured,
        })
    }
}

/// A figure before it is measured.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// In the JSON.
    pub name: &'static str,
    /// The unit of value and floor.
    pub unit: &'static str,
    /// To be reached.
    pub goal: Goal,
    /// For people.
    pub text: &'static str,
}

impl FigureName {
    /// All of them.
    pub const ALL: [FigureName; 44] = [
        FigureName::LiveConnections,
        FigureName::ResidentBytes,
        FigureName::ChargedBytes,
        FigureName::ConnectTime,
        FigureName::JoinTime,
        FigureName::PacedCpu,
        FigureName::SaturatedRate,
        FigureName::SaturatedCpu,
        FigureName::EchoCpu,
        FigureName::LatencyAmongIdle,
        FigureName::IdleCpu,
        FigureName::IdleBusy,
        FigureName::ScrapeCpu,
        FigureName::ScrapeLatency,
        FigureName::ConsoleCpu,
        FigureName::ConsoleLatency,
        FigureName::BusyLive,
        FigureName::PressureClosed,
        FigureName::PressureConnects,
        FigureName::PressureRecovery,
        FigureName::Bystander(Attack::Conversations),
        FigureName::Bystander(Attack::History),
        FigureName::Bystander(Attack::Recovery),
        FigureName::Bystander(Attack::Acks),
        FigureName::Bystander(Attack::Pings),
        FigureName::Bystander(Attack::Pongs),
        FigureName::Bystander(Attack::HalfMessages),
        FigureName::Bystander(Attack::Joins),
        FigureName::Bystander(Attack::Connects),
        FigureName::ApiBatchRate,
        FigureName::ApiSingleRate,
        FigureName::ApiBatchOthers,
        FigureName::ApiSingleOthers,
        FigureName::ApiDurableRate,
        FigureName::DurableRate,
        FigureName::DurableStream,
        FigureName::DurableLatency,
        FigureName::RetentionLatency,
        FigureName::DurableCpu,
        FigureName::StormRecovered,
        FigureName::StormLatency,
        FigureName::StartTime,
        FigureName::StartMemory,
        FigureName::DiskBytes,
    ];

    /// What it is.
    pub fn definition(self) -> Definition {
        match self {
            FigureName::LiveConnections
            | FigureName::ResidentBytes
            | FigureName::ChargedBytes
            | FigureName::ConnectTime
            | FigureName::JoinTime => self.connection_definition(),
            FigureName::PacedCpu
            | FigureName::SaturatedRate
            | FigureName::SaturatedCpu
            | FigureName::EchoCpu => self.delivery_definition(),
            FigureName::LatencyAmongIdle
            | FigureName::IdleCpu
            | FigureName::IdleBusy
            | FigureName::BusyLive
            | FigureName::ScrapeCpu
            | FigureName::ScrapeLatency
            | FigureName::ConsoleCpu
            | FigureName::ConsoleLatency => self.idle_definition(),
            FigureName::PressureClosed
            | FigureName::PressureConnects
            | FigureName::PressureRecovery => self.pressure_definition(),
            FigureName::Bystander(attack) => Definition {
                name: bystander_name(attack),
                unit: "ms",
                goal: Goal::ratio_at_most(2.0),
                text: bystander_text(attack),
            },
            FigureName::ApiBatchRate
            | FigureName::ApiSingleRate
            | FigureName::ApiBatchOthers
            | FigureName::ApiSingleOthers
            | FigureName::ApiDurableRate => self.api_definition(),
            FigureName::DurableRate
            | FigureName::DurableStream
            | FigureName::DurableLatency
            | FigureName::RetentionLatency
            | FigureName::DurableCpu
            | FigureName::StormRecovered
            | FigureName::StormLatency
            | FigureName::StartTime
            | FigureName::StartMemory
            | FigureName::DiskBytes => self.durable_definition(),
        }
    }

    fn connection_definition(self) -> Definition {
        match self {
            FigureName::LiveConnections => Definition {
                name: "live_connections",
                unit: "connections",
                goal: Goal::value_at_least(1e6),
                text: "live authenticated connections, all answering at the end",
            },
            FigureName::ResidentBytes => Definition {
                name: "resident_bytes_per_connection",
                unit: "B",
                goal: Goal::value_at_most(450.0),
                text: "resident user memory for each",
            },
            FigureName::ChargedBytes => Definition {
                name: "charged_bytes_per_connection",
                unit: "B",
                goal: Goal::value_at_most(1_957.0),
                text: "charged to the server's cgroup for each",
            },
            FigureName::ConnectTime => Definition {
                name: "connect_time",
                unit: "s",
                goal: Goal::ratio_at_most(1.25),
                text: "time to connect them",
            },
            FigureName::JoinTime => Definition {
                name: "join_time",
                unit: "s",
                goal: Goal::ratio_at_most(1.5),
                text: "the same beside a floor that also takes two round trips",
            },
            _ => unreachable!("`definition` asks for figures of connections only"),
        }
    }

    fn delivery_definition(self) -> Definition {
        match self {
            FigureName::PacedCpu => Definition {
                name: "fanout_paced_cpu",
                unit: "us",
                goal: Goal::ratio_at_most(1.10),
                text: "server CPU a delivery, one message at a time",
            },
            FigureName::SaturatedRate => Definition {
                name: "fanout_saturated_rate",
                unit: "deliveries/s",
                goal: Goal::value_at_least(6e6),
                text: "deliveries a second and core at saturation",
            },
            FigureName::SaturatedCpu => Definition {
                name: "fanout_saturated_cpu",
                unit: "us",
                goal: Goal::ratio_at_most(0.03),
                text: "server CPU a delivery at saturation, beside the floor's single send",
            },
            FigureName::EchoCpu => Definition {
                name: "echo_cpu",
                unit: "us",
                goal: Goal::ratio_at_most(1.25),
                text: "server CPU an echo",
            },
            _ => unreachable!("`definition` asks for figures of deliveries only"),
        }
    }

    fn idle_definition(self) -> Definition {
        match self {
            FigureName::LatencyAmongIdle => Definition {
                name: "latency_among_idle_p99",
                unit: "ms",
                goal: Goal::ratio_at_most(2.0),
                text: "p99 of a message among idle connections, beside the same without them",
            },
            FigureName::IdleCpu => Definition {
                name: "idle_cpu_per_connection",
                unit: "us/s",
                goal: Goal::value_at_most(0.2),
                text: "idle server CPU for each connection and second, without proxies",
            },
            FigureName::IdleBusy => Definition {
                name: "idle_busy_per_connection",
                unit: "us/s",
                goal: Goal::value_at_most(0.6),
                text: "busy time of all cores then, both ends and the kernel's softirq in it",
            },
            FigureName::BusyLive => Definition {
                name: "busy_live_connections",
                unit: "connections",
                goal: Goal::value_at_least(1e6),
                text: "live connections, all answering at the end, where a third of all cores is \
                    taken by others",
            },
            FigureName::ScrapeCpu => Definition {
                name: "scrape_cpu",
                unit: "ms",
                goal: Goal::value_at_most(10.0),
                text: "server CPU of a compressed scrape among all those connections",
            },
            FigureName::ScrapeLatency => Definition {
                name: "scrape_p99",
                unit: "ms",
                goal: Goal::ratio_at_most(1.25),
                text: "p99 of a message among idle connections with a scrape a second, beside none",
            },
            FigureName::ConsoleCpu => Definition {
                name: "console_cpu",
                unit: "% of a core",
                goal: Goal::value_at_most(1.0),
                text: "server CPU of a console with all its tabs open, among idle connections",
            },
            FigureName::ConsoleLatency => Definition {
                name: "console_p99",
                unit: "ms",
                goal: Goal::ratio_at_most(1.25),
                text: "p99 of a message among idle connections with a console open, beside none",
            },
            _ => unreachable!("`definition` asks for figures of idle connections only"),
        }
    }

    fn pressure_definition(self) -> Definition {
        match self {
            FigureName::PressureClosed => Definition {
                name: "pressure_closed",
                unit: "connections",
                goal: Goal::value_at_most(0.0),
                text: "healthy connections closed while a server with a quarter of a core is \
                    stormed with connects",
            },
            FigureName::PressureConnects => Definition {
                name: "pressure_connects",
                unit: "connects/s",
                goal: Goal::value_at_least(1_000.0),
                text: "connects that it takes meanwhile",
            },
            FigureName::PressureRecovery => Definition {
                name: "pressure_recovery",
                unit: "s",
                goal: Goal::value_at_most(10.0),
                text: "until newcomers are served as before, when the storm is over",
            },
            _ => unreachable!("`definition` asks for figures of pressure only"),
        }
    }

    fn api_definition(self) -> Definition {
        match self {
            FigureName::ApiBatchRate => Definition {
                name: "api_batch_rate",
                unit: "messages/s",
                goal: Goal::value_at_least(50_000.0),
                text: "messages a second that a backend publishes over one connection, 100 in a \
                    call, into rooms in memory",
            },
            FigureName::ApiSingleRate => Definition {
                name: "api_single_rate",
                unit: "messages/s",
                goal: Goal::value_at_least(10_000.0),
                text: "the same with a call for each message, over 32 connections",
            },
            FigureName::ApiBatchOthers => Definition {
                name: "api_batch_others_p99",
                unit: "ms",
                goal: Goal::ratio_at_most(1.5),
                text: "p99 of a user's publish while a backend publishes 100 in a call, beside the \
                    same while it does not",
            },
            FigureName::ApiSingleOthers => Definition {
                name: "api_single_others_p99",
                unit: "ms",
                goal: Goal::ratio_at_most(1.5),
                text: "the same while it publishes with a call for each",
            },
            FigureName::ApiDurableRate => Definition {
                name: "api_durable_rate",
                unit: "messages/s",
                goal: Goal::ratio_at_least(0.9),
                text: "messages a second that a backend publishes into rooms on disk over 32 \
                    connections, beside 32 users who publish over WebSockets",
            },
            _ => unreachable!("`definition` asks for figures of the server API only"),
        }
    }

    fn durable_definition(self) -> Definition {
        match self {
            FigureName::DurableRate => Definition {
                name: "durable_publish_rate",
                unit: "messages/s",
                goal: Goal::ratio_at_least(0.8),
                text: "answered publishes a second, on disk, beside a bare loop over fjall",
            },
            FigureName::DurableStream => Definition {
                name: "durable_stream_rate",
                unit: "messages/s",
                goal: Goal::ratio_at_least(0.8),
                text: "the same with 16 messages of each publisher under way",
            },
            FigureName::DurableLatency => Definition {
                name: "durable_publish_p99",
                unit: "ms",
                goal: Goal::ratio_at_most(4.0),
                text: "p99 of a message at half the first rate, beside the p50 of the loop's syncs",
            },
            FigureName::RetentionLatency => Definition {
                name: "retention_p99",
                unit: "ms",
                goal: Goal::ratio_at_most(1.25),
                text: "p99 of a message on disk while as many are removed, beside none removed",
            },
            FigureName::DurableCpu => Definition {
                name: "durable_fanout_cpu",
                unit: "us",
                goal: Goal::ratio_at_most(1.05),
                text: "server CPU a delivery in a durable room, beside the same in memory",
            },
            FigureName::StormRecovered => Definition {
                name: "storm_recovered",
                unit: "clients",
                goal: Goal::value_at_least(50_000.0),
                text: "clients that came back at once and got all that they had missed, in order",
            },
            FigureName::StormLatency => Definition {
                name: "storm_others_p99",
                unit: "ms",
                goal: Goal::ratio_at_most(2.0),
                text: "p99 of other rooms' messages meanwhile, beside the same before",
            },
            FigureName::StartTime => Definition {
                name: "start_time",
                unit: "s",
                goal: Goal::value_at_most(3.0),
                text: "start with a full store, to the first answered publish",
            },
            FigureName::StartMemory => Definition {
                name: "start_memory",
                unit: "MiB",
                goal: Goal::value_at_most(100.0),
                text: "resident memory then, above that of an empty start",
            },
            FigureName::DiskBytes => Definition {
                name: "disk_bytes_per_message",
                unit: "B",
                goal: Goal::value_at_most(96.0),
                text: "disk used for a message of that store, beside its payload",
            },
            _ => unreachable!("`definition` asks for durable figures only"),
        }
    }
}

fn bystander_name(attack: Attack) -> &'static str {
    match attack {
        Attack::Conversations => "bystander_conversations_p99",
        Attack::History => "bystander_history_p99",
        Attack::Recovery => "bystander_recovery_p99",
        Attack::Acks => "bystander_acks_p99",
        Attack::Pings => "bystander_pings_p99",
        Attack::Pongs => "bystander_pongs_p99",
        Attack::HalfMessages => "bystander_half_messages_p99",
        Attack::Joins => "bystander_joins_p99",
        Attack::Connects => "bystander_connects_p99",
    }
}

fn bystander_text(attack: Attack) -> &'static str {
    match attack {
        Attack::Conversations => "p99 of a bystander's publish while one user asks for chat.rooms",
        Attack::History => "the same while one asks for histories",
        Attack::Recovery => "the same while one recovers again and again",
        Attack::Acks => "the same while one acknowledges again and again",
        Attack::Pings => "the same while one sends control pings",
        Attack::Pongs => "the same while one sends pongs that nobody asked for",
        Attack::HalfMessages => "the same while one sends messages that never end",
        Attack::Joins => "the same while one comes and goes in a room",
        Attack::Connects => "the same while one connects again and again",
    }
}

/// A figure that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// See `FigureName::definition`.
    pub name: String,
    /// The unit of value and floor.
    pub unit: String,
    /// The value of each run, in their order.
    pub runs: Vec<f64>,
    /// The median of the runs.
    pub value: Option<f64>,
    /// The floor's median, where there is a floor.
    pub floor: Option<f64>,
    /// Value by floor.
    pub ratio: Option<f64>,
    /// To be reached.
    #[serde(flatten)]
    pub goal: Goal,
    /// Whether it was. Never with a run whose counts do not agree.
    pub reached: bool,
    /// What was wrong with a run.
    pub faults: Vec<String>,
}

impl Figure {
    /// Out of what all runs measured. A run that went wrong has no value, and
    /// its faults.
    pub fn new(name: FigureName, runs: &[f64], floors: &[f64], faults: &[String]) -> Figure {
        let Definition { name, unit, goal, .. } = name.definition();
        let (value, floor) = (median(runs), median(floors));
        let ratio = value.zip(floor.filter(|floor| 0.0 < *floor)).map(|(v, f)| v / f);
        Figure {
            name: name.to_owned(),
            unit: unit.to_owned(),
            runs: runs.to_vec(),
            value,
            floor,
            ratio,
            goal,
            reached: goal.is_met(value, ratio) && faults.is_empty(),
            faults: faults.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_from_its_side() {
        let check = |name, runs: &[f64], floors: &[f64], reached| {
            let figure = Figure::new(name, runs, floors, &[]);
            assert_eq!(figure.reached, reached, "{figure:?}");
        };
        check(FigureName::ResidentBytes, &[450.0, 1.0, 900.0], &[], true);
        check(FigureName::ResidentBytes, &[451.0], &[], false);
        check(FigureName::SaturatedRate, &[6e6], &[], true);
        check(FigureName::SaturatedRate, &[5.9e6], &[], false);
        check(FigureName::EchoCpu, &[12.5], &[10.0], true);
        check(FigureName::EchoCpu, &[12.6], &[10.0], false);
        check(FigureName::EchoCpu, &[12.6], &[], false);
        check(FigureName::EchoCpu, &[12.6], &[0.0], false);
        check(FigureName::IdleCpu, &[], &[], false);
    }

    #[test]
    fn a_run_that_went_wrong_reaches_nothing() {
        let faults = ["1 deliveries did not come".to_owned()];
        assert!(!Figure::new(FigureName::SaturatedRate, &[9e6], &[], &faults).reached);
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = FigureName::ALL.iter().map(|f| f.definition().name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FigureName::ALL.len());
    }
}
