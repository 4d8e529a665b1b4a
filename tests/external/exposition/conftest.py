"""One server, what it says, and one Prometheus that reads everybody's answer at once."""

import dataclasses
import json
import urllib.parse

import cases
import chat
import harness
import pytest

CONFIG = """
global: {{ scrape_interval: 250ms, scrape_timeout: 250ms }}
storage: {{ exemplars: {{ max_exemplars: 10000 }} }}
scrape_configs:
- job_name: chat
  scrape_interval: 1s
  scrape_timeout: 1s
  static_configs: [ {{ targets: ["{admin}"] }} ]
- job_name: cases
  relabel_configs:
  - {{ source_labels: [__metrics_path__], target_label: case, regex: "/(.*)" }}
  static_configs:
{targets}
"""


@dataclasses.dataclass
class Scraped:
    """A Prometheus, and whom it reads."""

    address: str
    server: chat.Server
    text: str

    def query(self, expression):
        return harness.query(self.address, expression)

    def settled(self, case):
        """Whether Prometheus could read a case, when it has tried more than once."""
        asked = self.query(f'count_over_time(up{{case="{case}"}}[10m])')
        return bool(asked) and 2 < float(asked[0]["value"][1])

    def is_read(self, case):
        harness.until(f"{case} was read", lambda: self.settled(case))
        return float(self.query(f'up{{case="{case}"}}')[0]["value"][1]) == 1

    def exemplars(self, expression):
        query = urllib.parse.urlencode({"query": expression, "start": 0, "end": 9_999_999_999})
        answer = harness.ask(f"{self.address}/api/v1/query_exemplars?{query}")
        assert answer["status"] == "success", json.dumps(answer)
        return [one for series in answer["data"] for one in series["exemplars"]]


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with chat.serve(tmp_path_factory.mktemp("server")) as server:
        # They stay until all is read.
        server.people = chat.slow_messages(server)
        yield server


@pytest.fixture(scope="session")
def scraped(server, tmp_path_factory):
    _, text = server.metrics()

    def answer(path, _body):
        return cases.CASES[path.strip("/")](text)

    with harness.web(answer) as web:
        target = "  - targets: [ \"{}\" ]\n    labels: {{ __metrics_path__: /{} }}"
        targets = "\n".join(target.format(web, case) for case in cases.CASES)
        config = CONFIG.format(admin=server.admin, targets=targets)
        folder = tmp_path_factory.mktemp("prometheus")
        with harness.prometheus(folder, config) as address:
            yield Scraped(address, server, text)
