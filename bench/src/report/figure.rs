//! The figures of a report: their names, goals, and how a number meets one.
//!
//! Names are stable: whoever compares two reports compares by name.

use serde::{Deserialize, Serialize};

use crate::stats::median;

/// What is measured. Closed, in the order of the table in docs/BENCHMARKS.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "`Definition` says it")]
pub enum FigureName {
    LiveConnections,
    ResidentBytes,
    ChargedBytes,
    ConnectTime,
    PacedCpu,
    SaturatedRate,
    SaturatedCpu,
    EchoCpu,
    LatencyAmongIdle,
    IdleCpu,
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

/// A figure before it is measured.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// In the JSON.
    pub name: &'static str,
    /// Of value and floor.
    pub unit: &'static str,
    /// For people.
    pub text: &'static str,
    /// To be reached.
    pub goal: f64,
    /// By what.
    pub goal_of: GoalOf,
    /// How.
    pub goal_is: GoalIs,
}

impl FigureName {
    /// All of them.
    pub const ALL: [FigureName; 10] = [
        FigureName::LiveConnections,
        FigureName::ResidentBytes,
        FigureName::ChargedBytes,
        FigureName::ConnectTime,
        FigureName::PacedCpu,
        FigureName::SaturatedRate,
        FigureName::SaturatedCpu,
        FigureName::EchoCpu,
        FigureName::LatencyAmongIdle,
        FigureName::IdleCpu,
    ];

    /// What it is.
    pub fn definition(self) -> Definition {
        use GoalIs::{AtLeast, AtMost};
        use GoalOf::{Ratio, Value};
        let (name, unit, text, goal, goal_of, goal_is) = match self {
            FigureName::LiveConnections => {
                let text = "live authenticated connections, all answering at the end";
                ("live_connections", "connections", text, 1e6, Value, AtLeast)
            }
            FigureName::ResidentBytes => {
                let text = "resident user memory for each";
                ("resident_bytes_per_connection", "B", text, 450.0, Value, AtMost)
            }
            FigureName::ChargedBytes => {
                let text = "charged to the server's cgroup for each";
                ("charged_bytes_per_connection", "B", text, 1_957.0, Value, AtMost)
            }
            FigureName::ConnectTime => {
                ("connect_time", "s", "time to connect them", 1.25, Ratio, AtMost)
            }
            FigureName::PacedCpu => {
                let text = "server CPU a delivery, one message at a time";
                ("fanout_paced_cpu", "us", text, 1.10, Ratio, AtMost)
            }
            FigureName::SaturatedRate => {
                let text = "deliveries a second and core at saturation";
                ("fanout_saturated_rate", "deliveries/s", text, 6e6, Value, AtLeast)
            }
            FigureName::SaturatedCpu => {
                let text = "server CPU a delivery at saturation, beside the floor's single send";
                ("fanout_saturated_cpu", "us", text, 0.03, Ratio, AtMost)
            }
            FigureName::EchoCpu => ("echo_cpu", "us", "server CPU an echo", 1.25, Ratio, AtMost),
            FigureName::LatencyAmongIdle => {
                let text = "p99 of a message among idle connections, beside the same without them";
                ("latency_among_idle_p99", "ms", text, 2.0, Ratio, AtMost)
            }
            FigureName::IdleCpu => {
                let text = "idle server CPU for each connection and second";
                ("idle_cpu_per_connection", "us/s", text, 0.5, Value, AtMost)
            }
        };
        Definition { name, unit, text, goal, goal_of, goal_is }
    }
}

/// A figure that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// See `FigureName::definition`.
    pub name: String,
    /// Of value and floor.
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
    pub goal: f64,
    /// By the value or by the ratio.
    pub goal_of: GoalOf,
    /// As a ceiling or as a floor.
    pub goal_is: GoalIs,
    /// Whether it was. Never with a run whose counts do not agree.
    pub reached: bool,
    /// What was wrong with a run.
    pub faults: Vec<String>,
}

impl Figure {
    /// Out of what all runs measured. A run that went wrong has no value, and
    /// its faults.
    pub fn new(name: FigureName, runs: &[f64], floors: &[f64], faults: &[String]) -> Figure {
        let Definition { name, unit, goal, goal_of, goal_is, .. } = name.definition();
        let (value, floor) = (median(runs), median(floors));
        let ratio = value.zip(floor.filter(|floor| 0.0 < *floor)).map(|(v, f)| v / f);
        let number = match goal_of {
            GoalOf::Value => value,
            GoalOf::Ratio => ratio,
        };
        let meets = number.is_some_and(|number| match goal_is {
            GoalIs::AtMost => number <= goal,
            GoalIs::AtLeast => goal <= number,
        });
        Figure {
            name: name.to_owned(),
            unit: unit.to_owned(),
            runs: runs.to_vec(),
            value,
            floor,
            ratio,
            goal,
            goal_of,
            goal_is,
            reached: meets && faults.is_empty(),
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
