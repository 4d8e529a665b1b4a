//! The catalogue for people (docs/METRICS.md) and for programs (docs/metrics.json).

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::catalogue::rows;
use super::exposition::seconds;
use super::row::{Merge, MetricKind, MetricRow, MetricSource};

/// One metric family: rows of one name.
struct Family {
    rows: Vec<&'static MetricRow>,
}

impl Family {
    fn all() -> Vec<Family> {
        let rows: Vec<&MetricRow> = rows().map(|indexed| indexed.row).collect();
        let families = rows.chunk_by(|a, b| a.name == b.name);
        families.map(|rows| Family { rows: rows.to_vec() }).collect()
    }

    fn row(&self) -> &'static MetricRow {
        self.rows[0]
    }

    /// Each label with all its values; `core` has as many as there are cores.
    fn labels(&self) -> Vec<(&'static str, Vec<&'static str>)> {
        let mut labels: Vec<(&str, Vec<&str>)> = Vec::new();
        match self.row().merge {
            Merge::Sum => (),
            Merge::ByCore => labels.push(("core", Vec::new())),
            Merge::ByTenant => labels.push(("tenant_id", Vec::new())),
        }
        for row in &self.rows {
            for (label, word) in (0..row.series()).flat_map(|series| row.labels(series)) {
                match labels.iter_mut().find(|(known, _)| *known == label) {
                    Some((_, words)) if words.contains(&word) => (),
                    Some((_, words)) => words.push(word),
                    None => labels.push((label, vec![word])),
                }
            }
        }
        labels
    }

    fn kind(&self) -> &'static str {
        match self.row().kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        }
    }

    fn bounds(&self) -> impl Iterator<Item = f64> {
        self.row().bounds_us.iter().map(|&bound_us| seconds(bound_us))
    }
}

/// docs/METRICS.md.
pub fn page() -> String {
    let mut text = String::from(
        "# Metrics\n\n\
         What `/metrics` on the admin listener shows. Made from the catalogue in \
         `src/metrics/catalogue.rs`, as is `metrics.json` beside it for programs; a test \
         compares them, and `make docs` writes them anew.\n\n\
         Values are sums over all cores; `/metrics?core=each` shows each core, with the label \
         `core`. Families that would say nothing as a sum have that label always. Every series \
         exists from the start with 0; of tenants, once they are named in the settings or came.\n\n\
         The last two columns say where the article has the metric that this product's \
         monitoring comes from, and under which name; the number in front is its place among \
         the article's 17.\n\n\
         | name | type | unit | labels | what it is | article | name there |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for family in Family::all() {
        let row = family.row();
        let labels = family.labels().into_iter().map(|(label, words)| match words.is_empty() {
            true => format!("`{label}`"),
            false => format!("`{label}`: {}", words.join(", ")),
        });
        let labels: Vec<String> = labels.collect();
        let bounds: Vec<String> = family.bounds().map(|bound| bound.to_string()).collect();
        let mut kind = family.kind().to_owned();
        if !bounds.is_empty() {
            write!(kind, ": {}", bounds.join(", ")).expect("a String takes everything");
        }
        if row.exemplars {
            kind.push_str("; exemplars from 0.4 on");
        }
        let (place, name) = match row.article {
            None => (String::new(), String::new()),
            Some(article) => {
                let number = match article.of_17 {
                    (0, _) => String::new(),
                    (from, to) if from == to => format!("{from}: "),
                    (from, to) => format!("{from}\u{2013}{to}: "),
                };
                (format!("{number}ch. {}", article.chapter), article.name.to_owned())
            }
        };
        let (labels, unit, help) = (labels.join("; "), row.unit(), row.help);
        writeln!(
            text,
            "| `{}` | {kind} | {unit} | {labels} | {help} | {place} | {name} |",
            row.name
        )
        .expect("a String takes everything");
    }
    text
}

/// docs/metrics.json.
pub fn json() -> String {
    let families: Vec<Value> = Family::all().iter().map(describe).collect();
    let mut text = serde_json::to_string_pretty(&json!({ "families": families }))
        .expect("values of a table are JSON");
    text.push('\n');
    text
}

fn describe(family: &Family) -> Value {
    let row = family.row();
    let labels: Vec<Value> = family
        .labels()
        .into_iter()
        .map(|(name, values)| match values.is_empty() {
            true => json!({ "name": name }),
            false => json!({ "name": name, "values": values }),
        })
        .collect();
    let article = row.article.map(|article| {
        let of_17 = (0 < article.of_17.0).then_some([article.of_17.0, article.of_17.1]);
        json!({ "chapter": article.chapter, "name": article.name, "of_17": of_17 })
    });
    json!({
        "name": row.name,
        "type": family.kind(),
        "unit": row.unit(),
        "help": row.help,
        "labels": labels,
        "buckets": family.bounds().collect::<Vec<f64>>(),
        "written_by": match row.source {
            MetricSource::Core => "cores",
            MetricSource::Store => "store",
            MetricSource::Process => "process",
        },
        "by_core": row.merge == Merge::ByCore,
        "exemplars": row.exemplars,
        "tenants": row.merge == Merge::ByTenant,
        "article": article,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, text: String) {
        let path = format!("{}/docs/{name}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(written, text, "`make docs` writes docs/{name} anew");
    }

    #[test]
    fn the_pages_are_the_catalogue() {
        check("METRICS.md", page());
        check("metrics.json", json());
    }

    #[test]
    fn the_seventeen_are_all_there() {
        let mut numbers: Vec<u8> = Family::all()
            .iter()
            .filter_map(|family| family.row().article)
            .flat_map(|article| article.of_17.0..=article.of_17.1)
            .filter(|number| *number != 0)
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=17).collect::<Vec<u8>>());
        let segments = Family::all()
            .into_iter()
            .find(|family| family.row().article.is_some_and(|article| article.of_17 == (9, 12)));
        assert_eq!(segments.unwrap().row().series(), 4, "four of the 17 are one family");
    }
}
