"""The dashboard: made from the catalogue, by the rules that Grafana's own linter has, and
every expression of it is one that Prometheus understands."""

import json
import re

import pytest

import harness
import test_rules
from harness import HOME, run

FOLDER = HOME / "dashboards"
BOARD = json.loads((FOLDER / "rookery.json").read_text())
ROWS = [panel for panel in BOARD["panels"] if panel["type"] == "row"]
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
PANELS += [panel for row in ROWS for panel in row["panels"]]
EXPRESSIONS = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
# What Prometheus and the bridge show besides what rules ask for.
ALSO = {"ALERTS", "chatalert_queue_depth"}
VARIABLES = {"$__rate_interval": "1m", "$quantile": "0.95", "$job": "rookery", "$instance": "a"}


def filled(expression):
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def test_it_is_what_the_catalogue_says():
    code, said = run(FOLDER / "generate.py", "--check")
    assert code == 0, said


def test_rows_stand_in_the_order_of_a_search():
    titles = [row["title"] for row in ROWS]
    assert titles == [
        "Objectives", "Connections", "Messages", "Cores", "Store", "Log of the store",
        "Capacity", "Alert path", "Tenants",
    ]
    assert [row["collapsed"] for row in ROWS] == [False] * 3 + [True] * 6


def test_it_can_be_used_anywhere_and_changed_nowhere():
    assert BOARD["editable"] is False and BOARD["uid"] == "rookery"
    variables = [variable["name"] for variable in BOARD["templating"]["list"]]
    assert variables[:3] == ["datasource", "job", "instance"]
    for panel in PANELS:
        for source in (panel["datasource"], *(target["datasource"] for target in panel["targets"])):
            assert source == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]


def test_all_jobs_are_those_of_servers():
    job = next(one for one in BOARD["templating"]["list"] if one["name"] == "job")
    # With a pattern for all of them Prometheus' own CPU time stands beside the servers'.
    assert job["includeAll"] and "allValue" not in job and "chat_build_info" in job["query"]["query"]


def test_a_panel_has_one_unit():
    for panel in PANELS:
        rated = {target["expr"].startswith("histogram_quantile") for target in panel["targets"]}
        assert len(rated) == 1, f"{panel['title']} shows times beside something else"


def test_panels_say_what_they_show():
    ids = [panel["id"] for panel in PANELS + ROWS]
    assert len(ids) == len(set(ids))
    titles = [panel["title"] for panel in PANELS]
    assert len(titles) == len(set(titles))
    for panel in PANELS:
        assert panel["title"] and panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert all(target["legendFormat"] for target in panel["targets"]), panel["title"]


def test_panels_do_not_lie_on_each_other():
    for members in ([p for p in PANELS if p in BOARD["panels"]], *(row["panels"] for row in ROWS)):
        taken = set()
        for panel in members:
            grid = panel["gridPos"]
            cells = {
                (x, y)
                for x in range(grid["x"], grid["x"] + grid["w"])
                for y in range(grid["y"], grid["y"] + grid["h"])
            }
            assert grid["x"] + grid["w"] <= 24 and not cells & taken, panel["title"]
            taken |= cells


def test_rates_follow_the_zoom():
    for title, expression in EXPRESSIONS:
        for window in re.findall(r"\[([^\]]+)\]", expression):
            assert window == "$__rate_interval", f"{title}: {window}"


def test_targets_follow_the_choice_of_servers():
    for title, expression in EXPRESSIONS:
        for selector in harness.selectors(filled(expression)):
            if selector.name in test_rules.FAMILIES or test_rules.family_of(selector.name):
                chosen = {label: value for label, _, value in selector.matchers}
                assert chosen.get("job") == "rookery" and chosen.get("instance") == "a", title


def test_every_series_and_label_value_exists():
    mistakes = [
        f"{title}: {why}"
        for title, expression in EXPRESSIONS
        for selector in harness.selectors(filled(expression))
        for why in test_rules.unknown(selector, ALSO)
    ]
    assert not mistakes, "\n".join(mistakes)


def test_prometheus_understands_every_expression(tmp_path):
    rules = [
        {"record": f"panel{number}", "expr": filled(expression)}
        for number, (_, expression) in enumerate(EXPRESSIONS)
    ]
    path = tmp_path / "panels.yml"
    path.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    code, said = run("promtool", "check", "rules", "--lint=none", path)
    assert code == 0, said


@pytest.mark.parametrize("title", ["From client to client", "Where the time goes", "Within the server"])
def test_a_slow_message_leads_to_its_trace(title):
    panel = next(panel for panel in PANELS if panel["title"] == title)
    assert all(target["exemplar"] for target in panel["targets"])
    assert "trace_id" in panel["fieldConfig"]["defaults"]["links"][0]["url"]


def test_the_segments_are_stacked():
    panel = next(panel for panel in PANELS if panel["title"] == "Where the time goes")
    assert panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"


def test_alerts_lead_to_this_dashboard():
    for rule in harness.alerts():
        assert f"/d/{BOARD['uid']}/" in rule["annotations"]["dashboard_url"], rule["alert"]
