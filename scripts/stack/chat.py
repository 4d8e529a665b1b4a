"""A client of rookery, small enough to be read: JSON over WebSocket, and nothing but
the standard library. It can also behave as no SDK does, which is what it is for.

Deliberately absent: coming back by itself. Who wants that connects again.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import socket
import struct
import urllib.parse

TEXT, CLOSE, PING = 1, 8, 9
# What the server gives at most in one message, with room to spare.
MESSAGE_BYTES_MAX = 32 << 20


class Closed(Exception):
    """The server ended the connection; `code` says why."""

    def __init__(self, code, reason=""):
        super().__init__(f"closed with {code} {reason}")
        self.code = code


def token(secret, user):
    def part(value):
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    head = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    body = head + b"." + part(json.dumps({"sub": user}).encode())
    return (body + b"." + part(hmac.digest(secret.encode(), body, hashlib.sha256))).decode()


def frame(opcode, payload):
    """One whole message of a client. The mask hides nothing from anybody here."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    return head + b"\0\0\0\0" + payload


class Peer:
    """One connection. Make it with `arrive`."""

    def __init__(self, reader, writer, on_publication):
        self.reader = reader
        self.writer = writer
        self.on_publication = on_publication
        self.answers = {}
        self.next_id = 1
        self.ended = None

    @classmethod
    async def arrive(cls, url, secret, user, agent, on_publication=None, receive_bytes=None):
        """A connection that is authenticated. With `receive_bytes` the kernel keeps no
        more than about so many for it."""
        place = urllib.parse.urlsplit(url)
        plug = socket.socket()
        try:
            if receive_bytes:
                plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            plug.setblocking(False)
            await asyncio.get_running_loop().sock_connect(plug, (place.hostname, place.port))
            # A small limit here, or what is not read is only kept elsewhere.
            reader, writer = await asyncio.open_connection(sock=plug, limit=1 << 16)
        except BaseException:
            plug.close()
            raise
        self = cls(reader, writer, on_publication)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            f"User-Agent: {agent}\r\n\r\n".encode()
        )
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 101 "):
            writer.close()
            raise Closed(0, answer.split(b"\r\n")[0].decode(errors="replace"))
        self.reading = asyncio.create_task(self._read())
        await self.ask(connect={"token": token(secret, user), "name": "demo"})
        return self

    async def ask(self, **command):
        """What the server answers to a command, or the error as it is."""
        number, self.next_id = self.next_id, self.next_id + 1
        answer = self.answers[number] = asyncio.get_running_loop().create_future()
        if self.ended:
            raise self.ended
        self.write({"id": number} | command)
        return await answer

    def call(self, method, **data):
        return self.ask(rpc={"method": method, "data": data})

    def write(self, command):
        self.writer.write(frame(TEXT, json.dumps(command).encode()))

    def stop_reading(self):
        """What comes now stays where it is."""
        self.writer.transport.pause_reading()
        self.reading.cancel()

    async def gone(self):
        """Waits until the server ends it, and says with what code."""
        try:
            await self.reading
        except asyncio.CancelledError:
            pass
        return self.ended.code if self.ended else 0

    def close(self):
        self.writer.close()

    async def _read(self):
        try:
            while True:
                opcode, payload = await self._message()
                if opcode == CLOSE:
                    code = struct.unpack("!H", payload[:2])[0] if payload else 1005
                    raise Closed(code, payload[2:].decode(errors="replace"))
                if opcode == TEXT:
                    for line in payload.splitlines():
                        self._take(json.loads(line))
        except (Closed, OSError, asyncio.IncompleteReadError) as fault:
            self.ended = fault if isinstance(fault, Closed) else Closed(1006, str(fault))
        for answer in self.answers.values():
            if not answer.done():
                answer.set_exception(self.ended)
                # Whoever has stopped waiting is not told twice.
                answer.exception()
        self.writer.close()

    async def _message(self):
        head, size = await self.reader.readexactly(2)
        size &= 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
        if MESSAGE_BYTES_MAX < size:
            raise Closed(1009, "what the server says is too long")
        return head & 0xF, await self.reader.readexactly(size)

    def _take(self, reply):
        if not reply:
            # The server's ping, and the answer to it.
            self.write({})
        elif number := reply.get("id"):
            answer = self.answers.pop(number, None)
            if answer and not answer.done():
                answer.set_result(reply)
        elif self.on_publication and (said := reply.get("push", {}).get("pub")):
            self.on_publication(self, reply["push"].get("channel"), said)
