//! Questions about alerts before a message is sent: for the trace of a slow or failed message, and
//! for the current value; and the choice among the answers.
//!
//! Deliberately absent: the requests, and waiting for them.

use form_urlencoded::Serializer;
use serde::Deserialize;

use crate::alert::model::alert::{Alert, Pairs};
use crate::alert::model::pending::{AlertLine, Transition};
use crate::alert::model::snapshot::{Snapshot, Source};
use crate::alert::options::Options;

/// Most alerts of one message for which a snapshot is requested.
const SNAPSHOTS_MAX: usize = 3;
/// Most alerts of one message whose value is requested.
const VALUES_MAX: usize = 5;
/// How long before the start of an alert its cause is looked for.
const LOOK_BACK_MS: u64 = 300_000;
/// Most events that a flight recorder is asked for.
const RECORDER_EVENTS: u32 = 50;

/// Questions about one alert, which are asked in this order until one is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotQuestion {
    /// The fingerprint of the alert.
    pub fingerprint: String,
    /// Exemplars, from Prometheus: a URL.
    pub exemplars: Option<String>,
    /// Events, from the instance itself: a URL that wants the admin token.
    pub recorder: Option<String>,
    /// The value, from Prometheus: a URL.
    pub value: Option<String>,
    /// The core that the instance is asked about; empty for all cores.
    pub core: String,
    /// The labels that choose among several values.
    pub labels: Pairs,
}

/// The questions for a message with these lines.
pub fn plan<'a>(
    lines: impl Iterator<Item = (&'a String, &'a AlertLine)>,
    options: &Options,
    now_ms: u64,
) -> Vec<SnapshotQuestion> {
    let mut questions = Vec::new();
    let (mut snapshots, mut values) = (0, 0);
    for (fingerprint, line) in lines {
        let mut question =
            SnapshotQuestion { fingerprint: fingerprint.clone(), ..SnapshotQuestion::default() };
        match line.transition {
            Transition::Firing if snapshots < SNAPSHOTS_MAX => {
                question.exemplars = exemplars(&line.alert, options, now_ms);
                question.recorder = recorder(&line.alert, options);
                question.core = core_of(&line.alert).to_owned();
                snapshots += 1;
            }
            Transition::Recovered | Transition::FiredAndRecovered if values < VALUES_MAX => {
                question.value = value(&line.alert, options);
                question.labels = line.alert.labels.clone();
                values += 1;
            }
            Transition::Firing
            | Transition::Still
            | Transition::Recovered
            | Transition::FiredAndRecovered => {}
        }
        if question.exemplars.is_some() || question.recorder.is_some() || question.value.is_some() {
            questions.push(question);
        }
    }
    questions
}

/// A URL of Prometheus with a query.
fn prometheus(options: &Options, page: &str, pairs: &[(&str, &str)]) -> Option<String> {
    if options.prometheus_url.is_empty() {
        return None;
    }
    let query = Serializer::new(String::new()).extend_pairs(pairs).finish();
    Some(format!("{}/api/v1/{page}?{query}", options.prometheus_url.trim_end_matches('/')))
}

fn exemplars(alert: &Alert, options: &Options, now_ms: u64) -> Option<String> {
    let query = alert.annotation("exemplar_query");
    let start = seconds(alert.starts_ms.saturating_sub(LOOK_BACK_MS));
    let pairs = [("query", query), ("start", start.as_str()), ("end", &seconds(now_ms))];
    if query.is_empty() { None } else { prometheus(options, "query_exemplars", &pairs) }
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}

/// The core that an alert is about; empty for none.
fn core_of(alert: &Alert) -> &str {
    let core = alert.label("core");
    if !core.is_empty() && core.len() <= 5 && core.bytes().all(|byte| byte.is_ascii_digit()) {
        core
    } else {
        ""
    }
}

fn recorder(alert: &Alert, options: &Options) -> Option<String> {
    let instance = instance(alert, options)?;
    let layer = match alert.label("layer") {
        // The storage thread knows no rooms: refused messages are among the events of `messages`.
        "store" => "reachability",
        layer => layer,
    };
    let mut query = Serializer::new(String::new());
    match core_of(alert) {
        "" if layer.is_empty() => {}
        "" => {
            query.append_pair("layer", layer);
        }
        // Whatever went wrong there may be why.
        core => {
            query.append_pair("core", core);
        }
    }
    // An older exemplar belongs to another incident.
    let since_ms = alert.starts_ms.saturating_sub(LOOK_BACK_MS);
    query.append_pair("since_unix_ms", &since_ms.to_string());
    query.append_pair("n", &RECORDER_EVENTS.to_string());
    Some(format!("http://{instance}/debug/snapshot?{}", query.finish()))
}

/// The alert's instance, if it is in the settings. So an alert cannot send our token anywhere else.
pub fn instance<'a>(alert: &Alert, options: &'a Options) -> Option<&'a str> {
    let instance = alert.label("instance");
    options.instances.iter().find(|allowed| *allowed == instance).map(String::as_str)
}

fn value(alert: &Alert, options: &Options) -> Option<String> {
    let query = match alert.annotation("value_query") {
        "" => without_threshold(&expression(&alert.generator_url)?).to_owned(),
        given => given.to_owned(),
    };
    prometheus(options, "query", &[("query", &query), ("timeout", "2s")])
}

/// The expression in a link to Prometheus.
fn expression(generator_url: &str) -> Option<String> {
    let (_, query) = generator_url.split_once('?')?;
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let expression = pairs.find(|(name, _)| name == "g0.expr")?.1.trim().to_owned();
    (!expression.is_empty()).then_some(expression)
}

/// An expression without the comparison at its end: with it, an alert that has recovered would have
/// no value.
fn without_threshold(expression: &str) -> &str {
    let before = expression.trim_end_matches(|c: char| c.is_ascii_digit() || "._eE+".contains(c));
    let before = before.strip_suffix('-').unwrap_or(before).trim_end();
    if before.len() == expression.len() {
        return expression;
    }
    for sign in [">=", "<=", "==", "!=", ">", "<"] {
        if let Some(left) = before.strip_suffix(sign) {
            return if left.trim().is_empty() { expression } else { left.trim_end() };
        }
    }
    expression
}

#[derive(Deserialize)]
struct ExemplarAnswer {
    data: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    exemplars: Vec<Exemplar>,
}

#[derive(Deserialize)]
struct Exemplar {
    #[serde(default)]
    labels: Pairs,
    value: String,
}

/// The exemplar with the highest value in an answer of Prometheus.
pub fn of_exemplars(body: &[u8]) -> Option<Snapshot> {
    let answer: ExemplarAnswer = serde_json::from_slice(body).ok()?;
    let all = answer.data.into_iter().flat_map(|series| series.exemplars);
    let valued = all.filter_map(|one| {
        let value: f64 = one.value.parse().ok()?;
        value.is_finite().then_some((value, one.labels))
    });
    let (value_seconds, mut labels) = valued.max_by(|one, other| one.0.total_cmp(&other.0))?;
    let mut take = |name: &str| labels.remove(name).unwrap_or_default();
    Some(Snapshot {
        source: Source::Exemplar,
        value_seconds,
        trace_id: take("trace_id"),
        room_id: take("room_id"),
        user_agent: take("user_agent"),
    })
}

#[derive(Deserialize)]
struct RecorderAnswer {
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    trace_id: Option<String>,
    #[serde(default)]
    room_id: Option<String>,
    #[serde(default)]
    user_agent: Option<String>,
    #[serde(default)]
    value_seconds: Option<f64>,
}

impl Event {
    /// Whether it names a message, a room or a client. Events of a core alone are shown with that
    /// core.
    fn names_somebody(&self) -> bool {
        let named = |name: &Option<String>| {
            name.as_deref().is_some_and(|name| !["", "-", "none"].contains(&name))
        };
        named(&self.trace_id) || named(&self.room_id) || named(&self.user_agent)
    }
}

/// The slowest event in an answer of a flight recorder; among equals the newest, since these come
/// first.
pub fn of_recorder(body: &[u8]) -> Option<Snapshot> {
    let answer: RecorderAnswer = serde_json::from_slice(body).ok()?;
    let seconds = |event: &Event| event.value_seconds.filter(|value| value.is_finite());
    let named = answer.events.into_iter().filter(Event::names_somebody);
    let worst = named.rev().max_by(|one, other| {
        seconds(one).unwrap_or(0.0).total_cmp(&seconds(other).unwrap_or(0.0))
    })?;
    Some(Snapshot {
        source: Source::Recorder,
        value_seconds: seconds(&worst).unwrap_or(0.0),
        trace_id: worst.trace_id.unwrap_or_default(),
        room_id: worst.room_id.unwrap_or_default(),
        user_agent: worst.user_agent.unwrap_or_default(),
    })
}

#[derive(Deserialize)]
struct QueryAnswer {
    data: QueryData,
}

#[derive(Deserialize)]
struct QueryData {
    #[serde(rename = "resultType")]
    kind: String,
    result: serde_json::Value,
}

#[derive(Deserialize)]
struct Sample {
    #[serde(default)]
    metric: Pairs,
    value: (f64, String),
}

/// The value of the alert in an answer of Prometheus: that of the series whose labels do not
/// contradict the alert's, and which has most labels in common.
pub fn of_value(body: &[u8], labels: &Pairs) -> Option<f64> {
    let answer: QueryAnswer = serde_json::from_slice(body).ok()?;
    let text = match answer.data.kind.as_str() {
        "scalar" => serde_json::from_value::<(f64, String)>(answer.data.result).ok()?.1,
        "vector" => {
            let samples: Vec<Sample> = serde_json::from_value(answer.data.result).ok()?;
            let fits = |sample: &Sample| {
                sample.metric.iter().all(|(name, value)| {
                    name == "__name__" || labels.get(name).is_none_or(|label| label == value)
                })
            };
            let same = |sample: &Sample| {
                sample
                    .metric
                    .iter()
                    .filter(|(name, value)| labels.get(*name) == Some(value))
                    .count()
            };
            samples.into_iter().filter(fits).max_by_key(same)?.value.1
        }
        _ => return None,
    };
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(transition: Transition) -> AlertLine {
        let mut alert = Alert { starts_ms: 1_000_400_000, ..Alert::default() };
        for (name, value) in [("instance", "10.0.0.1:8001"), ("layer", "latency&x=1")] {
            alert.labels.insert(name.to_owned(), value.to_owned());
        }
        alert.annotations.insert("exemplar_query".to_owned(), "m{a=\"b\"}".to_owned());
        alert.generator_url = "http://p/graph?g0.expr=up+%3D%3D+0&g0.tab=1".to_owned();
        AlertLine::new(alert, transition)
    }

    fn options() -> Options {
        Options {
            prometheus_url: "http://p:9090/".to_owned(),
            instances: vec!["10.0.0.1:8001".to_owned()],
            ..Options::default()
        }
    }

    #[test]
    fn what_is_asked_is_escaped_and_goes_to_known_places_only() {
        let (fingerprint, firing) = ("f".to_owned(), line(Transition::Firing));
        let ask = |line: &AlertLine, options: &Options| {
            plan([(&fingerprint, line)].into_iter(), options, 1_000_500_000)
        };
        let asked = ask(&firing, &options());
        assert_eq!(
            asked[0].exemplars.as_deref(),
            Some(
                "http://p:9090/api/v1/query_exemplars?query=m%7Ba%3D%22b%22%7D&start=1000100.000&\
                 end=1000500.000"
            )
        );
        assert_eq!(
            asked[0].recorder.as_deref(),
            Some(
                "http://10.0.0.1:8001/debug/snapshot?layer=latency%26x%3D1&\
                 since_unix_ms=1000100000&n=50"
            )
        );
        let stranger = Options { instances: vec!["10.0.0.2:8001".to_owned()], ..options() };
        assert_eq!(ask(&firing, &stranger)[0].recorder, None);
        let recovered = ask(&line(Transition::Recovered), &options());
        assert_eq!(
            recovered[0].value.as_deref(),
            Some("http://p:9090/api/v1/query?query=up&timeout=2s")
        );
        assert_eq!(ask(&firing, &Options::default()), []);
        assert_eq!(ask(&line(Transition::Still), &options()), []);
    }

    #[test]
    fn what_the_store_refused_is_looked_for_among_messages() {
        let mut line = line(Transition::Firing);
        for (name, value) in [("instance", "10.0.0.1:8001"), ("layer", "store")] {
            line.alert.labels.insert(name.to_owned(), value.to_owned());
        }
        assert_eq!(
            recorder(&line.alert, &options()).as_deref(),
            Some(
                "http://10.0.0.1:8001/debug/snapshot?layer=reachability&\
                 since_unix_ms=1000100000&n=50"
            )
        );
    }

    #[test]
    fn an_alert_about_a_core_asks_that_core() {
        let mut line = line(Transition::Firing);
        let asked = |line: &AlertLine| {
            let fingerprint = "f".to_owned();
            plan([(&fingerprint, line)].into_iter(), &options(), 1_000_500_000).remove(0)
        };
        assert_eq!(asked(&line).core, "");
        for (core, want) in
            [("3", "core=3&"), ("255", "core=255&"), ("-1", "layer="), ("3&n=", "layer=")]
        {
            line.alert.labels.insert("core".to_owned(), core.to_owned());
            let url = asked(&line).recorder.unwrap();
            assert!(
                url.starts_with(&format!("http://10.0.0.1:8001/debug/snapshot?{want}")),
                "{url}"
            );
        }
    }

    #[test]
    fn a_storm_asks_no_more_than_a_few_things() {
        let line = line(Transition::Firing);
        let names: Vec<String> = (0..100).map(|index| index.to_string()).collect();
        let all = names.iter().map(|name| (name, &line));
        assert_eq!(plan(all, &options(), 0).len(), SNAPSHOTS_MAX);
    }

    #[test]
    fn the_threshold_at_the_end_is_left_out() {
        for (expression, want) in [
            ("a / b > 0.05", "a / b"),
            ("up == 0", "up"),
            ("x<-1e-3", "x<-1e-3"),
            ("x < -1", "x"),
            ("rate(x[5m]) >= 1.5e3", "rate(x[5m])"),
            ("x2", "x2"),
            ("a and b", "a and b"),
            ("> 5", "> 5"),
        ] {
            assert_eq!(without_threshold(expression), want);
        }
    }

    #[test]
    fn the_highest_exemplar_wins() {
        let body = br#"{"status":"success","data":[{"seriesLabels":{},"exemplars":[
            {"labels":{"trace_id":"a"},"value":"1.5","timestamp":1.0},
            {"labels":{"trace_id":"b","room_id":"r","user_agent":"u"},"value":"2.5","timestamp":1.0},
            {"labels":{"trace_id":"c"},"value":"NaN","timestamp":1.0}]},
            {"seriesLabels":{},"exemplars":[{"labels":{},"value":"2","timestamp":1.0}]}]}"#;
        let snapshot = of_exemplars(body).unwrap();
        assert_eq!((snapshot.trace_id.as_str(), snapshot.value_seconds), ("b", 2.5));
        assert_eq!(of_exemplars(br#"{"status":"success","data":[]}"#), None);
        for end in 0..body.len() {
            assert_eq!(of_exemplars(&body[..end]), None);
        }
    }

    #[test]
    fn the_slowest_event_wins_and_of_equals_the_newest() {
        let body = br#"{"instance":"i","now_unix_ms":1,"events":[
            {"trace_id":"new","value_seconds":2.0,"stages_seconds":{"a":1.0}},
            {"trace_id":"old","value_seconds":2.0},{"trace_id":null}]}"#;
        assert_eq!(of_recorder(body).unwrap().trace_id, "new");
        assert_eq!(of_recorder(br#"{"events":[]}"#), None);
        assert_eq!(of_recorder(b"[]"), None);
        let stall = br#"{"events":[{"core":1,"kind":"stall","user_agent":"none","room_id":"","value_seconds":9.0},
            {"room_id":"r","value_seconds":1.0}]}"#;
        assert_eq!(of_recorder(stall).unwrap().room_id, "r");
        assert_eq!(of_recorder(br#"{"events":[{"core":1,"user_agent":"none"}]}"#), None);
    }

    #[test]
    fn the_value_is_that_of_the_alert() {
        let labels: Pairs = [("core", "3"), ("job", "chat")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let body = br#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"core":"2"},"value":[1.0,"7"]},{"metric":{},"value":[1.0,"8"]},
            {"metric":{"__name__":"x","core":"3"},"value":[1.0,"9"]}]}}"#;
        assert_eq!(of_value(body, &labels), Some(9.0));
        let scalar = br#"{"data":{"resultType":"scalar","result":[1.0,"0.25"]}}"#;
        assert_eq!(of_value(scalar, &labels), Some(0.25));
        let none = br#"{"data":{"resultType":"vector","result":[]}}"#;
        assert_eq!(of_value(none, &labels), None);
    }
}
