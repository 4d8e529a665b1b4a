//! Checks that a template renders any message, and provides an alert for tests.
//!
//! Deliberately absent: reading templates (`template`).

use super::template::{self, Block, Templates};
use super::views::{AlertView, CoreView, MessageView, SnapshotView, TemplateView};
use crate::alert::model::alert::Alert;

/// Checks that this template renders any message.
pub fn check(templates: &Templates, name: &str) -> Result<(), template::TemplateError> {
    if !templates.has(name) {
        let what = "there is no such template".to_owned();
        return Err(template::TemplateError { name: name.to_owned(), line: 0, what });
    }
    let snapshot = SnapshotView {
        trace_id: String::new(),
        room_id: String::new(),
        user_agent: String::new(),
        seconds: String::new(),
        source: "exemplar",
    };
    let text = || Some("x".to_owned());
    for story in ["firing", "still", "fired_and_recovered", "recovered"] {
        for is_full in [false, true] {
            let mut m =
                MessageView { status: "recovered", parts: 1, part: 1, ..MessageView::default() };
            let mut a = AlertView { story, ..AlertView::default() };
            if is_full {
                let some = || vec!["x".to_owned()];
                (m.status, m.critical, m.parts, m.still, m.more) = ("firing", true, 2, 1, 1);
                (m.group, m.notes, m.mentions) = (some(), some(), "x".to_owned());
                (m.silence_url, m.ack_url, m.alertmanager_url) = (text(), text(), text());
                a.snapshot = Some(snapshot.clone());
                let word = || "x".to_owned();
                a.core = Some(CoreView {
                    phase: word(),
                    connection: word(),
                    client: word(),
                    room_id: word(),
                    recent: some(),
                    ..CoreView::default()
                });
                (a.value, a.runbook_url, a.dashboard_url, a.graph_url) =
                    (text(), text(), text(), text());
                for field in [&mut a.action, &mut a.description, &mut a.tenant, &mut a.summary] {
                    "x".clone_into(field);
                }
                a.labels = some();
            }
            for block in Block::ALL {
                templates.render(name, block, &TemplateView { m: &m, a: &a })?;
            }
        }
    }
    Ok(())
}

/// A harmless alert for the test of a route.
pub fn sample(now_ms: u64) -> Alert {
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    Alert {
        firing: true,
        labels: pairs(&[("alertname", "ChatAlertBridgeTest"), ("severity", "none")]),
        annotations: pairs(&[("summary", "This is a test of the alert bridge 这是一条测试消息")]),
        starts_ms: now_ms,
        fingerprint: "test".to_owned(),
        ..Alert::default()
    }
}
