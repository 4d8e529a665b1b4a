"""`rookery silence` against an Alertmanager that runs."""

import subprocess

import pytest

import harness
from harness import BINARY, CONFIG_OFFLINE


@pytest.fixture
def alertmanager(tmp_path):
    with harness.alertmanager(tmp_path, CONFIG_OFFLINE) as address:
        yield address


def silence(address, *arguments, code=0):
    command = [BINARY, "silence", *arguments, "--alertmanager", address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, (done.stdout, done.stderr)
    return (done.stdout if code == 0 else done.stderr).strip()


DEPLOY = ("add", "--cluster", "main", "--job", "rookery", "--duration", "10m")
FIRING = {"cluster": "main", "job": "rookery", "instance": "a", "severity": "critical"}


def state(address, **labels):
    """Of the one alert with these labels: whether it is told."""
    found = [
        one["status"]["state"]
        for one in harness.ask(f"{address}/api/v2/alerts")
        if labels.items() <= one["labels"].items()
    ]
    assert len(found) == 1, found
    return found[0]


def test_a_deploy_is_quiet_until_it_is_over(alertmanager):
    storm = FIRING | {"alertname": "ChatReconnectStorm"}
    other = storm | {"job": "billing"}
    harness.post(alertmanager, [storm, other])
    made = silence(alertmanager, *DEPLOY, "--comment", "1.2.3", "--by", "anna")
    assert len(made) == 36
    assert state(alertmanager, **storm) == "suppressed"
    assert state(alertmanager, **other) == "active"

    line = silence(alertmanager, "list")
    assert made in line and 'job="rookery"' in line and "anna: main-rookery: 1.2.3" in line

    assert silence(alertmanager, "expire", "--cluster", "main", "--job", "rookery") == made
    assert state(alertmanager, **storm) == "active"
    assert silence(alertmanager, "list") == ""


def test_one_alert_of_one_server_is_quiet_and_the_others_are_not(alertmanager):
    alerts = [FIRING | {"alertname": name} for name in ("ChatCoreSaturated", "ChatStoreDamaged")]
    harness.post(alertmanager, alerts)
    only = ("--alert", "ChatCoreSaturated", "--instance", "a", "--comment", "x")
    made = silence(alertmanager, *DEPLOY, *only)
    assert state(alertmanager, alertname="ChatCoreSaturated") == "suppressed"
    assert state(alertmanager, alertname="ChatStoreDamaged") == "active"
    silence(alertmanager, "expire", made)
    assert state(alertmanager, alertname="ChatCoreSaturated") == "active"


def test_the_end_of_a_deploy_ends_no_silence_of_others(alertmanager):
    ours = silence(alertmanager, *DEPLOY, "--comment", "deploy")
    elsewhere = silence(
        alertmanager, "add", "--cluster", "other", "--job", "rookery",
        "--duration", "10m", "--comment", "deploy",
    )
    matchers = [
        {"name": name, "value": value, "isRegex": False, "isEqual": True}
        for name, value in (("cluster", "main"), ("job", "rookery"))
    ]
    by_hand = {"createdBy": "ben", "comment": "until noon \x1b[2J", "matchers": matchers}
    times = {"startsAt": "2020-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00Z"}
    kept = harness.ask(f"{alertmanager}/api/v2/silences", by_hand | times, "POST")["silenceID"]

    assert silence(alertmanager, "expire", "--cluster", "main", "--job", "rookery") == ours
    left = silence(alertmanager, "list")
    assert kept in left and elsewhere in left and ours not in left
    assert "\x1b" not in left, "what a stranger wrote is shown and not obeyed"
    json_lines = silence(alertmanager, "list", "--json").splitlines()
    assert len(json_lines) == 2

    # A script that ends a deploy may do so twice.
    silence(alertmanager, "expire", "--cluster", "main", "--job", "rookery")


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (("add", "--cluster", "a", "--job", "b", "--comment", "x"), 2, "--duration"),
        ((*DEPLOY,), 2, "--comment"),
        ((*DEPLOY[:-1], "5h", "--comment", "x"), 2, "at most 4h"),
        ((*DEPLOY[:-1], "never", "--comment", "x"), 2, "at most 4h"),
        (("add", "--cluster", "", "--job", "b", "--duration", "1m", "--comment", "x"), 2, "a line"),
        (("expire",), 2, "required"),
        (("expire", "../alerts"), 2, "an id"),
        (("expire", "--cluster", "main"), 2, "--job"),
        (("expire", "00000000-0000-4000-8000-000000000000"), 1, "not found"),
    ],
)
def test_what_cannot_be_done_is_said(alertmanager, arguments, code, words):
    assert words in silence(alertmanager, *arguments, code=code)


def test_an_alertmanager_that_is_not_there_is_named():
    said = silence("http://127.0.0.1:1", "list", code=1)
    assert "127.0.0.1:1" in said and "refused" in said
    assert "--ca-file" in silence("http://127.0.0.1:1", "list", "--ca-file", "/nowhere", code=2)
    refused = silence("ftp://me:s3cret@127.0.0.1:1", "list", code=2)
    assert "http://" in refused and "s3cret" not in refused


def test_an_answer_that_is_none_is_no_success():
    with harness.web(lambda path, body: ("text/html", "<html>")) as address:
        assert "cannot be read" in silence(f"http://{address}", "list", code=1)
