"""Who hears of an alert, and which alerts are only the consequence of another: by
amtool, and by an Alertmanager that runs with the configuration that is shipped."""

import contextlib
import pathlib
import re
import tempfile

import pytest

import harness
from harness import HOME, run

CONFIG = HOME / "alertmanager.yml"
ROUTES = harness.load(CONFIG)


def test_amtool_takes_the_configuration():
    code, said = run("amtool", "check-config", CONFIG)
    assert code == 0, said


def receiver_of(**labels):
    pairs = [f"{name}={value}" for name, value in labels.items()]
    code, said = run("amtool", "config", "routes", "test", f"--config.file={CONFIG}", *pairs)
    assert code == 0, said
    # The second line warns of a flag that nobody gave.
    return said.splitlines()[0]


def test_every_alert_has_the_receiver_of_its_severity():
    expected = {"critical": "page", "warning": "default", "none": "deadman"}
    seen = {(rule["alert"], rule["labels"]["severity"], rule["labels"]["layer"]) for rule in harness.alerts()}
    layers = {(severity, layer): name for name, severity, layer in seen}
    assert {severity for severity, _ in layers} == set(expected)
    for (severity, layer), name in layers.items():
        got = receiver_of(alertname=name, severity=severity, layer=layer, job="rookery")
        assert got == expected[severity], (severity, layer)


def test_what_nobody_foresaw_goes_somewhere():
    assert receiver_of(alertname="SomethingElse") == "default"


def test_the_watchdog_goes_to_the_deadman_alone():
    assert receiver_of(alertname="ChatWatchdog", severity="none") == "deadman"
    route = ROUTES["route"]["routes"][0]
    assert harness.seconds(route["repeat_interval"]) <= 60, "the bridge misses it after 3 minutes"


def test_tenants_are_told_apart():
    assert "tenant_id" in ROUTES["route"]["group_by"]
    route = 'matchers: [\'tenant_id="acme"\']'
    assert route in CONFIG.read_text(), "the example that docs/MONITORING.md speaks of"


def test_receivers_are_the_bridge_and_hold_no_secret():
    for receiver in ROUTES["receivers"]:
        assert set(receiver) == {"name", "webhook_configs"}
        for hook in receiver["webhook_configs"]:
            name = receiver["name"]
            path = "deadman" if name == "deadman" else f"notify/{name}"
            assert hook["url"] == f"http://127.0.0.1:9494/v1/{path}"
            assert name == "deadman" or (hook["send_resolved"] and hook["max_alerts"] == 50)


def test_what_is_critical_is_never_muted():
    for route in ROUTES["route"]["routes"]:
        if "mute_time_intervals" in route:
            assert route["matchers"] == ['severity="warning"']


def test_messages_are_not_grouped_by_place():
    assert not {"instance", "core", "slo"} & set(ROUTES["route"]["group_by"])


def test_names_in_the_configuration_are_names_of_alerts():
    named = set(re.findall(r"Chat\w+", CONFIG.read_text()))
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
