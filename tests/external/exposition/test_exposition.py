"""What a scrape gets, and what readers make of it: a real Prometheus, the reference
parser, promtool. What Prometheus does with a wrong answer is tested as well, because
that is what our own rules are for.
"""

import gzip
import json
import re
import subprocess
import urllib.error

import cases
import chat
import pytest
from harness import TOP, until
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as read_text

CATALOGUE = json.loads((TOP / "docs/metrics.json").read_text())["families"]
# What Prometheus 2.42 asks for, with native histograms and without.
ACCEPT = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
    "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROTOBUF_FIRST = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;"
    "encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,"
    "application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
E2E = cases.FAMILY + '_bucket{chat_type="group",direction="recv"}'


def families(text):
    return {family.name: family for family in text_string_to_metric_families(text)}


def family_name(row):
    """As OpenMetrics has it: a counter's name has no ending."""
    return row["name"].removesuffix("_total")


# --- the answer -------------------------------------------------------------------------


@pytest.mark.parametrize("accept", [ACCEPT, PROTOBUF_FIRST, "application/openmetrics-text"])
def test_prometheus_gets_open_metrics(server, accept):
    kind, text = server.metrics(accept)
    assert kind == cases.OPEN_METRICS
    assert text.endswith("\n# EOF\n")


@pytest.mark.parametrize("accept", ["text/plain", "*/*", "application/vnd.google.protobuf"])
def test_others_get_the_text_that_everybody_reads(server, accept):
    kind, text = server.metrics(accept)
    assert kind.startswith("text/plain; version=0.0.4")
    assert " # {" not in text and "# EOF" not in text
    assert len(list(read_text(text))) == len(CATALOGUE)


def test_the_answer_is_compressed_for_who_can_read_that(server):
    answer = server.get("/metrics", **{"Accept-Encoding": "gzip", "Accept": ACCEPT})
    assert answer.headers["Content-Encoding"] == "gzip"
    packed = answer.read()
    assert gzip.decompress(packed).endswith(b"# EOF\n")
    assert len(packed) * 5 < len(gzip.decompress(packed))


@pytest.mark.parametrize("query", ["core=2", "core=", "nonsense", "name[]=none", "tenant_id=none"])
def test_a_wrong_query_is_one_sentence(server, query):
    with pytest.raises(urllib.error.HTTPError) as error:
        server.metrics(query=f"?{query}")
    assert error.value.code == 400
    assert error.value.read().count(b"\n") == 1


def test_a_query_chooses_families_cores_and_tenants(server):
    _, text = server.metrics(query="?name[]=chat_rooms&name[]=chat_bytes_total")
    assert sorted(families(text)) == ["chat_bytes", "chat_rooms"]
    _, text = server.metrics(query="?core=each&name[]=chat_rooms")
    assert [s.labels for s in families(text)["chat_rooms"].samples] == [{"core": "0"}, {"core": "1"}]
    _, text = server.metrics(query="?tenant_id=acme")
    own = families(text)
    assert sorted(own) == sorted(family_name(row) for row in CATALOGUE if row["tenants"])
    labels = [s.labels["tenant_id"] for family in own.values() for s in family.samples]
    assert set(labels) == {"acme"}
    assert own["chat_tenant_active_connections"].samples[0].value == 2


# --- the reference parser and promtool ----------------------------------------------------


def test_the_reference_parser_reads_the_catalogue(server):
    read = families(server.metrics()[1])
    assert sorted(read) == sorted(family_name(row) for row in CATALOGUE)
    for row in CATALOGUE:
        family = read[family_name(row)]
        assert (family.type, family.unit) == (row["type"], row["unit"]), row["name"]
        assert family.documentation == row["help"]
        values = {label["name"]: label.get("values") for label in row["labels"]}
        for sample in family.samples:
            for name, value in sample.labels.items():
                if name != "le":
                    assert values[name] is None or value in values[name], sample
        if row["type"] == "histogram":
            bounds = {s.labels["le"] for s in family.samples if s.name.endswith("_bucket")}
            assert {float(bound) for bound in bounds} == {*row["buckets"], float("inf")}
            assert all(re.fullmatch(r"\d+\.\d+|\+Inf", bound) for bound in bounds), bounds


def test_every_series_is_there_from_the_start(server):
    """All combinations of label values, but of tenants and cores."""
    for row in CATALOGUE:
        read = families(server.metrics(query=f"?name[]={row['name']}")[1])
        samples = read[family_name(row)].samples
        names = [label["name"] for label in row["labels"] if "values" in label]
        seen = {tuple(s.labels[name] for name in names) for s in samples}
        if set(names) != {"method", "route", "status_class"}:
            want = 1
            for label in row["labels"]:
                want *= len(label.get("values", [1]))
            assert len(seen) == want, row["name"]


def test_promtool_finds_nothing(server):
    _, text = server.metrics("text/plain")
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_examples_say_which_message_it_was(server):
    examples = {
        (sample.name, sample.labels.get("segment"), sample.labels.get("le")): sample.exemplar
        for family in families(server.metrics()[1]).values()
        for sample in family.samples
        if sample.exemplar
    }
    found = [(cases.FAMILY + "_bucket", None, "0.8")]
    found.append(("chat_msg_segment_duration_seconds_bucket", "consume", "0.8"))
    for place in found:
        example = examples[place]
        assert example.labels == {
            "trace_id": chat.TRACE_ID,
            "room_id": chat.ROOM_KEPT,
            "user_agent": "python",
        }
        assert chat.SLOW_S <= example.value <= 0.8 and cases.BEGAN - 60 < float(example.timestamp)
    for (_, _, le), example in examples.items():
        assert 0.2 < example.value <= float(le), "an example lies in its bucket, and in the tail"
        assert sum(map(len, [*example.labels, *example.labels.values()])) <= 128


def test_the_reference_parser_is_stricter_than_prometheus(server):
    _, text = server.metrics()
    for case in ["129_characters", "family_ends_in_total", "no_end", "wrong_unit", "blank_line"]:
        with pytest.raises(ValueError):
            families(cases.CASES[case](text)[1])
    assert families(cases.CASES["128_characters"](text)[1])


# --- Prometheus ---------------------------------------------------------------------------


def test_prometheus_reads_the_server_and_its_examples(scraped):
    until("chat was read", lambda: scraped.query('up{job="chat"} == 1'))
    examples = until("there are examples", lambda: scraped.exemplars(f'{E2E[:-1]},job="chat"}}'))
    assert {one["labels"]["trace_id"] for one in examples} == {chat.TRACE_ID}
    assert {one["labels"]["room_id"] for one in examples} == {chat.ROOM_KEPT}
    # The selectors of a whole expression are found, and those of a recorded name are not.
    whole = f"histogram_quantile(0.9, sum by (le) (rate({E2E}[1m]))) > 0.1"
    assert scraped.exemplars(whole)
    assert scraped.query('chat_build_info{job="chat"}')[0]["metric"]["version"]
    assert scraped.query('count({job="chat",__name__=~"chat_.*_created"})')


GOOD = ["good", "without_time", "older_than_the_last", "128_characters", "129_characters"]
GOOD += ["family_ends_in_total", "value_outside_its_bucket", "bound_without_a_point"]
BAD = ["example_in_text", "no_end", "blank_line", "wrong_unit", "example_on_a_gauge"]


def test_each_case_is_one_of_both():
    assert sorted(GOOD + BAD) == sorted(cases.CASES)


@pytest.mark.parametrize("case", BAD)
def test_prometheus_refuses_the_whole_answer(scraped, case):
    assert not scraped.is_read(case)
    assert not scraped.query(f'chat_rooms{{case="{case}"}}')


@pytest.mark.parametrize("case", GOOD)
def test_prometheus_reads_the_answer(scraped, case):
    assert scraped.is_read(case)
    assert scraped.query(f'chat_rooms{{case="{case}"}}')


def of_case(scraped, case):
    assert scraped.is_read(case)
    return scraped.exemplars(f'{E2E[:-1]},le="0.8",case="{case}"}}')


def test_an_example_that_stays_is_kept_once(scraped):
    """Which is why each has its time: it costs nothing to show it again."""
    assert len(of_case(scraped, "good")) == 1
    assert len(of_case(scraped, "128_characters")) == 1


def test_an_example_without_a_time_gets_that_of_the_scrape(scraped):
    times = {one["timestamp"] for one in of_case(scraped, "without_time")}
    assert len(times) >= 1 and min(times) >= cases.BEGAN - 1


def test_an_example_that_is_older_than_the_last_is_dropped(scraped):
    kept = of_case(scraped, "older_than_the_last")
    assert [int(one["labels"]["trace_id"], 16) for one in kept] == [1]


def test_an_example_that_is_too_long_is_dropped_without_a_word(scraped):
    assert of_case(scraped, "129_characters") == []


def test_a_value_outside_its_bucket_is_taken_so_nobody_else_finds_it(scraped):
    assert [one["value"][0] for one in of_case(scraped, "value_outside_its_bucket")] == ["9"]


def test_a_bound_without_a_point_is_another_series(scraped):
    case = "bound_without_a_point"
    assert scraped.is_read(case)
    series = scraped.query(f'chat_executor_stall_seconds_bucket{{case="{case}",le=~"1|1.0"}}')
    assert [one["metric"]["le"] for one in series] == ["1"]
    series = scraped.query('chat_executor_stall_seconds_bucket{case="good",le=~"1|1.0"}')
    assert [one["metric"]["le"] for one in series] == ["1.0"]
