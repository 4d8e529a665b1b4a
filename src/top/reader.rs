//! Numbers out of Prometheus' text format 0.0.4, with limits.
//!
//! A reader of our own, for the part of the format that our own pages have: `prometheus-parse`
//! has no bound, brings regular expressions and a calendar, and drops what it cannot read,
//! where a page of something else is to be told.

use std::collections::BTreeMap;
use std::fmt;

use crate::base::plain;

/// Series of all pages of a sample: twice what one of ours may have.
const SERIES_MAX: usize = 40_000;

/// Labels of a series; ours have three at most, and `le`.
const LABELS_MAX: usize = 8;

/// Letters of a label's value that are kept.
const VALUE_CHARS_MAX: usize = 64;

/// Names and values of a series' labels, in the order of the page.
type Labels = Vec<(String, String)>;

/// Why a page is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadingError {
    /// This line, counted from 1, says something else.
    Line(usize),
    /// It does not end.
    TooMany,
}

impl fmt::Display for ReadingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadingError::Line(line) => write!(f, "line {line} of its metrics is none"),
            ReadingError::TooMany => write!(f, "it has more than {SERIES_MAX} series"),
        }
    }
}

/// Values of series, by the name of the sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Readings {
    by_name: BTreeMap<String, BTreeMap<Labels, f64>>,
    count: usize,
}

impl Readings {
    /// Adds what a page says. Values that are no number are left out.
    pub fn read(&mut self, page: &str) -> Result<(), ReadingError> {
        for (index, line) in page.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let series = series(line).ok_or(ReadingError::Line(index + 1))?;
            let Some((name, labels, value)) = series.finite() else { continue };
            if self.count == SERIES_MAX {
                return Err(ReadingError::TooMany);
            }
            self.count += 1;
            self.by_name.entry(name).or_default().insert(labels, value);
        }
        Ok(())
    }

    /// How much each counter grew since then; `None` when one fell, as all begin at 0 when the
    /// server does. A series that was not there then began at 0 since.
    pub fn since(&self, before: &Readings) -> Option<Readings> {
        let mut grown = Readings::default();
        for (name, series) in self.by_name.iter().filter(|(name, _)| is_counter(name)) {
            let then = before.by_name.get(name);
            let mut all = BTreeMap::new();
            for (labels, value) in series {
                let then = then.and_then(|then| then.get(labels)).copied().unwrap_or_default();
                if *value < then {
                    return None;
                }
                all.insert(labels.clone(), value - then);
            }
            grown.by_name.insert(name.clone(), all);
        }
        Some(grown)
    }

    /// The sum of all series of this name; `None` when there is none.
    pub fn sum(&self, name: &str) -> Option<f64> {
        Some(self.by_name.get(name)?.values().sum())
    }

    /// The sum of those whose label has this value.
    pub fn sum_where(&self, name: &str, label: &str, value: &str) -> Option<f64> {
        self.by_name.get(name)?;
        Some(self.by(name, label).get(value).copied().unwrap_or_default())
    }

    /// Those series of a name whose label has this value.
    pub fn only(&self, name: &str, label: &str, value: &str) -> Readings {
        let has = |labels: &Labels| labels.iter().any(|(one, word)| one == label && word == value);
        let chosen = self.by_name.get(name).into_iter().flatten().filter(|(labels, _)| has(labels));
        let chosen: BTreeMap<Labels, f64> =
            chosen.map(|(labels, value)| (labels.clone(), *value)).collect();
        Readings { count: chosen.len(), by_name: BTreeMap::from([(name.to_owned(), chosen)]) }
    }

    /// The sums for each value of a label.
    pub fn by(&self, name: &str, label: &str) -> BTreeMap<&str, f64> {
        let mut sums = BTreeMap::new();
        for (labels, value) in self.by_name.get(name).into_iter().flatten() {
            if let Some((_, word)) = labels.iter().find(|(name, _)| name == label) {
                *sums.entry(word.as_str()).or_default() += value;
            }
        }
        sums
    }

    /// A label of the first series of this name.
    pub fn label(&self, name: &str, label: &str) -> Option<&str> {
        let (labels, _) = self.by_name.get(name)?.first_key_value()?;
        labels.iter().find(|(name, _)| name == label).map(|(_, value)| value.as_str())
    }

    /// Which part of a histogram's observations lies below the value that is returned, as
    /// Prometheus' `histogram_quantile` reads it: evenly within a bucket, and the last bound
    /// for what lies beyond. `None` without observations.
    pub fn quantile(&self, family: &str, part: f64) -> Option<f64> {
        let sums = self.by(&format!("{family}_bucket"), "le");
        let parsed = sums.iter().filter_map(|(bound, count)| Some((bound.parse().ok()?, *count)));
        let mut buckets: Vec<(f64, f64)> = parsed.collect();
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let all = buckets.last().filter(|(_, all)| 0.0 < *all)?.1;
        let rank = part * all;
        let (mut bound_below, mut count_below) = (0.0, 0.0);
        for (bound, count) in buckets {
            if bound.is_infinite() {
                return Some(bound_below);
            }
            if rank <= count && count_below < count {
                let within = (rank - count_below) / (count - count_below);
                return Some(bound_below + within * (bound - bound_below));
            }
            (bound_below, count_below) = (bound, count);
        }
        Some(bound_below)
    }
}

/// What only grows, by its name.
fn is_counter(name: &str) -> bool {
    ["_total", "_bucket", "_count"].iter().any(|end| name.ends_with(end))
}

/// A line that is neither empty nor a comment.
struct SeriesLine {
    name: String,
    labels: Labels,
    value: f64,
}

impl SeriesLine {
    fn finite(self) -> Option<(String, Labels, f64)> {
        self.value.is_finite().then_some((self.name, self.labels, self.value))
    }
}

/// `name{label="value",…} number`, and perhaps a time, which is not looked at.
fn series(line: &str) -> Option<SeriesLine> {
    let (name, rest) = word(line)?;
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Labels::new(), rest),
    };
    let mut numbers = rest.split_ascii_whitespace();
    let value = numbers.next()?.parse().ok()?;
    let is_whole = numbers.next().is_none_or(|time| time.parse::<i64>().is_ok());
    (is_whole && numbers.next().is_none()).then(|| SeriesLine {
        name: name.to_owned(),
        labels,
        value,
    })
}

/// The name at the beginning, and the rest.
fn word(text: &str) -> Option<(&str, &str)> {
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || "_:".contains(letter);
    let end = text.find(|letter| !is_of_name(letter)).unwrap_or(text.len());
    let is_name = text.starts_with(|first: char| is_of_name(first) && !first.is_ascii_digit());
    is_name.then(|| text.split_at(end))
}

/// Labels up to the closing brace, and the rest.
fn labels(mut rest: &str) -> Option<(Labels, &str)> {
    let mut labels = Labels::new();
    loop {
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((labels, behind));
        }
        if labels.len() == LABELS_MAX {
            return None;
        }
        let (name, behind) = word(rest)?;
        let (value, behind) = quoted(behind.strip_prefix("=\"")?)?;
        labels.push((name.to_owned(), value));
        rest = behind.strip_prefix(',').unwrap_or(behind);
        if rest.len() == behind.len() && !rest.starts_with('}') {
            return None;
        }
    }
}

/// A value up to its closing quote, as a terminal may show it, and the rest.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        let letter = match letter {
            '"' => return Some((shown(&value), &text[at + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => '\n',
                escaped @ ('\\' | '"') => escaped,
                _ => return None,
            },
            letter => letter,
        };
        value.push(letter);
    }
    None
}

/// Without what a terminal obeys, and not too long.
fn shown(value: &str) -> String {
    match value.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => plain(&value[..end]) + "…",
        None => plain(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(page: &str) -> Readings {
        let mut readings = Readings::default();
        readings.read(page).expect("it is a page");
        readings
    }

    #[test]
    fn pages_of_our_own_are_read() {
        let page = "# HELP a_total Things.\n# TYPE a_total counter\n\
                    a_total{core=\"0\",kind=\"x\"} 3\na_total{core=\"1\",kind=\"x\"} 4\n\n\
                    a_total{core=\"1\",kind=\"y\"} 0.5\nb 2\nc NaN\n\
                    d{le=\"+Inf\"} 7 1700000000000\n";
        let readings = read(page);
        assert_eq!(readings.sum("a_total"), Some(7.5));
        assert_eq!(readings.sum_where("a_total", "kind", "x"), Some(7.0));
        assert_eq!(readings.sum_where("a_total", "kind", "z"), Some(0.0));
        assert_eq!(readings.sum_where("none", "kind", "z"), None);
        assert_eq!(readings.by("a_total", "core"), BTreeMap::from([("0", 3.0), ("1", 4.5)]));
        assert_eq!(
            (readings.sum("b"), readings.sum("c"), readings.sum("d")),
            (Some(2.0), None, Some(7.0))
        );
    }

    #[test]
    fn what_a_label_says_moves_no_cursor_and_has_an_end() {
        let readings = read("t{tenant_id=\"a\\\"b\\\\\\n\u{1b}[2J\u{202e}公司\"} 1\n");
        assert_eq!(readings.label("t", "tenant_id"), Some("a\"b\\\\n\\u{1b}[2J\\u{202e}公司"));
        let long = "公".repeat(VALUE_CHARS_MAX + 1);
        let readings = read(&format!("t{{tenant_id=\"{long}\"}} 1\n"));
        assert_eq!(
            readings.label("t", "tenant_id").map(|name| name.chars().count()),
            Some(VALUE_CHARS_MAX + 1)
        );
    }

    #[test]
    fn a_page_of_something_else_is_told_with_its_line() {
        let many = format!("a{{{}}} 1", "b=\"c\",".repeat(LABELS_MAX + 1));
        for line in [
            "<html>",
            "a",
            "a x",
            "a{b} 1",
            "a{b=\"c} 1",
            "a{b=\"c\"",
            "a{b=\"c\"d=\"e\"} 1",
            "a{b=\"\\x\"} 1",
            "1a 1",
            "a 1 2 3",
            "a 1 x",
            "{a=\"b\"} 1",
            &many,
        ] {
            let mut readings = Readings::default();
            assert_eq!(
                readings.read(&format!("ok 1\n{line}\n")),
                Err(ReadingError::Line(2)),
                "{line}"
            );
        }
        let endless: String = (0..=SERIES_MAX).map(|at| format!("a{{b=\"{at}\"}} 1\n")).collect();
        assert_eq!(Readings::default().read(&endless), Err(ReadingError::TooMany));
    }

    #[test]
    fn counters_grow_or_the_server_began_again() {
        let before = read("a_total 5\ng 9\nh_bucket{le=\"1\"} 1\n");
        let grown =
            read("a_total 7\ng 1\nh_bucket{le=\"1\"} 1\nn_total{x=\"y\"} 2\n").since(&before);
        let grown = grown.expect("none fell");
        assert_eq!((grown.sum("a_total"), grown.sum("n_total")), (Some(2.0), Some(2.0)));
        assert_eq!(
            (grown.sum("g"), grown.sum("h_bucket")),
            (None, Some(0.0)),
            "a gauge does not grow"
        );
        assert_eq!(read("a_total 4\n").since(&before), None);
    }

    #[test]
    fn quantiles_are_those_of_prometheus() {
        let histogram = |counts: [u32; 4]| {
            let bounds = ["0.1", "0.5", "1", "+Inf"];
            let lines = bounds.iter().zip(counts);
            read(
                &lines
                    .map(|(le, count)| format!("h_bucket{{le=\"{le}\"}} {count}\n"))
                    .collect::<String>(),
            )
        };
        let check = |counts, part, want: Option<f64>| {
            let quantile = histogram(counts).quantile("h", part);
            let is_near = |(a, b): (f64, f64)| (a - b).abs() < 1e-9;
            assert!(
                quantile == want || quantile.zip(want).is_some_and(is_near),
                "{quantile:?} {want:?}"
            );
        };
        check([0, 0, 0, 0], 0.5, None);
        check([10, 10, 10, 10], 0.5, Some(0.05));
        check([0, 10, 10, 10], 0.5, Some(0.3));
        check([0, 0, 0, 10], 0.5, Some(1.0));
        check([50, 100, 100, 100], 0.99, Some(0.492));
        assert_eq!(Readings::default().quantile("h", 0.5), None);
    }
}
