"""What the tests of the Python SDK stand on: the real binary on free ports, a proxy
that can cut or stop a connection, tokens, and waiting for events.

Deliberately absent: sleeping. A test waits for an event, and every wait ends with
an error when the event does not come.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import itertools
import json
import os
import pathlib
import random
import shutil
import socket
import tempfile
import time
import urllib.error
import urllib.request

from centrifuge import Client, ClientEventHandler, ReplyError, SubscriptionEventHandler

TOP = pathlib.Path(__file__).resolve().parents[4]
BINARY = os.environ.get("ROOKERY_BIN", str(TOP / "target/debug/rookery"))
CONFIG = TOP / "tests/external/sdk/rookery.toml"
WAIT_S_MAX = 20

SECRET = "a secret that only the tests of the SDKs know"

PROTOBUF = {"json": False, "protobuf": True}


# --- values and tokens ------------------------------------------------------------


def pack(encoding, value):
    """Both encodings carry the same values: Protobuf clients give and get bytes."""
    return json.dumps(value).encode() if PROTOBUF[encoding] else value


def unpack(encoding, data):
    return json.loads(data) if PROTOBUF[encoding] else data


def token(secret=SECRET, **claims):
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    head = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    body = head + b"." + part(json.dumps(claims).encode())
    return (body + b"." + part(hmac.digest(secret.encode(), body, hashlib.sha256))).decode()


def expires_in(seconds):
    return int(time.time()) + seconds


class ShortLived:
    """Tokens of two seconds, the last of which lives long; `used` when it was asked for."""

    def __init__(self, count, **claims):
        self.left = count
        self.claims = claims
        self.used = asyncio.Event()

    async def next(self, _channel=None):
        self.left -= 1
        if self.left == 0:
            self.used.set()
        return token(**self.claims, exp=expires_in(2 if self.left > 0 else 600))


class Giving:
    """One token for each of these times in seconds, and the last one again and again."""

    def __init__(self, *ends_in, **claims):
        self.ends_in = list(ends_in)
        self.claims = claims

    async def next(self, _channel=None):
        seconds = self.ends_in.pop(0) if len(self.ends_in) > 1 else self.ends_in[0]
        return token(**self.claims, exp=expires_in(seconds))


# --- waiting ------------------------------------------------------------------------


class Events(ClientEventHandler, SubscriptionEventHandler):
    """Everything that happened, and a way to wait for some of it.

    `surprises` are the errors whose code `may_meet` does not list.
    """

    def __init__(self, may_meet=()):
        self.may_meet = may_meet
        self.surprises = []
        self.seen = []
        self.changed = asyncio.Condition()

    async def note(self, name, context):
        async with self.changed:
            self.seen.append((name, context))
            self.changed.notify_all()

    async def on_connecting(self, ctx):
        await self.note("connecting", ctx)

    async def on_connected(self, ctx):
        await self.note("connected", ctx)

    async def on_disconnected(self, ctx):
        await self.note("disconnected", ctx)

    async def on_error(self, ctx):
        # The server's code where it gave one, and the SDK's own otherwise.
        code = ctx.error.code if isinstance(ctx.error, ReplyError) else ctx.code
        if code not in self.may_meet:
            self.surprises.append(ctx)
        await self.note("error", ctx)

    async def on_subscribed(self, ctx):
        await self.note("subscribed", ctx)

    async def on_subscribing(self, ctx):
        await self.note("subscribing", ctx)

    async def on_unsubscribed(self, ctx):
        await self.note("unsubscribed", ctx)

    async def on_publication(self, ctx):
        await self.note("publication", ctx)

    async def on_join(self, ctx):
        await self.note("join", ctx)

    async def on_leave(self, ctx):
        await self.note("leave", ctx)

    def of(self, name, test=lambda _: True):
        return [context for seen, context in self.seen if seen == name and test(context)]

    async def at_least(self, count, name, test=lambda _: True):
        """The first `count` events, past or to come, with this name that pass the test."""
        try:
            async with asyncio.timeout(WAIT_S_MAX), self.changed:
                await self.changed.wait_for(lambda: len(self.of(name, test)) >= count)
        except TimeoutError:
            raise AssertionError(f"waited for {count} {name}; seen: {self.seen}") from None
        return self.of(name, test)[:count]

    async def first(self, name, test=lambda _: True):
        return (await self.at_least(1, name, test))[0]


# --- the server ---------------------------------------------------------------------


# What `free_port` has given away: one server has several, which nothing holds until it starts.
_given_ports = set()


def free_port():
    """Below the usual range of source ports, so that no client takes it in between; each once."""
    low, high = os.environ.get("ROOKERY_TEST_PORTS", "20000-29999").split("-")
    while True:
        port = random.randint(int(low), int(high))
        if port in _given_ports:
            continue
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given_ports.add(port)
        return port


def digest(key):
    """What a server keeps of a backend's key."""
    return hashlib.sha256(key.encode()).hexdigest()


def api_key(key, scopes, channels=("*",), name="backend"):
    """What the configuration has of a backend's key."""
    return {"name": name, "sha256": digest(key), "scopes": scopes, "channels": list(channels)}


class Server:
    """The binary, with the tests' configuration, until it is left."""

    def __init__(
        self,
        port=None,
        outbox_bytes=1 << 20,
        ping_ms=24_000,
        ack_wait_ms=30_000,
        api_keys=(),
        has_feed=False,
    ):
        self.port = port or free_port()
        self.admin_port = free_port()
        self.api_port = free_port()
        self.api_url = f"http://127.0.0.1:{self.api_port}/api"
        self.api_keys = api_keys
        self.has_feed = has_feed
        self.url = f"ws://127.0.0.1:{self.port}/connection/websocket"
        self.outbox_bytes = outbox_bytes
        self.ping_ms = ping_ms
        self.ack_wait_ms = ack_wait_ms
        self.folder = tempfile.mkdtemp(prefix="rookery-sdk-")
        self.process = None

    async def __aenter__(self):
        self.file = pathlib.Path(self.folder, "rookery.toml")
        store = pathlib.Path(self.folder, "store")
        store.mkdir()
        values = {
            "port": self.port,
            "admin_port": self.admin_port,
            "store_dir": store,
            "outbox_bytes": self.outbox_bytes,
            "ping_ms": self.ping_ms,
            "pong_ms": self.ping_ms // 3,
            "ack_wait_ms": self.ack_wait_ms,
            "otlp_endpoint": "",
        }
        text = CONFIG.read_text()
        for name, value in values.items():
            text = text.replace("{" + name + "}", str(value))
        if self.api_keys:
            text += f'\n[api]\nlisten = "127.0.0.1:{self.api_port}"\n'
            text += f'\n[blocks]\ndir = "{self.folder}/blocks"\n'
        if self.has_feed:
            # Nobody is there, so all that is told waits.
            text += '\n[presence_feed]\nurl = "http://127.0.0.1:1/presence"\n'
            text += f'dir = "{self.folder}/presence"\n'
            text += '\n[[namespaces]]\nname = "told"\nsubscribe = "users"\npresence_feed = true\n'
        for key in self.api_keys:
            # Texts and lists of texts are the same in JSON and TOML.
            text += "\n[[api.keys]]\n"
            text += "".join(f"{name} = {json.dumps(value)}\n" for name, value in key.items())
        self.file.write_text(text)
        self.log = open(pathlib.Path(self.folder, "log"), "w+b")
        await self.start_again()
        return self

    async def start_again(self):
        """Another life, with the same port and the same store."""
        self.process = await asyncio.create_subprocess_exec(
            BINARY, "serve", "--config", str(self.file), stdout=self.log, stderr=self.log
        )
        try:
            await self.ready()
        except BaseException:
            self.log.seek(0)
            print(self.log.read().decode(errors="replace"))
            await self.__aexit__()
            raise

    async def kill(self):
        """Its end, at once and without a word."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()

    async def __aexit__(self, *_):
        await self.kill()
        self.log.close()
        shutil.rmtree(self.folder)

    async def metrics(self):
        """What Prometheus would read."""
        url = f"http://127.0.0.1:{self.admin_port}/metrics"
        answer = await asyncio.to_thread(urllib.request.urlopen, url, None, 10)
        with answer:
            return (await asyncio.to_thread(answer.read)).decode()

    async def ready(self):
        """Readiness is asked for, because there is nothing to be told by."""
        deadline = time.monotonic() + WAIT_S_MAX
        while time.monotonic() < deadline:
            assert self.process.returncode is None, "the server ended at once"
            try:
                await asyncio.to_thread(
                    urllib.request.urlopen, f"http://127.0.0.1:{self.admin_port}/ready", None, 2
                )
                return
            except (urllib.error.URLError, OSError):
                await asyncio.sleep(0.02)
        raise AssertionError("the server was not ready in time")


# --- the network --------------------------------------------------------------------


class Proxy:
    """Between client and server; breaks and stops connections at will."""

    def __init__(self, target_port):
        self.target_port = target_port
        self.writers = set()
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.said_by_server = b""
        self.spoke = asyncio.Condition()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        port = self.server.sockets[0].getsockname()[1]
        self.url = f"ws://127.0.0.1:{port}/connection/websocket"
        return self

    async def __aexit__(self, *_):
        self.flowing.set()
        self.cut()
        self.server.close()

    async def serve(self, near_reader, near_writer):
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            near_writer.transport.abort()
            return
        self.writers |= {near_writer, far_writer}
        try:
            await asyncio.gather(
                self.pump(near_reader, far_writer, asyncio.Event()),
                self.pump(far_reader, near_writer, self.flowing),
            )
        finally:
            self.writers -= {near_writer, far_writer}

    async def pump(self, reader, writer, flowing):
        if flowing is not self.flowing:
            flowing.set()
        try:
            while True:
                await flowing.wait()
                data = await reader.read(65536)
                await flowing.wait()
                if not data:
                    break
                if flowing is self.flowing:
                    await self.listen(data)
                writer.write(data)
                await writer.drain()
        except OSError:
            # A broken connection is what this is for.
            pass
        finally:
            writer.close()

    async def listen(self, data):
        async with self.spoke:
            self.said_by_server += data
            self.spoke.notify_all()

    async def hear(self, part, count):
        """Waits until the server has said `part` so often; its frames are not masked."""
        async with asyncio.timeout(WAIT_S_MAX), self.spoke:
            await self.spoke.wait_for(lambda: self.said_by_server.count(part) >= count)

    def cut(self):
        """Every connection breaks without a close frame."""
        for writer in list(self.writers):
            writer.transport.abort()

    def stop_reading(self):
        """What the server sends is no longer read."""
        self.flowing.clear()

    def read_again(self):
        self.flowing.set()


# --- clients ------------------------------------------------------------------------


# What the SDK calls a connection that broke before it was up.
TRANSPORT_CLOSED = 2


class People:
    """Clients that are disconnected when the test is over.

    An error that the SDK makes good by trying again would hide what the server did
    wrong: the test fails for each that its client was not said to meet.
    """

    def __init__(self, encoding):
        self.encoding = encoding
        self.clients = []
        self.watched = []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.leave()
        surprises = [error for events in self.watched for error in events.surprises]
        assert surprises == [], "errors that were made good by trying again"

    async def leave(self):
        """Everybody, before what they are connected to ends."""
        for client in self.clients:
            await client.disconnect()

    def watch(self, may_meet=()):
        events = Events(may_meet)
        self.watched.append(events)
        return events

    def pack(self, value):
        return pack(self.encoding, value)

    def unpack(self, data):
        return unpack(self.encoding, data)

    def client(self, url, may_meet=(), **options):
        events = self.watch(may_meet)
        options.setdefault("max_reconnect_delay", 0.2)
        client = Client(
            url,
            events=events,
            use_protobuf=PROTOBUF[self.encoding],
            min_reconnect_delay=0.02,
            proxy=None,
            **options,
        )
        self.clients.append(client)
        return client, events

    async def connected(self, url, user, **options):
        options.setdefault("token", token(sub=user))
        client, events = self.client(url, **options)
        await client.connect()
        await client.ready(timeout=WAIT_S_MAX)
        return client, events

    def subscription(self, client, channel, may_meet=(), **options):
        events = self.watch(may_meet)
        room = client.new_subscription(
            channel, events=events, min_resubscribe_delay=0.02, max_resubscribe_delay=0.2, **options
        )
        return room, events

    async def subscribed(self, client, channel, **options):
        room, events = self.subscription(client, channel, **options)
        await room.subscribe()
        await room.ready(timeout=WAIT_S_MAX)
        return room, events


_fresh_count = itertools.count(1)


def fresh_channel(namespace="room"):
    """Channels and users of their own keep tests apart that share a server."""
    return f"{namespace}:{os.getpid()}-{next(_fresh_count)}"


def fresh_user(name):
    return f"{name}-{next(_fresh_count)}"


async def chat(people, client, method, **fields):
    """The answer to one of chat's methods."""
    result = await client.rpc(f"chat.{method}", people.pack(fields))
    return people.unpack(result.data)
