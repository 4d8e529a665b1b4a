"""The rules: what Prometheus' own tools say about them, what they would not notice, and
that every name in them is a name of this product."""

import json
import re

import pytest

import harness
from harness import HOME, RULES, RULE_TESTS, alerts, groups, rules, run, selectors

CATALOGUE = json.loads((harness.TOP / "docs/metrics.json").read_text())
SCRAPE = harness.load(HOME / "prometheus.yml")
SCRAPE_S = harness.seconds(SCRAPE["global"]["scrape_interval"])


# --- promtool ---------------------------------------------------------------------------


def test_promtool_finds_nothing_to_say_about_the_rules():
    code, said = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", *RULES)
    assert code == 0, said


@pytest.mark.parametrize("path", RULE_TESTS, ids=lambda path: path.name.split(".")[0])
def test_alerts_fire_when_they_must_and_only_then(path):
    code, said = run("promtool", "test", "rules", path)
    assert code == 0, said


def test_promtool_takes_the_configuration():
    code, said = run("promtool", "check", "config", HOME / "prometheus.yml")
    assert code == 0, said


def test_each_alert_has_a_case_that_fires_and_one_that_does_not():
    cases = {case for path in RULE_TESTS for case in harness.cases_of(path)}
    missing = {
        (name, fires)
        for name in harness.alert_names()
        for fires in (True, False)
        # The watchdog always fires.
        if (name, fires) not in cases | {("ChatWatchdog", False)}
    }
    assert not missing, missing


def test_a_wrong_rule_is_found(tmp_path):
    """The check would be worth nothing if it passed whatever is wrong."""
    good = (HOME / "rules/store.alerts.yml").read_text()
    for what, wrong in {
        "a bracket": good.replace("sum by (job, instance) (", "sum by (job, instance) ((", 1),
        "a space in a name": good.replace("alert: Chat", "record: job: Chat", 1),
        "an unknown template": good.replace("humanize", "humanise"),
    }.items():
        assert wrong != good, what
        path = tmp_path / "wrong.yml"
        path.write_text(wrong)
        code, said = run("promtool", "check", "rules", "--lint=all", "--lint-fatal", path)
        assert code != 0, f"{what}: {said}"


# --- what promtool does not look at -------------------------------------------------------


def family_of(name):
    """The family in the catalogue that a series belongs to, and what it is there."""
    for suffix in ("", "_bucket", "_count", "_sum"):
        stem = name.removesuffix(suffix) if suffix else name
        family = FAMILIES.get(stem)
        if family and (not suffix or family["type"] == "histogram"):
            return family
    return None


FAMILIES = {family["name"]: family for family in CATALOGUE["families"]}
RECORDED = {rule["record"] for rule in rules() if "record" in rule}
# What others show: Prometheus itself, and the programs whose alerts these rules have.
FOREIGN = {
    "up": {"job", "instance"},
    "scrape_samples_post_metric_relabeling": {"job", "instance"},
    "prometheus_tsdb_exemplar_max_exemplars": set(),
    "prometheus_rule_evaluation_failures_total": {"rule_group"},
    "prometheus_notifications_errors_total": {"alertmanager"},
    "prometheus_notifications_dropped_total": set(),
    "prometheus_config_last_reload_successful": set(),
    "alertmanager_config_last_reload_successful": set(),
    "alertmanager_notifications_failed_total": {"integration"},
    # The probe (src/probe).
    "chat_probe_success": {"server"},
    # The alert bridge (src/alert).
    "chatalert_notifications_total": {"channel", "outcome"},
    "chatalert_oldest_age_seconds": set(),
    "chatalert_webhooks_total": {"outcome"},
    "chatalert_refused_messages": set(),
    "chatalert_robot_rejects": {"channel", "robot"},
    "chatalert_unknown_route_total": set(),
    "chatalert_tells": set(),
    "chatalert_chat_reached": {"chat"},
}
# Prometheus gives every series these.
TARGET = {"job", "instance"}


def expressions():
    """Every expression of the rules, also those in annotations."""
    for rule in rules():
        name = rule.get("alert") or rule["record"]
        yield name, rule["expr"]
        for key in ("value_query", "exemplar_query"):
            text = rule.get("annotations", {}).get(key)
            if text and "{{ if" in text:
                parts = re.split(r"\{\{ (?:if|else if|else|end)[^}]*\}\}", text)
                yield from ((f"{name}.{key}", part) for part in parts if part)
            elif text:
                yield f"{name}.{key}", text


def untemplated(expression):
    return re.sub(r"\{\{[^}]*\}\}", "TEMPLATE", expression)


def test_every_series_and_label_value_exists():
    mistakes = []
    for rule, expression in expressions():
        for selector in selectors(untemplated(expression)):
            mistakes += [f"{rule}: {why}" for why in unknown(selector)]
    assert not mistakes, "\n".join(mistakes)


def unknown(selector, also=frozenset()):
    """What a selector asks for and nobody shows."""
    if selector.name is None:
        return
    family = family_of(selector.name)
    if family is None:
        if selector.name not in RECORDED and selector.name not in FOREIGN and selector.name not in also:
            yield f"nobody shows {selector.name}"
        return
    for label, operator, value in selector.matchers:
        if label in TARGET:
            continue
        values = values_of(family, label)
        if values is None:
            yield f"{selector.name} has no label {label}"
        elif value != "TEMPLATE" and values:
            for word in words_of(operator, value):
                if not any(re.fullmatch(word, known) for known in values):
                    yield f"{selector.name} has no {label}={word!r}, only {values}"


def words_of(operator, value):
    value = value.replace("\\\\", "\\")
    return value.split("|") if operator in ("=~", "!~") else [re.escape(value)]


def values_of(family, label):
    """The values of a label: none at all is no such label, an empty list is an open one."""
    if label == "le":
        bounds = [f"{bound:g}" for bound in family["buckets"]]
        return bounds + [b if "." in b else f"{b}.0" for b in bounds] + ["+Inf"]
    if label == "tenant_id" and family["tenants"]:
        return []
    return {entry["name"]: entry.get("values", []) for entry in family["labels"]}.get(label)


def test_labels_that_are_grouped_by_exist():
    known = {label["name"] for family in FAMILIES.values() for label in family["labels"]}
    known |= {"le", "slo"} | TARGET | set().union(*FOREIGN.values())
    for rule, expression in expressions():
        missing = harness.label_lists(untemplated(expression)) - known
        assert not missing, f"{rule}: {missing}"


def test_rates_are_of_counters_over_enough_scrapes():
    for rule, expression in expressions():
        for selector in selectors(untemplated(expression)):
            if selector.function not in ("rate", "increase", "irate"):
                continue
            family = family_of(selector.name)
            is_counter = (
                family["type"] in ("counter", "histogram")
                if family
                else selector.name.endswith("_total")
            )
            assert is_counter, f"{rule}: {selector} only grows?"
            # Twice the interval is the least that gives a rate at all; with four times
            # a scrape that fails is no gap.
            assert selector.range_s >= 4 * SCRAPE_S, f"{rule}: {selector} is too short"


def test_gauges_are_asked_for_trends_and_counters_are_not():
    for rule, expression in expressions():
        for selector in selectors(untemplated(expression)):
            if selector.function in ("deriv", "predict_linear", "delta"):
                assert not selector.name.endswith("_total"), f"{rule}: {selector}"


def test_alerts_compare_something():
    for rule in alerts():
        compared = re.search(r"(==|!=|<=|>=|<|>)(?!\s*bool)", strip_matchers(rule["expr"]))
        assert compared or rule["expr"].startswith("absent("), rule["alert"]


def strip_matchers(expression):
    return re.sub(r"\{[^}]*\}", "", expression)


def test_what_is_absent_must_be_so_for_some_time():
    for rule in alerts():
        if "absent(" in rule["expr"]:
            assert harness.seconds(rule.get("for", "0s")) >= 2 * SCRAPE_S, rule["alert"]


def test_alerts_do_not_depend_on_an_order():
    for rule in alerts():
        assert not re.search(r"\b(topk|bottomk|quantile)\s*\(", rule["expr"]), rule["alert"]


def test_groups_are_evaluated_often_enough():
    for group in groups():
        interval = group.get("interval", SCRAPE["global"]["evaluation_interval"])
        # What is written less often than every five minutes is gone in between.
        assert harness.seconds(interval) <= 300, group["name"]
        has_alerts = any("alert" in rule for rule in group["rules"])
        assert not has_alerts or harness.seconds(interval) <= 30, group["name"]


def test_ratios_have_a_guard_for_quiet_hours():
    """A division of two rates says nothing when hardly anything happens."""
    for rule in alerts():
        text = strip_matchers(rule["expr"])
        divides_rates = re.search(r"rate\([^)]*\)\)?\s*/\s*(sum by \([^)]*\) \()?rate\(", text)
        reads_ratio = "slo:chat_error:ratio" in text or "p95" in text or "p99" in text
        if divides_rates or reads_ratio or "histogram_quantile" in text:
            assert re.search(r"and .*> \d+", text, re.DOTALL), rule["alert"]


# --- the form of an alert -------------------------------------------------------------------

LAYERS = {
    "slo", "connection", "reachability", "latency", "http", "core", "store", "capacity", "meta",
}


def test_alerts_say_who_has_to_act_and_where_to_look():
    for rule in alerts():
        name, labels, notes = rule["alert"], rule["labels"], rule["annotations"]
        assert re.fullmatch(r"Chat[A-Za-z0-9]+", name), name
        assert labels["severity"] in {"critical", "warning", "none"}, name
        assert labels["layer"] in LAYERS, name
        needed = {"summary", "description", "value_query", "runbook_url", "dashboard_url"}
        assert needed <= set(notes) <= needed | {"exemplar_query"}, name
        assert notes["runbook_url"] == "{{ $externalLabels.runbooks }}/" + name + ".md"
        assert notes["dashboard_url"].startswith("{{ $externalLabels.dashboards }}/d/rookery/")
        # A message in a group is read on a phone.
        assert len(notes["summary"]) <= 120 and not notes["summary"].endswith("."), name


def test_labels_of_an_alert_stand_still():
    """A label that changes makes a new alert each time; a value belongs to the text."""
    for rule in alerts():
        assert not any("{{" in str(value) for value in rule["labels"].values()), rule["alert"]


def test_what_is_slow_leads_to_an_example():
    """An alert about a family with exemplars says where to find one."""
    kept = {name for name, family in FAMILIES.items() if family.get("exemplars")}
    for rule in alerts():
        asked = {family_of(s.name)["name"] for s in selectors(rule["expr"]) if family_of(s.name)}
        if asked & kept and rule["alert"] != "ChatClockSkew":
            assert "exemplar_query" in rule["annotations"], rule["alert"]
    for rule in alerts():
        text = rule["annotations"].get("exemplar_query", "")
        for part in re.split(r"\{\{ (?:if|else if|else|end)[^}]*\}\}", text):
            for selector in selectors(untemplated(part)):
                assert family_of(selector.name)["exemplars"], f"{rule['alert']}: {selector}"


def test_only_external_labels_that_are_set_are_used():
    known = set(SCRAPE["global"]["external_labels"])
    for path in RULES:
        used = set(re.findall(r"\$externalLabels\.(\w+)", path.read_text()))
        assert used <= known, path.name


def test_external_labels_that_are_texts_do_not_reach_alertmanager():
    dropped = SCRAPE["alerting"]["alert_relabel_configs"][0]
    assert dropped["action"] == "labeldrop"
    assert set(dropped["regex"].split("|")) == {"replica", "runbooks", "dashboards"}


def test_every_scrape_of_ours_has_limits():
    for job in SCRAPE["scrape_configs"]:
        if job["job_name"].startswith("rookery"):
            limits = {"sample_limit", "label_limit", "label_value_length_limit", "body_size_limit"}
            assert limits <= set(job), job["job_name"]
