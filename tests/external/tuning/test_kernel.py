"""Values as the kernel means them: it spells, merges, rounds and caps in its own way.

`check` is content behind `apply`, and a second `apply` has nothing to do.
"""

import os
import re
import subprocess
import tomllib

import pytest

from machine import SCRIPTS, TUNING

TOP = TUNING.parent
PORTS = "port-range-and-reserved-ports"
RESERVED = "/proc/sys/net/ipv4/ip_local_reserved_ports"
RANGE = "/proc/sys/net/ipv4/ip_local_port_range"

# A kernel of our own in front of the tree: `cat`, by which the scripts read, spells what
# lies there as the real one does.
CAT = """#!/usr/bin/env python3
import os, sys
path = sys.argv[1]
text = open(path).read()
if path.endswith("ip_local_port_range"):
    text = "\\t".join(text.split()) + "\\n"
if path.endswith("ip_local_reserved_ports"):
    ports = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        ports |= set(range(int(first), int(last or first) + 1))
    parts, left = [], sorted(ports)
    while left:
        first = last = left.pop(0)
        while left and left[0] == last + 1:
            last = left.pop(0)
        parts.append(str(first) if first == last else f"{first}-{last}")
    text = ",".join(parts) + "\\n"
capped = os.environ.get("CAPPED", "").split("=")
if capped[0] and path.endswith(capped[0]):
    text = str(min(int(text), int(capped[1]))) + "\\n"
sys.stdout.write(text)
"""


@pytest.fixture
def kernel(machine, tmp_path):
    """A machine whose files are spelt as a kernel does it."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "cat").write_text(CAT)
    (tools / "cat").chmod(0o755)
    machine.path = f"{tools}:{os.environ['PATH']}"
    return machine


def is_content(machine, script, **variables):
    """`apply`, then `check`, then `apply` once more."""
    applied = machine.run(script, "apply", **variables)
    assert applied.returncode == 0, applied.stdout + applied.stderr
    once = machine.files()
    checked = machine.run(script, "check", **variables)
    assert checked.returncode == 0, checked.stdout
    again = machine.run(script, "apply", **variables)
    assert again.returncode == 0
    assert "changed" not in again.stdout
    assert machine.files() == once
    return checked.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_check_is_content_behind_apply(kernel, script):
    is_content(kernel, script)


@pytest.mark.parametrize(
    "there, wanted, becomes",
    [
        ("", "8000,8001", "8000-8001"),
        ("8000-8001", "8001,8000", "8000-8001"),
        ("7990-8000,9000", "8001-8005", "7990-8005,9000"),
        ("1-3,5", "4", "1-5"),
        ("100-200", "150", "100-200"),
        ("9-11", "8000", "9-11,8000"),
    ],
)
def test_reserved_ports_are_a_set(kernel, there, wanted, becomes):
    kernel.write(RESERVED, there)
    is_content(kernel, PORTS, ROOKERY_PORTS=wanted)
    assert kernel.read(RESERVED) in (becomes, there)
    assert kernel.run(PORTS, "undo").returncode == 0
    assert kernel.read(RESERVED) == there


@pytest.mark.parametrize("ports", ["all", "8000;8001", "8000-", "-1", "123456", "8000,,8001"])
def test_ports_that_are_none_are_refused(kernel, ports):
    before = kernel.files()
    assert kernel.run(PORTS, "apply", ROOKERY_PORTS=ports).returncode == 2
    assert kernel.files() == before


def test_what_the_kernel_caps_is_as_near_as_it_gets(kernel):
    """A value that came out smaller than asked for is told once, and is no fault for ever."""
    told = is_content(kernel, "backlog-and-syn-queue", CAPPED="somaxconn=60000")
    assert "60000, which is what this kernel makes of 65535" in told
    # Only of the value that was tried: when somebody changes it, that is told again.
    kernel.write("/proc/sys/net/core/somaxconn", "128")
    checked = kernel.run("backlog-and-syn-queue", "check")
    assert checked.returncode == 1
    assert "128, should be 65535" in checked.stdout


def test_numbers_beyond_the_shells_own_are_compared(machine):
    largest = str((1 << 64) - 1)
    machine.write("/proc/sys/fs/file-max", largest)
    is_content(machine, "descriptors")
    assert machine.read("/proc/sys/fs/file-max") == largest


def test_a_file_that_cannot_be_put_back_is_not_touched(machine):
    machine.write("/proc/sys/net/core/somaxconn", "4096 and more")
    told = machine.run("backlog-and-syn-queue", "apply")
    assert told.returncode == 1
    assert "could not be put back" in told.stdout
    assert machine.read("/proc/sys/net/core/somaxconn") == "4096 and more"


def test_reserving_comes_before_widening_and_undo_goes_the_other_way(kernel):
    def order(command):
        told = kernel.run(PORTS, command).stdout
        return [line.split()[1] for line in told.splitlines() if line.startswith("changed")]

    assert order("apply") == [f"{RESERVED}:", f"{RANGE}:"]
    assert order("undo") == [f"{RANGE}:", f"{RESERVED}:"]


def product_ports():
    """Every port that something of ours listens on when nobody says otherwise."""
    ports = set()
    for file in (TOP / "config").glob("*.toml"):
        for table in tomllib.loads(file.read_text()).values():
            for name, value in table.items() if isinstance(table, dict) else ():
                if name.endswith("listen") and value:
                    ports.add(int(value.rsplit(":", 1)[1]))
    # Commands take theirs by option.
    for file in (TOP / "src" / "cli").rglob("*.rs"):
        ports |= {int(port) for port in re.findall(r'default_value = "[^"]*:(\d+)"\)\]\s+listen', file.read_text())}
    return ports


def test_all_that_the_product_listens_on_is_reserved(kernel):
    assert {8000, 8001, 9494, 9497} <= product_ports()
    is_content(kernel, PORTS)
    reserved = set()
    for part in kernel.read(RESERVED).split(","):
        first, _, last = part.partition("-")
        reserved |= set(range(int(first), int(last or first) + 1))
    assert product_ports() <= reserved


def test_a_real_kernel_is_content(tmp_path):
    """Its sysctls of the network, in a namespace whose settings are nobody else's. Only root
    has those; others have the kernel above."""
    if os.geteuid() != 0:
        return
    script = TUNING / f"{PORTS}.sh"
    steps = " && ".join(f"{script} {command}" for command in ("apply", "check", "apply", "undo"))
    done = subprocess.run(
        ["unshare", "--net", "bash", "-c", f"{steps} && cat {RANGE}"],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": os.environ["PATH"], "ROOKERY_TUNING_STATE": str(tmp_path / "state")},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "32768\t60999"
    assert done.stdout.count("changed") == 4
