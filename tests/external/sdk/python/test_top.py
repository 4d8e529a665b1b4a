"""`rookery top` in a terminal: what it shows while people come, a server goes and keys are pressed,
and that the terminal is as it was before, however it ends."""

import asyncio
import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import pyte
import pytest
from harness import BINARY, WAIT_S_MAX, fresh_user

# What leaves the other screen, and shows the cursor again.
LEFT = b"\x1b[?1049l"
CURSOR = b"\x1b[?25h"


class Terminal:
    """The binary on a terminal of its own, which is read as a person reads it."""

    def __init__(self, *arguments, columns=100, rows=30, **env):
        self.master, self.slave = pty.openpty()
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, size)
        self.modes = termios.tcgetattr(self.slave)
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.said = b""
        self.process = subprocess.Popen(
            [BINARY, "top", "--interval-ms", "200", *arguments],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env={**os.environ, "TERM": "xterm-256color", "NO_COLOR": "", **env},
            start_new_session=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        os.close(self.slave)
        if self.master is not None:
            os.close(self.master)

    def read(self, wait_s):
        """What has come, if something comes in time."""
        if not select.select([self.master], [], [], wait_s)[0]:
            return b""
        read = os.read(self.master, 65536)
        self.said += read
        self.stream.feed(read)
        return read

    def seen(self):
        return "\n".join(line.rstrip() for line in self.screen.display)

    def wait(self, test, what):
        """Until the screen passes the test."""
        deadline = time.monotonic() + WAIT_S_MAX
        while not test(self.seen()):
            assert time.monotonic() < deadline, f"no {what}:\n{self.seen()}"
            assert self.process.poll() is None, f"it ended:\n{self.seen()}\n{self.said!r}"
            self.read(0.1)

    def shows(self, *words):
        self.wait(lambda seen: all(word in seen for word in words), words)

    def press(self, keys):
        os.write(self.master, keys.encode())

    def hang_up(self):
        """Whoever held the other end is gone."""
        os.close(self.master)
        self.master = None

    def line(self, words):
        """The first letter, with its looks, of the line that has these words."""
        self.shows(words)
        row = next(row for row, line in enumerate(self.screen.display) if words in line)
        return self.screen.buffer[row][0]

    def looks(self):
        return {letter.fg for row in self.screen.buffer.values() for letter in row.values()}

    def ends(self, code):
        """With this exit code, and the terminal as it was."""
        deadline = time.monotonic() + WAIT_S_MAX
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.seen()
            self.read(0.1)
        while self.read(0):
            pass
        assert self.process.returncode == code, self.said
        assert termios.tcgetattr(self.slave) == self.modes
        assert LEFT in self.said and self.said.rindex(CURSOR) > self.said.index(b"\x1b[?25l")


async def beside(work, *arguments):
    """Off the loop that the SDK's clients need."""
    return await asyncio.to_thread(work, *arguments)


def address(server):
    return f"http://127.0.0.1:{server.admin_port}"


@pytest.fixture
def top(server):
    with Terminal("--config", str(server.file)) as terminal:
        yield terminal


async def test_a_screen_shows_who_comes_and_keys_change_it(server, people, top):
    await people.connected(server.url, fresh_user("ann"))
    await beside(top.shows, address(server), "ready", "connections  1 of 1,000", "opened 0/s")
    await beside(top.shows, "delivery", "lateness", "q quit")
    top.press("?")
    await beside(top.shows, "its runbook says what to do")
    top.press("?j")
    await beside(top.shows, "core 0: ", "sort: number")
    top.press("\x1b[Bs")
    await beside(top.shows, "core 1: ", "sort: connections")
    top.press("p")
    await beside(top.shows, "paused for")
    top.press("p")
    await beside(top.wait, lambda seen: "paused" not in seen, "end of the pause")
    top.press("q")
    await beside(top.ends, 0)


async def test_a_server_that_goes_and_comes_again_is_seen(server, top):
    await beside(top.shows, "ready", "sync p99")
    await server.kill()
    await beside(top.shows, "!! no answer for", "sync p99")
    await server.start_again()
    await beside(top.shows, "began anew", "ready")
    top.press("\x03")
    await beside(top.ends, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_leaves_the_terminal_as_it_was(top, number):
    await beside(top.shows, "ready")
    top.process.send_signal(number)
    await beside(top.ends, 128 + number)


async def test_a_panic_leaves_the_terminal_as_it_was_and_is_told(top):
    await beside(top.shows, "ready")
    # Programs of tests have the feature `faults`.
    top.press("!")
    await beside(top.ends, 101)
    assert top.said.index(LEFT) < top.said.index(b"a panic that was asked for")


async def test_what_is_wrong_stands_out_with_colours_and_without(server):
    with (
        Terminal("--config", str(server.file)) as coloured,
        Terminal("--config", str(server.file), NO_COLOR="1") as plain,
    ):
        await beside(coloured.wait, lambda _: coloured.looks() != {"default"}, "colours")
        await beside(plain.shows, "ready", "q quit")
        await server.kill()
        letter = await beside(coloured.line, "!! no answer for")
        assert (letter.fg != "default", letter.reverse, letter.bold) == (True, True, True)
        letter = await beside(plain.line, "!! no answer for")
        assert (letter.fg, letter.reverse, letter.bold) == ("default", True, True)
        assert plain.looks() == {"default"}


async def test_half_a_key_holds_nothing_up(server, top):
    await beside(top.shows, "ready")
    top.press("\x1b[")
    await server.kill()
    await beside(top.shows, "!! no answer for")
    top.process.send_signal(signal.SIGTERM)
    await beside(top.ends, 128 + signal.SIGTERM)


async def test_it_ends_with_its_terminal(server, top):
    await beside(top.shows, "ready")
    top.hang_up()
    # It can tell nobody, and must not fail of that.
    assert await beside(top.process.wait, WAIT_S_MAX) == 1


async def test_a_small_terminal_is_told_and_a_larger_one_is_used(server):
    with Terminal("--admin", address(server), columns=50, rows=10) as terminal:
        await beside(terminal.shows, "needs 60 columns")
        terminal.screen.resize(15, 60)
        size = struct.pack("HHHH", 15, 60, 0, 0)
        fcntl.ioctl(terminal.slave, termios.TIOCSWINSZ, size)
        terminal.process.send_signal(signal.SIGWINCH)
        await beside(terminal.shows, "connections  0 of 1,000", "q quit")
        terminal.press("q")
        await beside(terminal.ends, 0)
