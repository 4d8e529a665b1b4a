//! What keys change, and what is shown when a server does not answer.
//!
//! Invariant: the last picture stays, with since when it is the last.

use super::figures::Figures;
use super::sample::{AdminAnswer, Sample};
use super::view::{CoreRow, View};
use crate::base::plain;

/// So long it is said that the server began anew.
const RESTART_SHOWN_MS: u64 = 60_000;

/// Rows that a page of keys passes.
const PAGE_ROWS: usize = 10;

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopKey {
    /// The end.
    Quit,
    /// The core above.
    Up,
    /// The core below.
    Down,
    /// Ten cores above.
    PageUp,
    /// Ten cores below.
    PageDown,
    /// Another order of cores.
    Sort,
    /// Do not ask, or ask again.
    Pause,
    /// What keys mean.
    Help,
}

/// What follows from a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pressed {
    /// It goes on.
    Stay,
    /// It ends.
    Quit,
}

/// In which order cores stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum CoreOrder {
    #[default]
    Number,
    Connections,
    Busy,
    Lateness,
    Memory,
}

impl CoreOrder {
    fn next(self) -> CoreOrder {
        match self {
            CoreOrder::Number => CoreOrder::Connections,
            CoreOrder::Connections => CoreOrder::Busy,
            CoreOrder::Busy => CoreOrder::Lateness,
            CoreOrder::Lateness => CoreOrder::Memory,
            CoreOrder::Memory => CoreOrder::Number,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            CoreOrder::Number => "number",
            CoreOrder::Connections => "connections",
            CoreOrder::Busy => "busy",
            CoreOrder::Lateness => "lateness",
            CoreOrder::Memory => "memory",
        }
    }
}

/// Whether what is shown is as of now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    /// Nothing was answered yet.
    Asking,
    /// As of the last answer.
    Fresh,
    /// The server began anew, ms ago.
    Restarted(u64),
    /// Nobody asks, for so many ms.
    Paused(u64),
    /// It does not answer, for so many ms, and why.
    Silent(u64, String),
}

/// A server as an operator watches it.
#[derive(Clone, Debug)]
pub struct Screen {
    address: String,
    began_ms: u64,
    sample: Option<Sample>,
    figures: Option<Figures>,
    view: Option<View>,
    restarted_at_ms: Option<u64>,
    /// Why there was no answer the last time.
    failed: Option<String>,
    paused_at_ms: Option<u64>,
    shows_help: bool,
    order: CoreOrder,
    /// The core that is looked at.
    core: Option<u64>,
    note: String,
}

impl Screen {
    /// Nothing was asked yet.
    pub fn new(address: &str, now_ms: u64) -> Screen {
        Screen {
            address: plain(address),
            began_ms: now_ms,
            sample: None,
            figures: None,
            view: None,
            restarted_at_ms: None,
            failed: None,
            paused_at_ms: None,
            shows_help: false,
            order: CoreOrder::default(),
            core: None,
            note: String::new(),
        }
    }

    /// Something that is to be said beside all else, such as that a token was refused.
    pub fn note(&mut self, note: &str) {
        self.note = plain(note);
    }

    /// What was answered to a question of this moment.
    pub fn answered(&mut self, at_ms: u64, answer: Result<AdminAnswer, String>) {
        let sample = answer.and_then(|answer| {
            Sample::read(&answer, at_ms)
                .map_err(|error| format!("its answer cannot be read: {error}"))
        });
        let sample = match sample {
            Ok(sample) => sample,
            Err(why) => {
                self.failed = Some(plain(&why));
                return;
            }
        };
        let before = self.sample.take();
        let sample = match &before {
            Some(before) => sample.behind(before),
            None => sample,
        };
        let figures = Figures::new(&sample, before.as_ref());
        if figures.has_restarted {
            self.restarted_at_ms = Some(at_ms);
        }
        self.failed = None;
        self.view = Some(View::new(&figures));
        self.figures = Some(figures);
        self.sample = Some(sample);
    }

    /// Does what a key says.
    pub fn press(&mut self, key: TopKey, now_ms: u64) -> Pressed {
        match key {
            TopKey::Quit => return Pressed::Quit,
            TopKey::Up => self.step(|place| place.saturating_sub(1)),
            TopKey::Down => self.step(|place| place + 1),
            TopKey::PageUp => self.step(|place| place.saturating_sub(PAGE_ROWS)),
            TopKey::PageDown => self.step(|place| place + PAGE_ROWS),
            TopKey::Sort => self.order = self.order.next(),
            TopKey::Pause => {
                self.paused_at_ms = if self.is_paused() { None } else { Some(now_ms) };
            }
            TopKey::Help => self.shows_help = !self.shows_help,
        }
        Pressed::Stay
    }

    /// Whether nobody asks for now.
    pub fn is_paused(&self) -> bool {
        self.paused_at_ms.is_some()
    }

    /// Looks at another core, as far away in the order on the screen.
    fn step(&mut self, step: impl Fn(usize) -> usize) {
        let rows = self.rows();
        let last = rows.len().saturating_sub(1);
        let place = match self.place(&rows) {
            Some(place) => step(place).min(last),
            None => 0,
        };
        self.core = rows.get(place).map(|row| row.core);
    }

    /// Of the last answer.
    pub fn figures(&self) -> Option<&Figures> {
        self.figures.as_ref()
    }

    /// Why there was no answer the last time.
    pub fn failed(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    pub(super) fn order(&self) -> CoreOrder {
        self.order
    }

    pub(super) fn shows_help(&self) -> bool {
        self.shows_help
    }

    pub(super) fn told_note(&self) -> &str {
        &self.note
    }

    /// The cores in their order.
    pub(super) fn rows(&self) -> Vec<&CoreRow> {
        let mut rows: Vec<&CoreRow> = self.view.iter().flat_map(|view| &view.cores).collect();
        let key = |row: &CoreRow| match self.order {
            CoreOrder::Number => 0.0,
            CoreOrder::Connections => row.connections,
            CoreOrder::Busy => row.busy,
            CoreOrder::Lateness => row.late_s,
            CoreOrder::Memory => row.memory,
        };
        // Stable: equals stay in the order of their numbers.
        rows.sort_by(|a, b| key(b).total_cmp(&key(a)));
        rows
    }

    /// Where the core that is looked at stands among these.
    pub(super) fn place(&self, rows: &[&CoreRow]) -> Option<usize> {
        let core = self.core?;
        rows.iter().position(|row| row.core == core)
    }

    pub(super) fn freshness(&self, now_ms: u64) -> Freshness {
        let last_ms = self.sample.as_ref().map_or(self.began_ms, |sample| sample.at_ms);
        let since = |then_ms: u64| now_ms.saturating_sub(then_ms);
        if let Some(why) = &self.failed {
            return Freshness::Silent(since(last_ms), why.clone());
        }
        if let Some(paused_ms) = self.paused_at_ms {
            return Freshness::Paused(since(paused_ms));
        }
        if self.sample.is_none() {
            return Freshness::Asking;
        }
        let shown = |at_ms: &u64| since(*at_ms) < RESTART_SHOWN_MS;
        match self.restarted_at_ms.filter(shown) {
            Some(at_ms) => Freshness::Restarted(since(at_ms)),
            None => Freshness::Fresh,
        }
    }
}
