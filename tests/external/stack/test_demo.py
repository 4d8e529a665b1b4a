"""The demo's faults against the real Prometheus and Alertmanager, with the shipped rules
in a hurry: every line of the demo is a test here.

The stack is started once, and the faults come one after another, as in
`scripts/monitor demo --fast`. What failed says what was missed, and all lines of the
demo stand in the output.
"""

import pathlib
import socket

import pytest

import demo
import stack
from programs import Failed, Program

TOP = pathlib.Path(__file__).resolve().parents[3]
LAPSE = demo.LAPSE
FAULTS = [kind for step in demo.STEPS for kind in step]


def free_ports():
    """Ports that nobody has, all at once, so that no two are the same."""
    probes = {name: socket.socket() for name in stack.PORTS}
    for probe in probes.values():
        probe.bind(("127.0.0.1", 0))
    ports = {name: probe.getsockname()[1] for name, probe in probes.items()}
    for probe in probes.values():
        probe.close()
    return ports


@pytest.fixture(scope="module")
def cases():
    home = TOP / "target/monitor-test"
    binaries = TOP / "target/debug"
    with stack.Stack(home, binaries, free_ports(), LAPSE, breaks_disk=True) as one:
        seen = demo.Demo(one).run()
    print(demo.table(seen))
    return {type(case.fault): case for case in seen}


@pytest.mark.parametrize("kind", FAULTS, ids=lambda kind: kind.__name__)
def test_the_demo_misses_nothing_of(cases, kind):
    case = cases[kind]
    assert not case.missed, f"{'; '.join(case.missed)}\n{demo.told(case)}\n{demo.over(case)}"
