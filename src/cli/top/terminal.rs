//! The terminal: keys in, pictures out, and threads that ask the server, read keys and hear
//! signals meanwhile.
//!
//! Invariant: however it ends (a key, a signal, a panic of any thread), the terminal is as it
//! was before.
//!
//! Deliberately absent: what is drawn, and what a key means (`top`).

use std::env;
use std::io;
use std::mem::ManuallyDrop;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::is_raw_mode_enabled;
use tokio::runtime::Builder;

use super::ms_between;
use super::server::Server;
use crate::cli::{FAILED, OK};
use crate::clock::now;
use crate::signals::{SignalRequest, Signals};
use crate::top::{AdminAnswer, Pressed, Screen, TopKey, draw, without_colours};

/// So long an answer or a signal may wait for its turn of the loop.
const POLL_MS: u64 = 100;

/// Keys that wait to be looked at, more than a person presses meanwhile.
const KEYS_MAX: usize = 64;

/// Of SIGHUP, which a terminal sends that is closed.
const HANG_UP: u8 = 128 + 1;

/// What the thread that asks has to say.
struct Asked {
    at: Instant,
    answer: Result<AdminAnswer, String>,
    note: String,
}

/// As long as it lives, the terminal is in another mode.
struct TerminalMode;

impl Drop for TerminalMode {
    fn drop(&mut self) {
        // Nobody is left to be told when the terminal is gone.
        let _ = execute!(io::stdout(), Show);
        // The hook of a panic has done so, and what it told must stay.
        if is_raw_mode_enabled().unwrap_or(true) {
            let _ = ratatui::try_restore();
        }
    }
}

/// Shows a server until a key or a signal ends that; the exit code.
pub(super) fn watch(server: Server, interval: Duration) -> io::Result<u8> {
    let signals = signals()?;
    let has_colours = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let began = now();
    let mut screen = Screen::new(server.shown(), 0);
    let (questions, answers) = asking(server)?;
    let _mode = TerminalMode;
    // From here on a panic, too, restores it before it is told. The library's own end writes to
    // stderr when it fails, and panics where that is gone with the terminal (ratatui-core 0.1).
    let mut terminal = ManuallyDrop::new(ratatui::try_init()?);
    let keys = keys()?;
    let mut asked_at: Option<Instant> = None;
    let mut is_asking = false;
    loop {
        // Before a picture is drawn: after a panic of that thread it would lie over what was told.
        match answers.try_recv() {
            Ok(Asked { at, answer, note }) => {
                is_asking = false;
                screen.note(&note);
                screen.answered(ms_between(began, at), answer);
            }
            Err(TryRecvError::Empty) => (),
            // That thread panicked, and said so.
            Err(TryRecvError::Disconnected) => return Ok(FAILED),
        }
        if let Ok(code) = signals.try_recv() {
            return Ok(code);
        }
        let is_due = asked_at.is_none_or(|at| interval <= at.elapsed());
        if is_due && !is_asking && !screen.is_paused() {
            // Whether that thread is gone is seen by its answers.
            let _ = questions.send(());
            (asked_at, is_asking) = (Some(now()), true);
        }
        let now_ms = ms_between(began, now());
        terminal.draw(|frame| {
            draw(&screen, now_ms, frame.area(), frame.buffer_mut());
            // The library's own way with `NO_COLOR` (crossterm 0.29, `SetColors`) also ends bold
            // and reversed letters.
            if !has_colours {
                without_colours(frame.buffer_mut());
            }
        })?;
        match keys.recv_timeout(Duration::from_millis(POLL_MS)) {
            Ok(event) => {
                if let Event::Key(key) = event?
                    && let Some(key) = meaning(key)
                    && screen.press(key, ms_between(began, now())) == Pressed::Quit
                {
                    return Ok(OK);
                }
            }
            Err(RecvTimeoutError::Timeout) => (),
            // That thread panicked, and said so.
            Err(RecvTimeoutError::Disconnected) => return Ok(FAILED),
        }
    }
}

/// A thread that reads keys. The library reads until there is a whole one, and for ever when the
/// terminal is gone (crossterm 0.29, `UnixInternalEventSource::try_read`), while signals and
/// answers are not to wait.
fn keys() -> io::Result<Receiver<io::Result<Event>>> {
    let (pressed, keys) = mpsc::sync_channel(KEYS_MAX);
    let read = move || {
        loop {
            let event = event::read();
            let is_over = event.is_err();
            if pressed.send(event).is_err() || is_over {
                return;
            }
        }
    };
    thread::Builder::new().name("keys".to_owned()).spawn(read)?;
    Ok(keys)
}

/// A thread that asks whenever it is told to.
fn asking(mut server: Server) -> io::Result<(Sender<()>, Receiver<Asked>)> {
    let (questions, asked) = mpsc::channel();
    let (answered, answers) = mpsc::channel();
    let ask = move || {
        while asked.recv().is_ok() {
            let at = now();
            let answer = server.ask().map_err(|fault| fault.to_string());
            let note = server.note().to_owned();
            if answered.send(Asked { at, answer, note }).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("ask".to_owned()).spawn(ask)?;
    Ok((questions, answers))
}

/// The exit code that a signal asks for, when one comes.
fn signals() -> io::Result<Receiver<u8>> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let mut signals = {
        let _entered = runtime.enter();
        Signals::listen()?
    };
    let (heard, code) = mpsc::channel();
    let hear = move || {
        let code = match runtime.block_on(signals.next()) {
            SignalRequest::Stop(signal) => {
                u8::try_from(128 + signal.number()).expect("signals have small numbers")
            }
            SignalRequest::Reload => HANG_UP,
        };
        // Nobody hears it who has ended meanwhile.
        let _ = heard.send(code);
    };
    thread::Builder::new().name("signals".to_owned()).spawn(hear)?;
    Ok(code)
}

/// What a key means; most mean nothing.
fn meaning(key: KeyEvent) -> Option<TopKey> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    #[cfg(feature = "faults")]
    assert!(key.code != KeyCode::Char('!'), "a panic that was asked for");
    match (key.code, key.modifiers.contains(KeyModifiers::CONTROL)) {
        (KeyCode::Char('q'), false) | (KeyCode::Char('c' | 'd'), true) => Some(TopKey::Quit),
        (KeyCode::Up, _) | (KeyCode::Char('k'), false) => Some(TopKey::Up),
        (KeyCode::Down, _) | (KeyCode::Char('j'), false) => Some(TopKey::Down),
        (KeyCode::PageUp, _) => Some(TopKey::PageUp),
        (KeyCode::PageDown, _) => Some(TopKey::PageDown),
        (KeyCode::Char('s'), false) => Some(TopKey::Sort),
        (KeyCode::Char('p'), false) => Some(TopKey::Pause),
        (KeyCode::Char('?'), _) => Some(TopKey::Help),
        _ => None,
    }
}
