//! `rookery silence`: what deploys tell Alertmanager.
//!
//! A silence of this command belongs to one cluster and one job: `CLUSTER-JOB` stands
//! in front of its comment, and ends it again. One that somebody made by hand has no
//! such mark and is left alone.
//!
//! Invariant: none without an end, and none longer than four hours.
//!
//! Alertmanager has no authentication of its own; what stands before it may want a user
//! and a password, which stand in its address, and proxies of the environment are used.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Value, json};

use super::audit::CommandAct;
use super::http::{Service, ServiceKind, ServiceResult};
use super::output::{fail, print, tell};
use super::text::{date, plain};
use super::token::{TimeToLive, time_to_live};
use super::{FAILED, MISUSED, OK};
use crate::clock::unix_ms;
use crate::console::AuditAction;

/// A shift's length would be forgotten; a deploy takes minutes.
const SECONDS_MAX: u64 = 4 * 3_600;

/// What to do with silences.
#[derive(Debug, Args)]
pub(super) struct SilenceArguments {
    #[command(subcommand)]
    command: Command,
    /// Where Alertmanager listens.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "ROOKERY_ALERTMANAGER",
        hide_env_values = true,
        default_value = "http://127.0.0.1:9093"
    )]
    alertmanager: String,
    /// Certificates to trust beside the system's, as PEM.
    #[arg(long, global = true, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make one, and print its id.
    Add {
        #[command(flatten)]
        place: Place,
        /// One alert only, such as ChatReconnectStorm.
        #[arg(long, value_name = "NAME", value_parser = word)]
        alert: Option<String>,
        /// One server only, as Prometheus calls it.
        #[arg(long, value_name = "NAME", value_parser = word)]
        instance: Option<String>,
        /// How long, such as 90s, 15m, 1h; at most 4h.
        #[arg(long, value_parser = duration)]
        duration: u64,
        /// Why the alerts are silenced.
        #[arg(long, value_name = "TEXT", value_parser = word)]
        comment: String,
        /// Who; without it, the name that is logged in.
        #[arg(long, value_name = "NAME", value_parser = word)]
        by: Option<String>,
    },
    /// Show those that are there.
    List {
        /// Print a JSON object on each line.
        #[arg(long)]
        json: bool,
    },
    /// End some at once.
    #[command(group = ArgGroup::new("which").args(["id", "cluster"]).required(true))]
    Expire {
        /// Those with these ids.
        #[arg(value_parser = id)]
        id: Vec<String>,
        /// All that this command made for a cluster.
        #[arg(long, value_name = "NAME", requires = "job", value_parser = word)]
        cluster: Option<String>,
        /// And for this job there.
        #[arg(long, value_name = "NAME", requires = "cluster", value_parser = word)]
        job: Option<String>,
    },
}

/// The servers whose alerts are meant.
#[derive(Clone, Debug, Args)]
struct Place {
    /// The cluster, as Prometheus' external labels call it.
    #[arg(long, value_name = "NAME", value_parser = word)]
    cluster: String,
    /// The job, as Prometheus calls it.
    #[arg(long, value_name = "NAME", value_parser = word)]
    job: String,
}

impl SilenceArguments {
    /// What it changes of who hears an alert; none where it looks only.
    pub(super) fn act(&self) -> Option<CommandAct> {
        match &self.command {
            Command::Add { place, alert, .. } => {
                let alert = alert.as_ref().map(|alert| format!(" {alert}")).unwrap_or_default();
                let target = fingerprint(place) + &alert;
                Some(CommandAct { action: AuditAction::SilenceBegun, target })
            }
            Command::Expire { id, cluster, job } => {
                let place = cluster.iter().chain(job).cloned().collect::<Vec<_>>().join("-");
                let target = if place.is_empty() { id.join(" ") } else { place };
                Some(CommandAct { action: AuditAction::SilenceEnded, target })
            }
            Command::List { .. } => None,
        }
    }
}

/// Does it; the exit code of that.
pub(super) fn run(arguments: SilenceArguments) -> u8 {
    let ca_file = arguments.ca_file.map(|path| path.display().to_string()).unwrap_or_default();
    let env = |name: &str| std::env::var(name).ok();
    let alertmanager =
        match Service::at(ServiceKind::Alertmanager, &arguments.alertmanager, &ca_file, &env) {
            Ok(alertmanager) => alertmanager,
            Err(fault) => return fail(MISUSED, &fault.to_string()),
        };
    let done = match arguments.command {
        Command::Add { place, alert, instance, duration, comment, by } => {
            let by = by.unwrap_or_else(logged_in);
            let only = [("alertname", alert), ("instance", instance)];
            add(&alertmanager, &silence(&place, only, duration, &comment, &by, unix_ms()))
        }
        Command::List { json: true } => list(&alertmanager, Value::to_string),
        Command::List { json: false } => list(&alertmanager, |silence| plain(&line(silence))),
        Command::Expire { id, cluster: Some(cluster), job: Some(job) } => {
            expire_all(&alertmanager, id, &Place { cluster, job })
        }
        Command::Expire { id, .. } => expire(&alertmanager, &id),
    };
    done.unwrap_or_else(|fault| fail(FAILED, &fault.to_string()))
}

/// What stands in front of the comment of a silence of this command.
fn fingerprint(place: &Place) -> String {
    format!("{}-{}", place.cluster, place.job)
}

/// As Alertmanager wants it.
fn silence(
    place: &Place,
    only: [(&str, Option<String>); 2],
    seconds: u64,
    comment: &str,
    by: &str,
    now_unix_ms: u64,
) -> Value {
    let matcher = |name: &str, value: &str| json!({"name": name, "value": value, "isRegex": false, "isEqual": true});
    let mut matchers = vec![matcher("cluster", &place.cluster), matcher("job", &place.job)];
    matchers.extend(only.iter().filter_map(|(name, value)| Some(matcher(name, value.as_ref()?))));
    json!({
        "matchers": matchers,
        "startsAt": date(now_unix_ms),
        "endsAt": date(now_unix_ms + seconds * 1_000),
        "createdBy": by,
        "comment": format!("{}: {comment}", fingerprint(place)),
    })
}

fn add(alertmanager: &Service, silence: &Value) -> ServiceResult<u8> {
    let answer = alertmanager.ask("POST", "/api/v2/silences", Some(silence))?;
    let id = answer["silenceID"].as_str().unwrap_or_default();
    Ok(print(&format!("{}\n", plain(id))))
}

/// Those that are not over, the first to end first.
fn present(alertmanager: &Service) -> ServiceResult<Vec<Value>> {
    let Value::Array(mut all) = alertmanager.ask("GET", "/api/v2/silences", None)? else {
        return Ok(Vec::new());
    };
    all.retain(|silence| silence["status"]["state"] != "expired");
    all.sort_by(|a, b| a["endsAt"].as_str().cmp(&b["endsAt"].as_str()));
    Ok(all)
}

fn list(alertmanager: &Service, show: fn(&Value) -> String) -> ServiceResult<u8> {
    let mut text = String::new();
    for silence in present(alertmanager)? {
        let _ = writeln!(text, "{}", show(&silence));
    }
    Ok(print(&text))
}

fn line(silence: &Value) -> String {
    let word = |name: &str| silence[name].as_str().unwrap_or_default();
    let matchers = silence["matchers"].as_array().into_iter().flatten();
    let matchers: Vec<String> = matchers.map(matcher).collect();
    format!(
        "{}  until {}  {{{}}}  {}: {}",
        word("id"),
        word("endsAt"),
        matchers.join(", "),
        word("createdBy"),
        word("comment")
    )
}

fn matcher(matcher: &Value) -> String {
    let operator = match (matcher["isEqual"] != false, matcher["isRegex"] == true) {
        (true, false) => "=",
        (true, true) => "=~",
        (false, false) => "!=",
        (false, true) => "!~",
    };
    let name = matcher["name"].as_str().unwrap_or_default();
    format!("{name}{operator}{}", matcher["value"])
}

fn expire_all(alertmanager: &Service, mut ids: Vec<String>, place: &Place) -> ServiceResult<u8> {
    let mark = fingerprint(place) + ": ";
    let ours = present(alertmanager)?.into_iter().filter(|silence| is_of(silence, place, &mark));
    ids.extend(ours.filter_map(|silence| Some(silence["id"].as_str()?.to_owned())));
    if ids.is_empty() {
        tell(&format!("there is no silence of {}", fingerprint(place)));
    }
    expire(alertmanager, &ids)
}

/// `a-b` and `c` have the fingerprint of `a` and `b-c`, so the matchers count as well.
fn is_of(silence: &Value, place: &Place, mark: &str) -> bool {
    let has = |name: &str, value: &str| {
        silence["matchers"].as_array().is_some_and(|matchers| {
            matchers.iter().any(|one| one["name"] == name && one["value"] == value)
        })
    };
    silence["comment"].as_str().is_some_and(|comment| comment.starts_with(mark))
        && has("cluster", &place.cluster)
        && has("job", &place.job)
}

fn expire(alertmanager: &Service, ids: &[String]) -> ServiceResult<u8> {
    for id in ids {
        alertmanager.ask("DELETE", &format!("/api/v2/silence/{id}"), None)?;
        if print(&format!("{id}\n")) != OK {
            return Ok(FAILED);
        }
    }
    Ok(OK)
}

fn logged_in() -> String {
    let name =
        ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "rookery".to_owned())
}

/// What may stand in a label: something, and no more than a line.
fn word(text: &str) -> Result<String, String> {
    let is_good = !text.trim().is_empty() && text.len() <= 256 && !text.contains(char::is_control);
    is_good.then(|| text.to_owned()).ok_or_else(|| "a line of 1 to 256 bytes".to_owned())
}

/// Alertmanager's are UUIDs; nothing else becomes part of an address.
fn id(text: &str) -> Result<String, String> {
    let is_good =
        text.len() == 36 && text.chars().all(|letter| letter.is_ascii_hexdigit() || letter == '-');
    is_good
        .then(|| text.to_owned())
        .ok_or_else(|| "an id as `rookery silence list` has it".to_owned())
}

fn duration(text: &str) -> Result<u64, String> {
    match time_to_live(text) {
        Ok(TimeToLive::Seconds(seconds @ 1..=SECONDS_MAX)) => Ok(seconds),
        Ok(TimeToLive::Seconds(_) | TimeToLive::Never) => Err("at most 4h".to_owned()),
        Err(_) => Err("such as 90s, 15m, 1h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(cluster: &str, job: &str) -> Place {
        Place { cluster: cluster.to_owned(), job: job.to_owned() }
    }

    #[test]
    fn a_silence_has_an_end_and_a_mark() {
        let only = [("alertname", Some("ChatInstanceDown".to_owned())), ("instance", None)];
        let made =
            silence(&place("main", "rookery"), only, 600, "1.2.3", "anna", 1_735_689_599_001);
        assert_eq!(made["startsAt"], "2024-12-31T23:59:59.001Z");
        assert_eq!(made["endsAt"], "2025-01-01T00:09:59.001Z");
        assert_eq!(made["comment"], "main-rookery: 1.2.3");
        let matchers: Vec<String> =
            made["matchers"].as_array().unwrap().iter().map(matcher).collect();
        let want = ["cluster=\"main\"", "job=\"rookery\"", "alertname=\"ChatInstanceDown\""];
        assert_eq!(matchers, want);
    }

    #[test]
    fn only_what_has_the_mark_and_the_labels_is_of_a_place() {
        let made = silence(&place("a", "b-c"), [("", None), ("", None)], 60, "x", "y", 0);
        let check = |place: &Place| is_of(&made, place, &(fingerprint(place) + ": "));
        assert!(check(&place("a", "b-c")));
        assert!(!check(&place("a-b", "c")), "the same fingerprint, another place");
        assert!(!is_of(&json!({}), &place("a", "b"), "a-b: "));
        let by_hand = json!({"comment": "a-b is slow", "matchers": made["matchers"]});
        assert!(!is_of(&by_hand, &place("a", "b-c"), "a-b-c: "));
    }

    #[test]
    fn durations_have_an_end() {
        assert_eq!(duration("4h"), Ok(14_400));
        assert_eq!(duration("1s"), Ok(1));
        for text in ["", "0", "5h", "14401s", "never", "-1h", "1w"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_becomes_a_label_or_an_address_is_looked_at() {
        assert!(word("deploy 1.2.3").is_ok());
        for text in ["", " ", "a\nb", "\u{1b}[2J", &"x".repeat(257)] {
            assert!(word(text).is_err(), "{text:?}");
        }
        assert!(id("6f3e8f0e-33a5-4d0e-8f0a-0123456789ab").is_ok());
        for text in ["", "../alerts", "6f3e8f0e-33a5-4d0e-8f0a-0123456789a/"] {
            assert!(id(text).is_err(), "{text}");
        }
    }
}
