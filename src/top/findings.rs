//! What is over a threshold now. The thresholds are those of the alerts that are shipped
//! (`alertmanager/rules`), by whose names the runbooks are found; an alert fires later, when
//! it has been so for a while.
//!
//! Deliberately absent: alerts that compare with an hour or a day ago, and whether one fires.

use super::figures::{CoreFigures, Figures, share};
use super::numbers::{age, bytes, count, duration, percent, rate};
use super::sample::ServerState;

/// How bad something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// It is as it should be.
    #[default]
    None,
    /// It should be looked at.
    Warning,
    /// It hurts somebody.
    Critical,
}

impl Urgency {
    /// So that it is seen without colours.
    pub fn mark(self) -> &'static str {
        match self {
            Urgency::None => "",
            Urgency::Warning => "!",
            Urgency::Critical => "!!",
        }
    }
}

/// Where something is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Connections,
    Closes,
    Messages,
    Latency,
    Store,
    DeadLetters,
    Blocks,
    Process,
    Hooks,
    Presence,
    Core(u64),
}

/// Something that is over its threshold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OverThreshold {
    pub urgency: Urgency,
    pub place: Place,
    /// The alert that has this threshold.
    pub alert: &'static str,
    pub words: String,
}

/// All that is, the worst first.
pub(super) fn over_thresholds(figures: &Figures) -> Vec<OverThreshold> {
    let mut found = Vec::new();
    state(figures, &mut found);
    connections(figures, &mut found);
    messages(figures, &mut found);
    store(figures, &mut found);
    process(figures, &mut found);
    hooks(figures, &mut found);
    presence(figures, &mut found);
    sends(figures, &mut found);
    figures.cores.iter().for_each(|core| of_core(core, &mut found));
    found.sort_by_key(|one| std::cmp::Reverse(one.urgency));
    found
}

/// Notes it if the number is known and over the threshold.
fn note(
    found: &mut Vec<OverThreshold>,
    (place, urgency, alert): (Place, Urgency, &'static str),
    (number, threshold): (Option<f64>, f64),
    words: impl Fn(f64) -> String,
) {
    if let Some(number) = number.filter(|number| threshold < *number) {
        found.push(OverThreshold { urgency, place, alert, words: words(number) });
    }
}

fn state(figures: &Figures, found: &mut Vec<OverThreshold>) {
    let (alert, words) = match &figures.state {
        ServerState::StoreFull => ("ChatStoreFull", "the store is full: messages are refused"),
        ServerState::StoreBroken => ("ChatStoreBroken", "the store is broken: nothing is kept"),
        ServerState::Starting
        | ServerState::Ready
        | ServerState::Draining
        | ServerState::Other(_)
        | ServerState::Unknown => return,
    };
    let words = words.to_owned();
    found.push(OverThreshold { urgency: Urgency::Critical, place: Place::Store, alert, words });
}

fn connections(figures: &Figures, found: &mut Vec<OverThreshold>) {
    use Place::{Blocks, Closes, Connections};
    use Urgency::{Critical, Warning};
    let part = &figures.connections;
    let taken = share(Some(part.open), part.limit);
    note(found, (Connections, Critical, "ChatConnectionsAtLimit"), (taken, 0.95), |taken| {
        format!("{} of the places for connections are taken", percent(taken))
    });
    let failed = part.accept_failed_per_s;
    note(found, (Connections, Critical, "ChatAcceptFailing"), (failed, 0.0), |failed| {
        format!("{} newcomers could not be taken", rate(failed))
    });
    let rejected = part.rejected.as_ref().and_then(|all| all.first());
    // 100 of one reason in five minutes.
    let refused = rejected.map(|(_, refused)| *refused);
    note(
        found,
        (Connections, Warning, "ChatConnectionsRefused"),
        (refused, 1.0 / 3.0),
        |refused| {
            format!(
                "{} refused, {}",
                rate(refused),
                rejected.map_or("", |(reason, _)| reason.as_str())
            )
        },
    );
    let unasked = part.closed.as_ref().filter(|_| 1_000.0 < part.open).map(|all| {
        let unasked = |reason: &str| !["normal", "shutdown", "backend"].contains(&reason);
        all.iter().filter(|(reason, _)| unasked(reason)).map(|(_, closed)| closed).sum::<f64>()
    });
    // 5% within a minute.
    note(
        found,
        (Closes, Critical, "ChatMassDisconnect"),
        (unasked, 0.05 * part.open / 60.0),
        |closed| format!("{} connections close unasked", rate(closed)),
    );
    note(found, (Closes, Warning, "ChatSessionPanics"), (part.panics_per_s, 0.0), |panics| {
        format!("{} sessions panic", rate(panics))
    });
    // More than 5 and than one of a thousand in five minutes.
    let evicted = (part.evicted_per_s, (0.001 * part.open).max(5.0) / 300.0);
    note(found, (Closes, Warning, "ChatSlowConsumers"), evicted, |evicted| {
        format!("{} slow readers are closed", rate(evicted))
    });
    let quarantined = (figures.quarantined_per_s, 0.0);
    note(found, (Blocks, Warning, "ChatQuarantineActive"), quarantined, |quarantined| {
        format!("{} newcomers in quarantine are sent away", rate(quarantined))
    });
}

fn messages(figures: &Figures, found: &mut Vec<OverThreshold>) {
    use Place::{DeadLetters, Latency, Messages};
    use Urgency::{Critical, Warning};
    let part = &figures.messages;
    let failed = part.failed_per_s;
    let all = failed.map(|failed| failed + part.deliveries_per_s.unwrap_or_default());
    let failing = share(failed, all.filter(|all| 1.0 < *all));
    note(found, (Messages, Critical, "ChatMsgDeliveryFailureHigh"), (failing, 0.05), |failing| {
        format!("{} of deliveries fail", percent(failing))
    });
    let slow = part.p99_s.filter(|_| part.measured_per_s.is_some_and(|measured| 1.0 < measured));
    note(found, (Latency, Warning, "ChatMsgP99High"), (slow, 0.8), |slow| {
        format!("p99 of delivery is {}", duration(slow))
    });
    let letters = (figures.dead_letters_per_s, 0.0);
    note(found, (DeadLetters, Warning, "ChatDeadLetters"), letters, |letters| {
        format!("{} direct messages are given up", rate(letters))
    });
    let oldest = (figures.dead_letter_oldest_s, 900.0);
    note(found, (DeadLetters, Critical, "ChatDeadLetterStale"), oldest, |oldest| {
        format!("a dead letter waits for {}", age(oldest))
    });
}

fn store(figures: &Figures, found: &mut Vec<OverThreshold>) {
    use Place::Store;
    use Urgency::{Critical, Warning};
    let part = &figures.store;
    let refused = |cause: &str| {
        let all = part.refused.as_ref()?;
        all.iter().find(|(word, _)| word == cause).map(|(_, refused)| *refused)
    };
    for (alert, cause) in
        [("ChatStoreBroken", "broken"), ("ChatStoreDamaged", "damaged"), ("ChatStoreFull", "full")]
    {
        if !found.iter().any(|one| one.alert == alert) {
            note(found, (Store, Critical, alert), (refused(cause), 0.0), |refused| {
                format!("the store refuses {}, {cause}", rate(refused))
            });
        }
    }
    let used = part.used_bytes.filter(|used| 0.0 < *used);
    let whole = used.zip(part.free_bytes).map(|(used, free)| used + free);
    note(found, (Store, Warning, "ChatStoreSpaceLow"), (share(used, whole), 0.9), |used| {
        format!("{} of the store's space is taken", percent(used))
    });
    let slow = part.p95_s.filter(|_| part.syncs_per_s.is_some_and(|syncs| 1.0 < syncs));
    note(found, (Store, Warning, "ChatStoreSlow"), (slow, 0.1), |slow| {
        format!("p95 of the store's turns is {}", duration(slow))
    });
}

fn process(figures: &Figures, found: &mut Vec<OverThreshold>) {
    use Place::Process;
    use Urgency::{Critical, Warning};
    let part = &figures.process;
    let taken = share(part.resident_bytes, part.memory_limit_bytes);
    let urgency = if taken.is_some_and(|taken| 0.95 < taken) { Critical } else { Warning };
    note(found, (Process, urgency, "ChatMemoryHeadroomLow"), (taken, 0.85), |taken| {
        format!("{} of the memory is taken", percent(taken))
    });
    let lost = (part.log_lines_lost_per_s, 0.0);
    note(found, (Process, Warning, "ChatLogLinesLost"), lost, |lost| {
        format!("{} lines of the log are lost", rate(lost))
    });
    let stale = (part.reload_good.map(|good| 1.0 - good), 0.0);
    note(found, (Process, Warning, "ChatConfigReloadFailed"), stale, |_| {
        "settings could not be read again".to_owned()
    });
    // Of all cores together: few receives that wait are no trouble.
    let short = figures.cores.iter().map(|core| core.buffers_short_per_s).sum();
    note(found, (Place::Messages, Warning, "ChatReceiveBuffersShort"), (short, 10.0), |short| {
        format!("{} receives wait for a buffer", rate(short))
    });
}

fn hooks(figures: &Figures, found: &mut Vec<OverThreshold>) {
    let Some(part) = &figures.hooks else { return };
    let of = (Place::Hooks, Urgency::Critical, "ChatHooksFailing");
    let suspended = part.suspended.filter(|suspended| 0.0 < *suspended);
    note(found, of, (suspended, 0.0), |suspended| {
        format!("the backend of {} hooks is not asked for a while", count(suspended))
    });
    let missed = part.missed.as_ref().map(|all| all.iter().map(|(_, missed)| missed).sum::<f64>());
    // A tenth, and more than 10 in five minutes.
    let many = missed.filter(|missed| suspended.is_none() && 10.0 / 300.0 < *missed);
    note(found, of, (share(many, part.asked_per_s), 0.1), |missed| {
        format!("{} of hooks have no answer", percent(missed))
    });
}

fn presence(figures: &Figures, found: &mut Vec<OverThreshold>) {
    use Place::Presence;
    use Urgency::{Critical, Warning};
    let Some(part) = &figures.presence else { return };
    note(found, (Presence, Warning, "ChatPresenceFeedBehind"), (part.oldest_s, 60.0), |oldest| {
        format!("the backend has not heard for {} who is there", age(oldest))
    });
    let losing = (Presence, Critical, "ChatPresenceFeedLosing");
    let lost = part.lost_per_s.filter(|lost| 0.0 < *lost);
    note(found, losing, (lost, 0.0), |lost| {
        format!("{} events of who is there are lost", rate(lost))
    });
    let taken = share(part.waiting_bytes, part.limit_bytes).filter(|_| lost.is_none());
    note(found, losing, (taken, 0.8), |taken| {
        format!("{} of the queue for who is there is taken", percent(taken))
    });
    let failed = part.write_failures_per_s;
    note(found, (Presence, Critical, "ChatPresenceFeedNotKept"), (failed, 0.0), |failed| {
        format!("{} writes of who is there fail", rate(failed))
    });
}

/// What waits to be sent, of all cores together.
fn sends(figures: &Figures, found: &mut Vec<OverThreshold>) {
    let waiting: Option<f64> = figures.cores.iter().map(|core| core.send_queue_bytes).sum();
    let limit: Option<f64> = figures.cores.iter().map(|core| core.send_queue_limit_bytes).sum();
    let of = (Place::Messages, Urgency::Warning, "ChatSendQueueNearLimit");
    note(found, of, (share(waiting, limit), 0.7), |taken| {
        format!("{} wait to be sent, {}", bytes(waiting.unwrap_or_default()), percent(taken))
    });
}

fn of_core(core: &CoreFigures, found: &mut Vec<OverThreshold>) {
    use Urgency::{Critical, Warning};
    let (number, place) = (core.core, Place::Core(core.core));
    note(found, (place, Critical, "ChatCoreHung"), (core.tick_age_s, 5.0), |hung| {
        format!("core {number} hangs for {}", age(hung))
    });
    note(found, (place, Critical, "ChatCoreSaturated"), (core.busy, 0.9), |busy| {
        format!("core {number} is {} busy", percent(busy))
    });
    note(found, (place, Warning, "ChatCoreLate"), (core.late, 0.5), |late| {
        format!("core {number} is late {} of the time", percent(late))
    });
    note(found, (place, Warning, "ChatUringOverflow"), (core.ring_full_per_s, 0.0), |full| {
        format!("the ring of core {number} is full {}", rate(full))
    });
    note(found, (place, Warning, "ChatCoreMailboxFull"), (core.mailbox_full_per_s, 0.0), |full| {
        format!("{} messages of other cores have no room at core {number}", rate(full))
    });
    let taken = core.descriptors_share();
    let urgency = if taken.is_some_and(|taken| 0.9 < taken) { Critical } else { Warning };
    note(found, (place, urgency, "ChatFdHeadroomLow"), (taken, 0.8), |taken| {
        let slots = core.descriptors.map(count).unwrap_or_default();
        format!("core {number} has {slots} descriptors in use, {}", percent(taken))
    });
}
