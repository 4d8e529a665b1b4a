//! Clients that ask what was said in several channels at once.
//!
//! Deliberately absent: what a page may show (`reading`, `reactions`).

use rookery::wire::client::proto;
use rookery::wire::{RawData, Request};
use serde_json::{Value, json};

use crate::answers::PendingCommand;
use crate::asked_histories::{AskedHistories, AskedPage};
use crate::client::{Client, ClientContext};
use crate::publication::is_silent;
use crate::reading::{Place, Reading};
use crate::violation::{CheckResult, Checker, demand};

impl Client {
    /// Asks what was said in several channels, in some of them from where it is on.
    pub(crate) fn read_several(&mut self, cx: &mut ClientContext<'_>) {
        let mut pages = Vec::new();
        for &channel in cx.channels {
            if self.prng.percent(70) {
                let since = self.reading(channel).place().filter(|_| self.prng.percent(30));
                pages.push(AskedPage { channel, since, before: cx.oracle.before(channel) });
            }
        }
        if pages.is_empty() {
            return;
        }
        let (limit, is_newest_first) = (1 + self.prng.below(150), self.prng.percent(50));
        let channels = pages.iter().map(|page| match &page.since {
            Some(Place { offset, epoch }) => {
                json!({ "channel": page.channel, "offset": offset, "epoch": epoch })
            }
            None => json!(page.channel),
        });
        let channels: Vec<Value> = channels.collect();
        let data = json!({ "channels": channels, "limit": limit, "reverse": is_newest_first });
        let data = RawData { bytes: data.to_string().into_bytes().into(), is_json: true };
        let request = Request::Rpc { method: "chat.history".into(), data };
        let asked = Box::new(AskedHistories { pages, limit, is_newest_first });
        self.ask(cx, vec![(request, PendingCommand::Histories(asked))]);
    }

    /// Each channel is answered once, in the order in which they were asked for, with a page,
    /// an error, or that it has no place.
    pub(crate) fn on_histories(
        &self,
        asked: &AskedHistories,
        data: &Value,
        cx: &mut ClientContext<'_>,
    ) -> CheckResult {
        let shown = data["channels"].as_array().map(Vec::as_slice).unwrap_or_default();
        let names = shown.iter().map(|one| one["channel"].as_str().unwrap_or_default());
        let is_each_once = names.eq(asked.pages.iter().map(|page| page.channel));
        demand!(is_each_once, Checker::Answers, "{asked:?} was asked, and {data}")?;
        for (page, one) in asked.pages.iter().zip(shown) {
            let parts = ["publications", "error", "truncated"];
            let parts_count = parts.iter().filter(|part| !one[part].is_null()).count();
            demand!(parts_count == 1, Checker::Answers, "a page is {one}")?;
            if let Some(code) = one["error"]["code"].as_u64() {
                cx.counters.endings.insert(format!("a page with error {code}"));
                self.check_refused(code as u32, cx)?;
            } else if let Some(publications) = one["publications"].as_array() {
                let result = proto::HistoryResult {
                    publications: publications.iter().map(publication_of).collect(),
                    epoch: one["epoch"].as_str().unwrap_or_default().to_owned(),
                    offset: one["offset"].as_u64().unwrap_or(0),
                };
                page.check_is_asked_for(asked, &result)?;
                Reading::history(cx.oracle, page.channel, &page.before, &result)?;
                let (known, shown) = (&page.before.reactions, &result.publications);
                self.check_history_reactions(page.channel, known, shown, cx)?;
            }
        }
        Ok(())
    }
}

impl AskedPage {
    /// No more messages than were asked for, in that order, and on that side of the place.
    fn check_is_asked_for(
        &self,
        asked: &AskedHistories,
        result: &proto::HistoryResult,
    ) -> CheckResult {
        let offsets: Vec<u64> = result.publications.iter().map(|one| one.offset).collect();
        let is_in_order = offsets.is_sorted_by(|one, next| (next < one) == asked.is_newest_first);
        let is_behind = self.since.as_ref().is_none_or(|since| {
            let is_same = since.epoch == result.epoch || is_silent(&since.epoch);
            let is_beyond = |offset: &u64| {
                *offset != since.offset && (*offset < since.offset) == asked.is_newest_first
            };
            is_same && offsets.iter().all(is_beyond)
        });
        let is_asked_for = is_in_order && is_behind && offsets.len() as u64 <= asked.limit;
        demand!(
            is_asked_for,
            Checker::Offsets,
            "{}: {self:?} was asked for, and {offsets:?} come",
            self.channel
        )
    }
}

/// A publication as it stands in an answer in JSON.
fn publication_of(json: &Value) -> proto::Publication {
    let tags = json["tags"].as_object().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    proto::Publication {
        offset: json["offset"].as_u64().unwrap_or(0),
        data: json["data"].to_string().into_bytes().into(),
        tags: tags.map(|(name, value)| (name.clone(), text(value))).collect(),
        ..proto::Publication::default()
    }
}
