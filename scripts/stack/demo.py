"""Breaks things one after another, and says what the alert path makes of each.

A line of the demo: after how long the alert was there, which messages went to which
robot, what was not told because its cause was, what the message shows of a message
that went wrong, and after how long the recovery was told, with which value.

Deliberately absent: what is broken (faults.py), and waiting for a fixed time.
"""

import collections
import json
import pathlib
import re
import subprocess
import sys
import time

import faults
import shipped
from programs import PAUSE_S, Failed, until

# How much faster the demo is in a hurry.
LAPSE = 12

# What a machine that does something else meanwhile may take longer, whatever the lapse.
SLACK_S = 45

# Steps; what is in one step is broken together, because each alone takes ten minutes.
STEPS = [
    [faults.StoppedCore],
    [faults.PanicBurst],
    [faults.ReconnectStorm],
    [faults.SlowReaders, faults.WrongClocks],
    [faults.FullDisk],
    [faults.DeadStore],
    [faults.DeadBridge],
    [faults.NoWatchdog],
]

# What is one of the demo's own in a chat; everything else is said to be there.
OWN = {kind(None).message for step in STEPS for kind in step}


def only(names):
    """Steps with these faults alone."""
    chosen = [[kind for kind in step if kind.__name__ in names] for step in STEPS]
    return [step for step in chosen if step]


# In the languages of the routes.
SNAPSHOT = re.compile(
    r"(?:trace|链路) `(?P<trace>[^`]*)` (?:room|房间) `(?P<room>[^`]*)` "
    r"(?:client|客户端) `(?P<client>[^`]*)`"
)
VALUE = re.compile(r"(?:now|当前值) `(?P<value>[^`]*)`")


NAME = re.compile(r"(?:Firing: |Recovered: |告警：|恢复：)(\w+)")


def begins(message, alert):
    return re.search(rf"(Firing: |告警：){alert}\b", message.text)


def ends(message, alert):
    return re.search(rf"(Recovered: |恢复：){alert}\b", message.text)


def is_open(messages, alert):
    """Whether a group has heard that it began, and not that it is over."""
    about = [message for message in messages if begins(message, alert) or ends(message, alert)]
    return bool(about) and not ends(about[-1], alert)


def shown(message):
    """The message or the client that a message shows, if it knows of one."""
    found = SNAPSHOT.search(message.text)
    return found if found and set(found.groups()) - {"-", "none"} else None


class Case:
    """A fault, and what was seen of it."""

    def __init__(self, stack, kind):
        self.stack = stack
        self.fault = kind(stack)
        self.alert_s = self.message_s = self.recovery_s = None
        self.robots = collections.Counter()
        self.inhibited = {}
        self.others = set()
        self.snapshot = self.value = self.mended = None
        self.missed = []

    # --- breaking, looking, mending -------------------------------------------------

    def break_(self):
        self.already = len(self.stack.robots.messages())
        self.begun = time.monotonic()
        self.fault.break_()

    def look(self, firing, inhibited, messages):
        """What is there now that was not there before."""
        fault = self.fault
        if self.alert_s is None and (fault.alert in firing or not fault.is_in_prometheus):
            self.alert_s = self.passed()
            fault.on_alert()
        for name, causes in inhibited.items():
            if fault.alert in causes:
                self.inhibited[name] = causes
        mine = messages[self.already :]
        begun = [message for message in mine if begins(message, fault.message)]
        ended = [message for message in mine if ends(message, fault.message)]
        self.robots = collections.Counter(message.robot for message in begun + ended)
        self.counts = (
            collections.Counter(message.chat for message in begun),
            collections.Counter(message.chat for message in ended),
        )
        names = {found[1] for found in map(NAME.search, (message.text for message in mine)) if found}
        self.others = names - OWN
        if begun and self.message_s is None:
            self.message_s = self.passed()
        if begun and self.snapshot is None:
            self.snapshot = next(filter(None, map(shown, begun)), None)
        if ended and self.recovery_s is None:
            over_at = fault.over_at or self.mended or self.begun
            self.recovery_s = max(time.monotonic() - over_at, 0)
            said = VALUE.search(ended[0].text)
            self.value = said["value"] if said else None

    def passed(self):
        return time.monotonic() - self.begun

    def mend(self):
        self.mended = time.monotonic()
        self.fault.mend()

    # --- when it is enough ----------------------------------------------------------

    def is_told(self):
        fault = self.fault
        hidden = not fault.inhibited or fault.inhibited & set(self.inhibited)
        return self.alert_s is not None and self.message_s is not None and bool(hidden)

    def is_over(self):
        return self.recovery_s is not None

    def judge(self):
        """What should have been, and was not."""
        fault = self.fault
        if self.alert_s is None:
            self.missed.append(f"{fault.alert} did not fire")
        if self.message_s is None:
            self.missed.append("no message")
        if fault.inhibited and not fault.inhibited & set(self.inhibited):
            self.missed.append(f"none of {', '.join(sorted(fault.inhibited))} was inhibited")
        if fault.has_snapshot and not self.snapshot:
            self.missed.append("no snapshot")
        if self.recovery_s is None:
            self.missed.append("recovery was not told")
        elif fault.has_value and self.value is None:
            self.missed.append("recovery without the current value")
        once = collections.Counter(fault.chats)
        if not self.missed and self.counts != (once, once):
            begun, ended = (dict(count) for count in self.counts)
            self.missed.append(f"not once: {begun} when it began, {ended} when it ended")


class Demo:
    def __init__(self, stack, say=print):
        self.stack = stack
        self.say = say
        self.cases = []

    def run(self, steps=STEPS):
        """All steps; what each case saw."""
        for kinds in steps:
            cases = [Case(self.stack, kind) for kind in kinds]
            self.cases += cases
            self.calm(cases)
            for case in cases:
                self.say(f"\n{case.fault.title}: {case.fault.what}")
                case.break_()
            lapse = self.stack.seconds
            seen_s = max(case.fault.told_s_max for case in cases)
            self.look_until(cases, Case.is_told, lapse(seen_s) + SLACK_S)
            for case in cases:
                self.say(told(case))
                case.mend()
            over_s = max(case.fault.over_s_max for case in cases)
            self.look_until(cases, Case.is_over, lapse(over_s) + SLACK_S)
            for case in cases:
                case.judge()
                self.say(over(case))
        return self.cases

    def calm(self, cases):
        """Waits until nothing of what is about to be broken fires, the groups have heard
        that it is over, and what rules compare with is there."""
        wanted = {case.fault.alert for case in cases if case.fault.is_in_prometheus}
        memories = {case.fault.memory for case in cases} - {""}
        asked = [shipped.in_a_hurry(memory, self.stack.lapse) for memory in memories]
        prometheus = self.stack.prometheus

        def is_calm():
            messages = self.stack.robots.messages()
            still = {name for name in wanted if is_open(messages, name)} | prometheus.firing()
            return not wanted & still and all(map(prometheus.query, asked))

        limit_s = self.stack.seconds(900) + SLACK_S
        until(f"calm before {', '.join(wanted)}", is_calm, limit_s, self.stack.must_live)

    def look_until(self, cases, enough, seconds_max):
        """Looks until every case has enough, or time is up: that is for `judge`."""
        end = time.monotonic() + seconds_max
        while True:
            self.stack.must_live()
            firing = self.stack.prometheus.firing()
            inhibited = self.stack.inhibited()
            messages = self.stack.robots.messages()
            for case in cases:
                case.look(firing, inhibited, messages)
            if all(enough(case) for case in cases) or end < time.monotonic():
                return
            time.sleep(PAUSE_S)


# --- the article's claim ------------------------------------------------------------------

# What it says that became of its noise.
CLAIMED = {
    "raw_series": 12_840,
    "raw_alerts_a_minute": 23,
    "recorded_series": 4,
    "shipped_messages": 1,
}


def noise():
    """What the noise of the article's example comes to, measured, and whether that is
    what it claims."""
    script = pathlib.Path(__file__).resolve().parents[1] / "noise-demo"
    done = subprocess.run([sys.executable, script, "--json"], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{script} ended with {done.returncode}: {done.stderr.strip()}")
    found = json.loads(done.stdout)
    return found, all(found[name] == count for name, count in CLAIMED.items())


NOISE = """
the article's noise: {raw_series:,} raw series and {raw_alerts_a_minute} alerts a minute
  with a rule on each series: {raw_alerts} alerts, {raw_messages} messages
  as it is shipped: {recorded_series} series, {shipped_alerts} alert, {shipped_messages} message
"""


# --- for people -------------------------------------------------------------------------


def seconds(value):
    return "never" if value is None else f"{value:.1f} s"


def told(case):
    fault = case.fault
    lines = []
    if fault.is_in_prometheus:
        lines.append(f"  alert {fault.alert} after {seconds(case.alert_s)}")
    lines.append(f"  message after {seconds(case.message_s)}")
    hidden = ", ".join(sorted(case.inhibited)) or "nothing"
    lines.append(f"  inhibited: {hidden}")
    if case.snapshot:
        seen = case.snapshot
        lines.append(f"  snapshot: trace {seen['trace']}, room {seen['room']}, client {seen['client']}")
    else:
        lines.append("  snapshot: none")
    return "\n".join(lines)


def over(case):
    value = f", now {case.value}" if case.value is not None else ""
    lines = [f"  recovery told {seconds(case.recovery_s)} after it was over{value}"]
    robots = ", ".join(f"{count} to {robot}" for robot, count in sorted(case.robots.items()))
    lines.append(f"  messages: {robots or 'none'}")
    if case.others:
        lines.append(f"  told as well: {', '.join(sorted(case.others))}")
    lines += [f"  MISSED: {what}" for what in case.missed]
    return "\n".join(lines)


def table(cases):
    head = ("fault", "alert", "after", "message", "messages", "inhibited", "snapshot", "recovery", "")
    rows = [head]
    for case in cases:
        rows.append(
            (
                case.fault.title,
                case.fault.message,
                seconds(case.alert_s) if case.fault.is_in_prometheus else "–",
                seconds(case.message_s),
                str(sum(case.robots.values())),
                str(len(case.inhibited)),
                "yes" if case.snapshot else "no",
                seconds(case.recovery_s),
                "MISSED" if case.missed else "ok",
            )
        )
    widths = [max(len(row[at]) for row in rows) for at in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    )
