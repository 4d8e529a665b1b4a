//! Pictures as text, and what they say when something is wrong.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

use super::figures::Figures;
use super::findings::over_thresholds;
use super::sample::Sample;
use super::*;
use crate::metrics::{
    Cells, Counter, Exposition, ExpositionFormat, Gauge, Protocol, ScrapeQuery, ScrapeScope,
    Threads,
};

/// A server of some cores at some second of its life, as its pages say it.
#[derive(Clone)]
struct Server {
    cores: u64,
    second: u64,
    /// Lines instead of those with the same series.
    other: Vec<(String, f64)>,
    ready: &'static str,
    tasks: Option<String>,
}

impl Server {
    fn at(second: u64) -> Server {
        Server { cores: 4, second, other: Vec::new(), ready: "ready\n", tasks: None }
    }

    fn with(mut self, series: &str, value: f64) -> Server {
        self.other.push((series.to_owned(), value));
        self
    }

    fn answer(&self) -> AdminAnswer {
        let s = self.second as f64;
        let mut metrics = String::from(
            "chat_build_info{version=\"0.1.0\",commit=\"abc1234\"} 1\n\
             process_start_time_seconds 1000\n",
        );
        let mut put = |series: &str, value: f64| {
            let other = self.other.iter().find(|(one, _)| one == series);
            let _ = writeln!(metrics, "{series} {}", other.map_or(value, |(_, value)| *value));
        };
        for (series, value) in [
            ("process_cpu_seconds_total", 1.25 * s),
            ("process_resident_memory_bytes", 3.2e9),
            ("chat_cpu_limit_cores", 4.0),
            ("chat_memory_limit_bytes", 8.0 * 1_073_741_824.0),
            ("chat_config_last_reload_successful", 1.0),
            ("chat_log_lines_lost_total", 0.0),
            ("chat_scrape_duration_seconds", 0.0045),
            ("chat_active_connections{protocol=\"json\"}", 900_000.0),
            ("chat_active_connections{protocol=\"protobuf\"}", 99_000.0),
            ("chat_conn_limit", 1_200_000.0),
            ("chat_conn_opened_total{protocol=\"json\"}", 120.0 * s),
            ("chat_conn_closed_total{reason=\"normal\"}", 80.0 * s),
            ("chat_conn_closed_total{reason=\"peer_gone\"}", 17.5 * s),
            ("chat_conn_closed_total{reason=\"timeout\"}", 0.5 * s),
            ("chat_conn_closed_total{reason=\"panic\"}", 0.0),
            ("chat_conn_rejected_total{reason=\"no_room\"}", 0.2 * s),
            ("chat_conn_accept_failed_total{reason=\"memory\"}", 0.0),
            ("chat_conn_quarantined_total", 0.0),
            ("chat_conn_blocked_total{kind=\"user\"}", 0.4 * s),
            ("chat_handshake_inflight", 14.0),
            ("chat_slow_consumers", 3.0),
            ("chat_slow_consumer_evicted_total", 0.0),
            ("chat_session_panics_total", 0.0),
            ("chat_ws_messages_received_total{protocol=\"json\"}", 12_000.0 * s),
            ("chat_msg_publish_total{chat_type=\"group\",result=\"accepted\"}", 900.0 * s),
            ("chat_msg_delivery_total{chat_type=\"group\",outcome=\"delivered\"}", 50_000.0 * s),
            ("chat_msg_delivery_total{chat_type=\"1v1\",outcome=\"failed\"}", 0.0),
            ("chat_msg_inflight", 1_204.0),
            ("chat_msg_end2end_latency_seconds_bucket{le=\"0.001\"}", 500.0 * s),
            ("chat_msg_end2end_latency_seconds_bucket{le=\"0.01\"}", 880.0 * s),
            ("chat_msg_end2end_latency_seconds_bucket{le=\"1.3\"}", 900.0 * s),
            ("chat_msg_end2end_latency_seconds_bucket{le=\"+Inf\"}", 900.0 * s),
            ("chat_msg_end2end_latency_seconds_count", 900.0 * s),
            ("chat_rooms", 12_000.0),
            ("chat_subscriptions", 1_400_000.0),
            ("chat_store_messages_total", 850.0 * s),
            ("chat_store_syncs_total", 40.0 * s),
            ("chat_store_refused_total{cause=\"full\"}", 0.0),
            ("chat_store_requests", 12.0),
            ("chat_store_used_bytes", 5e9),
            ("chat_store_free_bytes", 95e9),
            ("chat_store_turn_seconds_bucket{le=\"0.001\"}", 38.0 * s),
            ("chat_store_turn_seconds_bucket{le=\"0.01\"}", 40.0 * s),
            ("chat_store_turn_seconds_bucket{le=\"+Inf\"}", 40.0 * s),
            ("chat_dead_letter_total{reason=\"tries\"}", 0.0),
            ("chat_dead_letter_messages", 3.0),
            ("chat_dead_letter_oldest_age_seconds", 720.0),
            ("chat_api_requests_total{method=\"publish\",outcome=\"done\"}", 12.0 * s),
            ("chat_api_requests_total{method=\"publish\",outcome=\"denied\"}", 0.5 * s),
            ("chat_hook_requests_total{hook=\"connect\"}", 110.0 * s),
            ("chat_hook_misses_total{reason=\"late\"}", 0.5 * s),
            ("chat_hooks_under_way", 4.0),
            ("chat_hooks_suspended", 0.0),
            ("chat_presence_feed_users", 950_000.0),
            ("chat_presence_feed_events_total", 210.0 * s),
            ("chat_presence_feed_queued_bytes", 36e3),
            ("chat_presence_feed_queue_limit_bytes", 134e6),
            ("chat_presence_feed_oldest_age_seconds", 1.0),
            ("chat_presence_feed_lost_total", 0.0),
            ("chat_presence_feed_write_failures_total", 0.0),
            ("chat_blocks", 7.0),
            ("chat_tenant_active_connections{tenant_id=\"acme\"}", 1_200.0),
            ("chat_tenant_active_connections{tenant_id=\"公司\"}", 345.0),
        ] {
            put(series, value);
        }
        let mut metrics_of_cores = String::new();
        for core in 0..self.cores {
            let part = core as f64 / self.cores as f64;
            for (name, value) in [
                ("chat_core_busy_seconds_total", (0.2 + 0.4 * part) * s),
                ("chat_core_late_seconds_total", 0.0),
                ("chat_core_last_tick_timestamp_seconds", 1_000.0 + s),
                ("chat_core_timer_lag_seconds", 0.002 + 0.06 * part),
                ("chat_core_connections", (250_000.0 - 1_000.0 * core as f64).max(0.0)),
                ("chat_core_mailbox_depth", core as f64),
                ("chat_core_mailbox_full_total", 0.0),
                ("chat_send_queue_bytes", 1e6 * core as f64),
                ("chat_send_queue_limit_bytes", 64e6),
                ("chat_fd_slots_used", 250_000.0),
                ("chat_fd_slots_limit", 524_288.0),
            ] {
                put(&format!("{name}{{core=\"{core}\"}}"), value);
            }
            for kind in ["bufring_empty", "cq_overflow", "sq_full"] {
                let series =
                    format!("chat_uring_overflow_total{{core=\"{core}\",kind=\"{kind}\"}}");
                let other = self.other.iter().find(|(one, _)| *one == series);
                let _ = writeln!(
                    metrics_of_cores,
                    "{series} {}",
                    other.map_or(0.0, |(_, value)| *value)
                );
            }
        }
        let ready = self.ready.to_owned();
        AdminAnswer {
            metrics,
            metrics_of_cores,
            ready,
            tasks: self.tasks.clone(),
            now_unix_ms: None,
        }
    }
}

/// A screen that has had these answers, a second apart.
fn screen(servers: &[Server]) -> Screen {
    let mut screen = Screen::new("http://127.0.0.1:8001", 0);
    for server in servers {
        screen.answered(1_000 * server.second, Ok(server.answer()));
    }
    screen
}

/// What is seen.
fn picture(screen: &Screen, now_ms: u64, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a test has one");
    terminal
        .draw(|frame| draw(screen, now_ms, frame.area(), frame.buffer_mut()))
        .expect("a test can draw");
    terminal.backend().to_string()
}

/// With `BLESS` set the file is written instead.
#[track_caller]
fn check_picture(name: &str, got: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/top/pictures").join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, got).expect("it can be written");
    }
    let want = fs::read_to_string(&path).unwrap_or_default();
    assert!(want == got, "{name} is another one (look, then BLESS=1):\n{got}");
}

#[test]
fn pictures_of_each_size_are_those_of_the_files() {
    let calm = screen(&[Server::at(10), Server::at(11)]);
    check_picture("calm.60x15.txt", &picture(&calm, 11_000, 60, 15));
    check_picture("calm.80x24.txt", &picture(&calm, 11_000, 80, 24));
    check_picture("calm.120x30.txt", &picture(&calm, 11_000, 120, 30));
    check_picture("calm.240x30.txt", &picture(&calm, 11_000, 240, 30));
    check_picture("calm.once.txt", &text(&calm, 11_000));
    let busy = |second: u64| {
        let rising = (second - 10) as f64;
        let mut server = Server::at(second)
            .with("chat_core_busy_seconds_total{core=\"2\"}", 0.97 * second as f64)
            .with("chat_uring_overflow_total{core=\"1\",kind=\"cq_overflow\"}", 3.0 * rising)
            .with("chat_fd_slots_used{core=\"0\"}", 480_000.0)
            .with("chat_core_last_tick_timestamp_seconds{core=\"3\"}", 1_002.0)
            .with("chat_dead_letter_oldest_age_seconds", 4_000.0)
            .with("chat_session_panics_total", rising);
        server.ready = "draining\n";
        server
    };
    let mut busy = screen(&[busy(10), busy(11)]);
    busy.press(TopKey::Down, 0);
    busy.press(TopKey::Down, 0);
    check_picture("busy.60x15.txt", &picture(&busy, 11_000, 60, 15));
    check_picture("busy.100x30.txt", &picture(&busy, 11_000, 100, 30));
    check_picture("busy.once.txt", &text(&busy, 11_000));
    let mut help = calm.clone();
    help.press(TopKey::Help, 0);
    check_picture("help.60x15.txt", &picture(&help, 11_000, 60, 15));
    let many = |second| Server { cores: 200, ..Server::at(second) };
    check_picture("many.100x30.txt", &picture(&screen(&[many(10), many(11)]), 11_000, 100, 30));
}

#[test]
fn a_picture_of_any_size_keeps_to_it() {
    let tasks = r#"{"cores":[{"core":1,"phase":"submit",
        "busy_with":{"room_id":"很长的房间名字","client":"c"}}]}"#;
    let wide = |second| {
        let mut server =
            Server::at(second).with("chat_tenant_active_connections{tenant_id=\"公司\"}", 9e9);
        server.tasks = Some(tasks.to_owned());
        server
    };
    let mut screens = vec![screen(&[]), screen(&[Server::at(10)]), screen(&[wide(10), wide(11)])];
    let mut silent = screens[2].clone();
    silent.answered(12_000, Err("no connection ".repeat(40)));
    screens.push(silent);
    for screen in &mut screens {
        screen.press(TopKey::Down, 0);
        screen.press(TopKey::Down, 0);
        for width in [1, 2, 59, 60, 61, 64, 79, 80, 99, 133, 240] {
            for height in [1, 2, 14, 15, 16, 17, 20, 21, 22, 23, 40, 100] {
                let picture = picture(screen, 13_000, width, height);
                assert_eq!(picture.lines().count(), usize::from(height));
            }
        }
    }
    assert!(picture(&screens[0], 0, 59, 15).contains("60 columns"));
    assert!(picture(&screens[2], 0, 80, 24).contains("很长的房间名字"));
}

#[test]
fn a_server_that_began_anew_is_said_so_and_no_rate_is_negative() {
    let mut screen = screen(&[Server::at(100), Server::at(101)]);
    screen.answered(102_000, Ok(Server::at(1).answer()));
    let seen = picture(&screen, 104_000, 100, 30);
    assert!(
        seen.contains("began anew, 2s ago") && !seen.contains("/s -") && !seen.contains("-1"),
        "{seen}"
    );
    assert!(seen.contains("opened –"), "{seen}");
    let after = Server::at(2).answer();
    screen.answered(103_000, Ok(after));
    let seen = picture(&screen, 104_000, 100, 30);
    assert!(seen.contains("opened 120/s") && seen.contains("began anew"), "{seen}");
    assert!(!picture(&screen, 163_000, 100, 30).contains("began anew"));
}

#[test]
fn a_server_that_is_silent_is_said_so_and_the_last_picture_stays_dim() {
    let mut screen = screen(&[Server::at(10), Server::at(11)]);
    screen.answered(14_000, Err("no connection: \u{1b}[2Jrefused".to_owned()));
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    terminal.draw(|frame| draw(&screen, 31_000, frame.area(), frame.buffer_mut())).unwrap();
    let seen = terminal.backend().to_string();
    assert!(seen.contains("!! no answer for 20s: no connection: \\u{1b}[2Jrefused"), "{seen}");
    assert!(seen.contains("999,000 of 1,200,000"), "{seen}");
    let dim = terminal.backend().buffer()[(20, 10)].modifier.contains(Modifier::DIM);
    assert!(dim, "the last picture is old");
    let buffer = terminal.backend().buffer().clone();
    let mut colourless = buffer.clone();
    without_colours(&mut colourless);
    let is_coloured = |cell: &Cell| cell.fg != Color::Reset || cell.bg != Color::Reset;
    assert!(buffer.content.iter().any(is_coloured));
    assert!(!colourless.content.iter().any(is_coloured));
    let marks = |buffer: &Buffer| {
        buffer
            .content
            .iter()
            .map(|cell| (cell.symbol().to_owned(), cell.modifier))
            .collect::<Vec<_>>()
    };
    assert_eq!(marks(&colourless), marks(&buffer));
    let answer = AdminAnswer { metrics: "<html>".to_owned(), ..AdminAnswer::default() };
    screen.answered(15_000, Ok(answer));
    assert!(picture(&screen, 31_000, 80, 24).contains("its answer cannot be read: line 1"));
    screen.answered(32_000, Ok(Server::at(32).answer()));
    assert!(!picture(&screen, 32_000, 80, 24).contains("no answer"));
}

#[test]
fn keys_choose_a_core_another_order_and_a_pause() {
    let mut screen = screen(&[Server::at(10), Server::at(11)]);
    let chosen = |screen: &Screen| {
        let rows = screen.rows();
        screen.place(&rows).map(|place| rows[place].core)
    };
    assert_eq!(chosen(&screen), None);
    for (key, want) in [
        (TopKey::Up, 0),
        (TopKey::Up, 0),
        (TopKey::Down, 1),
        (TopKey::PageDown, 3),
        (TopKey::Down, 3),
        (TopKey::PageUp, 0),
        (TopKey::Down, 1),
    ] {
        assert_eq!(screen.press(key, 0), Pressed::Stay);
        assert_eq!(chosen(&screen), Some(want), "{key:?}");
    }
    let first = |screen: &Screen| screen.rows()[0].core;
    for want in [0, 3, 3, 3, 0] {
        screen.press(TopKey::Sort, 0);
        assert_eq!((first(&screen), chosen(&screen)), (want, Some(1)), "{:?}", screen.order());
    }
    screen.press(TopKey::Pause, 12_000);
    assert!(screen.is_paused() && picture(&screen, 15_000, 80, 24).contains("paused for 3s"));
    screen.press(TopKey::Pause, 15_000);
    assert!(!screen.is_paused() && !picture(&screen, 15_000, 80, 24).contains("paused"));
    assert_eq!(screen.press(TopKey::Quit, 0), Pressed::Quit);
}

/// What is over its threshold in this second.
fn over(servers: [Server; 2]) -> Vec<&'static str> {
    let [before, after] =
        servers.map(|server| Sample::read(&server.answer(), 1_000 * server.second).unwrap());
    over_thresholds(&Figures::new(&after, Some(&before))).into_iter().map(|one| one.alert).collect()
}

#[test]
fn thresholds_have_an_alert_with_a_runbook_and_nothing_calm_is_over_one() {
    assert_eq!(over([Server::at(10), Server::at(11)]), [""; 0]);
    let counters = [
        ("chat_conn_accept_failed_total{reason=\"memory\"}", 1.0, "ChatAcceptFailing"),
        ("chat_conn_rejected_total{reason=\"no_room\"}", 3.0, "ChatConnectionsRefused"),
        ("chat_conn_closed_total{reason=\"timeout\"}", 900.0, "ChatMassDisconnect"),
        ("chat_session_panics_total", 1.0, "ChatSessionPanics"),
        ("chat_slow_consumer_evicted_total", 4.0, "ChatSlowConsumers"),
        ("chat_conn_quarantined_total", 1.0, "ChatQuarantineActive"),
        (
            "chat_msg_delivery_total{chat_type=\"1v1\",outcome=\"failed\"}",
            9_000.0,
            "ChatMsgDeliveryFailureHigh",
        ),
        ("chat_msg_end2end_latency_seconds_bucket{le=\"0.01\"}", 800.0, "ChatMsgP99High"),
        ("chat_dead_letter_total{reason=\"tries\"}", 1.0, "ChatDeadLetters"),
        ("chat_store_refused_total{cause=\"full\"}", 1.0, "ChatStoreFull"),
        ("chat_log_lines_lost_total", 1.0, "ChatLogLinesLost"),
        ("chat_hook_misses_total{reason=\"late\"}", 12.0, "ChatHooksFailing"),
        ("chat_presence_feed_lost_total", 1.0, "ChatPresenceFeedLosing"),
        ("chat_presence_feed_write_failures_total", 1.0, "ChatPresenceFeedNotKept"),
        ("chat_core_busy_seconds_total{core=\"1\"}", 0.95, "ChatCoreSaturated"),
        ("chat_core_late_seconds_total{core=\"1\"}", 0.6, "ChatCoreLate"),
        ("chat_core_mailbox_full_total{core=\"1\"}", 1.0, "ChatCoreMailboxFull"),
        ("chat_uring_overflow_total{core=\"1\",kind=\"sq_full\"}", 1.0, "ChatUringOverflow"),
        (
            "chat_uring_overflow_total{core=\"1\",kind=\"bufring_empty\"}",
            11.0,
            "ChatReceiveBuffersShort",
        ),
    ];
    let gauges = [
        ("chat_conn_limit", 1_000_000.0, "ChatConnectionsAtLimit"),
        ("chat_dead_letter_oldest_age_seconds", 901.0, "ChatDeadLetterStale"),
        ("chat_store_free_bytes", 1e8, "ChatStoreSpaceLow"),
        ("chat_memory_limit_bytes", 3.5e9, "ChatMemoryHeadroomLow"),
        ("chat_config_last_reload_successful", 0.0, "ChatConfigReloadFailed"),
        ("chat_hooks_suspended", 1.0, "ChatHooksFailing"),
        ("chat_presence_feed_oldest_age_seconds", 61.0, "ChatPresenceFeedBehind"),
        ("chat_presence_feed_queued_bytes", 120e6, "ChatPresenceFeedLosing"),
        ("chat_send_queue_bytes{core=\"1\"}", 250e6, "ChatSendQueueNearLimit"),
        ("chat_fd_slots_used{core=\"1\"}", 480_000.0, "ChatFdHeadroomLow"),
        ("chat_core_last_tick_timestamp_seconds{core=\"1\"}", 1_001.0, "ChatCoreHung"),
    ];
    for (series, grown, alert) in counters {
        let server = |second: u64| Server::at(second).with(series, 1e6 + grown * second as f64);
        assert_eq!(over([server(10), server(11)]), [alert], "{series}");
    }
    for (series, value, alert) in gauges {
        assert_eq!(
            over([10, 11].map(|second| Server::at(second).with(series, value))),
            [alert],
            "{series}"
        );
    }
    let slow = |second: u64| {
        Server::at(second)
            .with("chat_store_turn_seconds_bucket{le=\"0.001\"}", second as f64)
            .with("chat_store_turn_seconds_bucket{le=\"0.01\"}", 2.0 * second as f64)
    };
    assert_eq!(over([slow(10), slow(11)]), [""; 0], "10 ms are no slow disk");
    let named = counters.iter().chain(&gauges).map(|(_, _, alert)| *alert);
    for alert in named.chain(["ChatStoreBroken", "ChatStoreDamaged", "ChatStoreSlow"]) {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("alertmanager/runbooks");
        assert!(top.join(format!("{alert}.md")).exists(), "{alert} has no runbook");
    }
    let mut broken = Server::at(11);
    broken.ready = "the store is broken: nothing is kept\n";
    assert_eq!(over([Server::at(10), broken]), ["ChatStoreBroken"]);
}

#[test]
fn a_real_page_is_asked_for_and_read() {
    let cells = vec![Cells::new(), Cells::new()];
    let writers = [cells[0].claim(), cells[1].claim()];
    writers[0].set(Gauge::Connections(Protocol::Json), 7);
    writers[1].set(Gauge::CoreConnections, 7);
    writers[1].add(Counter::CompletionOverflow, 2);
    let exposition = Arc::new(Exposition::new(Threads::of_cores(cells)));
    let page = |names: &[&str], cores| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let query = ScrapeQuery { cores, names, ..ScrapeQuery::default() };
        exposition.answer(&query, ExpositionFormat::Text).expect("the server knows all of them")
    };
    assert!(FAMILIES.len() + FAMILIES_OF_CORES.len() <= 64);
    let answer = || AdminAnswer {
        metrics: page(FAMILIES, ScrapeScope::Summed),
        metrics_of_cores: page(FAMILIES_OF_CORES, ScrapeScope::Each),
        ..AdminAnswer::default()
    };
    let before = Sample::read(&answer(), 1_000).expect("it can be read");
    writers[1].add(Counter::CompletionOverflow, 3);
    let after = Sample::read(&answer(), 2_000).expect("it can be read");
    let figures = json(&Figures::new(&after, Some(&before)));
    assert_eq!(
        (&figures["connections"]["open"], &figures["version"]),
        (&7.0.into(), &env!("CARGO_PKG_VERSION").into())
    );
    assert_eq!(figures["cores"][1]["ring_full_per_second"], 3.0);
    assert_eq!(figures["cores"][0]["ring_full_per_second"], 0.0);
    let over = figures["over_thresholds"].as_array().expect("a list");
    assert!(over.iter().any(|one| one["alert"] == "ChatUringOverflow"), "{over:?}");
}
