"""The configuration that is shipped, with a server that runs: what rules and dashboard
ask for is there, and no rule fails."""

import json
import re

import pytest

import harness
import test_dashboards
import test_rules
from harness import HOME


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    """A Prometheus with the shipped configuration, and the server that it scrapes."""
    folder = tmp_path_factory.mktemp("live")
    (folder / "rules").symlink_to(HOME / "rules")
    (folder / "targets").mkdir()
    (folder / "targets/alert-bridge.yml").write_text("[]")
    config = (HOME / "prometheus.yml").read_text()
    for name in ("scrape_interval", "scrape_timeout", "evaluation_interval"):
        config = re.sub(rf"{name}: \S+", f"{name}: 1s", config)
    # Neither an Alertmanager nor another Prometheus is asked.
    config = re.sub(r"127\.0\.0\.1:909[03]", "127.0.0.1:1", config)
    with harness.rookery(folder) as (_, admin):
        targets = [{"targets": [admin]}]
        (folder / "targets/rookery.yml").write_text(json.dumps(targets))
        with harness.prometheus(folder, config) as address:
            harness.until("a scrape", lambda: harness.query(address, 'up{job="rookery"} == 1'))
            yield address


def asked():
    """Every series of a server's that a rule or a panel asks for; those of tenants are
    there when a tenant is."""
    expressions = list(test_rules.expressions())
    expressions += [(title, test_dashboards.filled(e)) for title, e in test_dashboards.EXPRESSIONS]
    return {
        selector.name
        for _, expression in expressions
        for selector in harness.selectors(test_rules.untemplated(expression))
        if selector.name and test_rules.family_of(selector.name)
        if not test_rules.family_of(selector.name)["tenants"]
    }


def test_every_series_that_is_asked_for_is_there(prometheus):
    missing = {name for name in asked() if not harness.query(prometheus, f"count({name})")}
    assert not missing, missing


def test_no_rule_fails(prometheus):
    def read():
        found = harness.ask(f"{prometheus}/api/v1/rules")["data"]["groups"]
        return [rule for group in found for rule in group["rules"]]

    evaluated = lambda all: all and not [rule for rule in all if rule["health"] == "unknown"]
    # Groups of 30 s begin somewhere within them; those of 5 minutes are not waited for.
    slow = {"slo:chat_error_budget:remaining_ratio", "slo:chat_objective:ratio"}
    of_interest = lambda: [rule for rule in read() if rule["name"] not in slow]
    failed = [
        f"{rule['name']}: {rule.get('lastError')}"
        for rule in harness.until("every rule", of_interest, evaluated)
        if rule["health"] != "ok"
    ]
    assert not failed, failed


def test_a_server_is_within_its_budget_of_series(prometheus):
    sample = harness.query(prometheus, "scrape_samples_post_metric_relabeling")[0]
    assert int(sample["value"][1]) < 3_000


def test_labels_that_are_texts_are_no_labels_of_series(prometheus):
    labels = harness.ask(f"{prometheus}/api/v1/labels")["data"]
    assert not {"runbooks", "dashboards", "user_id", "trace_id", "path"} & set(labels)


def test_exemplars_are_kept(prometheus):
    flags = harness.ask(f"{prometheus}/api/v1/status/flags")["data"]
    assert "exemplar-storage" in flags["enable-feature"]
