"""Questions to the programs of the stack, over HTTP.

Deliberately absent: what an answer means for a fault.
"""

import dataclasses
import json
import re
import urllib.error
import urllib.parse
import urllib.request

# Nothing here is far away.
ANSWER_S_MAX = 10


def ask(url, body=None, method=None, headers=None):
    """A request with JSON in and out; text where it is none."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method)
    request.add_header("Content-Type", "application/json")
    for name, value in (headers or {}).items():
        request.add_header(name, value)
    with urllib.request.urlopen(request, timeout=ANSWER_S_MAX) as answer:
        text = answer.read().decode()
    return json.loads(text) if text.startswith(("{", "[")) else text


def answers(url):
    """Whether somebody says yes there."""
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_S_MAX) as answer:
            return 200 <= answer.status < 300
    except OSError:
        return False


def text_of(url):
    """What somebody says there; nothing while nobody does."""
    try:
        return ask(url)
    except OSError:
        return ""


class Prometheus:
    def __init__(self, url):
        self.url = url

    def query(self, expression):
        """Labels and value of each series that an expression gives now."""
        page = urllib.parse.urlencode({"query": expression})
        found = ask(f"{self.url}/api/v1/query?{page}")["data"]["result"]
        return [(series["metric"], float(series["value"][1])) for series in found]

    def value(self, expression):
        """The sum of what an expression gives now; 0 for nothing."""
        return sum(value for _, value in self.query(expression))

    def alerts(self):
        """Alerts that are pending or fire."""
        return ask(f"{self.url}/api/v1/alerts")["data"]["alerts"]

    def firing(self):
        return {one["labels"]["alertname"] for one in self.alerts() if one["state"] == "firing"}

    def targets_that_are_up(self):
        found = ask(f"{self.url}/api/v1/targets?state=active")["data"]["activeTargets"]
        return {one["labels"]["job"] for one in found if one["health"] == "up"}


class Alertmanager:
    def __init__(self, url):
        self.url = url

    def alerts(self):
        return ask(f"{self.url}/api/v2/alerts")

    def inhibited(self):
        """By name: the alerts that are not told because another is."""
        found = self.alerts()
        names = {one["fingerprint"]: one["labels"]["alertname"] for one in found}
        return {
            one["labels"]["alertname"]: {names.get(by, by) for by in one["status"]["inhibitedBy"]}
            for one in found
            if one["status"]["inhibitedBy"]
        }


@dataclasses.dataclass
class Message:
    """What stands in a chat."""

    robot: str
    text: str
    at_unix_s: float

    @property
    def chat(self):
        return self.robot.rsplit("-", 1)[0]


class Robots:
    """The groups' chats. Robots are known there by their tokens, and here by names."""

    def __init__(self, url, names):
        self.url = url
        self.names = names

    def messages(self):
        """What arrived, in order."""
        return [
            Message(self.names.get(one["robot"], "a stranger"), one["text"], one["at"])
            for one in ask(f"{self.url}/messages")
        ]


class Rookery:
    def __init__(self, url, token):
        self.url = url
        self.headers = {"Authorization": f"Bearer {token}"}

    def metric(self, name):
        """The sum of a family's series, as the server has them now."""
        lines = ask(f"{self.url}/metrics").splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if re.match(rf"{name}[ {{]", line))

    def debug(self, page, method=None):
        return ask(f"{self.url}/debug/{page}", method=method, headers=self.headers)
