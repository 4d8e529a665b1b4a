#!/usr/bin/env python3
"""Makes the pictures of docs/MONITORING.md: a server, people who chat, a Prometheus, and
for two seconds a process that stands still. `scripts/pictures` runs it.

Takes four minutes. Deliberately absent: a judgement; tests have those.
"""

import asyncio
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time

from centrifuge import Client, ClientEventHandler

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
BINARY = TOP / "target/debug/rookery"
PICTURES = TOP / "docs/pictures"
PEOPLE = 24
RUN_S = 200
STANDSTILL_S = 2.5


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Reader(ClientEventHandler):
    """Acknowledges what was said to a user."""

    client = None
    user = ""

    async def on_publication(self, ctx):
        tags = ctx.pub.tags or {}
        if ctx.pub.info and ctx.pub.info.user != self.user and "channel" in tags:
            place = {"channel": tags["channel"], "offset": int(tags["offset"])}
            asyncio.ensure_future(say(self.client, "ack", **place))


async def say(client, method, **fields):
    try:
        await client.rpc(f"chat.{method}", fields)
    except Exception:
        pass  # The server stands still for a while, which is the point.


async def chat(url, name, number, end):
    token = subprocess.run(
        [BINARY, "token", "--dev", "--user", name], capture_output=True, text=True, check=True
    ).stdout.strip()
    reader = Reader()
    client = Client(url, token=token, events=reader)
    reader.client, reader.user = client, name
    await client.connect()
    room = client.new_subscription("room:lobby")
    await room.subscribe()
    await room.ready(timeout=20)
    friend = f"user{(number + 1) % PEOPLE}"
    turn = 0
    while time.time() < end:
        turn += 1
        asyncio.ensure_future(say(client, "send", to=friend, data={"text": f"{turn}"}))
        if turn % 8 == number % 8:
            asyncio.ensure_future(room.publish({"text": "hello"}))
        await asyncio.sleep(0.25)
    await client.disconnect()


async def everybody(url, server, end):
    async def stand_still():
        await asyncio.sleep(RUN_S * 0.6)
        server.send_signal(signal.SIGSTOP)
        await asyncio.sleep(STANDSTILL_S)
        server.send_signal(signal.SIGCONT)

    talks = [chat(url, f"user{number}", number, end) for number in range(PEOPLE)]
    await asyncio.gather(stand_still(), *talks)


def main():
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "store").mkdir()
        listen, admin, web = (f"127.0.0.1:{free_port()}" for _ in range(3))
        server = subprocess.Popen([
            BINARY, "serve", "--dev", "--listen", listen, "--admin-listen", admin,
            "--store-dir", folder / "store",
        ])
        config = f"""
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 2s}}
rule_files: ['{HERE.parent}/rules/*.rules.yml']
scrape_configs:
- {{job_name: rookery, static_configs: [{{targets: ['{admin}']}}]}}
"""
        (folder / "prometheus.yml").write_text(config)
        prometheus = subprocess.Popen([
            "prometheus", f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/tsdb", f"--web.listen-address={web}",
            "--enable-feature=exemplar-storage", "--log.level=warn",
        ])
        try:
            time.sleep(5)
            begin = time.time()
            asyncio.run(everybody(f"ws://{listen}/connection/websocket", server, begin + RUN_S))
            draw = [sys.executable, HERE / "render.py", f"http://{web}", str(begin + 15), str(begin + RUN_S)]
            messages = [
                "From client to client", "Where the time goes", "Within the server",
                "Published", "Outcomes", "Commands, replies, errors",
            ]
            subprocess.run([*draw, "Messages", PICTURES / "messages.png", *messages], check=True)
            rest = ["Burn", "Bad events", "Busy", "Long turns", "Turns with writes", "Batches and syncs"]
            subprocess.run([*draw, "*", PICTURES / "objectives-cores-store.png", *rest], check=True)
        finally:
            for process in (prometheus, server):
                process.terminate()
                process.wait(60)


if __name__ == "__main__":
    main()
