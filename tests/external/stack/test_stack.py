"""What runs the stack: the copies of the shipped files, and programs that end."""

import html
import json
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import sys
import textwrap

import pytest

import pages
import shipped
import stack
from programs import Failed, Program, until

SCRIPTS = pathlib.Path(stack.HERE)
PROMETHEUS = (shipped.SHIPPED / "prometheus.yml").read_text()


def copied(tmp_path, lapse):
    addresses = {f"127.0.0.1:{stack.PORTS['bridge']}": "127.0.0.1:7"}
    shipped.copy(tmp_path, addresses, "http://127.0.0.1:8", lapse)
    return tmp_path


def changed(folder, *names):
    """Lines of the copies that are not as shipped."""
    lines = []
    for path in sorted(folder.rglob("*.yml")):
        before = (shipped.SHIPPED / path.relative_to(folder)).read_text().splitlines()
        after = path.read_text().splitlines()
        lines += [line.strip() for line in after if line not in before]
    return [line for line in lines if not any(name in line for name in names)]


def test_without_a_lapse_only_places_differ(tmp_path):
    places = ("127.0.0.1:7", "127.0.0.1:8", "cluster: demo", "Etc/UTC")
    assert changed(copied(tmp_path, 1), *places) == []


def test_nobody_sleeps(tmp_path):
    assert "mute_time_intervals:" not in (copied(tmp_path, 1) / "alertmanager.yml").read_text()


@pytest.mark.parametrize("lapse", [1, 7, 12])
def test_copies_are_as_good_as_what_is_shipped(tmp_path, lapse):
    copied(tmp_path, lapse)
    for command in (["promtool", "check", "config", "prometheus.yml"], ["amtool", "check-config", "alertmanager.yml"]):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "line, expected",
    [
        ("    for: 10m", "    for: 50000ms"),
        ("    for: 0s", "    for: 0ms"),
        ("    keep_firing_for: 5m", "    keep_firing_for: 25000ms"),
        ("  - interval: 30s", "  - interval: 2500ms"),
        ("  group_wait: 1h30m", "  group_wait: 450000ms"),
        # Machines do not get faster.
        ("    interval: 5s", "    interval: 1000ms"),
        ("expr: rate(a_total[5m]) > 5", "expr: rate(a_total[25000ms]) > 5"),
        ("a offset 2m > 1", "a offset 10000ms > 1"),
        ("predict_linear(a:b{c=\"d\"}[30m], 3600) < 0", "predict_linear(a:b{c=\"d\"}[150000ms], 300) < 0"),
        # What people read, and what the world does, stays.
        ("      description: 'In 5 minutes, 10m or [none]'", "      description: 'In 5 minutes, 10m or [none]'"),
        ("      long: 1h", "      long: 1h"),
        ("expr: a > 300", "expr: a > 300"),
    ],
)
def test_durations_are_divided(line, expected):
    assert shipped.in_a_hurry(line, 12) == expected


def test_a_scrape_may_take_as_long_as_until_the_next():
    hurried = shipped.in_a_hurry(PROMETHEUS, 100)
    assert "  scrape_interval: 1000ms\n  scrape_timeout: 1000ms\n" in hurried


def test_a_rule_is_asked_how_long_it_waits():
    assert shipped.duration_s("for", "ChatInstanceDown") == 60
    assert shipped.duration_s("for", "ChatEarlyPanicBurst") == 0
    with pytest.raises(AssertionError):
        shipped.duration_s("for", "ChatNothing")


# --- programs ------------------------------------------------------------------------------


def python(text):
    return [sys.executable, "-u", "-c", textwrap.dedent(text)]


def test_a_port_that_somebody_has_is_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(Failed) as fault:
            stack.check_ports({"bridge": port})
    assert str(fault.value).startswith(f"port {port} (bridge) cannot be used: Address already in use;")
    assert "\n" not in str(fault.value)


def test_a_program_that_ends_early_is_named_with_its_last_words(tmp_path):
    program = Program("early", python("print('no disk'); raise SystemExit(3)"), tmp_path)
    with pytest.raises(Failed) as fault:
        program.wait_for(lambda: False, 20)
    assert str(fault.value) == (
        f"early ended with 3; the end of {tmp_path}/early.log:\n    no disk"
    )


def test_a_program_that_is_never_ready_is_named_as_well(tmp_path):
    program = Program("late", python("print('hm', flush=True); input_never = __import__('signal').pause()"), tmp_path)
    until("it speaks", lambda: program.lines, 20)
    with pytest.raises(Failed, match="(?s)still not: late is ready; the end of .*hm"):
        program.wait_for(lambda: False, 0)
    assert not program.end()


def test_who_does_not_end_is_killed(tmp_path):
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on'); signal.pause()"
    program = Program("stubborn", python(stubborn), tmp_path)
    until("it does not listen", lambda: program.lines, 20)
    assert program.end(seconds_max=0.2)
    assert program.process.returncode == -signal.SIGKILL


def test_no_program_outlives_who_started_it(tmp_path):
    """Not even when that one has no time to end it."""
    parent = python(
        f"""
        import pathlib, signal, sys
        sys.path.insert(0, {str(SCRIPTS)!r})
        from programs import Program
        child = Program("child", ["sleep", "600"], pathlib.Path({str(tmp_path)!r}))
        print(child.pid)
        signal.pause()
        """
    )
    process = subprocess.Popen(parent, stdout=subprocess.PIPE, text=True)
    child = int(process.stdout.readline())
    # setpriv has become the program: before, it may not have asked for its end yet.
    runs = lambda: pathlib.Path(f"/proc/{child}/cmdline").read_text().startswith("sleep")
    until("it runs", runs, 20)
    process.kill()
    process.wait()

    def is_gone():
        try:
            return pathlib.Path(f"/proc/{child}/stat").read_text().rsplit(") ", 1)[1][0] in "ZX"
        except OSError:
            return True

    until("it is gone", is_gone, 20)


def test_files_that_may_not_grow_are_an_error_and_no_end(tmp_path):
    """A server's disk that fails is made so: see DeadStore."""
    path = tmp_path / "file"
    program = Program(
        "writer",
        python(
            f"""
            import os, sys
            file = os.open({str(path)!r}, os.O_CREAT | os.O_WRONLY)
            for line in iter(lambda: os.path.exists({str(path)!r} + ".go"), True):
                pass
            try:
                os.write(file, b"x")
            except OSError as fault:
                print(fault.strerror)
            """
        ),
        tmp_path,
    )
    until("it has its file", path.exists, 20)
    resource.prlimit(program.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    os.close(os.open(f"{path}.go", os.O_CREAT))
    until("it has ended", lambda: not program.lives(), 20)
    assert program.process.returncode == 0 and "File too large" in program.last_words()


# --- pages ---------------------------------------------------------------------------------


def test_a_dashboards_link_fills_in_its_questions():
    board = {"templating": {"list": [{"name": "quantile", "current": {"value": "0.95"}}]}}
    variables = pages.values(board, {"var-job": ["rookery"]})
    question = 'histogram_quantile($quantile, rate(a{job=~"$job", b=~"${b:regex}"}[$__rate_interval]))'
    expected = 'histogram_quantile(0.95, rate(a{job=~"rookery", b=~".*"}[1m]))'
    assert pages.filled(question, variables) == expected


def test_the_dashboard_that_is_shipped_has_only_questions_that_prometheus_takes(tmp_path):
    board = json.loads((shipped.SHIPPED / "dashboards/rookery.json").read_text())
    variables = pages.values(board, {"var-job": ["rookery"], "var-instance": ["a:1"]})
    asked = [pages.filled(one, variables) for _, found in pages.panels(board) for one in found]
    assert asked
    rules = "".join(f"  - {{record: 'x', expr: {json.dumps(one)}, labels: {{n: '{n}'}}}}\n" for n, one in enumerate(asked))
    (tmp_path / "rules.yml").write_text(f"groups:\n- name: x\n  rules:\n{rules}")
    done = subprocess.run(["promtool", "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", sorted(pages.RUNBOOKS.glob("*.md")), ids=lambda path: path.stem)
def test_a_runbook_is_shown_with_all_its_words(path):
    text = path.read_text()
    shown = html.unescape(re.sub("<[^>]*>", " ", pages.markdown(text)))
    words = lambda text: re.findall(r"\w+", text)
    unlinked = re.sub(r"\]\([^)]*\)", "", text)
    fences = re.sub(r"(?m)^```\w*$", "", unlinked)
    assert words(shown) == words(fences)


def test_what_a_runbook_says_is_text():
    assert pages.markdown("a <b> `<c>`") == "<p>a &lt;b&gt; <code>&lt;c&gt;</code></p>"
