"""Who hears of an alert, and which alerts are only the consequence of another: by
amtool, and by an Alertmanager that runs with the configuration that is shipped."""

import contextlib
import json
import pathlib
import re
import tempfile

import pytest

import harness
from harness import HOME, run

SHIPPED = HOME / "alertmanager.yml"
ROUTES = harness.load(SHIPPED)
BRIDGE = "127.0.0.1:9494"
# Longer than any mute: from Friday evening to Monday morning.
MUTED_S_MAX = 58 * 3600


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("routes") / "alertmanager.yml"
    path.write_text(harness.CONFIG)
    return path


def test_amtool_takes_the_configuration_once_everything_is_chosen(config):
    code, said = run("amtool", "check-config", config)
    assert code == 0, said


@pytest.mark.parametrize(
    "choices, words",
    [((harness.ZONE,), "set-your-heartbeat"), ((harness.HEARTBEAT,), "SET-YOUR-ZONE"), ((), "")],
)
def test_what_only_the_operator_knows_must_be_chosen(tmp_path, choices, words):
    path = tmp_path / "alertmanager.yml"
    path.write_text(harness.chosen(harness.SHIPPED_ROUTES, *choices))
    code, said = run("amtool", "check-config", path)
    assert code != 0 and words in said, said


def receivers_of(config, **labels):
    pairs = [f"{name}={value}" for name, value in labels.items()]
    code, said = run("amtool", "config", "routes", "test", f"--config.file={config}", *pairs)
    assert code == 0, said
    # The second line warns of a flag that nobody gave.
    return said.splitlines()[0].split(",")


def test_every_alert_has_the_receiver_of_its_severity(config):
    expected = {"critical": "page", "warning": "default", "none": "deadman"}
    seen = {(rule["alert"], rule["labels"]["severity"], rule["labels"]["layer"]) for rule in harness.alerts()}
    layers = {(severity, layer): name for name, severity, layer in seen}
    assert {severity for severity, _ in layers} == set(expected)
    for (severity, layer), name in layers.items():
        got = receivers_of(config, alertname=name, severity=severity, layer=layer, job="rookery")
        assert expected[severity] in got, (severity, layer)
        # Whatever is wrong with the way of alerts must not need that way.
        is_of_the_way = (severity, layer) in {("critical", "meta"), ("none", "meta")}
        assert (len(got) == 2) == is_of_the_way, (severity, layer, got)


def test_what_nobody_foresaw_goes_somewhere(config):
    assert receivers_of(config, alertname="SomethingElse") == ["default"]


def test_the_watchdog_goes_to_both_who_miss_it(config):
    got = receivers_of(config, alertname="ChatWatchdog", severity="none", layer="meta")
    assert got == ["deadman", "heartbeat"]
    for route in ROUTES["route"]["routes"][:2]:
        assert harness.seconds(route["repeat_interval"]) <= 60, "it is missed after 3 minutes"


def test_what_is_wrong_with_the_way_of_alerts_leaves_by_another(config):
    without = [receiver for receiver in ROUTES["receivers"] if BRIDGE not in str(receiver)]
    assert {receiver["name"] for receiver in without} == {"heartbeat", "without-bridge"}
    for name in ("ChatAlertBridgeDown", "ChatAlertBridgeFailing", "ChatAlertmanagerFailing", "ChatRuleFailing"):
        labels = {"alertname": name, "severity": "critical", "layer": "meta"}
        assert receivers_of(config, **labels) == ["without-bridge", "page"], name


def test_tenants_are_told_apart():
    assert "tenant_id" in ROUTES["route"]["group_by"]
    route = 'matchers: [\'tenant_id="acme"\']'
    assert route in SHIPPED.read_text(), "the example that docs/MONITORING.md speaks of"


def test_receivers_are_the_bridge_and_hold_no_secret():
    for receiver in ROUTES["receivers"]:
        if receiver["name"] in ("heartbeat", "without-bridge"):
            continue
        assert set(receiver) == {"name", "webhook_configs"}
        for hook in receiver["webhook_configs"]:
            name = receiver["name"]
            path = "deadman" if name == "deadman" else f"notify/{name}"
            assert hook["url"] == f"http://127.0.0.1:9494/v1/{path}"
            assert name == "deadman" or (hook["send_resolved"] and hook["max_alerts"] == 50)


def test_only_warnings_that_foretell_nothing_near_are_muted():
    routes = ROUTES["route"]["routes"]
    muted = [route for route in routes if "mute_time_intervals" in route]
    assert [route["matchers"] for route in muted] == [['severity="warning"']]
    before = routes[: routes.index(muted[0])]
    near = [route for route in before if route["matchers"] == ['severity="warning"', 'horizon="hours"']]
    assert len(near) == 1 and not near[0].get("continue")


# Warnings that wait for people to be awake, and why they may. Whatever is not here says
# with `horizon: hours` that it may not.
WAITS = {
    "ChatClockSkew": "figures are wrong, and nobody notices but those who read them",
    "ChatConnSurvivalLow": "the budget has its own critical alert, by its speed",
    "ChatCoreImbalance": "a core that saturates is critical",
    "ChatDeadLetters": "it becomes critical when nobody looks (ChatDeadLetterStale)",
    "ChatErrorBudgetBurn": "its slow forms: ten days, and thirty",
    "ChatExecutorStall": "it is over; one that goes on is critical (ChatCoreHung)",
    "ChatExemplarStorageOff": "messages have no trace",
    "ChatFdLeak": "ChatFdHeadroomLow tells when it comes near",
    "ChatHandshakeSlow": "failing handshakes are critical",
    "ChatCoreLate": "it closes nobody for it and lets fewer in; what clients see is critical",
    "ChatLogLinesLost": "evidence is missing, and service is not",
    "ChatMemoryPerConnGrowth": "ChatMemoryHeadroomLow tells when it comes near",
    "ChatMsgP99High": "what clients see is critical (ChatE2EP95High)",
    "ChatQuarantineActive": "somebody is turned away on purpose; a burst is critical",
    "ChatReconnectSlow": "those who come back do",
    "ChatRecoveryFailing": "those who come back begin anew",
    "ChatSessionPanics": "single sessions; a burst is critical",
    "ChatSlowConsumers": "slow readers are closed on purpose",
    "ChatStoreLogFailing": "it was read again and works; while it does not, ChatStoreBroken is critical",
    "ChatStoreLogSlow": "what clients see is critical, and so is a store that fails",
    "ChatStoreSortFailing": "the log has what is not sorted; while it grows, ChatStoreSortBehind tells",
    "ChatStoreSlow": "what clients see is critical, and so is a store that fails",
    "ChatTaskLeakPerConn": "ChatMemoryHeadroomLow tells when it comes near",
    "ChatTaskLeakTrend": "ChatMemoryHeadroomLow tells when it comes near",
    "ChatTenantDeliveryFailing": "one tenant; where it is many, the critical ones tell",
    "ChatTenantOverflow": "figures are under another name",
    "ChatTenantSlow": "one tenant; where it is many, the critical ones tell",
    "ChatTracesLost": "links lead nowhere",
    "ChatUringOverflow": "it was caught up with; what comes of it is told",
}


def test_every_warning_says_whether_it_can_wait_until_somebody_is_awake():
    warnings = [rule for rule in harness.alerts() if rule["labels"]["severity"] == "warning"]
    near = {rule["alert"] for rule in warnings if rule["labels"].get("horizon") == "hours"}
    far = {rule["alert"] for rule in warnings if "horizon" not in rule["labels"]}
    assert not near & far
    assert far == set(WAITS), far ^ set(WAITS)
    assert {"ChatStoreFillsUp", "ChatConnCapacityForecast", "ChatFdHeadroomLow"} <= near
    for rule in harness.alerts():
        allowed = {"hours"} if rule["labels"]["severity"] == "warning" else set()
        assert set(filter(None, [rule["labels"].get("horizon")])) <= allowed, rule["alert"]


def test_what_is_predicted_before_a_mute_ends_is_not_muted():
    """A forecast is a promise about a time, so it is held to that time."""
    forecasts = 0
    for rule in harness.alerts():
        for seconds in re.findall(r"predict_linear\([^,]*, *(\d+)\)", rule["expr"]):
            forecasts += 1
            is_told = rule["labels"].get("horizon") == "hours" or rule["labels"]["severity"] == "critical"
            assert is_told or int(seconds) > MUTED_S_MAX, rule["alert"]
    assert forecasts >= 2


# Muted whenever this runs, in every zone.
ALWAYS = "[{times: [{start_time: '00:00', end_time: '24:00'}]}]"
NOW_MUTED = f"""time_intervals:
- {{name: night, time_intervals: {ALWAYS}}}
- {{name: weekend, time_intervals: {ALWAYS}}}

"""


def test_a_store_that_fills_up_is_told_at_night_and_a_stall_is_not(tmp_path):
    head, rest = harness.CONFIG.split("time_intervals:\n- name", 1)
    config = head + NOW_MUTED + rest[rest.index("# The cause is told") :]
    told = []

    def answer(path, body):
        told.extend(one["labels"]["alertname"] for one in json.loads(body)["alerts"])
        return "text/plain", "kept"

    with harness.web(answer) as bridge:
        config = config.replace(BRIDGE, bridge).replace("group_wait: 15s", "group_wait: 1s")
        with harness.alertmanager(tmp_path, config) as address:
            names = ("ChatStoreFillsUp", "ChatConnCapacityForecast")
            near = [alert(name, horizon="hours", **A) for name in names]
            harness.post(address, [alert("ChatExecutorStall", **A), *near])
            harness.until("both", lambda: told, lambda told: set(names) <= set(told))
            # Whoever is told after them has waited longer than they would have.
            harness.post(address, [alert("ChatStoreFull", **A)])
            harness.until("the last", lambda: told, lambda told: "ChatStoreFull" in told)
    assert "ChatExecutorStall" not in told


def test_the_watchdog_and_the_bridges_death_are_told_when_the_bridge_is_dead(tmp_path):
    pings, letters = [], []

    def answer(path, body):
        pings.append(path)
        return "text/plain", "ok"

    with harness.web(answer) as outside, harness.mail(letters.append) as post_office:
        config = harness.chosen(harness.SHIPPED_ROUTES, harness.ZONE)
        config = config.replace(harness.HEARTBEAT[0], f"http://{outside}/ping/uuid")
        config = config.replace(BRIDGE, "127.0.0.1:1").replace("127.0.0.1:25", post_office)
        with harness.alertmanager(tmp_path, config) as address:
            down = alert("ChatAlertBridgeDown", job="rookery-alert-bridge", instance="w")
            harness.post(address, [alert("ChatWatchdog"), down], {"summary": "the bridge is gone"})
            harness.until("the heartbeat", lambda: pings)
            letter = harness.until("the letter", lambda: letters)[0]
    assert pings[0] == "/ping/uuid"
    assert "To: root@localhost" in letter and "ChatAlertBridgeDown" in letter


def test_messages_are_not_grouped_by_place():
    assert not {"instance", "core", "slo"} & set(ROUTES["route"]["group_by"])


def test_names_in_the_configuration_are_names_of_alerts():
    named = set(re.findall(r"Chat\w+", SHIPPED.read_text()))
    assert named <= set(harness.alert_names()), named - set(harness.alert_names())


# --- inhibition -----------------------------------------------------------------------------

BY_NAME = {rule["alert"]: rule for rule in harness.alerts()}


def alert(name, severity=None, **labels):
    """An alert as Prometheus would send it; without `instance` where it has none."""
    rule = BY_NAME[name]["labels"]
    base = {"alertname": name, "job": "rookery", "severity": severity or rule["severity"]}
    return base | {"layer": rule["layer"]} | labels


A, B = {"instance": "a"}, {"instance": "b"}
# What fires, what then is not told, and what is told all the same.
CASES = {
    "the same fault, worse": (
        [alert("ChatFdHeadroomLow", "critical", **A)],
        [alert("ChatFdHeadroomLow", "warning", **A)],
        [
            alert("ChatFdHeadroomLow", "warning", **B),
            alert("ChatMemoryHeadroomLow", "warning", **A),
        ],
    ),
    "a budget that burns fast burns slowly, too; another objective is another fault": (
        [alert("ChatErrorBudgetBurn", "critical", slo="e2e_latency")],
        [alert("ChatErrorBudgetBurn", "warning", slo="e2e_latency")],
        [alert("ChatErrorBudgetBurn", "warning", slo="msg_reachability")],
    ),
    "a process that is gone": (
        [alert("ChatInstanceDown", **A)],
        [
            alert("ChatMassDisconnect", **A),
            alert("ChatCoreSaturated", **A, core="1"),
            alert("ChatFdHeadroomLow", "critical", **A),
            alert("ChatReconnectSlow"),
        ],
        [
            alert("ChatMassDisconnect", **B),
            alert("ChatErrorBudgetBurn", "critical", slo="e2e_latency"),
        ],
    ),
    "a core that stands still": (
        [alert("ChatCoreHung", **A, core="3")],
        [
            alert("ChatMassDisconnect", **A),
            alert("ChatCoreMailboxFull", **A, lane="push"),
            alert("ChatE2EP95High", chat_type="group", direction="recv"),
            alert("ChatErrorBudgetBurn", "critical", slo="conn_availability"),
        ],
        [
            alert("ChatMassDisconnect", **B),
            alert("ChatStoreFull", **A),
            alert("ChatMsgUnaccounted", **A),
            alert("ChatCoreHung", **A, core="2"),
        ],
    ),
    "a store that takes nothing": (
        [alert("ChatStoreBroken", **A)],
        [
            alert("ChatStoreSlow", **A),
            alert("ChatStoreLogSlow", **A),
            alert("ChatStoreLogBehind", horizon="hours", **A),
            alert("ChatStoreLogFailing", **A),
            alert("ChatStoreSortBehind", horizon="hours", **A),
            alert("ChatStoreSortFailing", **A),
            alert("ChatSlowConsumers", **A),
            alert("ChatMsgDeliveryFailureHigh", slo="msg_reachability"),
            alert("ChatErrorBudgetBurn", "critical", slo="msg_reachability"),
            alert("ChatHttpErrorRatioHigh"),
        ],
        [
            alert("ChatStoreSlow", **B),
            alert("ChatStoreDamaged", **A),
            alert("ChatMsgUnaccounted", **A),
            alert("ChatErrorBudgetBurn", "critical", slo="conn_availability"),
            alert("ChatMassDisconnect", **A),
        ],
    ),
    "a store whose disk is slow": (
        [alert("ChatStoreLogSlow", **A)],
        [alert("ChatStoreSlow", **A)],
        [
            alert("ChatStoreSlow", **B),
            alert("ChatStoreLogBehind", horizon="hours", **A),
            alert("ChatStoreLogFailing", **A),
        ],
    ),
    "a store that waits for its database": (
        [alert("ChatStoreLogBehind", horizon="hours", **A)],
        [alert("ChatStoreSlow", **A)],
        [alert("ChatStoreSlow", **B), alert("ChatStoreLogSlow", **A)],
    ),
    "a store that cannot sort as fast as it is told": (
        [alert("ChatStoreSortBehind", horizon="hours", **A)],
        [alert("ChatStoreSlow", **A)],
        [alert("ChatStoreSlow", **B), alert("ChatStoreLogBehind", horizon="hours", **A)],
    ),
    "many that are gone at once come back at once": (
        [alert("ChatMassDisconnect", **A)],
        [
            alert("ChatReconnectStorm", **A),
            alert("ChatHandshakeSlow", **A),
            alert("ChatReconnectSlow"),
            alert("ChatConnSurvivalLow", slo="conn_availability"),
        ],
        [alert("ChatReconnectStorm", **B), alert("ChatHandshakeFailing", **A)],
    ),
    "sessions that panic": (
        [alert("ChatEarlyPanicBurst", **A)],
        [
            alert("ChatSessionPanics", **A),
            alert("ChatQuarantineActive", **A),
            alert("ChatReconnectStorm", **A),
            alert("ChatConnSurvivalLow", slo="conn_availability"),
        ],
        [alert("ChatSessionPanics", **B), alert("ChatCoreSaturated", **A, core="0")],
    ),
    "no place is left": (
        [alert("ChatConnectionsAtLimit", **A)],
        [
            alert("ChatConnectionsRefused", **A, reason="no_room"),
            alert("ChatConnCapacityForecast", **A),
        ],
        [alert("ChatConnectionsRefused", **B, reason="no_room"), alert("ChatFdHeadroomLow", "critical", **A)],
    ),
    "clients measure what the server measures": (
        [alert("ChatE2EP95High", chat_type="group", direction="recv")],
        [alert("ChatMsgP99High")],
        [alert("ChatClockSkew", **A)],
    ),
    "the bridge is gone": (
        [alert("ChatAlertBridgeDown", job="rookery-alert-bridge", instance="w")],
        [alert("ChatAlertmanagerFailing", job="alertmanager", instance="m", integration="webhook")],
        [alert("ChatAlertsNotSent", job="prometheus", instance="p")],
    ),
}


@pytest.fixture(scope="module")
def status():
    """All cases in one Alertmanager, each in a cluster of its own; who is inhibited."""
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        address = stack.enter_context(harness.alertmanager(folder, harness.CONFIG_OFFLINE))
        for name, (causes, muted, told) in CASES.items():
            for alerts in (causes, muted, told):
                harness.post(address, [labels | {"cluster": name} for labels in alerts])
        # What was there before the last was looked at before the last.
        last = {"cluster": "the last", **A}
        harness.post(address, [alert("ChatInstanceDown") | last, alert("ChatCoreHung") | last])

        def read():
            found = harness.ask(f"{address}/api/v2/alerts")
            return {frozenset(one["labels"].items()): one["status"] for one in found}

        last_one = frozenset((alert("ChatCoreHung") | last).items())
        yield harness.until("inhibition", read, lambda all: all[last_one]["inhibitedBy"])


@pytest.mark.parametrize("name", CASES)
def test_the_cause_is_told_and_its_consequences_are_not(status, name):
    causes, muted, told = CASES[name]
    of = lambda labels: status[frozenset((labels | {"cluster": name}).items())]["state"]
    assert {of(labels) for labels in causes} == {"active"}
    wrong = [labels["alertname"] for labels in muted if of(labels) != "suppressed"]
    assert not wrong, f"told: {wrong}"
    wrong = [labels["alertname"] for labels in told if of(labels) != "active"]
    assert not wrong, f"not told: {wrong}"


def test_another_cluster_is_another_world(status):
    told = [labels for labels, one in status.items() if one["state"] == "active"]
    assert told, "somebody is always told"
    for labels, one in status.items():
        for source in one["inhibitedBy"]:
            cluster = dict(labels)["cluster"]
            same = [dict(other)["cluster"] for other in status if status[other] is one]
            assert same == [cluster] and source


def test_an_alert_without_a_job_mutes_nobody(tmp_path):
    """A missing label equals a missing label: a source without `job` would mute every
    alert that has none either."""
    with harness.alertmanager(tmp_path, harness.CONFIG_OFFLINE) as address:
        stranger = {"alertname": "SomethingElse", "severity": "critical"}
        harness.post(address, [stranger, stranger | {"severity": "warning"}])
        last = {"cluster": "the last", **A}
        harness.post(address, [alert("ChatInstanceDown") | last, alert("ChatCoreHung") | last])
        read = lambda: harness.ask(f"{address}/api/v2/alerts")
        done = lambda found: any(one["status"]["inhibitedBy"] for one in found)
        found = harness.until("inhibition", read, done)
        states = [one["status"]["state"] for one in found if one["labels"]["alertname"] == "SomethingElse"]
        assert states == ["active", "active"]
