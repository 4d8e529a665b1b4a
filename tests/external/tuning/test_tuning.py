"""The tuning scripts on a machine of their own: see machine.py."""

import pytest

from machine import FRESH, SCRIPTS, TUNING, Machine


@pytest.mark.parametrize("script", SCRIPTS)
def test_check_fails_before_and_passes_after(machine, script):
    assert machine.run(script, "check").returncode == 1
    applied = machine.run(script, "apply")
    assert applied.returncode == 0, applied.stdout + applied.stderr
    checked = machine.run(script, "check")
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_check_and_dry_run_change_nothing(machine, script):
    before = machine.files()
    machine.run(script, "check")
    told = machine.run(script, "apply", "--dry-run")
    assert told.returncode == 0
    assert "would" in told.stdout
    assert machine.files() == before
    assert not machine.state.exists()


@pytest.mark.parametrize("script", SCRIPTS)
def test_applying_twice_is_applying_once_and_undo_restores_all(machine, script):
    before = machine.files()
    machine.run(script, "apply")
    once = machine.files()
    assert once != before
    again = machine.run(script, "apply")
    assert again.returncode == 0
    assert "changed" not in again.stdout
    assert machine.files() == once
    told = machine.run(script, "undo", "--dry-run")
    assert "would" in told.stdout
    assert machine.files() == once
    undone = machine.run(script, "undo")
    assert undone.returncode == 0, undone.stdout + undone.stderr
    assert machine.files() == before
    assert "nothing to undo" in machine.run(script, "undo").stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_undo_puts_back_the_first_value_after_a_change_in_between(machine, script):
    before = machine.files()
    machine.run(script, "apply")
    for path in before:
        if path in ("sys/devices/system/cpu/online",):
            continue
        if machine.files()[path] != before[path]:
            machine.write("/" + path, before[path])
            break
    machine.run(script, "apply")
    assert machine.run(script, "undo").returncode == 0
    assert machine.files() == before


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_knob_has_a_reason_and_a_price(machine, script):
    lines = machine.run(script, "explain").stdout.splitlines()
    why = [line for line in lines if line.startswith("  why:   ")]
    price = [line for line in lines if line.startswith("  price: ")]
    knobs = [line for line in lines if line.startswith("/")]
    assert len(knobs) == len(why) == len(price) > 0
    assert all(len(line) > len("  why:   ") for line in why)
    assert all(len(line) > len("  price: ") for line in price)


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("arguments", [(), ("sideways",), ("check", "apply"), ("--force",)])
def test_wrong_use_is_2_and_changes_nothing(machine, script, arguments):
    before = machine.files()
    assert machine.run(script, *arguments).returncode == 2
    assert machine.files() == before


def test_a_larger_value_stays(machine):
    machine.run("descriptors", "apply")
    assert machine.read("/proc/sys/fs/file-max") == "9223372036854775807"
    machine.run("tcp-memory-and-buffers", "apply")
    assert machine.read("/proc/sys/net/ipv4/tcp_mem") == "786432 1048576 1575796"


def test_reserved_ports_of_others_stay(machine):
    machine.run("port-range-and-reserved-ports", "apply", ROOKERY_PORTS="7000,8000")
    assert machine.read("/proc/sys/net/ipv4/ip_local_reserved_ports") == "7000,8000,9000"


def test_a_part_that_the_kernel_has_not_loaded_is_skipped(tmp_path):
    machine = Machine(tmp_path)
    for path in FRESH:
        if "conntrack" in path:
            (machine.root / path[1:]).unlink()
    checked = machine.run("conntrack", "check")
    assert checked.returncode == 0
    assert "not here" in checked.stdout


def test_each_interrupt_gets_a_cpu_and_loopback_none(machine):
    machine.run("nic-queues-and-irq-affinity", "apply")
    assert machine.read("/proc/irq/30/smp_affinity_list") == "0"
    assert machine.read("/proc/irq/31/smp_affinity_list") == "1"
    assert machine.read("/sys/class/net/eth0/queues/tx-1/xps_cpus") == "2"
    assert machine.read("/sys/class/net/eth0/queues/rx-0/rps_cpus") == "f"
    assert machine.read("/sys/class/net/lo/queues/rx-0/rps_cpus") == "0"


def test_masks_of_more_than_32_cpus(machine):
    machine.write("/sys/devices/system/cpu/online", "0-1,40")
    machine.run("nic-queues-and-irq-affinity", "apply")
    assert machine.read("/sys/class/net/eth0/queues/rx-0/rps_cpus") == "10000000003"
    machine.write("/sys/class/net/eth0/queues/rx-0/rps_cpus", "00000100,00000003")
    machine.write("/sys/class/net/eth0/queues/rx-1/rps_cpus", "00000100,00000003")
    assert machine.run("nic-queues-and-irq-affinity", "check").returncode == 0


def test_a_former_limits_file_comes_back(machine):
    path = "/etc/security/limits.d/90-rookery.conf"
    machine.write(path, "* hard nofile 4096")
    machine.run("descriptors", "apply")
    assert "2097152" in machine.read(path)
    machine.run("descriptors", "undo")
    assert machine.read(path) == "* hard nofile 4096"


def test_a_missing_right_is_a_sentence_and_3(machine):
    # A folder where the state folder's parent should be is not writable for anyone.
    machine.state.parent.joinpath("file").write_text("")
    refused = machine.run(
        "backlog-and-syn-queue",
        "apply",
        ROOKERY_TUNING_STATE=str(machine.state.parent / "file" / "state"),
    )
    assert refused.returncode == 3
    assert "run it as root" in refused.stderr
    assert machine.read("/proc/sys/net/core/somaxconn") == "4096"


def test_the_sysctl_file_has_the_values_of_the_scripts(machine):
    told = set()
    for script in SCRIPTS:
        told |= set(machine.run(script, "values").stdout.splitlines())
    text = (TUNING / "sysctl.d" / "90-rookery.conf").read_text()
    written = {
        line.lstrip("-") for line in text.splitlines() if line and not line.startswith("#")
    }
    assert written == told


def test_the_limits_file_stays_below_the_ceiling_of_the_scripts(machine):
    values = dict(
        line.split(" = ") for line in machine.run("descriptors", "values").stdout.splitlines()
    )
    text = (TUNING / "limits.d" / "90-rookery.conf").read_text()
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    nofile = {int(row[3]) for row in rows if row[2] == "nofile"}
    assert nofile == {int(values["fs.nr_open"])}
    assert {(row[0], row[1]) for row in rows if row[2] == "nofile"} == {
        (who, kind) for who in ("*", "root") for kind in ("soft", "hard")
    }


def test_all_runs_every_script_and_changes_nothing_unasked(machine):
    before = machine.files()
    told = machine.run_file("all", "tune")
    assert told.returncode == 0
    for script in SCRIPTS:
        assert f"== {script}" in told.stdout
    assert "APPLY=1" in told.stdout
    assert machine.files() == before
