"""Clients that do one thing until they are ended:

    loads.py talk|skewed|slow|panic --url ws://… [--count N]

The secret that signs their tokens comes from ROOKERY_BENCH_SECRET, as for
rookery-bench. Each load says once a second what it has done, for its log.
"""

import argparse
import asyncio
import itertools
import os
import time

from chat import Closed, Peer

AGENTS = [
    "Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0",
    "okhttp/4.12.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X)",
]


class Load:
    def __init__(self, options):
        self.url = options.url
        self.count = options.count
        self.secret = os.environ["ROOKERY_BENCH_SECRET"]
        self.done = {}

    def tell(self, what):
        self.done[what] = self.done.get(what, 0) + 1

    def arrive(self, user, number=0, **more):
        return Peer.arrive(self.url, self.secret, user, AGENTS[number % len(AGENTS)], **more)

    async def say_what_was_done(self):
        while True:
            await asyncio.sleep(1)
            print(self.done, flush=True)

    async def for_ever(self, one, *arguments):
        """Again after whatever ends it: faults are what these clients are for."""
        while True:
            try:
                await one(*arguments)
            except (Closed, OSError, asyncio.IncompleteReadError) as fault:
                self.tell(f"ended: {getattr(fault, 'code', type(fault).__name__)}")
                await asyncio.sleep(0.5)


def acknowledge(peer, channel, said):
    """As a well-behaved client does, with the time that the message took to it."""
    tags = said.get("tags", {})
    place = {"channel": tags.get("channel", channel), "offset": int(tags.get("offset", 0))}
    took_ms = int(time.time() * 1000) - int(tags.get("sent_at_ms", 0))
    data = place | ({"took_ms": took_ms} if "sent_at_ms" in tags and took_ms >= 0 else {})
    peer.write({"send": {"data": {"method": "chat.ack", "data": data}}})


class Talk(Load):
    """Pairs that say something to each other every half second, by clocks that are right."""

    def clock_ms(self, _step):
        return int(time.time() * 1000)

    name = "talk"

    async def person(self, number):
        me, other = f"{self.name}{number}", f"{self.name}{number ^ 1}"
        peer = await self.arrive(me, number, on_publication=acknowledge)
        for step in itertools.count():
            text = {"text": f"message {step}"}
            answer = await peer.call(
                "chat.send", to=other, data=text, sent_at_ms=self.clock_ms(step)
            )
            self.tell("refused" if "error" in answer else "said")
            await asyncio.sleep(0.5)

    async def run(self):
        await asyncio.gather(*(self.for_ever(self.person, n) for n in range(2 * self.count)))


class Skewed(Talk):
    """The same with clocks that run away: every message is from further in the future."""

    name = "skewed"

    def clock_ms(self, step):
        return int(time.time() * 1000) + 400 * step


class Slow(Load):
    """A busy room, and readers of it that stop to read."""

    async def author(self):
        peer = await self.arrive("author", 1)
        await peer.ask(subscribe={"channel": "news:slow"})
        for step in itertools.count():
            answer = await peer.ask(publish={"channel": "news:slow", "data": {"text": "x" * 36_000}})
            self.tell("refused" if "error" in answer else "said")
            await asyncio.sleep(0.05)

    async def reader(self, number):
        peer = await self.arrive(f"slow{number}", number, receive_bytes=4096)
        await peer.ask(subscribe={"channel": "news:slow"})
        peer.stop_reading()
        # The end of the connection is seen by writing: nothing is read any more.
        while not peer.writer.is_closing():
            peer.write({})
            await asyncio.sleep(0.2)
        raise Closed(3008)

    async def run(self):
        readers = [self.for_ever(self.reader, n) for n in range(self.count)]
        await asyncio.gather(self.for_ever(self.author), *readers)


class Panic(Load):
    """Versions of a bot whose sessions panic at once, each tried by several bots."""

    async def bot(self, version, number):
        try:
            peer = await self.arrive(f"bot{version}-{number}", version)
            await peer.call("chat.panic")
        except Closed as fault:
            self.tell(f"closed with {fault.code}")

    async def run(self):
        for number in range(5):
            await asyncio.gather(*(self.bot(version, number) for version in range(self.count)))
        print(self.done, flush=True)


LOADS = {"talk": Talk, "skewed": Skewed, "slow": Slow, "panic": Panic}


async def main():
    parser = argparse.ArgumentParser(description="clients that do one thing until they are ended")
    parser.add_argument("load", choices=LOADS)
    parser.add_argument("--url", required=True)
    parser.add_argument("--count", type=int, default=8)
    options = parser.parse_args()
    load = LOADS[options.load](options)
    telling = asyncio.create_task(load.say_what_was_done())
    await load.run()
    telling.cancel()


if __name__ == "__main__":
    asyncio.run(main())
