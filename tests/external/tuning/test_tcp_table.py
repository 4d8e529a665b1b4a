"""scripts/with-tcp-table leaves the host's settings as they were, whatever ends it.

The tools that it calls are stand-ins that keep settings in files, and at one step of all
send a signal to everything that they find of the script: its group, itself, and the
process that calls them.
"""

import concurrent.futures
import os
import signal
import subprocess

import pytest

from machine import TUNING

SCRIPT = TUNING.parent / "scripts" / "with-tcp-table"
HOST = {"net.ipv4.tcp_child_ehash_entries": "0", "net.ipv4.tcp_congestion_control": "bbr"}
SIGNALS = ["HUP", "INT", "QUIT", "TERM", "ALRM", "USR1", "USR2", "PIPE", "KILL"]
# Two settings read, two set, the namespace, two put back, the command, cleaning up.
STEPS = 9
# Nothing here needs a right, but the script asks whether it has one.
AS_ROOT = [] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user"]

TOOL = """#!/usr/bin/env bash
cd "$(dirname "$0")/../host"
step() {
    echo "$*" >>steps
    if [[ "$(wc -l <steps)" == "${AT:-0}" ]]; then
        script="$(cat script)"
        kill -s "$SIGNAL" "$script"
        # What nobody can refuse is not for the process that puts back.
        if [[ "$SIGNAL" != KILL ]]; then kill -s "$SIGNAL" -- "-$script"; kill -s "$SIGNAL" "$PPID"; fi
    fi
    true
}
case "$(basename "$0")-$*" in
sysctl--n\\ *) step "$*"; cat "$2" ;;
sysctl--qw\\ *) echo "${2#*=}" >"${2%%=*}"; step "$*" ;;
unshare-*) cat net.* | tr '\\n' ' ' >>made; step namespace ;;
nsenter-*) step command; shift; "$@" ;;
umount-*) step umount ;;
esac
"""


class Host:
    """Stand-ins, and the settings that they keep."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "tools").mkdir()
        (folder / "host").mkdir()
        for name, value in HOST.items():
            (folder / "host" / name).write_text(value + "\n")
        for tool in ("sysctl", "unshare", "nsenter", "umount"):
            (folder / "tools" / tool).write_text(TOOL)
            (folder / "tools" / tool).chmod(0o755)

    def run(self, **variables):
        """Once, to the end of everything that holds our pipe."""
        (self.folder / "host" / "steps").unlink(missing_ok=True)
        # Whoever runs the tests in the background ignores some of them, and we would inherit that.
        default = ["env", "--default-signal=HUP,INT,QUIT,TERM"]
        run = subprocess.Popen(
            [*AS_ROOT, *default, "bash", "-c", f'echo $$ >"{self.folder}/host/script"; exec "{SCRIPT}" 4096 true'],
            env={"PATH": f"{self.folder / 'tools'}:{os.environ['PATH']}", **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        said = run.communicate(timeout=60)
        return run.returncode, said

    def settings(self):
        return {name: (self.folder / "host" / name).read_text().strip() for name in HOST}


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def test_the_namespace_takes_what_the_host_has_only_for_that_moment(host):
    code, said = host.run()
    assert (code, said) == (0, ("", ""))
    assert (host.folder / "host" / "made").read_text() == "4096 cubic "
    assert host.settings() == HOST
    assert len((host.folder / "host" / "steps").read_text().splitlines()) == STEPS


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_at_any_step_leaves_the_host_as_it_was(host, name):
    for step in range(1, STEPS + 1):
        code, said = host.run(AT=str(step), SIGNAL=name)
        assert host.settings() == HOST, f"{name} at step {step}: {said}"
        if step < STEPS:
            assert code in (128 + getattr(signal, f"SIG{name}"), -getattr(signal, f"SIG{name}")), step


def test_many_at_once_do_not_take_each_others_for_the_hosts(host):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        runs = [pool.submit(host.run) for _ in range(8)]
    assert {run.result()[0] for run in runs} == {0}
    assert host.settings() == HOST


@pytest.mark.parametrize("arguments", [[], ["4096"], ["many", "true"], ["-1", "true"]])
def test_wrong_use_changes_nothing(host, arguments):
    done = subprocess.run([SCRIPT, *arguments], capture_output=True, timeout=60)
    assert done.returncode in (1, 2)
    assert host.settings() == HOST
