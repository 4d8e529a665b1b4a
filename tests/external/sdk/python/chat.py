"""A terminal chat on the Python SDK: python chat.py <name> [room] [url]

The token comes from `rookery token --dev`, whose secret everyone knows; a real
application asks its own backend for one.
"""

import asyncio
import os
import pathlib
import subprocess
import sys

from centrifuge import CentrifugeError, Client, ClientEventHandler, SubscriptionEventHandler

TARGET = pathlib.Path(__file__).resolve().parents[4] / "target"


def binary():
    made = [TARGET / profile / "rookery" for profile in ("release", "debug")]
    made.insert(0, pathlib.Path(os.environ.get("ROOKERY_BIN") or made[0]))
    return next((str(path) for path in made if path.exists()), None)


def say(*words):
    print(*words, flush=True)


def show(pub):
    say(f"{pub.info.user if pub.info else 'server'}: {pub.data['text']}")


def because(ctx):
    """What the person at the keyboard wanted needs no reason."""
    return f" ({ctx.code} {ctx.reason})" if ctx.code else ""


def end(over, code):
    """The first reason to end is the one that the exit code tells."""
    if not over.done():
        over.set_result(code)


class Connection(ClientEventHandler):
    def __init__(self, url, over):
        self.url = url
        self.over = over
        self.is_told = False

    async def on_connecting(self, ctx):
        say(f"* connecting{because(ctx)}")

    async def on_connected(self, ctx):
        self.is_told = False

    async def on_error(self, ctx):
        # The SDK tries on by itself, with longer and longer pauses: once is enough to say so.
        if not self.is_told:
            say(f"* {ctx.error}; trying again, is there a server at {self.url}?")
        self.is_told = True

    async def on_disconnected(self, ctx):
        say(f"* disconnected{because(ctx)}")
        end(self.over, 1 if ctx.code else 0)


class Room(SubscriptionEventHandler):
    def __init__(self, name, over):
        self.name = name
        self.over = over
        self.subscribed = asyncio.Event()

    async def on_subscribed(self, ctx):
        say(f"* in {ctx.channel} as {self.name}")
        self.subscribed.set()

    async def on_publication(self, ctx):
        show(ctx.pub)

    async def on_join(self, ctx):
        say(f"* {ctx.info.user} came")

    async def on_leave(self, ctx):
        say(f"* {ctx.info.user} left")

    async def on_unsubscribed(self, ctx):
        say(f"* not in the room: {ctx.code} {ctx.reason}")
        end(self.over, 1)


async def catch_up(room, subscribed):
    """Shows what was said before, once there is somebody to ask."""
    await subscribed.wait()
    try:
        past = await room.history(limit=20, reverse=True)
    except CentrifugeError as error:
        say(f"* what was said before is unknown: {error}")
        return
    for pub in reversed(past.publications):
        show(pub)


async def speak(room, client):
    """Says each line of the terminal, and leaves at its end."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        if text := line.decode().strip():
            try:
                await room.publish({"text": text})
            except CentrifugeError as error:
                say(f"* not sent: {error}")
    await client.disconnect()


async def main():
    if len(sys.argv) < 2:
        print("usage: chat-python <name> [room] [url]", file=sys.stderr)
        return 2
    if not binary():
        hint = "`make run` in another terminal builds and starts it"
        print(f"chat-python: there is no server yet: {hint}", file=sys.stderr)
        return 1
    name = sys.argv[1]
    channel = f"room:{sys.argv[2] if len(sys.argv) > 2 else 'lobby'}"
    url = sys.argv[3] if len(sys.argv) > 3 else "ws://127.0.0.1:8000/connection/websocket"

    async def token():
        command = [binary(), "token", "--dev", "--user", name]
        made = await asyncio.to_thread(subprocess.check_output, command, text=True)
        return made.strip()

    over = asyncio.get_running_loop().create_future()
    client = Client(url, events=Connection(url, over), get_token=token, proxy=None)
    events = Room(name, over)
    room = client.new_subscription(channel, events=events, recoverable=True, join_leave=True)
    await client.connect()
    await room.subscribe()
    tasks = [
        asyncio.create_task(catch_up(room, events.subscribed)),
        asyncio.create_task(speak(room, client)),
    ]
    code = await over
    for task in tasks:
        task.cancel()
    return code


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    except KeyboardInterrupt:
        sys.exit(0)
