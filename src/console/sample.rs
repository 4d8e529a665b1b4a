//! One sample of the server: what all threads' cells show at a moment, as the text of an answer.
//!
//! Numbers of cores stand in columns, one array for each measure, in the order of the cores. What
//! only grows goes out as it is: a page makes rates of the difference of two samples, and
//! percentiles of the difference of two histograms.
//!
//! Invariant: the size of a sample depends on the number of cores alone.
//!
//! Deliberately absent: what was before.

use serde_json::{Map, Value, json};

use super::measures::{
    CORE_MEASURES, FEED_MEASURES, HOOK_MEASURES, Measure, PROCESS_MEASURES, STORE_MEASURES,
};
use crate::metrics::{Cells, Gauge, Histogram, Segment, Threads};

/// A sample is good for so long: who asks meanwhile gets it again.
pub const SAMPLE_MS_MIN: u64 = 1_000;

/// What cells do not say.
#[derive(Clone, Copy, Debug)]
pub struct ServerFacts<'f> {
    /// What the server calls itself.
    pub instance: &'f str,
    /// Now, Unix ms.
    pub now_unix_ms: u64,
    /// Whether new clients are welcome: `starting`, `ready`, `draining`.
    pub readiness: &'f str,
    /// What the store takes: `absent`, `good`, `full`, `broken`.
    pub store: &'f str,
    /// When a drain began and how long it may take; none while there is none.
    pub drain: Option<(u64, u64)>,
}

/// The sample, as JSON.
pub fn sample(threads: &Threads, facts: &ServerFacts<'_>) -> Value {
    let cores: Vec<&Cells> = threads.cores.iter().map(|cells| &**cells).collect();
    let columns = CORE_MEASURES.iter().map(|(name, read)| {
        let column: Vec<i64> = cores.iter().map(|cells| read(cells)).collect();
        ((*name).to_owned(), Value::from(column))
    });
    let mut columns: Map<String, Value> = columns.collect();
    let phases = cores.iter().map(|cells| cells.read_pulse().phase.word());
    columns.insert("phase".to_owned(), phases.collect());
    let has_feed = threads.process.gauge(Gauge::PresenceQueueLimitBytes) != 0;
    json!({
        "instance": facts.instance,
        "version": env!("CARGO_PKG_VERSION"),
        "now_unix_ms": facts.now_unix_ms,
        "began_unix_ms": threads.began_unix_ms,
        "readiness": facts.readiness,
        "store_state": facts.store,
        "drain": facts.drain.map(|(began_unix_ms, over_ms)| {
            json!({ "began_unix_ms": began_unix_ms, "over_ms": over_ms })
        }),
        "cores": columns,
        "latency": {
            "end_to_end": histogram(&cores, Histogram::EndToEnd),
            "queue": histogram(&cores, Histogram::Segment(Segment::Queue)),
        },
        "process": row(PROCESS_MEASURES, &threads.process),
        "hooks": row(HOOK_MEASURES, &threads.process),
        "presence_feed": has_feed.then(|| row(FEED_MEASURES, &threads.process)),
        "store": threads.store.as_ref().map(|cells| row(STORE_MEASURES, cells)),
    })
}

/// Tenants that have numbers of their own, with what all cores know of them.
pub fn tenants(threads: &Threads) -> Value {
    let rows = threads.read_tenants().into_iter().map(|tenant| {
        json!({
            "tenant": tenant.name,
            "connections": tenant.connections,
            "opened": tenant.opened,
            "published": tenant.published,
            "delivered": tenant.delivered,
            "failed": tenant.failed,
        })
    });
    rows.collect()
}

fn row(measures: &[Measure], cells: &Cells) -> Value {
    let values = measures.iter().map(|(name, read)| ((*name).to_owned(), read(cells).into()));
    Value::Object(values.collect())
}

/// How many observations fell into each bucket, by core; the last bucket has no bound.
fn histogram(cores: &[&Cells], histogram: Histogram) -> Value {
    let counts: Vec<Vec<u64>> = cores.iter().map(|cells| cells.buckets(histogram)).collect();
    json!({ "bounds_us": histogram.bounds_us(), "counts": counts })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Counter, TenantCounter, TenantGauge};

    const FACTS: ServerFacts<'_> = ServerFacts {
        instance: "node-1",
        now_unix_ms: 7_000,
        readiness: "ready",
        store: "absent",
        drain: None,
    };

    #[test]
    fn each_core_has_its_place_in_each_column() {
        let cells = vec![Cells::new(), Cells::new(), Cells::new()];
        let metrics = cells[1].claim();
        metrics.set(Gauge::CoreConnections, 17);
        metrics.add(Counter::BytesOut, 1 << 60);
        metrics.observe(Histogram::EndToEnd, 1_000);
        metrics.observe(Histogram::EndToEnd, u64::from(u32::MAX));
        let sample = sample(&Threads::of_cores(cells), &FACTS);
        let cores = sample["cores"].as_object().unwrap();
        assert_eq!(cores.len(), CORE_MEASURES.len() + 1);
        assert!(cores.values().all(|column| column.as_array().unwrap().len() == 3));
        assert_eq!(cores["connections"], json!([0, 17, 0]));
        assert_eq!(cores["bytes_out"], json!([0, 1_u64 << 60, 0]));
        assert_eq!(cores["phase"], json!(["starting", "starting", "starting"]));
        let end_to_end = &sample["latency"]["end_to_end"];
        let bounds = end_to_end["bounds_us"].as_array().unwrap();
        let counts = end_to_end["counts"][1].as_array().unwrap();
        assert_eq!((bounds[1].as_u64(), counts.len()), (Some(1_000), bounds.len() + 1));
        let counted: Vec<u64> = counts.iter().filter_map(Value::as_u64).collect();
        assert_eq!((counted[1], counted[bounds.len()], counted.iter().sum()), (1, 1, 2));
        assert_eq!((&sample["store"], &sample["drain"]), (&Value::Null, &Value::Null));
        assert_eq!(sample["process"]["connections_max"], 0);
        assert_eq!(
            (&sample["hooks"]["connect"], &sample["presence_feed"]),
            (&json!(0), &Value::Null)
        );
    }

    #[test]
    fn the_store_and_a_drain_are_there_when_there_are_any() {
        let store = Cells::of_store();
        store.claim().set(Gauge::DeadLetterMessages, 4);
        let (process, metrics) = Cells::of_process();
        metrics.set(Gauge::PresenceQueueLimitBytes, 1 << 20);
        let threads =
            Threads { store: Some(store), process, ..Threads::of_cores(vec![Cells::new()]) };
        let facts =
            ServerFacts { readiness: "draining", store: "good", drain: Some((5, 30_000)), ..FACTS };
        let sample = sample(&threads, &facts);
        assert_eq!(sample["store"]["dead_letters"], 4);
        assert_eq!(sample["presence_feed"]["queue_limit_bytes"], 1 << 20);
        assert_eq!(sample["drain"], json!({ "began_unix_ms": 5, "over_ms": 30_000 }));
        assert_eq!(
            (&sample["readiness"], &sample["store_state"]),
            (&json!("draining"), &json!("good"))
        );
    }

    #[test]
    fn a_sample_of_many_cores_is_short() {
        let cells: Vec<_> = (0..64).map(|_| Cells::new()).collect();
        let text = sample(&Threads::of_cores(cells), &FACTS).to_string();
        assert!(text.len() < 32 << 10, "{} bytes", text.len());
    }

    #[test]
    fn a_tenant_is_what_all_cores_know_of_it() {
        let cells = vec![Cells::new(), Cells::new()];
        let threads = Threads::of_cores(cells.clone());
        let acme = threads.tenants.of("<acme>").unwrap();
        for (metrics, connections) in cells.iter().map(|cells| cells.claim()).zip([5, -2]) {
            metrics.adjust_tenant(acme, TenantGauge::Connections, connections);
            metrics.add_tenant(acme, TenantCounter::Published, 3);
        }
        let rows = tenants(&threads);
        assert_eq!(rows[0]["tenant"], "<acme>");
        assert_eq!((&rows[0]["connections"], &rows[0]["published"]), (&json!(3), &json!(6)));
        assert_eq!((&rows[1]["tenant"], rows.as_array().unwrap().len()), (&json!("_other"), 2));
    }
}
