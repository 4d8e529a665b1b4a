//! A report for people.

use std::fmt::Write;

use super::{Figure, FigureName, GoalIs, GoalOf, Report};
use crate::number::number;

/// A table with a line for each figure, and what went wrong below it.
pub fn table(report: &Report) -> String {
    let machine = &report.machine;
    let mut text = format!(
        "{}, {} cores, {:.0} GiB, Linux {}, TCP with {} and {} entries, messages on \
         {}; commit {}\n\n",
        machine.cpu,
        machine.cores,
        machine.memory_bytes as f64 / f64::from(1 << 30),
        machine.kernel,
        machine.congestion_control,
        number(machine.tcp_table_entries as f64),
        machine.file_system,
        report.commit
    );
    text += "| figure | value | floor | ratio | goal | reached | runs |\n";
    text += "|---|---|---|---|---|---|---|\n";
    for figure in &report.figures {
        row(&mut text, figure);
    }
    for figure in &report.figures {
        for fault in &figure.faults {
            let _ = writeln!(text, "\n{} has no good run: {fault}", figure.name);
        }
    }
    text
}

fn row(text: &mut String, figure: &Figure) {
    let definitions = FigureName::ALL.map(FigureName::definition);
    let known = definitions.iter().find(|definition| definition.name == figure.name);
    let title = known.map_or(figure.name.as_str(), |definition| definition.text);
    let side = match figure.goal.is {
        GoalIs::AtMost => "at most",
        GoalIs::AtLeast => "at least",
    };
    let goal = match figure.goal.of {
        GoalOf::Value => format!("{side} {} {}", number(figure.goal.number), figure.unit),
        GoalOf::Ratio => format!("{side} {} times the floor", number(figure.goal.number)),
    };
    let or_none = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), number);
    let runs: Vec<String> = figure.runs.iter().map(|run| number(*run)).collect();
    let reached = if figure.reached { "yes" } else { "no" };
    // Writing into a String cannot fail.
    let _ = writeln!(
        text,
        "| {title} | {} {} | {} | {} | {goal} | {reached} | {} |",
        or_none(figure.value),
        figure.unit,
        or_none(figure.floor),
        or_none(figure.ratio),
        runs.join(", ")
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Machine;

    #[test]
    fn every_figure_has_a_line_and_every_fault_a_sentence() {
        let faults = ["it broke".to_owned()];
        let figures = vec![
            Figure::new(FigureName::EchoCpu, &[12.0], &[10.0], &[]),
            Figure::new(FigureName::PacedCpu, &[], &[], &faults),
        ];
        let report = Report { machine: Machine::default(), commit: "abc".to_owned(), figures };
        let text = table(&report);
        assert!(text.contains("| server CPU an echo | 12 us | 10 | 1.2 |"), "{text}");
        assert!(text.contains("at most 1.25 times the floor | yes | 12 |"), "{text}");
        assert!(text.contains("fanout_paced_cpu has no good run: it broke"), "{text}");
    }
}
