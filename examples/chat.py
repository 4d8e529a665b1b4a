"""A chat in a terminal, on the PyPI package "centrifuge-python":

    TOKEN=… python chat.py [room] [server]

What is typed is said in the room. "/to ben see you at noon" is a direct message, and "/who" tells
who is there. The end of the input (Ctrl-D) leaves.

Deliberately absent: fresh tokens. What runs longer than its token gives `get_token` instead of
`token`, a coroutine that asks the application's own backend.
"""

import asyncio
import os
import sys

from centrifuge import (
    CentrifugeError,
    Client,
    ClientEventHandler,
    SubscriptionEventHandler,
)

SERVER = "ws://127.0.0.1:8000/connection/websocket"


def show(where, pub):
    author = pub.info.user if pub.info else "server"
    print(f"[{where}] {author}: {pub.data['text']}", flush=True)


def note(text):
    print(f"* {text}", flush=True)


class Connection(ClientEventHandler):
    def __init__(self):
        self.messages = asyncio.Queue()
        self.over = asyncio.Event()

    async def on_publication(self, ctx):
        # Answers are read behind this handler, so what waits for one is done elsewhere.
        self.messages.put_nowait(ctx.pub)

    async def on_error(self, ctx):
        note(ctx.error)

    async def on_disconnected(self, ctx):
        note(ctx.reason)
        self.over.set()


class Room(SubscriptionEventHandler):
    def __init__(self, name):
        self.name = name
        self.position = asyncio.get_running_loop().create_future()

    async def on_subscribed(self, ctx):
        if not self.position.done():
            self.position.set_result(ctx.stream_position)

    async def on_publication(self, ctx):
        show(self.name, ctx.pub)

    async def on_join(self, ctx):
        note(f"{ctx.info.user} came")

    async def on_leave(self, ctx):
        note(f"{ctx.info.user} left")


async def read_messages(client, messages):
    """Direct messages come to every connection of both people, without a subscription. One that
    its reader does not acknowledge comes again, also after days."""
    while True:
        pub = await messages.get()
        place = {"channel": pub.tags["channel"], "offset": int(pub.tags["offset"])}
        show(place["channel"], pub)
        try:
            await client.rpc("chat.ack", place)
        except CentrifugeError as error:
            note(error)


async def catch_up(room, position):
    """What was said up to here; what is said behind it comes by itself."""
    past = await room.history(limit=20, reverse=True)
    for pub in reversed(past.publications):
        if pub.offset <= position.offset:
            show(room.channel, pub)
    await tell_who(room)


async def tell_who(room):
    clients = (await room.presence()).clients.values()
    note("here: " + ", ".join(sorted({client.user for client in clients})))


async def obey(client, room, line):
    match line.split(maxsplit=2):
        case ["/to", to, text]:
            await client.rpc("chat.send", {"to": to, "data": {"text": text}})
        case ["/who"]:
            await tell_who(room)
        case [_, *_]:
            await room.publish({"text": line})


async def talk(client, room, entered):
    try:
        await catch_up(room, await entered)
    except CentrifugeError as error:
        note(error)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    async for line in lines:
        try:
            await obey(client, room, line.decode().strip())
        except CentrifugeError as error:
            note(error)


async def main(name="lobby", server=SERVER):
    connection, heard = Connection(), Room(f"room:{name}")
    client = Client(server, events=connection, token=os.environ["TOKEN"])
    room = client.new_subscription(heard.name, events=heard, recoverable=True, join_leave=True)
    await client.connect()
    await room.subscribe()
    work = [
        talk(client, room, heard.position),
        read_messages(client, connection.messages),
        connection.over.wait(),
    ]
    await asyncio.wait(map(asyncio.create_task, work), return_when=asyncio.FIRST_COMPLETED)
    await client.disconnect()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
