"""The real server, and a client that makes one message slow enough to be remembered."""

import base64
import contextlib
import hashlib
import hmac
import json
import random
import socket
import subprocess
import threading
import urllib.error
import urllib.request

from harness import BINARY, until
from websockets.sync.client import connect

SECRET = "a secret that only the tests of the exposition know"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
# Above the first bound of the tail, and far from the next.
SLOW_S = 0.5
# A name with all that a line could stumble over, and longer than an example keeps.
ROOM = 'room:"\\{a}#,= is a name that is too long'
# Escapes are not understood there: what would need one is replaced.
ROOM_KEPT = 'room:\ufffd\ufffd{a}#,= is a name '

CONFIG = """
[server]
listen = "127.0.0.1:{port}"
admin_listen = "127.0.0.1:{admin}"
shards = 2
connections_max = 100

[session]
metrics_tenants = ["acme"]

[store]
dir = "{store}"
reserve_bytes = 1048576

[[auth.keys]]
algorithm = "HS256"
secret = "{secret}"

[[namespaces]]
name = "room"
subscribe = "users"
publish = "users"
history_count_max = 10
history_age_ms_max = 600000
"""


def token(**claims):
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    head = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    body = head + b"." + part(json.dumps(claims).encode())
    return (body + b"." + part(hmac.digest(SECRET.encode(), body, hashlib.sha256))).decode()


def free_port():
    """Below the usual range of source ports, so that no client takes it in between."""
    while True:
        port = random.randint(21000, 29999)
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


class Server:
    """The binary, until it is left."""

    def __init__(self, folder):
        self.port, self.admin = free_port(), free_port()
        self.config = folder / "rookery.toml"
        store = folder / "store"
        store.mkdir()
        values = {"port": self.port, "admin": self.admin, "store": store, "secret": SECRET}
        text = CONFIG.format(**values)
        self.config.write_text(text)
        self.log = folder / "log"

    def __enter__(self):
        with self.log.open("wb") as log:
            command = [str(BINARY), "serve", "--config", str(self.config)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            until("ready", lambda: self.status("/ready"), lambda status: status == 200)
        except BaseException:
            print(self.log.read_text())
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(10)

    def get(self, path, **headers):
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin}{path}", headers=headers)
        return urllib.request.urlopen(request, timeout=10)

    def status(self, path):
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.get(path).status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    def metrics(self, accept="application/openmetrics-text", query=""):
        """The answer's type and text."""
        answer = self.get(f"/metrics{query}", Accept=accept)
        return answer.headers["Content-Type"], answer.read().decode()


class Client:
    """One user with one connection, and one command at a time."""

    def __init__(self, server, user, tenant="acme"):
        self.stack = contextlib.ExitStack()
        link = connect(
            f"ws://127.0.0.1:{server.port}/connection/websocket",
            user_agent_header="Python/3.11 <@all>",
            compression=None,
        )
        self.socket = self.stack.enter_context(link)
        self.id = 0
        self.pushes = []
        self.call("connect", {"token": token(sub=user, tenant=tenant)})

    def call(self, method, params):
        self.id += 1
        self.socket.send(json.dumps({"id": self.id, method: params}))
        while True:
            for answer in self.read():
                if answer.get("id") == self.id:
                    assert "error" not in answer, answer
                    return answer

    def read(self):
        lines = [json.loads(line) for line in self.socket.recv(30).splitlines()]
        self.pushes += [line["push"] for line in lines if "push" in line]
        if {} in lines:
            self.socket.send("{}")
        return lines

    def rpc(self, method, **data):
        return self.call("rpc", {"method": method, "data": data})["rpc"]["data"]

    def publication(self):
        """The next message that somebody says."""
        while not any("pub" in push for push in self.pushes):
            self.read()
        at = next(at for at, push in enumerate(self.pushes) if "pub" in push)
        return self.pushes.pop(at)["pub"]


def slow_messages(server):
    """Two messages in a room, and a reader that takes its time to acknowledge: the server
    follows messages of rooms only where somebody does."""
    ann, bob = Client(server, "ann"), Client(server, "bob")
    for reader in (ann, bob):
        reader.call("subscribe", {"channel": ROOM})
    for _ in range(2):
        ann.rpc("chat.publish", channel=ROOM, data=1, traceparent=TRACEPARENT)
        offset = bob.publication()["offset"]
        # The time that is measured, and not a wait for anything.
        threading.Event().wait(SLOW_S)
        bob.rpc("chat.ack", channel=ROOM, offset=offset)
    return ann, bob
