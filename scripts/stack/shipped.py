"""The files of alertmanager/ as this stack runs them: copies that differ in what is
written here, and in nothing else.

1. Addresses are those of this stack.
2. Runbooks and dashboards are where this stack serves them, and the cluster is `demo`.
3. Nobody sleeps: warnings are not muted by night. What an operator has to choose is
   chosen: a zone, and the bridge as the one that misses the watchdog. No mail is sent.
4. With a lapse of N, every duration is divided by N: intervals, waits, the windows of
   expressions, and how far they predict. All that the files say about each other stays
   as it is; what they say about the world (so many a second, longer than so long) does
   not change. Machines do not get faster, so scrapes and evaluations are a second
   apart at least, and a scrape may take as long as that.

So there is no second set of rules: what runs is what is shipped, in a hurry.
"""

import pathlib
import re

TOP = pathlib.Path(__file__).resolve().parents[2]
SHIPPED = TOP / "alertmanager"

# However short the lapse makes it.
INTERVAL_MS_MIN = 1_000

UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
DURATION = r"(?:\d+(?:ms|[smhdw]))+"
# Keys whose values are durations.
KEYED = re.compile(
    r"^(\s*(?:- )?(?:scrape_interval|evaluation_interval|interval|for|keep_firing_for|"
    rf"group_wait|group_interval|repeat_interval|resolve_timeout): +)({DURATION})( *)$",
    re.MULTILINE,
)
SCRAPE_INTERVAL = re.compile(rf"^  scrape_interval: +({DURATION})", re.MULTILINE)
SCRAPE_TIMEOUT = re.compile(rf"^(  scrape_timeout: +){DURATION}", re.MULTILINE)
WINDOW = re.compile(rf"(\[|\boffset +)({DURATION})(\]|\b)")
HORIZON = re.compile(r"(predict_linear\([^()]*(?:\([^()]*\)[^()]*)*, *)(\d+)(\))")
LETTERS = re.compile(r"^  email_configs:\n(?:  [- ] .*\n)+", re.MULTILINE)
CHOSEN = {
    "SET-YOUR-ZONE": "Etc/UTC",
    "set-your-heartbeat://here": "http://127.0.0.1:9494/v1/deadman",
}
MUTED = re.compile(r"^ *mute_time_intervals:.*\n", re.MULTILINE)


def milliseconds(text):
    return sum(int(n) * UNITS_MS[unit] for n, unit in re.findall(r"(\d+)(ms|[smhdw])", text))


def divided(text, lapse):
    """A duration, as Prometheus writes it; 0 stays 0, and nothing else becomes 0."""
    shipped = milliseconds(text)
    return f"{max(round(shipped / lapse), min(shipped, 1))}ms"


def keyed(match, lapse):
    here = divided(match[2], lapse)
    if match[1].strip("- ").startswith(("scrape_interval", "evaluation_interval", "interval")):
        here = f"{max(milliseconds(here), min(milliseconds(match[2]), INTERVAL_MS_MIN))}ms"
    return match[1] + here + match[3]


def in_a_hurry(text, lapse):
    """A file of rules or a configuration, with its durations divided."""
    if lapse == 1:
        return text
    text = KEYED.sub(lambda m: keyed(m, lapse), text)
    interval = SCRAPE_INTERVAL.search(text)
    text = WINDOW.sub(lambda m: m[1] + divided(m[2], lapse) + m[3], text)
    text = HORIZON.sub(lambda m: f"{m[1]}{max(round(int(m[2]) / lapse), 1)}{m[3]}", text)
    if interval:
        text = SCRAPE_TIMEOUT.sub(lambda m: m[1] + interval[1], text)
    return text


def copy(target, addresses, pages, lapse):
    """Writes the copies to `target`. `addresses` are those that are shipped, and those
    that they are here."""
    for source in sorted(SHIPPED.glob("**/*.yml")):
        place = source.relative_to(SHIPPED)
        if place.parts[0] in ("rule_tests", "dashboards"):
            continue
        text = source.read_text()
        if place == pathlib.Path("alertmanager.yml"):
            for unset, value in CHOSEN.items():
                text = text.replace(unset, value)
            text = LETTERS.sub("", text)
        # All at once: what is replaced is not looked at again.
        known = re.compile("|".join(re.escape(address) for address in addresses))
        text = known.sub(lambda m: addresses[m[0]], text)
        text = in_a_hurry(MUTED.sub("", text), lapse)
        if place == pathlib.Path("prometheus.yml"):
            text = re.sub(r"(?m)^(    cluster: ).*", r"\1demo", text)
            text = re.sub(r"(?m)^(    runbooks: ).*", rf"\1{pages}/runbooks", text)
            text = re.sub(r"(?m)^(    dashboards: ).*", rf"\1{pages}", text)
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        (target / place).write_text(text)


def duration_s(name, alert):
    """What the shipped rules say for an alert; for instance its `for`, in seconds. The
    longest, where several rules have the name."""
    found = []
    for path in (SHIPPED / "rules").glob("*.yml"):
        for rule in re.split(r"(?m)^  - (?=alert:|record:)", path.read_text()):
            if rule.startswith(f"alert: {alert}\n"):
                match = re.search(rf"(?m)^    {name}: +({DURATION})", rule)
                found.append(milliseconds(match[1]) / 1000 if match else 0)
    assert found, f"no rule is called {alert}"
    return max(found)
