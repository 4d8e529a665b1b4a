"""The lines of examples/README.md, run as they stand there: a server, anna in JavaScript, ben in
Python, and a backend of `curl`. They read each other.

Only ports are replaced, and what `scripts/setup-node` and `scripts/setup-python` have installed is
not installed again: the blocks that would do so are compared with what those pin.
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest

TOP = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(TOP / "tests/external/sdk/python"))
from harness import BINARY, WAIT_S_MAX, free_port  # noqa: E402

README = (TOP / "examples/README.md").read_text()
INSTALLS = ["cargo build", "npm ci", "pip install"]


def blocks(language, page=README):
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


class Terminal:
    """A shell in which a block runs; its lines, and a way to wait for one."""

    def __init__(self, tree, block):
        # A group of its own, with whatever it starts.
        self.process = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=tree.top,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines = []
        self.changed = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line.rstrip("\n"))
                self.changed.notify_all()

    def reads(self, *wanted):
        """Until these lines have come, in this order, others between them."""

        def came():
            lines = iter(self.lines)
            return all(line in lines for line in wanted)

        with self.changed:
            assert self.changed.wait_for(came, WAIT_S_MAX), f"not {wanted} in {self.lines}"

    def types(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def leaves(self):
        self.process.stdin.close()
        assert self.process.wait(WAIT_S_MAX) == 0, self.lines

    def kill(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


class Tree:
    """What the README's reader has: the examples with other ports, and what was installed."""

    def __init__(self, top):
        self.top = top
        self.ports = {str(port): str(free_port()) for port in (8000, 8001, 8002)}
        self.terminals = []
        (top / "examples").mkdir()
        for file in (TOP / "examples").iterdir():
            if file.is_file():
                (top / "examples" / file.name).write_text(self.adapted(file.read_text()))
        (top / "examples/node_modules").symlink_to(TOP / "examples/node_modules")
        (top / "target/quick").mkdir(parents=True)
        (top / "target/quick/rookery").symlink_to(BINARY)
        (top / "target/examples").mkdir()
        (top / "target/examples/venv").symlink_to(TOP / "target/tools/venv")

    def adapted(self, text):
        return re.sub(r"(?<=127\.0\.0\.1:)800[012]", lambda found: self.ports[found[0]], text)

    def starts(self, block):
        self.terminals.append(Terminal(self, self.adapted(block)))
        return self.terminals[-1]

    def ready(self):
        deadline = time.monotonic() + WAIT_S_MAX
        url = f"http://127.0.0.1:{self.ports['8001']}/ready"
        while time.monotonic() < deadline:
            try:
                return urllib.request.urlopen(url, timeout=2).close()
            except (urllib.error.URLError, OSError):
                time.sleep(0.02)
        raise AssertionError(self.terminals[0].lines)


@pytest.fixture
def tree(tmp_path):
    made = Tree(tmp_path)
    yield made
    for terminal in made.terminals:
        terminal.kill()


def shell_blocks():
    """Those that are run here: the server, anna, ben, the backend's function, and its calls."""
    own = [block for block in blocks("sh") if not any(word in block for word in INSTALLS)]
    server, anna, ben, function, *calls = own
    assert len(calls) == len(blocks("json"))
    return server, anna, ben, function, list(zip(calls, blocks("json")))


def matches(expected, answer):
    """`…` stands for what is different each time."""
    parts = [re.escape(part) for part in expected.split("…")]
    return re.fullmatch(r"[\w-]+".join(parts), answer)


def test_the_lines_of_the_readme_do_what_they_say(tree):
    server, anna_block, ben_block, function, calls = shell_blocks()
    tree.starts(server)
    tree.ready()

    anna = tree.starts(anna_block)
    anna.reads("* here: anna")
    typed = blocks("text")[0].splitlines()
    anna.types(typed[0])
    anna.reads("[room:lobby] anna: hello")
    ben = tree.starts(ben_block)
    # He came later, and sees what was said before.
    ben.reads("[room:lobby] anna: hello", "* here: anna, ben")
    anna.reads("* ben came")
    ben.types(typed[1])
    for person in (anna, ben):
        person.reads("[dm#anna,ben] ben: see you at noon")
    ben.types(typed[2])
    ben.reads("[dm#anna,ben] ben: see you at noon", "* here: anna, ben")

    for call, expected in calls:
        check_answers(tree, function + call, expected)
    said = ("[room:lobby] server: we open at nine", "[room:lobby] server: fire drill at ten")
    anna.reads(*said)
    ben.reads(*said, "* force disconnect")
    assert ben.process.wait(WAIT_S_MAX) == 0

    anna.reads("* ben left")
    anna.types("/to ben soup is ready")
    anna.reads("[dm#anna,ben] anna: soup is ready")
    anna.leaves()
    tree.terminals[0].kill()
    # The last line, which starts it; the others have made what is there already.
    tree.starts(server.splitlines()[-1])
    tree.ready()
    ben = tree.starts(ben_block)
    ben.reads("[dm#anna,ben] anna: soup is ready")

    call_with_cent(tree)
    ben.reads("[room:lobby] server: we open at nine", "* force disconnect")
    assert ben.process.wait(WAIT_S_MAX) == 0


def call_with_cent(tree):
    """What docs/BUILDING_AN_APP.md shows."""
    page = (TOP / "docs/BUILDING_AN_APP.md").read_text()
    (block,) = [code for code in blocks("python", page) if "cent" in code]
    key = (tree.top / "target/examples/api-key").read_text().split()[-1]
    subprocess.run(
        [sys.executable, "-c", f"KEY = {key!r}\n{tree.adapted(block)}"],
        timeout=WAIT_S_MAX,
        check=True,
    )


def check_answers(tree, call, expected):
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", tree.adapted(call)],
        cwd=tree.top,
        capture_output=True,
        text=True,
        timeout=WAIT_S_MAX,
        check=True,
    )
    answers, wanted = done.stdout.splitlines(), expected.splitlines()
    assert len(answers) == len(wanted), done
    for answer, want in zip(answers, wanted):
        assert matches(want, answer), f"{answer}\nis not\n{want}"


def test_what_is_installed_is_what_the_tests_of_the_sdks_pin():
    sdk = TOP / "tests/external/sdk"
    pinned = json.loads((sdk / "node/package.json").read_text())["dependencies"]
    named = json.loads((TOP / "examples/package.json").read_text())["dependencies"]
    assert named == {name: pinned[name] for name in ("centrifuge", "ws")}
    pinned = (sdk / "python/requirements.in").read_text().splitlines()
    assert (TOP / "examples/requirements.txt").read_text().strip() in pinned
