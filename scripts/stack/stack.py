"""What `make monitor` starts: a server under load, and everything that watches it.

    rookery ── scraped by ── Prometheus ── Alertmanager ── the bridge ── the robots
       │                        │                             │           (fakes)
     loads, a probe           pages (runbooks, dashboard)   snapshots

All of it lives in one directory (target/monitor): configurations, data, logs, and
tokens that are made anew each time.

Deliberately absent: what is broken on purpose (faults.py), and who looks (demo.py).
"""

import os
import pathlib
import secrets
import shutil
import signal
import socket
import sys
import time

import shipped
from ask import Alertmanager, Prometheus, Robots, Rookery, answers, text_of
from programs import Failed, Program

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
START_S_MAX = 60

# What a store leaves free on a disk that nobody fills on purpose, and what it can at most.
RESERVE_BYTES = 64 << 20
RESERVE_BYTES_MAX = 1 << 40
# Of a disk that is to be filled: others may take as much of it before that is noticed.
BALLAST_BYTES = 4 << 30

# Where everything listens when nobody says otherwise: the usual places, which are also
# those of the shipped configuration.
PORTS = {
    "clients": 8000,
    "admin": 8001,
    "prometheus": 9090,
    "alertmanager": 9093,
    "bridge": 9494,
    "robots": 9495,
    "pages": 9496,
    "probe": 9497,
}

# From one round of the probe to the next.
PROBE_S = 10

# The core that serves the probe, and that is stopped: peers are steered to the core that takes
# their packets, so a probe that goes wherever the scheduler likes may never meet this one.
PROBED_CORE = 1

# Without the watchdog for so long, the bridge says so.
DEADMAN_S = 180

# For so long a consequence may outlive its cause before it is told.
OUTLIVE_S = 360

# Files with secrets, which are made anew for each stack.
SECRETS = {
    "clients": "clients.secret",
    "admin": "admin.token",
    "links": "links.secret",
    "oncall-1": "oncall-1.token",
    "oncall-2": "oncall-2.token",
    "team": "team.token",
    "signature": "team.secret",
}

# People who are there, of whom some talk and some come and go. The storm is one only
# where more than a thousand have been there before.
CROWD = {"connections": 1200, "active": 20, "rate": 200, "churn": 3}

ROOKERY = """
[server]
listen = "127.0.0.1:{clients}"
admin_listen = "127.0.0.1:{admin}"
shards = 2
connections_max = 8000
drain_ms = 2000

[session]
ping_interval_ms = 5000
pong_ms_max = 4000
outbox_bytes_max = 262144

[store]
dir = "{store}"
reserve_bytes = {reserve_bytes}

[admin]
token_file = "admin.token"
evidence_dir = "{evidence}"

[[auth.keys]]
algorithm = "HS256"
secret_file = "clients.secret"

[[namespaces]]
name = "room"
subscribe = "users"
publish = "subscribers"
history_count_max = 1000
history_age_ms_max = 600000
durability = "memory"

[[namespaces]]
name = "news"
subscribe = "users"
publish = "subscribers"
history_count_max = 100
durability = "memory"
history_age_ms_max = 60000

[[namespaces]]
name = "@"
publish = "users"
history_count_max = 1000

[[namespaces]]
name = "dm"
subscribe = "users"
publish = "users"
see_history = "subscribers"
history_count_max = 1000
"""

BRIDGE = """
[bridge]
listen = "127.0.0.1:{bridge}"
dir = "{queue}"
default_route = "default"
offset_minutes = 0
outlive_s = {outlive_s}

[prometheus]
url = "http://127.0.0.1:{prometheus}"

[instances]
allowed = ["127.0.0.1:{admin}"]
token_file = "{home}/admin.token"

[silence]
alertmanager_url = "http://127.0.0.1:{alertmanager}"
url = "http://127.0.0.1:{bridge}"
key_file = "{home}/links.secret"

[deadman]
after_s = {deadman_s}
route = "page"

[[robots]]
name = "oncall-1"
channel = "wecom"
chat = "oncall"
url = "http://127.0.0.1:{robots}/cgi-bin/webhook/send"
token_file = "{home}/oncall-1.token"

[[robots]]
name = "oncall-2"
channel = "wecom"
chat = "oncall"
url = "http://127.0.0.1:{robots}/cgi-bin/webhook/send"
token_file = "{home}/oncall-2.token"

[[robots]]
name = "team"
channel = "dingtalk"
chat = "team"
url = "http://127.0.0.1:{robots}/robot/send"
token_file = "{home}/team.token"
signature_file = "{home}/team.secret"

[[routes]]
name = "page"
chats = ["oncall"]
fallback = "team"
language = "en"
mentions = true

[[routes]]
name = "default"
chats = ["team"]
language = "zh"
"""


def check_ports(ports):
    """A port that somebody has is one sentence, before anything is started."""
    for what, port in ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as fault:
                raise Failed(
                    f"port {port} ({what}) cannot be used: {fault.strerror}; "
                    "end who has it, or move everything with --ports-from"
                ) from None


class Stack:
    """All programs, by name. Use as a context: what was started is ended."""

    def __init__(self, home, binaries, ports, lapse=1, breaks_disk=False):
        self.home = home
        self.binaries = binaries
        self.ports = ports
        self.lapse = lapse
        self.breaks_disk = breaks_disk
        self.programs = {}
        self.secrets = {name: f"{name}-{secrets.token_urlsafe(32)}" for name in SECRETS}
        url = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        self.urls = url
        self.clients_url = f"ws://127.0.0.1:{ports['clients']}/connection/websocket"
        self.instance = f"127.0.0.1:{ports['admin']}"
        self.prometheus = Prometheus(url["prometheus"])
        self.alertmanager = Alertmanager(url["alertmanager"])
        self.rookery = Rookery(url["admin"], self.secrets["admin"])
        tokens = {self.secrets[name]: name for name in ("oncall-1", "oncall-2", "team")}
        self.robots = Robots(url["robots"], tokens)

    def seconds(self, shipped_s):
        """How long something takes here that takes so long as it is shipped."""
        return shipped_s / self.lapse

    # --- begin and end --------------------------------------------------------------

    def __enter__(self):
        check_ports(self.ports)
        self.prepare()
        try:
            for start in (
                self.start_pages,
                self.start_robots,
                self.start_rookery,
                # Before Prometheus, for whom their coming would be a storm.
                self.start_crowd,
                self.start_probe,
                self.start_bridge,
                self.start_alertmanager,
                self.start_prometheus,
            ):
                start()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *_):
        self.end()

    def prepare(self):
        """The directory, as a first start finds it."""
        if self.home.exists():
            shutil.rmtree(self.home)
        for name in ("logs", "store", "evidence", "queue", "prometheus", "alertmanager"):
            (self.home / name).mkdir(parents=True)
        for name, file in SECRETS.items():
            path = self.home / file
            path.touch(mode=0o600)
            path.write_text(self.secrets[name])
        text = ROOKERY.format(
            **self.ports,
            store=self.home / "store",
            evidence=self.home / "evidence",
            reserve_bytes=self.reserve_bytes(),
        )
        (self.home / "rookery.toml").write_text(text)
        text = BRIDGE.format(
            **self.ports,
            home=self.home,
            queue=self.home / "queue",
            deadman_s=max(round(self.seconds(DEADMAN_S)), 1),
            outlive_s=max(round(self.seconds(OUTLIVE_S)), 1),
        )
        (self.home / "alert-bridge.toml").write_text(text)
        here = {f"127.0.0.1:{PORTS[name]}": f"127.0.0.1:{port}" for name, port in self.ports.items()}
        shipped.copy(self.home / "config", here, self.urls["pages"], self.lapse)

    # --- what is broken ---------------------------------------------------------------

    def stop_probed_core(self, shipped_s):
        """Keeps a core from its work, and says until when. However short the lapse makes
        that, the alert waits until 5 s have passed."""
        seconds = round(self.seconds(shipped_s)) + 12
        self.rookery.debug(f"faults/block?core={PROBED_CORE}&seconds={seconds}", "POST")
        return time.monotonic() + seconds

    # --- the disk -------------------------------------------------------------------

    def reserve_bytes(self):
        """What the store must leave free. Where the disk is to be filled, so much that a
        file of a size that is made at once does it."""
        if not self.breaks_disk:
            return RESERVE_BYTES
        free_bytes = shutil.disk_usage(self.home).free
        self.reserved_bytes = max(free_bytes - min(BALLAST_BYTES, free_bytes // 2), RESERVE_BYTES)
        return min(self.reserved_bytes, RESERVE_BYTES_MAX)

    def fill_disk(self):
        beyond_bytes = shutil.disk_usage(self.home).free - self.reserved_bytes
        with open(self.home / "ballast", "wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, max(beyond_bytes, 0) + RESERVE_BYTES)

    def empty_disk(self):
        (self.home / "ballast").unlink()

    def start(self, name, command, ready, environment=None, end_signal=signal.SIGTERM, may_end=False):
        """Starts a program, and returns when it is ready."""
        program = Program(name, command, self.home / "logs", environment, end_signal)
        self.programs[name] = program
        program.may_end = may_end
        program.wait_for(ready, START_S_MAX)
        return program

    def must_live(self):
        for program in self.programs.values():
            if not program.may_end:
                program.must_live()

    def inhibited(self):
        """What is not told because its cause is; nothing while nobody knows."""
        return self.alertmanager.inhibited() if "alertmanager" in self.programs else {}

    def end(self):
        """In the other order, so that nobody misses whom it needs."""
        for program in reversed(self.programs.values()):
            program.end()

    def end_one(self, name):
        self.programs.pop(name).end()

    def kill(self, name):
        """As a crash would."""
        self.programs.pop(name).kill()

    # --- the programs ---------------------------------------------------------------

    def start_pages(self):
        command = [sys.executable, HERE / "pages.py", "--port", self.ports["pages"]]
        command += ["--prometheus", self.urls["prometheus"]]
        self.start("pages", command, lambda: answers(f"{self.urls['pages']}/"))

    def start_rookery(self):
        command = [self.binaries / "rookery", "serve", "--config", self.home / "rookery.toml"]
        self.start("rookery", command, lambda: answers(f"{self.urls['admin']}/ready"))

    def start_robots(self):
        """Groups of WeCom and DingTalk that are as strict as the real ones."""
        given = self.secrets
        command = [sys.executable, TOP / "tests/alert/robots.py", "--port", self.ports["robots"]]
        command += ["--wecom", given["oncall-1"], "--wecom", given["oncall-2"]]
        command += ["--dingtalk", f"{given['team']}:{given['signature']}"]
        self.start("robots", command, lambda: answers(f"{self.urls['robots']}/"))

    def start_bridge(self):
        command = [self.binaries / "rookery", "alert-bridge", "run"]
        command += ["--config", self.home / "alert-bridge.toml"]
        self.start("bridge", command, lambda: answers(f"{self.urls['bridge']}/ready"))

    def start_probe(self):
        """Two clients from outside; ready when they could chat."""
        # Where this CPU is missing peers are not steered, and the probe meets every core.
        stays = ["taskset", "--cpu-list", PROBED_CORE]
        command = stays if PROBED_CORE in os.sched_getaffinity(0) else []
        command += [self.binaries / "rookery", "probe", "--server", self.clients_url]
        command += ["--config", self.home / "rookery.toml"]
        command += ["--interval-s", max(round(self.seconds(PROBE_S)), 1), "--limit-ms", 1000]
        command += ["--listen", f"127.0.0.1:{self.ports['probe']}"]
        success = f'chat_probe_success{{server="127.0.0.1:{self.ports["clients"]}"}} 1\n'
        self.start("probe", command, lambda: success in text_of(f"{self.urls['probe']}/metrics"))

    def start_alertmanager(self):
        command = [
            "prometheus-alertmanager",
            f"--config.file={self.home}/config/alertmanager.yml",
            f"--storage.path={self.home}/alertmanager",
            f"--web.listen-address=127.0.0.1:{self.ports['alertmanager']}",
            f"--web.external-url={self.urls['alertmanager']}",
            "--cluster.listen-address=",
        ]
        self.start("alertmanager", command, lambda: answers(f"{self.urls['alertmanager']}/-/ready"))

    def start_prometheus(self):
        command = [
            "prometheus",
            f"--config.file={self.home}/config/prometheus.yml",
            f"--storage.tsdb.path={self.home}/prometheus",
            f"--web.listen-address=127.0.0.1:{self.ports['prometheus']}",
            f"--web.external-url={self.urls['prometheus']}",
            "--enable-feature=exemplar-storage",
            f"--rules.alert.resend-delay={shipped.divided('1m', self.lapse)}",
        ]
        self.start("prometheus", command, lambda: answers(f"{self.urls['prometheus']}/-/ready"))

    def start_crowd(self):
        """The load of an ordinary day; ready when all are there."""
        command = [self.binaries / "rookery-bench", "soak", "--url", self.clients_url]
        command += ["--measure-ms", 86_400_000, "--threads", 1]
        for name, value in CROWD.items():
            command += [f"--{name}", value]
        self.start_load("crowd", command)
        self.start_python_load("talk", "--count", 10)
        self.programs["crowd"].wait_for(
            lambda: CROWD["connections"] <= self.rookery.metric("chat_active_connections"),
            START_S_MAX,
        )

    def start_load(self, name, command, may_end=False):
        secret = {"ROOKERY_BENCH_SECRET": self.secrets["clients"]}
        return self.start(name, command, lambda: True, secret, signal.SIGINT, may_end)

    def start_python_load(self, name, *options, may_end=False):
        command = [sys.executable, HERE / "loads.py", name, "--url", self.clients_url, *options]
        return self.start_load(name, command, may_end)
