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

TARGET = pathlib.Path(__file__).resolve().parents[3] / "target"


def binary():
    made = [TARGET / profile / "rookery" for profile in ("debug", "release")]
    return os.environ.get("ROOKERY_BIN") or str(next(path for path in made[::-1] if path.exists()))


def say(*words):
    print(*words, flush=True)


def show(pub):
    say(f"{pub.info.user if pub.info else 'server'}: {pub.data['text']}")


class Connection(ClientEventHandler):
    def __init__(self, over):
        self.over = over

    async def on_connecting(self, ctx):
        say(f"* connecting ({ctx.code} {ctx.reason})")

    async def on_disconnected(self, ctx):
        say(f"* disconnected ({ctx.code} {ctx.reason})")
        self.over.set()


class Room(SubscriptionEventHandler):
    def __init__(self, over):
        self.over = over
        self.subscribed = asyncio.Event()

    async def on_subscribed(self, ctx):
        say(f"* in {ctx.channel}")
        self.subscribed.set()

    async def on_publication(self, ctx):
        show(ctx.pub)

    async def on_join(self, ctx):
        say(f"* {ctx.info.user} came")

    async def on_leave(self, ctx):
        say(f"* {ctx.info.user} left")

    async def on_unsubscribed(self, ctx):
        say(f"* not in the room: {ctx.code} {ctx.reason}")
        self.over.set()


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
    name = sys.argv[1]
    channel = f"room:{sys.argv[2] if len(sys.argv) > 2 else 'lobby'}"
    url = sys.argv[3] if len(sys.argv) > 3 else "ws://127.0.0.1:8000/connection/websocket"

    async def token():
        command = [binary(), "token", "--dev", "--user", name]
        made = await asyncio.to_thread(subprocess.check_output, command, text=True)
        return made.strip()

    over = asyncio.Event()
    client = Client(url, events=Connection(over), get_token=token, proxy=None)
    events = Room(over)
    room = client.new_subscription(channel, events=events, recoverable=True, join_leave=True)
    await client.connect()
    await room.subscribe()
    await events.subscribed.wait()
    past = await room.history(limit=20, reverse=True)
    for pub in reversed(past.publications):
        show(pub)
    speaking = asyncio.create_task(speak(room, client))
    await over.wait()
    speaking.cancel()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main()))
    except KeyboardInterrupt:
        sys.exit(0)
