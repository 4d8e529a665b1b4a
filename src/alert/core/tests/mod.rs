//! The core, told what happens and looked at for what it says.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::alert::core::PairAnswer;
use crate::alert::core::RefusedDecision;
use crate::alert::core::answer::SendOutcome;
use crate::alert::core::counts::Count;
use crate::alert::core::inhibited::InhibitedAlert;
use crate::alert::core::record::{JournalRecord, RecordKey};
use crate::alert::core::{
    BridgeWarning, Core, CoreInput, CoreOutput, CoreReply, ReplyId, SendRequest,
};
use crate::alert::message::BridgeSettings;
use crate::alert::message::template::Templates;
use crate::alert::model::alert::{Alert, Pairs, WebhookPayload};
use crate::alert::model::snapshot::{Snapshot, SnapshotResult, Snapshots};
use crate::alert::options::{AlertAction, Messenger, Options, Robot, Route};
use crate::base::{MonotonicMs, Timestamps};

mod delivery;
mod escalation;
mod groups;
mod pair;
mod refused;
mod storm;
mod two;
mod watchdog_actions;

const START_MS: u64 = 1_700_000_000_000;

fn robot(name: &str, channel: Messenger, chat: &str) -> Robot {
    Robot { name: name.to_owned(), channel, chat: chat.to_owned(), ..Robot::default() }
}

fn options() -> Options {
    let route = Route {
        name: "default".to_owned(),
        chats: vec!["ops".to_owned()],
        fallback: "spare".to_owned(),
        ..Route::default()
    };
    Options {
        deadman_s: 0,
        robots: vec![
            robot("w1", Messenger::Wecom, "ops"),
            robot("w2", Messenger::Wecom, "ops"),
            robot("d1", Messenger::Dingtalk, "spare"),
        ],
        routes: vec![route],
        ..Options::default()
    }
}

fn settings(options: Options) -> Arc<BridgeSettings> {
    Arc::new(BridgeSettings { options, templates: Templates::new(&[]).unwrap() })
}

fn alert(name: &str, firing: bool, severity: &str) -> Alert {
    let labels = [("alertname", "A"), ("severity", severity), ("instance", name)];
    let labels: Pairs = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let annotations: Pairs = [("summary".to_owned(), format!("about {name}"))].into();
    Alert {
        firing,
        labels,
        annotations,
        starts_ms: START_MS,
        ends_ms: if firing { 0 } else { START_MS + 60_000 },
        fingerprint: name.to_owned(),
        ..Alert::default()
    }
}

fn payload(group: &str, alerts: Vec<Alert>) -> WebhookPayload {
    let group_labels: Pairs = [("alertname".to_owned(), "A".to_owned())].into();
    WebhookPayload {
        group_key: group.to_owned(),
        group_labels,
        alerts,
        ..WebhookPayload::default()
    }
}

/// A bridge, its disk, and the messages that its robots have in their hands.
struct World {
    core: Core,
    now_ms: u64,
    disk: BTreeMap<RecordKey, JournalRecord>,
    sent: Vec<SendRequest>,
    replies: Vec<CoreReply>,
    asked: Vec<u64>,
    warnings: Vec<BridgeWarning>,
    said: Option<Box<PairAnswer>>,
}

impl World {
    fn new(options: Options) -> World {
        let now = Timestamps { tick: MonotonicMs(0), unix_ms: START_MS, ..Timestamps::default() };
        let mut out = Vec::new();
        let core = Core::load(now, settings(options), Vec::new(), &mut out);
        World {
            core,
            now_ms: START_MS,
            disk: BTreeMap::new(),
            sent: Vec::new(),
            replies: Vec::new(),
            asked: Vec::new(),
            warnings: Vec::new(),
            said: None,
        }
    }

    fn now(&self) -> Timestamps {
        Timestamps {
            tick: MonotonicMs(self.now_ms - START_MS),
            unix_ms: self.now_ms,
            ..Timestamps::default()
        }
    }

    fn take(&mut self, out: Vec<CoreOutput>) {
        for output in out {
            match output {
                CoreOutput::Keep(record) if record.value.is_none() => {
                    self.disk.remove(&record.key);
                }
                CoreOutput::Keep(record) => {
                    self.disk.insert(record.key.clone(), *record);
                }
                CoreOutput::Reply(_, CoreReply::Pair(answer)) => self.said = Some(answer),
                CoreOutput::Reply(_, reply) => self.replies.push(reply),
                CoreOutput::Ask(id, _) => self.asked.push(id),
                CoreOutput::Send(request) => self.sent.push(request),
                CoreOutput::Do(_) => {}
                CoreOutput::Warn(warning) => self.warnings.push(warning),
            }
        }
    }

    /// What is in memory is on the disk, and nothing else is.
    fn compare(&self) {
        let is_robot = |record: &JournalRecord| matches!(record.key, RecordKey::Robot(_));
        let kept = self.core.records();
        let kept: Vec<&JournalRecord> = kept.iter().filter(|record| !is_robot(record)).collect();
        let on_disk: Vec<&JournalRecord> =
            self.disk.values().filter(|record| !is_robot(record)).collect();
        assert_eq!(on_disk, kept);
    }

    fn input(&mut self, input: CoreInput) {
        let mut out = Vec::new();
        self.core.handle(self.now(), input, &mut out);
        self.take(out);
    }

    fn notify(&mut self, group: &str, alerts: Vec<Alert>) {
        let payload = payload(group, alerts);
        self.input(CoreInput::Notified {
            reply_id: ReplyId(0),
            route: "default".to_owned(),
            payload,
        });
    }

    fn answer(&mut self, answer: SendOutcome) -> SendRequest {
        let request = self.sent.remove(0);
        self.input(CoreInput::Answered {
            message: request.message,
            robot: request.robot.clone(),
            answer,
        });
        request
    }

    fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        self.input(CoreInput::Woken);
    }

    /// The process is killed, and another one begins with what is on the disk.
    fn restart(&mut self) {
        self.compare();
        let records = self.disk.values().cloned().collect();
        let mut out = Vec::new();
        let settings = Arc::clone(&self.core.settings);
        self.core = Core::load(self.now(), settings, records, &mut out);
        self.sent.clear();
        self.take(out);
        self.input(CoreInput::Woken);
    }
}

fn text(request: &SendRequest) -> String {
    let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
    let text = ["/markdown/content", "/markdown/text", "/text/content", "/text"]
        .iter()
        .find_map(|at| body.pointer(at).and_then(|text| text.as_str()));
    text.unwrap_or_default().to_owned()
}

impl World {
    /// Answers until no robot has anything, and gives back what arrived.
    fn run(&mut self, answer: impl Fn(&SendRequest) -> SendOutcome) -> Vec<SendRequest> {
        let mut arrived = Vec::new();
        let mut attempts = 0;
        while let Some(request) = self.sent.first().cloned() {
            attempts += 1;
            assert!(attempts < 500, "it does not end: {request:?}");
            let answer = answer(&request);
            self.answer(answer.clone());
            if answer == SendOutcome::Delivered {
                arrived.push(request);
            }
        }
        arrived
    }
}

fn one_robot(channel: Messenger) -> Options {
    let mut options = options();
    options.robots = vec![Robot { rate_count: 1_000, ..robot("r", channel, "ops") }];
    options.routes[0].fallback.clear();
    options
}

fn escalating() -> Options {
    let mut options = options();
    options.routes[0].fallback.clear();
    options.routes[0].escalation = "spare".to_owned();
    options.routes[0].escalate_after_s = 300;
    options.silence_url = "https://bridge.example".to_owned();
    options.silence_key.value = "0123456789abcdef".to_owned();
    options
}

impl World {
    fn acknowledge(&mut self, group_key: &str) -> Option<CoreReply> {
        self.replies.clear();
        self.input(CoreInput::Acknowledged {
            reply_id: ReplyId(1),
            route: "default".to_owned(),
            group_key: group_key.to_owned(),
            who: "anna <@all>".to_owned(),
        });
        self.replies.pop()
    }
}

/// Two bridges that ask each other, and are told the same.
struct Two {
    worlds: [World; 2],
    hears: bool,
}

impl Two {
    fn new() -> Two {
        let one = |peer_first| {
            let mut options = options();
            options.peer_url = "http://other".to_owned();
            options.peer_first = peer_first;
            World::new(options)
        };
        let mut two = Two { worlds: [one(true), one(false)], hears: true };
        two.pass(1);
        two
    }

    /// So many rounds of questions, of 2 s each.
    fn pass(&mut self, rounds: u32) {
        for _ in 0..rounds {
            for index in 0..2 {
                let question = self.worlds[index].core.stats(self.worlds[index].now()).question;
                let other = &mut self.worlds[1 - index];
                other.input(CoreInput::PairAsked(ReplyId(9), question));
                let answer = other.said.take().filter(|_| self.hears);
                self.worlds[index].input(CoreInput::PairHeard(answer));
            }
            self.worlds.iter_mut().for_each(|world| world.wait(2_000));
        }
    }

    fn notify(&mut self, group: &str, alerts: &[Alert]) {
        for world in &mut self.worlds {
            world.notify(group, alerts.to_vec());
        }
    }

    fn told(&mut self) -> [String; 2] {
        let mut told = [String::new(), String::new()];
        for (world, told) in self.worlds.iter_mut().zip(&mut told) {
            let arrived = world.run(|_| SendOutcome::Delivered);
            *told = arrived.iter().map(text).collect();
        }
        told
    }
}
