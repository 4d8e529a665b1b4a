"""What the demo breaks, how it is mended, and what the alert path has to make of it.

Deliberately absent: looking (demo.py). A fault knows nothing of time but how long the
shipped rules need to see it.
"""

import resource
import time

import shipped
from programs import until

UNLIMITED = resource.RLIM_INFINITY


class Fault:
    """One thing that breaks. Times are as shipped, in seconds."""

    # For people: in the table, and when it breaks.
    title = ""
    what = ""
    # The alert that has to come, and the chats that have to be told.
    alert = ""
    chats = ("oncall",)
    # Alerts of which at least one must come, too, and not be told, and how long that takes.
    inhibited = frozenset()
    inhibited_s_max = 0
    # Whether the message has to show a message or a client that went wrong.
    has_snapshot = True
    # Whether the recovery has to say what the value is now.
    has_value = True
    # Whether it is Prometheus that notices.
    is_in_prometheus = True
    # What must have a value before, because the rule compares with what was: as shipped.
    memory = ""
    # How long after the break the rule's expression holds, at most; its `for` is added.
    seen_s_max = 60
    # How long after the mending it still holds: the windows look back.
    window_s = 60

    def __init__(self, stack):
        self.stack = stack
        # When it is over, by `time.monotonic`, where that is not when it is mended.
        self.over_at = None

    def break_(self):
        raise NotImplementedError

    def mend(self):
        """What an operator would do. A fault that ends by itself needs nobody."""

    def on_alert(self):
        """What else is done as soon as the alert fires."""

    @property
    def message(self):
        """What messages call it."""
        return self.alert

    @property
    def told_s_max(self):
        for_s = shipped.duration_s("for", self.alert)
        # And a minute of Prometheus', and of Alertmanager's.
        return max(self.seen_s_max + for_s, self.inhibited_s_max) + 120

    @property
    def over_s_max(self):
        # Alertmanager tells of changes each minute, or every two.
        return self.window_s + 300


class StoppedCore(Fault):
    title = "a core's loop stopped"
    what = "the loop of core 1 does nothing for a while"
    alert = "ChatCoreHung"
    inhibited = frozenset(
        {"ChatTaskLeakPerConn", "ChatMassDisconnect", "ChatCoreMailboxFull", "ChatProbeFailing"}
    )
    inhibited_s_max = 360
    # A core that does nothing does nothing to anybody in particular.
    has_snapshot = False
    seen_s_max = 30
    window_s = 400
    # Until its consequences would be told, were they told.
    stopped_s = 240

    def break_(self):
        self.over_at = self.stack.stop_probed_core(self.stopped_s)


class PanicBurst(Fault):
    title = "a burst of panics"
    what = "sixteen versions of a bot whose sessions panic at once"
    alert = "ChatEarlyPanicBurst"
    memory = "chat_session_panics_total offset 3m"
    inhibited = frozenset({"ChatSessionPanics", "ChatQuarantineActive", "ChatMassDisconnect"})
    window_s = 120

    def break_(self):
        bots = self.stack.start_python_load("panic", "--count", 16, may_end=True)
        until("the bots have panicked", lambda: not bots.lives(), 60)
        self.over_at = time.monotonic()

    def mend(self):
        self.stack.end_one("panic")
        for held in self.stack.rookery.debug("quarantine")["prefixes"]:
            self.stack.rookery.debug(f"quarantine/{held['prefix']}", "DELETE")


class ReconnectStorm(Fault):
    title = "a reconnect storm"
    what = "hundreds of clients drop and come back, again and again"
    alert = "ChatMassDisconnect"
    # The storm is one beside the hour that ended five minutes ago.
    memory = "instance:chat_conn_opened:rate1m offset 6m"
    inhibited = frozenset({"ChatReconnectStorm"})
    seen_s_max = 60

    def break_(self):
        command = [self.stack.binaries / "rookery-bench", "soak", "--url", self.stack.clients_url]
        command += ["--measure-ms", 3_600_000, "--threads", 1, "--seed", 2]
        command += ["--connections", 400, "--active", 1, "--rate", 1, "--churn", 300]
        self.stack.start_load("storm", command)

    def mend(self):
        self.stack.end_one("storm")


class SlowReaders(Fault):
    title = "slow readers"
    what = "eight clients in a busy room do not read"
    alert = "ChatSlowConsumers"
    chats = ("team",)
    seen_s_max = 300
    window_s = 300

    def break_(self):
        self.stack.start_python_load("slow", "--count", 8)

    def mend(self):
        self.stack.end_one("slow")


class WrongClocks(Fault):
    title = "clocks that are wrong"
    what = "eight clients whose clocks run away"
    alert = "ChatClockSkew"
    chats = ("team",)
    has_snapshot = False
    seen_s_max = 300
    window_s = 300

    def break_(self):
        self.stack.start_python_load("skewed", "--count", 8)

    def mend(self):
        self.stack.end_one("skewed")


class FullDisk(Fault):
    """Somebody else's file takes the space that the store must leave free."""

    title = "a full disk"
    what = "a file of somebody else takes what was left"
    alert = "ChatStoreFull"
    window_s = 120

    def break_(self):
        self.stack.fill_disk()

    def mend(self):
        self.stack.empty_disk()


class DeadStore(Fault):
    """No file of the server may grow: the kernel refuses each write (EFBIG), as a disk
    does that has failed. The server was started so that this is an error and no signal."""

    title = "a dead store"
    what = "the kernel refuses every write of the server's files"
    alert = "ChatStoreBroken"
    window_s = 120

    def allow(self, bytes_):
        pid = self.stack.programs["rookery"].pid
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (bytes_, UNLIMITED))

    def break_(self):
        self.allow(0)

    def mend(self):
        self.allow(UNLIMITED)


class DeadBridge(Fault):
    """The bridge is killed, and then a core stops: nobody can be told. Alertmanager
    tries until the bridge is back, which is when the alert is there."""

    title = "a dead bridge"
    what = "the bridge is killed, and then core 0 stops"
    alert = "ChatCoreHung"
    has_snapshot = False
    core = 0
    seen_s_max = 30
    window_s = 200
    stopped_s = 180

    def break_(self):
        self.stack.kill("bridge")
        self.over_at = self.stack.stop_probed_core(self.stopped_s)

    def on_alert(self):
        self.stack.start_bridge()


class NoWatchdog(Fault):
    """Nobody says that anything is wrong, and nobody says that all is well either."""

    title = "no watchdog"
    what = "Alertmanager is killed: nobody says that all is well"
    alert = "ChatWatchdog"
    message = "ChatAlertPathSilent"
    is_in_prometheus = False
    has_snapshot = False
    has_value = False
    seen_s_max = 300

    def break_(self):
        self.stack.kill("alertmanager")

    def mend(self):
        self.stack.start_alertmanager()
