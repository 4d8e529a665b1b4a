//! A report for people.

use std::fmt::Write;

use super::{Figure, FigureName, GoalIs, GoalOf, Report};

/// A table with a line for each figure, and what went wrong below it.
pub fn table(report: &Report) -> String {
    let machine = &report.machine;
    let mut text = format!(
        "{}, {} cores, {:.0} GiB, Linux {}; commit {}\n\n",
        machine.cpu,
        machine.cores,
        machine.memory_bytes as f64 / f64::from(1 << 30),
        machine.kernel,
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
    let side = match figure.goal_is {
        GoalIs::AtMost => "at most",
        GoalIs::AtLeast => "at least",
    };
    let goal = match figure.goal_of {
        GoalOf::Value => format!("{side} {} {}", number(figure.goal), figure.unit),
        GoalOf::Ratio => format!("{side} {} times the floor", number(figure.goal)),
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

/// Four digits that count, with separators for thousands.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        v if v < 1.0 => 4,
        v if v < 10.0 => 3,
        v if v < 100.0 => 2,
        v if v < 1_000.0 => 1,
        _ => return grouped(value.round() as i64),
    };
    let text = format!("{value:.digits$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn grouped(value: i64) -> String {
    let plain = value.to_string();
    let mut text = String::new();
    for (index, digit) in plain.chars().enumerate() {
        if 0 < index && (plain.len() - index).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Machine;

    #[test]
    fn numbers_are_readable() {
        let check = |value: f64, text: &str| assert_eq!(number(value), text);
        check(0.03, "0.03");
        check(1.1, "1.1");
        check(12.345, "12.35");
        check(450.0, "450");
        check(1_957.0, "1,957");
        check(6e6, "6,000,000");
        check(-123_456.0, "-123,456");
        check(0.0, "0");
    }

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
