"""The real server, and a client that makes one message slow enough to be remembered."""

import contextlib
import json
import subprocess
import threading
import urllib.request

import harness
from harness import BINARY
from websockets.sync.client import connect

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
# Above the first bound of the tail, and far from the next.
SLOW_S = 0.5
# A name with all that a line could stumble over, and longer than an example keeps.
ROOM = 'room:"\\{a}#,= is a name that is too long'
# Escapes are not understood there: what would need one is replaced.
ROOM_KEPT = 'room:\ufffd\ufffd{a}#,= is a name '

NAMESPACES = """[{
    name = "room", subscribe = "users", publish = "users",
    history_count_max = 10, history_age_ms_max = 600000,
}]"""


class Server:
    """A server that runs, and what it says of itself."""

    def __init__(self, clients, admin):
        self.clients = clients
        self.admin = admin

    def get(self, path, **headers):
        request = urllib.request.Request(f"http://{self.admin}{path}", headers=headers)
        return urllib.request.urlopen(request, timeout=10)

    def metrics(self, accept="application/openmetrics-text", query=""):
        """The answer's type and text."""
        answer = self.get(f"/metrics{query}", Accept=accept)
        return answer.headers["Content-Type"], answer.read().decode()


@contextlib.contextmanager
def serve(folder):
    """With rooms alone, in which each person may speak."""
    settings = {
        "server_shards": 2,
        "server_connections_max": 100,
        "session_metrics_tenants": '["acme"]',
        "namespaces": NAMESPACES.replace("\n", ""),
    }
    with harness.rookery(folder, **settings) as (clients, admin):
        yield Server(clients, admin)


def token(user, tenant):
    command = [BINARY, "token", "--dev", "--user", user, "--tenant", tenant]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class Client:
    """One user with one connection, and one command at a time."""

    def __init__(self, server, user, tenant="acme"):
        self.stack = contextlib.ExitStack()
        link = connect(
            f"ws://{server.clients}/connection/websocket",
            user_agent_header="Python/3.11 <@all>",
            compression=None,
        )
        self.socket = self.stack.enter_context(link)
        self.id = 0
        self.pushes = []
        self.call("connect", {"token": token(user, tenant)})

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
