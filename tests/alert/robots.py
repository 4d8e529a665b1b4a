#!/usr/bin/env python3
"""Robots of WeCom, DingTalk, Slack and a plain webhook that bite as the real ones do.

What they enforce: size (WeCom 40058 over 4,096 bytes of markdown or 2,048 of text,
DingTalk 460101 over 20,000 bytes of body), rate (20 a minute: WeCom 45009, DingTalk
130101 and then ten minutes of silence), tokens (93000, 300001, 300005), DingTalk's
signature and keyword (310000). WeCom and DingTalk say 200 whatever happens.

    POST /cgi-bin/webhook/send?key=…             a WeCom robot
    POST /robot/send?access_token=…[&timestamp=…&sign=…]   a DingTalk robot
    POST /services/…                             a Slack webhook
    POST /hook/…                                 a plain webhook

    GET  /                    the messages, as a chat would show them
    GET  /messages[?robot=…]  what arrived, in order, as JSON
    GET  /attempts[?robot=…]  every try, with its code
    POST /control/robots      {"channel","token","secret","keyword"} makes a robot known
    POST /control/faults      {"robot","fault","seconds","count"}; see FAULTS
    POST /control/clear       forgets messages, attempts, faults and rates

Only the standard library, so that it runs wherever Python does.
"""

import argparse
import base64
import collections
import hashlib
import hmac
import html
import http.server
import json
import re
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse

RATE = 20
MARKDOWN_BYTES_MAX = 4096
TEXT_BYTES_MAX = 2048
DINGTALK_BYTES_MAX = 20000
CLOCK_S_MAX = 3600
KEPT_MAX = 20000

FAULTS = {
    "none": "as it should be",
    "slow": "answers after `seconds`; the message arrives at once",
    "500": "HTTP 500, and nothing arrives",
    "token": "says that the token is wrong",
    "blocked": "says that it is asked too often",
    "reset": "resets the connection before the message arrives",
    "lost-answer": "the message arrives, and the connection is reset before the answer",
    "word": "refuses for good what has `word` in it",
    "hang": "neither arrives nor answers within `seconds`",
}


class Robot:
    """One robot, and what it has been through."""

    def __init__(self, channel, token, secret="", keyword=""):
        self.channel, self.token, self.secret, self.keyword = channel, token, secret, keyword
        self.reset()

    def reset(self):
        self.arrived = collections.deque()
        self.blocked_until = 0.0
        self.fault = {"fault": "none", "seconds": 0.0, "count": None}


class World:
    """All robots, and everything that arrived."""

    def __init__(self, minute_s):
        self.minute_s = minute_s
        self.lock = threading.Lock()
        self.robots = {}
        self.messages = []
        self.attempts = []

    def add(self, channel, token, secret="", keyword=""):
        with self.lock:
            self.robots[(channel, token)] = Robot(channel, token, secret, keyword)

    def note(self, channel, token, code, text, body):
        entry = {
            "seq": len(self.attempts),
            "at": time.time(),
            "channel": channel,
            "robot": token,
            "code": code,
            "text": text,
            "body": body,
        }
        if len(self.attempts) < KEPT_MAX:
            self.attempts.append(entry)
            if code == 0:
                self.messages.append(entry)

    def take_fault(self, robot):
        """The fault of this try; one with a count wears off."""
        fault = dict(robot.fault)
        if fault["fault"] != "none" and fault["count"] is not None:
            robot.fault["count"] -= 1
            if robot.fault["count"] <= 0:
                robot.fault = {"fault": "none", "seconds": 0.0, "count": None}
        return fault

    def over_rate(self, robot, now):
        while robot.arrived and now - robot.arrived[0] >= self.minute_s:
            robot.arrived.popleft()
        if now < robot.blocked_until:
            return True
        if len(robot.arrived) >= RATE:
            if robot.channel == "dingtalk":
                robot.blocked_until = now + 10 * self.minute_s
            return True
        robot.arrived.append(now)
        return False


def wecom_check(robot, body, raw):
    """(code, text) of a message to a WeCom robot."""
    kind = body.get("msgtype")
    if kind == "markdown":
        text, most = body.get("markdown", {}).get("content"), MARKDOWN_BYTES_MAX
    elif kind == "text":
        text, most = body.get("text", {}).get("content"), TEXT_BYTES_MAX
    else:
        return 40008, ""
    if not isinstance(text, str) or not text:
        return 44004, ""
    return (40058 if len(text.encode()) > most else 0), text


def dingtalk_check(robot, body, raw):
    """The same for DingTalk."""
    if len(raw) > DINGTALK_BYTES_MAX:
        return 460101, ""
    if body.get("msgtype") == "markdown":
        text = body.get("markdown", {}).get("text")
        if not body.get("markdown", {}).get("title"):
            return 400101, ""
    else:
        text = body.get("text", {}).get("content")
    if not isinstance(text, str) or not text:
        return 400101, ""
    if robot.keyword and robot.keyword not in text:
        return 310000, text
    return 0, text


def dingtalk_signed(robot, query):
    """Whether the signature is right, and of this hour."""
    try:
        stamp = int(query.get("timestamp", [""])[0])
    except ValueError:
        return False
    if abs(time.time() * 1000 - stamp) > CLOCK_S_MAX * 1000:
        return False
    text = f"{stamp}\n{robot.secret}".encode()
    want = base64.b64encode(hmac.new(robot.secret.encode(), text, hashlib.sha256).digest()).decode()
    return hmac.compare_digest(want, query.get("sign", [""])[0])


CODES = {
    0: "ok",
    45009: "api freq out of limit",
    93000: "invalid webhook url",
    40058: "content exceeds the limit",
    130101: "send too fast, exceed 20 times per minute",
    300005: "token is not exist",
    300001: "param error: access_token",
    310000: "sign not match / keywords not in content",
    460101: "message too long",
}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world = None

    def log_message(self, *args):
        pass

    def reply(self, status, body, kind="application/json", more=None):
        body = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind + "; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (more or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def reset_connection(self):
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        # The server's own way to end it would write once more.
        self.wfile = open("/dev/null", "wb")

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query)
        only = query.get("robot", [None])[0]
        with self.world.lock:
            if url.path in ("/messages", "/attempts"):
                entries = self.world.messages if url.path == "/messages" else self.world.attempts
                chosen = [entry for entry in entries if only in (None, entry["robot"])]
                return self.reply(200, json.dumps(chosen, ensure_ascii=False))
            if url.path == "/":
                return self.reply(200, page(self.world), "text/html")
        self.reply(404, "{}")

    def do_POST(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query)
        try:
            body = json.loads(raw or b"{}")
        except ValueError:
            body = None
        if url.path.startswith("/control/"):
            return self.control(url.path, body or {})
        if url.path == "/cgi-bin/webhook/send":
            return self.robot("wecom", query.get("key", [""])[0], query, body, raw)
        if url.path == "/robot/send":
            return self.robot("dingtalk", query.get("access_token", [""])[0], query, body, raw)
        if url.path.startswith("/services/"):
            return self.robot("slack", url.path[len("/services/") :], query, body, raw)
        if url.path.startswith("/hook/"):
            return self.robot("webhook", url.path[len("/hook/") :], query, body, raw)
        self.reply(404, "{}")

    def control(self, path, body):
        world = self.world
        with world.lock:
            if path == "/control/robots":
                robot = Robot(
                    body["channel"], body["token"], body.get("secret", ""), body.get("keyword", "")
                )
                world.robots[(robot.channel, robot.token)] = robot
            elif path == "/control/faults":
                if body["fault"] not in FAULTS:
                    return self.reply(400, json.dumps(FAULTS))
                chosen = [r for r in world.robots.values() if body["robot"] in ("*", r.token)]
                if not chosen:
                    return self.reply(404, json.dumps({"error": "no such robot"}))
                for robot in chosen:
                    robot.fault = {
                        "fault": body["fault"],
                        "seconds": float(body.get("seconds", 0)),
                        "count": body.get("count"),
                        "word": body.get("word", ""),
                    }
            elif path == "/control/clear":
                world.messages.clear()
                world.attempts.clear()
                for robot in world.robots.values():
                    robot.reset()
            else:
                return self.reply(404, "{}")
        self.reply(200, "{}")

    def robot(self, channel, token, query, body, raw):
        world = self.world
        with world.lock:
            robot = world.robots.get((channel, token))
            fault = world.take_fault(robot) if robot else {"fault": "none", "seconds": 0}
        if fault["fault"] == "hang":
            time.sleep(fault["seconds"])
            return self.reset_connection()
        if fault["fault"] == "reset":
            with world.lock:
                world.note(channel, token, -2, "", None)
            return self.reset_connection()
        if fault["fault"] == "500":
            with world.lock:
                world.note(channel, token, 500, "", None)
            return self.reply(500, "internal error", "text/plain")
        with world.lock:
            code, text = self.judge(robot, channel, query, body, raw, fault["fault"])
            world.note(channel, token, code, text, body)
        if fault["fault"] == "lost-answer":
            return self.reset_connection()
        if fault["fault"] == "slow":
            time.sleep(fault["seconds"])
        self.answer(channel, code, fault["seconds"] if fault["fault"] == "blocked" else 0)

    def judge(self, robot, channel, query, body, raw, fault):
        wrong = {"wecom": 93000, "dingtalk": 300005, "slack": 404, "webhook": 404}[channel]
        if robot is None or fault == "token":
            return wrong, ""
        often = {"wecom": 45009, "dingtalk": 130101, "slack": 429, "webhook": 429}[channel]
        if fault == "blocked":
            return often, ""
        if fault == "word" and robot.fault["word"] in json.dumps(body, ensure_ascii=False):
            return {"wecom": 40035, "dingtalk": 430102, "slack": 400, "webhook": 400}[channel], ""
        if not isinstance(body, dict):
            return 40035 if channel in ("wecom", "dingtalk") else 400, ""
        if channel == "dingtalk" and robot.secret and not dingtalk_signed(robot, query):
            return 310000, ""
        if self.world.over_rate(robot, time.monotonic()):
            return often, ""
        if channel == "wecom":
            return wecom_check(robot, body, raw)
        if channel == "dingtalk":
            return dingtalk_check(robot, body, raw)
        return 0, str(body.get("text", ""))

    def answer(self, channel, code, retry_after_s):
        if channel in ("wecom", "dingtalk"):
            said = {"errcode": code, "errmsg": CODES.get(code, "refused")}
            return self.reply(200, json.dumps(said))
        more = {"Retry-After": str(int(retry_after_s))} if retry_after_s else {}
        self.reply(200 if code == 0 else code, "ok" if code == 0 else "no", "text/plain", more)


STYLE = """body{background:#ededed;font:15px sans-serif;margin:0}h2{font-size:1em;color:#666}
main{display:flex;flex-wrap:wrap;gap:1em;padding:1em}section{flex:1;min-width:24em}
div.m{background:#fff;border-radius:6px;padding:.7em 1em;margin:.5em 0;overflow-wrap:anywhere}
blockquote{margin:.2em 0;padding-left:.7em;border-left:3px solid #ddd;color:#555}
time{color:#999;font-size:.8em}code{background:#f3f3f3}.warning{color:#f57c00}
.info{color:#07a35a}.comment{color:#888}.at{color:#1677ff}h4{margin:.2em 0}"""


def rendered(text, channel):
    """The mark-up of a message as HTML, about as its app shows it."""
    out = html.escape(text)
    colour = re.compile(r"&lt;font color=&quot;(\w+)&quot;&gt;(.*?)&lt;/font&gt;", re.S)
    out = colour.sub(r'<span class="\1">\2</span>', out)
    out = re.sub(r"`([^`]*)`", r"<code>\1</code>", out)
    bold = r"\*([^*\n]+)\*" if channel == "slack" else r"\*\*([^*\n]+)\*\*"
    out = re.sub(bold, r"<b>\1</b>", out)
    link = r'<a rel="noreferrer" target="_blank" href="\%d">\%d</a>'
    out = re.sub(r"\[([^\]]*)\]\((https?://[^)\s]*)\)", link % (2, 1), out)
    out = re.sub(r"&lt;(https?://[^|]*)\|([^&]*)&gt;", link % (1, 2), out)
    out = re.sub(r"&lt;@(\S+?)&gt;", r'<span class="at">@\1</span>', out)
    lines = []
    for line in out.split("\n"):
        if line.startswith("&gt; "):
            line = f"<blockquote>{line[5:]}</blockquote>"
        elif line.startswith("#### "):
            line = f"<h4>{line[5:]}</h4>"
        else:
            line += "<br>"
        lines.append(line)
    return "".join(lines)


def page(world):
    """What an operator looks at: one column for each robot, newest last."""
    columns = collections.defaultdict(list)
    for entry in world.messages[-300:]:
        columns[(entry["channel"], entry["robot"])].append(entry)
    out = []
    for (channel, robot), entries in sorted(columns.items()):
        out.append(f"<section><h2>{html.escape(channel)} · {html.escape(robot[:12])}</h2>")
        for entry in entries:
            at = time.strftime("%H:%M:%S", time.localtime(entry["at"]))
            text = rendered(entry["text"], channel)
            out.append(f'<div class="m"><time>{at}</time><br>{text}</div>')
        out.append("</section>")
    body = "".join(out) or "<p>No message yet.</p>"
    return (
        '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="3">'
        f"<title>Robots</title><style>{STYLE}</style><main>{body}</main>"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--minute", type=float, default=60.0, help="seconds that a minute lasts")
    parser.add_argument("--wecom", action="append", default=[], metavar="KEY")
    parser.add_argument("--dingtalk", action="append", default=[], metavar="TOKEN[:SECRET[:WORD]]")
    parser.add_argument("--slack", action="append", default=[], metavar="PATH")
    parser.add_argument("--webhook", action="append", default=[], metavar="NAME")
    parser.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"))
    arguments = parser.parse_args()
    world = World(arguments.minute)
    for channel in ("wecom", "dingtalk", "slack", "webhook"):
        for given in getattr(arguments, channel):
            world.add(channel, *given.split(":"))
    Handler.world = world
    http.server.ThreadingHTTPServer.daemon_threads = True
    http.server.ThreadingHTTPServer.request_queue_size = 128
    server = http.server.ThreadingHTTPServer(("127.0.0.1", arguments.port), Handler)
    scheme = "http"
    if arguments.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*arguments.tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    print(f"robots on {scheme}://127.0.0.1:{server.server_address[1]}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
