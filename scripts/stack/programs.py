"""Programs that run for as long as this one: started one after another, each asked until
it is ready, and ended in the other order.

No program outlives this one: each has a process group of its own, so that a Ctrl-C
reaches this one alone, and the kernel kills it when this one is gone.

Deliberately absent: what the programs are, and sleeping. Who waits asks again.
"""

import collections
import os
import signal
import subprocess
import threading
import time

# Between two questions.
PAUSE_S = 0.1
# Of what a program said last.
LINES_MAX = 40


class Failed(Exception):
    """Something did not come about; its text is for people."""


def until(what, ask, seconds_max, while_=lambda: None):
    """Asks until the answer is one, and returns it. `while_` may raise why asking is
    of no use any more."""
    end = time.monotonic() + seconds_max
    while True:
        answer = ask()
        if answer:
            return answer
        while_()
        if end < time.monotonic():
            raise Failed(f"after {seconds_max:.0f} s still not: {what}")
        time.sleep(PAUSE_S)


class Program:
    """One program, and what it says."""

    def __init__(self, name, command, logs, environment=None, end_signal=signal.SIGTERM):
        self.name = name
        self.end_signal = end_signal
        self.path = logs / f"{name}.log"
        self.lines = collections.deque(maxlen=LINES_MAX)
        # Through a pipe, so that a limit on the program's files is none on its log.
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | (environment or {}),
            start_new_session=True,
            # A program whose files may not grow shall see a failed write, and not die.
            restore_signals=False,
        )
        self.pump = threading.Thread(target=self._read, daemon=True)
        self.pump.start()

    def _read(self):
        with open(self.path, "ab") as log:
            for line in self.process.stdout:
                log.write(line)
                log.flush()
                self.lines.append(line.decode(errors="replace").rstrip())

    @property
    def pid(self):
        return self.process.pid

    def lives(self):
        return self.process.poll() is None

    def last_words(self):
        self.pump.join(1)
        words = "\n".join(f"    {line}" for line in self.lines) or "    (nothing)"
        return f"the end of {self.path}:\n{words}"

    def must_live(self):
        if not self.lives():
            raise Failed(f"{self.name} ended with {self.process.returncode}; {self.last_words()}")

    def wait_for(self, ready, seconds_max):
        try:
            return until(f"{self.name} is ready", ready, seconds_max, self.must_live)
        except Failed as fault:
            if self.lives():
                raise Failed(f"{fault}; {self.last_words()}") from None
            raise

    def send(self, number):
        if self.lives():
            self.process.send_signal(number)

    def end(self, seconds_max=10):
        """Asks it to end, and does not ask for ever. True when it was asked in vain."""
        self.send(self.end_signal)
        try:
            self.process.wait(seconds_max)
            return False
        except subprocess.TimeoutExpired:
            self.kill()
            return True

    def kill(self):
        """As a crash would: at once, with all that it started."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
