"""What the tests of alertmanager/ stand on: its files as values, the tools of Debian's
packages, and a Prometheus and an Alertmanager that run for the length of a test.

Deliberately absent: sleeping. A program is ready when it says so, and whoever waits for
something asks again until it is there, with an end.
"""

import contextlib
import http.server
import itertools
import json
import pathlib
import re
import socketserver
import subprocess
import threading
import time
import urllib.parse
import urllib.request

import yaml

TOP = pathlib.Path(__file__).resolve().parents[3]
HOME = TOP / "alertmanager"
RULES = sorted((HOME / "rules").glob("*.yml"))
RULE_TESTS = sorted((HOME / "rule_tests").glob("*.test.yml"))
BINARY = TOP / "target/debug/rookery"
SHIPPED_ROUTES = (HOME / "alertmanager.yml").read_text()
# What nobody but the operator can know, as an operator would set it.
ZONE, HEARTBEAT = ("SET-YOUR-ZONE", "Asia/Shanghai"), ("set-your-heartbeat://here", "http://127.0.0.1:1/ping")


def chosen(text, *choices):
    for unset, value in choices:
        assert unset in text, unset
        text = text.replace(unset, value)
    return text


CONFIG = chosen(SHIPPED_ROUTES, ZONE, HEARTBEAT)
# What is shipped, but that nobody listens where it sends: for tests of other things.
CONFIG_OFFLINE = CONFIG.replace("127.0.0.1:9494", "127.0.0.1:1").replace("127.0.0.1:25", "127.0.0.1:1")
WAIT_S_MAX = 30


def run(*command):
    """What a program says, and its exit code."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


def load(path):
    return yaml.safe_load(path.read_text())


def groups():
    """Every group of every rule file."""
    return [group for path in RULES for group in load(path)["groups"]]


def rules():
    return [rule for group in groups() for rule in group["rules"]]


def alerts():
    return [rule for rule in rules() if "alert" in rule]


def alert_names():
    return sorted({rule["alert"] for rule in alerts()})


# --- expressions ----------------------------------------------------------------------

WORDS = {
    "and", "or", "unless", "bool", "offset", "by", "on", "ignoring", "without",
    "group_left", "group_right", "inf", "nan",
}
AGGREGATES = re.compile(r"\b(by|on|ignoring|without|group_left|group_right)\s*\(([^)]*)\)")
SELECTOR = re.compile(
    r"(?P<name>[a-zA-Z_:][\w:]*)?\s*(?P<matchers>\{[^}]*\})?\s*(?P<range>\[[^\]]*\])?"
)
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')


class Selector:
    """A series that an expression asks for: name, matchers, range, and the function that
    it is an argument of."""

    def __init__(self, name, matchers, range_, function):
        self.name = name
        self.matchers = matchers
        self.range_s = seconds(range_) if range_ else None
        self.function = function

    def __repr__(self):
        return f"{self.name}{self.matchers}[{self.range_s}] in {self.function}"


def seconds(text):
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
    return sum(float(n) * units[u] for n, u in re.findall(r"(\d+)(ms|[smhdw])", text))


def label_lists(expression):
    """The labels that are named in `by (…)` and the like."""
    lists = [labels for _, labels in AGGREGATES.findall(expression)]
    return {label.strip() for text in lists for label in text.split(",") if label.strip()}


def selectors(expression):
    """The series that an expression asks for. Enough of a parser for rules as they are
    written here: no strings with braces, no subqueries."""
    text = AGGREGATES.sub(" ", expression)
    found, position, calls = [], 0, []
    while position < len(text):
        char = text[position]
        if char == "(":
            calls.append(word_before(text, position))
        elif char == ")":
            calls.pop()
        match = SELECTOR.match(text, position)
        name = match["name"]
        if char.isdigit():
            position += re.match(r"[\d.]+(e\d+)?[smhdw]?", text[position:]).end()
        elif name and (name in WORDS or text[match.end("name"):].lstrip().startswith("(")):
            position = match.end("name")
        elif name or match["matchers"]:
            matchers = MATCHER.findall(match["matchers"] or "")
            function = next((call for call in reversed(calls) if call), None)
            found.append(Selector(name, matchers, match["range"], function))
            position = match.end()
        elif char == '"':
            position = text.index('"', position + 1) + 1
        else:
            position += 1
    return found


def word_before(text, position):
    match = re.search(r"([a-zA-Z_]\w*)\s*$", text[:position])
    return match[1] if match and match[1] not in WORDS else None


# --- programs that run ----------------------------------------------------------------


def ask(url, body=None, method=None):
    """A request with JSON in and out."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method)
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read().decode()
    return json.loads(text) if text.startswith(("{", "[", '"')) else text


def until(what, ask_for, good=bool):
    """Asks until the answer is good, and returns it."""
    end = time.monotonic() + WAIT_S_MAX
    pause = threading.Event()
    while True:
        answer = ask_for()
        if good(answer):
            return answer
        assert time.monotonic() < end, f"{what}: {answer}"
        pause.wait(0.1)


@contextlib.contextmanager
def program(command, listening, ready):
    """Runs a program until the test is over, and gives the address that it listens on."""
    process = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        address, lines = None, []
        for line in process.stderr:
            lines.append(line)
            match = re.search(listening, line)
            address = match[1] if match else address
            if address and re.search(ready, line):
                break
        assert address, f"{command[0]} ended: {''.join(lines)}"
        # Whoever writes must be read, or stands still when the pipe is full.
        threading.Thread(target=lambda: list(process.stderr), daemon=True).start()
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(10)


LISTENING = r'msg="Listening on" address=([\d.]+:\d+)'


def alertmanager(folder, config):
    """An Alertmanager of this test alone, on a free port."""
    path = folder / "alertmanager.yml"
    path.write_text(config)
    return program(
        [
            "prometheus-alertmanager",
            f"--config.file={path}",
            f"--storage.path={folder / 'data'}",
            "--web.listen-address=127.0.0.1:0",
            "--cluster.listen-address=",
        ],
        LISTENING,
        LISTENING,
    )


def prometheus(folder, config, *flags):
    """A Prometheus of this test alone, on a free port."""
    path = folder / "prometheus.yml"
    path.write_text(config)
    return program(
        [
            "prometheus",
            f"--config.file={path}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            "--web.listen-address=127.0.0.1:0",
            "--enable-feature=exemplar-storage",
            *flags,
        ],
        LISTENING,
        "Server is ready to receive web requests",
    )


@contextlib.contextmanager
def rookery(folder, **settings):
    """A server of the development configuration, with settings as in its environment.
    Gives the addresses of clients and of operators."""
    (folder / "store").mkdir()
    variables = [f"ROOKERY_{name.upper()}={value}" for name, value in settings.items()]
    command = [
        "env", *variables, BINARY, "serve", "--dev", "--listen", "127.0.0.1:0",
        "--admin-listen", "127.0.0.1:0", "--store-dir", folder / "store",
    ]
    listening = r"listening on ([\d.:]+ \(admin [\d.:]+)\)"
    with program(command, listening, listening) as addresses:
        yield re.findall(r"[\d.]+:\d+", addresses)


def query(address, expression):
    """The samples that an expression gives now."""
    answer = ask(f"{address}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
    assert answer["status"] == "success", answer
    return answer["data"]["result"]


@contextlib.contextmanager
def web(answer):
    """A web server of this test alone. `answer(path, body)` gives the type and the text."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            length = int(self.headers.get("Content-Length") or 0)
            kind, text = answer(self.path, self.rfile.read(length))
            data = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def mail(take):
    """A mail server of this test alone: it takes every letter, and gives it to `take`."""

    class Handler(socketserver.StreamRequestHandler):
        def say(self, line):
            self.wfile.write(f"{line}\r\n".encode())

        def handle(self):
            self.say("220 here")
            for line in iter(self.rfile.readline, b""):
                word = line.split()[0].upper() if line.split() else b""
                if word == b"DATA":
                    self.say("354 go on")
                    take(b"".join(iter(self.rfile.readline, b".\r\n")).decode())
                self.say("221 bye" if word == b"QUIT" else "250 good")
                if word == b"QUIT":
                    return

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def post(address, labels_of_alerts, annotations=None):
    """Tells an Alertmanager of alerts that fire."""
    body = [{"labels": labels, "annotations": annotations or {}} for labels in labels_of_alerts]
    return ask(f"{address}/api/v2/alerts", body, "POST")


def cases_of(path):
    """The tests of a file: alert's name, and whether it must fire."""
    cases = [test.get("alert_rule_test", []) for test in load(path)["tests"]]
    return [(case["alertname"], bool(case["exp_alerts"])) for case in itertools.chain(*cases)]
