"""`make monitor` and `make monitor-demo`: see scripts/monitor.

Deliberately absent: installing and building, which is for that script.
"""

import argparse
import os
import pathlib
import resource
import signal
import sys
import threading

import demo
import stack
from programs import Failed

HOME = stack.TOP / "target/monitor"

LOOK_AT = """
  the group's chat     {robots}/
  alerts, silences     {alertmanager}/
  graphs               {prometheus}/graph
  runbooks, dashboard  {pages}/
  the server itself    {admin}/metrics
  its evidence         curl -H "Authorization: Bearer $(cat {home}/admin.token)" {admin}/debug/tasks
  logs                 {home}/logs/

Ctrl-C ends all of it.
"""


def main():
    options = arguments()
    # Each signal that ends programs is one way out of here, past what ends them in order.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    ports = stack.PORTS
    if options.ports_from:
        ports = {name: options.ports_from + at for at, name in enumerate(stack.PORTS)}
    try:
        if options.command == "demo":
            return show(options, ports)
        with stack.Stack(HOME, options.binaries, ports) as one:
            print(LOOK_AT.format(**one.urls, home=HOME), flush=True)
            watch(one)
    except Failed as fault:
        print(f"monitor: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print()
    return 0


def show(options, ports):
    """The demo; 1 when a line of it misses something."""
    lapse = demo.LAPSE if options.fast else 1
    with stack.Stack(HOME, options.binaries, ports, lapse, breaks_disk=True) as one:
        print(LOOK_AT.format(**one.urls, home=HOME), flush=True)
        steps = demo.only(options.only) if options.only else demo.STEPS
        cases = demo.Demo(one, lambda text: print(text, flush=True)).run(steps)
    good = not any(case.missed for case in cases)
    if not options.only:
        found, is_as_claimed = demo.noise()
        good &= is_as_claimed
        print(demo.NOISE.format(**found))
    print(f"\n{demo.table(cases)}")
    return 0 if good else 1


def watch(one):
    """Until somebody ends it, or one of the programs ends by itself."""
    pause = threading.Event()
    while True:
        one.must_live()
        pause.wait(0.5)


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/monitor")
    parser.add_argument("command", nargs="?", choices=["up", "demo"], default="up")
    parser.add_argument("--fast", action="store_true", help=f"divide all durations by {demo.LAPSE}")
    names = [kind.__name__ for step in demo.STEPS for kind in step]
    parser.add_argument("--only", choices=names, action="append", help="break this one alone")
    parser.add_argument("--binaries", type=pathlib.Path, required=True, help="where rookery lies")
    parser.add_argument("--ports-from", type=int, help="use the ports from this one on")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
