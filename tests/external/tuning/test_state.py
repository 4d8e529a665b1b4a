"""What root believes of what was saved: nothing that another could have written.

Each test is an attacker who holds a part of the state, or a machine that has changed;
whatever they wrote, `undo` and `apply` say so and leave every file as it was.
"""

import concurrent.futures
import os
import pathlib

import pytest

from machine import FRESH, SCRIPTS, TUNING

SOMAXCONN = "/proc/sys/net/core/somaxconn"
BACKLOG = "backlog-and-syn-queue"
LIMITS = "/etc/security/limits.d/90-rookery.conf"
NOBODY = 65534


def everything(machine):
    """All that is there, links not followed: names, contents, and where links point."""
    found = {}
    for path in sorted(machine.root.parent.rglob("*")):
        name = str(path.relative_to(machine.root.parent))
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def saved(machine, script, text):
    machine.state.mkdir(mode=0o700, exist_ok=True)
    file = machine.state / f"{script}.saved"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(0o600)
    return file


def refuses(machine, script, *words, commands=("undo", "apply")):
    """Both commands that write say why not, end with 4, and write nothing."""
    before = everything(machine)
    for command in commands:
        told = machine.run(script, command)
        assert told.returncode == 4, f"{command}: {told.stdout}{told.stderr}"
        for word in words:
            assert word in told.stderr
        assert everything(machine) == before


def test_the_directory_is_made_for_its_owner_alone(machine):
    mask = os.umask(0)
    try:
        assert machine.run("descriptors", "apply").returncode == 0
    finally:
        os.umask(mask)
    assert machine.state.stat().st_mode & 0o7777 == 0o700
    for file in machine.state.iterdir():
        assert file.stat().st_mode & 0o7777 == 0o600
    # What others must be able to read is not made with the state's rights.
    limits = machine.root / LIMITS[1:]
    assert limits.stat().st_mode & 0o7777 == 0o644
    assert limits.parent.stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize(
    "line",
    [
        "value\t/etc/passwd\troot::0:0:::",
        "file\t/etc/cron.d/evil\tdifferent",
        "file\t/etc/passwd\tmissing",
        f"file\t{SOMAXCONN}\tmissing",
        f"file\t{SOMAXCONN}\tdifferent",
        f"value\t{LIMITS}\t* hard nofile 1",
        "value\t/proc/sys/net/core/../../kernel/core_pattern\t1",
        "value\t/proc/sys/kernel/core_pattern\t4096",
        "value\t/proc/sys/net/ipv4/*\t1",
        "value\tproc/sys/net/core/somaxconn\t1",
        f"value\t{SOMAXCONN}/\t4096",
        f"value\t/{SOMAXCONN}\t4096",
        f"value\t{SOMAXCONN} \t4096",
        f"value\t{SOMAXCONN}\t4096 1",
        f"value\t{SOMAXCONN}\t*",
        f"value\t{SOMAXCONN}\t$(touch evil)",
        f"value\t{SOMAXCONN}\t|/bin/evil",
        f"value\t{SOMAXCONN}\t",
        f"value\t{SOMAXCONN}\t4096\t1",
        f"value\t{SOMAXCONN}\t4096 ",
        f"value\t{SOMAXCONN}\t{'9' * 21}",
        f"value\t{SOMAXCONN}\t4096\r",
        f"value\t{SOMAXCONN}\t4096\nvalue\t{SOMAXCONN}\t1",
        f"value {SOMAXCONN} 4096",
        f"knob\t{SOMAXCONN}\t4096",
        f"value\t{SOMAXCONN}",
        "value\t\t4096",
        "",
        "\0",
        f"value\t{SOMAXCONN}\t40\x0096",
        f"value\t{SOMAXCONN}\t4096é",
        "taken\t/etc/passwd",
    ],
)
@pytest.mark.parametrize("place", ["behind", "before"])
def test_a_line_that_no_apply_has_written_stops_all(machine, line, place):
    honest = "value\t/proc/sys/net/core/netdev_max_backlog\t1000\n"
    text = {"behind": f"{honest}{line}\n", "before": f"{line}\n{honest}"}[place]
    saved(machine, BACKLOG, text)
    machine.write("/etc/passwd", "root:x:0:0")
    refuses(machine, BACKLOG)


@pytest.mark.parametrize(
    "script, path, values",
    [
        ("port-range-and-reserved-ports", "net/ipv4/ip_local_reserved_ports", ["all", "8000;1", "-1", "1-2-3", "999999"]),
        ("port-range-and-reserved-ports", "net/ipv4/ip_local_port_range", ["32768", "32768 60999 1", "a b"]),
        ("tcp-memory-and-buffers", "net/ipv4/tcp_rmem", ["1 2", "1 2 3 4", "1\v2\v3"]),
    ],
)
def test_a_value_that_its_file_never_holds_stops_all(machine, script, path, values):
    for value in values:
        saved(machine, script, f"value\t/proc/sys/{path}\t{value}\n")
        refuses(machine, script)


def test_a_governor_is_a_word_and_a_mask_is_digits(machine):
    governor = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    for script, path, value in [
        ("cpu-governor-and-isolation", governor, "../../evil"),
        ("cpu-governor-and-isolation", governor, "power save"),
        ("nic-queues-and-irq-affinity", "/sys/class/net/eth0/queues/rx-0/rps_cpus", "g"),
        ("nic-queues-and-irq-affinity", "/proc/irq/30/smp_affinity_list", "all"),
        ("nic-queues-and-irq-affinity", "/proc/irq/31/../30/smp_affinity_list", "0"),
    ]:
        saved(machine, script, f"value\t{path}\t{value}\n")
        refuses(machine, script)


def test_a_line_that_is_cut_off_stops_all(machine):
    saved(machine, BACKLOG, f"value\t{SOMAXCONN}\t40")
    refuses(machine, BACKLOG, "cut off")


def test_a_state_without_end_is_not_read(machine):
    saved(machine, BACKLOG, f"value\t{SOMAXCONN}\t4096\n" * 40_000)
    refuses(machine, BACKLOG, "too long")


def test_a_link_in_the_place_of_the_state_is_not_followed(machine, tmp_path):
    machine.run(BACKLOG, "apply")
    elsewhere = tmp_path / "elsewhere"
    (machine.state / f"{BACKLOG}.saved").rename(elsewhere)
    (machine.state / f"{BACKLOG}.saved").symlink_to(elsewhere)
    refuses(machine, BACKLOG, "symbolic link")


def test_a_link_that_leads_nowhere_is_one_too(machine, tmp_path):
    machine.state.mkdir(mode=0o700)
    (machine.state / f"{BACKLOG}.saved").symlink_to(tmp_path / "made-by-root")
    refuses(machine, BACKLOG, "symbolic link")


@pytest.mark.parametrize("name", ["saved.new", "saved.tmp", "former", "lock"])
def test_links_beside_the_state_are_never_written_through(machine, tmp_path, name):
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    machine.state.mkdir(mode=0o700)
    (machine.state / f"descriptors.{name}").symlink_to(victim)
    machine.write(LIMITS, "* hard nofile 4096")
    machine.run("descriptors", "apply")
    machine.run("descriptors", "undo")
    assert victim.read_text() == "as it was"


def test_a_copy_of_a_file_is_believed_as_little(machine, tmp_path):
    machine.write(LIMITS, "* hard nofile 4096")
    machine.run("descriptors", "apply")
    former = machine.state / "descriptors.former"
    former.unlink()
    refuses(machine, "descriptors", "copy is not there")
    secret = tmp_path / "secret"
    secret.write_text("a secret")
    former.symlink_to(secret)
    refuses(machine, "descriptors", "symbolic link")
    former.unlink()
    os.link(secret, former)
    refuses(machine, "descriptors", "hard links")


def test_a_second_name_of_the_state_stops_all(machine, tmp_path):
    machine.run(BACKLOG, "apply")
    os.link(machine.state / f"{BACKLOG}.saved", tmp_path / "kept-by-another")
    refuses(machine, BACKLOG, "hard links")


@pytest.mark.parametrize("kind", ["directory", "pipe"])
def test_the_state_is_a_plain_file(machine, kind):
    machine.state.mkdir(mode=0o700)
    path = machine.state / f"{BACKLOG}.saved"
    {"directory": os.mkdir, "pipe": os.mkfifo}[kind](path)
    refuses(machine, BACKLOG, "no plain file")


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_state_that_others_can_write_stops_all(machine, mode):
    machine.run(BACKLOG, "apply")
    (machine.state / f"{BACKLOG}.saved").chmod(mode)
    refuses(machine, BACKLOG, "others can write")


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_directory_that_others_can_write_stops_all(machine, mode):
    machine.run(BACKLOG, "apply")
    machine.state.chmod(mode)
    refuses(machine, BACKLOG, "others can write")


@pytest.mark.parametrize("mode, is_refused", [(0o770, True), (0o707, True), (0o755, False), (0o1777, False)])
def test_so_does_one_above_it_but_for_one_like_tmp(machine, tmp_path, mode, is_refused):
    above = tmp_path / "above"
    machine.state = above / "between" / "state"
    machine.state.parent.mkdir(parents=True, mode=0o755)
    machine.run(BACKLOG, "apply")
    above.chmod(mode)
    if is_refused:
        refuses(machine, BACKLOG, str(above), "others can write")
    else:
        assert machine.run(BACKLOG, "undo").returncode == 0


@pytest.mark.parametrize("which", ["state", "above"])
def test_a_link_in_the_way_stops_all(machine, tmp_path, which):
    real = tmp_path / "real"
    (real / "state").mkdir(parents=True, mode=0o700)
    if which == "state":
        machine.state.symlink_to(real / "state")
    else:
        (tmp_path / "linked").symlink_to(real)
        machine.state = tmp_path / "linked" / "state"
    refuses(machine, BACKLOG, "symbolic link")


@pytest.mark.parametrize("path", ["relative/state", "{}/../state", "{}/./state", "{}/two\nlines"])
def test_a_directory_is_named_by_its_whole_path(machine, tmp_path, path):
    before = machine.files()
    told = machine.run(BACKLOG, "apply", ROOKERY_TUNING_STATE=path.format(tmp_path))
    assert told.returncode == 2
    assert machine.files() == before


def owned_by_another(path):
    """Gives a path away; who may not do so makes all that is not root's a stranger's."""
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        return []
    return ["unshare", "--user", "--map-root-user"]


@pytest.mark.parametrize("what", ["file", "directory", "above"])
def test_what_belongs_to_another_stops_all(machine, tmp_path, what):
    above = tmp_path / "above"
    machine.state = above / "state"
    above.mkdir(mode=0o755)
    machine.run("descriptors", "apply")
    path = {"file": machine.state / "descriptors.saved", "directory": machine.state, "above": above}
    machine.prefix = owned_by_another(path[what])
    refuses(machine, "descriptors", "belongs to user")


def test_a_link_in_the_place_of_a_file_of_the_system_is_left_alone(machine, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    limits = machine.root / LIMITS[1:]
    limits.parent.mkdir(parents=True)
    limits.symlink_to(victim)
    told = machine.run("descriptors", "apply")
    assert told.returncode == 1
    assert "link" in told.stdout
    assert victim.read_text() == "as it was"
    assert limits.is_symlink()


def test_what_of_this_machine_is_gone_is_told_and_the_rest_put_back(machine):
    """A card or CPU was taken out: nothing foreign, and nothing to put back."""
    before = machine.files()
    machine.run("nic-queues-and-irq-affinity", "apply")
    machine.run("cpu-governor-and-isolation", "apply")
    gone = [path for path in FRESH if path.startswith(("/sys/class/net/eth0/queues/", "/sys/devices/system/cpu/cpu0/"))]
    for path in gone:
        (machine.root / path[1:]).unlink()
    for script in ("nic-queues-and-irq-affinity", "cpu-governor-and-isolation"):
        undone = machine.run(script, "undo")
        assert undone.returncode == 0, undone.stderr
        assert "gone, with nothing to put back" in undone.stdout
    assert machine.files() == {name: text for name, text in before.items() if f"/{name}" not in gone}


def test_what_another_version_saved_is_named(machine):
    saved(machine, BACKLOG, f"value\t/proc/sys/net/core/once_a_knob\t1\nvalue\t{SOMAXCONN}\t4096\n")
    refuses(machine, BACKLOG, "/proc/sys/net/core/once_a_knob", "another version")


def test_the_directory_of_older_versions_is_told_and_not_read(machine):
    """It belongs to the server's user, and what lies there may be anybody's."""
    machine.run(BACKLOG, "apply")
    old = machine.root / "var/lib/rookery/tuning"
    old.mkdir(parents=True)
    (machine.state / f"{BACKLOG}.saved").rename(old / f"{BACKLOG}.saved")
    before = machine.files()
    told = machine.run(BACKLOG, "undo")
    assert told.returncode == 4
    assert "install -m 0600" in told.stderr
    assert machine.files() == before
    # What it says is what helps.
    (old / f"{BACKLOG}.saved").rename(machine.state / f"{BACKLOG}.saved")
    assert machine.run(BACKLOG, "undo").returncode == 0
    assert machine.read(SOMAXCONN) == "4096"


def test_check_uses_no_state_that_it_cannot_believe(machine, tmp_path):
    machine.state.mkdir(mode=0o700)
    (machine.state / f"{BACKLOG}.saved").symlink_to(tmp_path / "anything")
    told = machine.run(BACKLOG, "check")
    assert told.returncode == 1
    assert "symbolic link" in told.stderr
    assert "wrong" in told.stdout


def test_a_check_of_somebody_else_says_what_it_cannot_know(machine, tmp_path):
    """Root's state is for root; who may not read it is told, and values are still compared."""
    machine.run(BACKLOG, "apply")
    if os.geteuid() == 0:
        for path in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
            path.chmod(path.stat().st_mode | 0o055)
        machine.prefix = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    else:
        machine.state.chmod(0)
    try:
        told = machine.run(BACKLOG, "check")
    finally:
        machine.state.chmod(0o700)
    assert told.returncode == 0, told.stderr
    assert "cannot be read" in told.stderr


def test_many_at_once_are_one_after_the_other(machine):
    before = machine.files()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        runs = list(pool.map(lambda _: machine.run(BACKLOG, "apply"), range(8)))
    assert [run.returncode for run in runs] == [0] * 8, [run.stderr for run in runs]
    assert machine.run(BACKLOG, "undo").returncode == 0
    assert machine.files() == before


def test_the_state_is_never_half_written(machine):
    """Whoever looks while it is written sees whole lines, under names that are moved."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        run = pool.submit(machine.run, "tcp-memory-and-buffers", "apply")
        while not run.done():
            try:
                text = (machine.state / "tcp-memory-and-buffers.saved").read_text()
            except FileNotFoundError:
                continue
            assert not text or text.endswith("\n")
    assert run.result().returncode == 0
    assert [path.name for path in machine.state.iterdir()] == ["tcp-memory-and-buffers.saved"]


def test_by_itself_it_lies_where_root_alone_can_write():
    """The server's unit gives /var/lib/rookery to the server's user."""
    text = (TUNING / "state.bash").read_text()
    assert 'STATE="${ROOKERY_TUNING_STATE:-/var/lib/rookery-tuning}"' in text
    assert all(pathlib.Path(TUNING / f"{script}.sh").exists() for script in SCRIPTS)
