"""A machine for the tuning scripts: a tree with /proc, /sys and /etc.

Nothing here touches the real ones: the scripts take a prefix from ROOKERY_TUNING_ROOT,
and what they save lies in the same temporary place.
"""

import os
import pathlib
import subprocess

TUNING = pathlib.Path(__file__).resolve().parents[3] / "tuning"
SCRIPTS = sorted(path.stem for path in TUNING.glob("*.sh") if path.stem != "lib")

# What a fresh Debian 12 says, with a card of two queues on four CPUs.
FRESH = {
    "/proc/sys/fs/nr_open": "1048576",
    "/proc/sys/fs/file-max": "9223372036854775807",
    "/proc/sys/net/core/somaxconn": "4096",
    "/proc/sys/net/ipv4/tcp_max_syn_backlog": "2048",
    "/proc/sys/net/ipv4/tcp_syncookies": "1",
    "/proc/sys/net/core/netdev_max_backlog": "1000",
    "/proc/sys/net/ipv4/tcp_synack_retries": "5",
    "/proc/sys/net/ipv4/tcp_mem": "287898\t383867\t1575796",
    "/proc/sys/net/ipv4/tcp_rmem": "4096\t131072\t6291456",
    "/proc/sys/net/ipv4/tcp_wmem": "4096\t16384\t4194304",
    "/proc/sys/net/ipv4/tcp_notsent_lowat": "4294967295",
    "/proc/sys/net/ipv4/tcp_max_orphans": "131072",
    "/proc/sys/net/ipv4/tcp_fin_timeout": "60",
    "/proc/sys/net/ipv4/tcp_slow_start_after_idle": "1",
    "/proc/sys/net/ipv4/ip_local_port_range": "32768\t60999",
    "/proc/sys/net/ipv4/ip_local_reserved_ports": "9000,8000",
    "/proc/sys/net/netfilter/nf_conntrack_max": "262144",
    "/sys/module/nf_conntrack/parameters/hashsize": "65536",
    "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established": "432000",
    "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_time_wait": "120",
    "/proc/sys/net/core/rps_sock_flow_entries": "32768",
    "/proc/sys/kernel/sched_autogroup_enabled": "1",
    "/proc/sys/kernel/nmi_watchdog": "1",
    "/proc/irq/30/smp_affinity_list": "0-3",
    "/proc/irq/31/smp_affinity_list": "0-3",
    "/sys/devices/system/cpu/online": "0-3",
    "/sys/devices/system/cpu/isolated": "",
    "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave",
    "/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "performance",
    "/sys/class/net/eth0/device/msi_irqs/30": "msix",
    "/sys/class/net/eth0/device/msi_irqs/31": "msix",
    "/sys/class/net/eth0/queues/rx-0/rps_cpus": "0",
    "/sys/class/net/eth0/queues/rx-1/rps_cpus": "0",
    "/sys/class/net/eth0/queues/tx-0/xps_cpus": "f",
    "/sys/class/net/eth0/queues/tx-1/xps_cpus": "f",
    "/sys/class/net/lo/queues/rx-0/rps_cpus": "0",
}


class Machine:
    """A tree of files that stands for a machine."""

    def __init__(self, folder):
        self.root = folder / "root"
        self.state = folder / "state"
        self.path = os.environ["PATH"]
        self.prefix = []
        for path, text in FRESH.items():
            self.write(path, text)

    def write(self, path, text):
        file = self.root / path[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")

    def read(self, path):
        return (self.root / path[1:]).read_text().strip()

    def files(self):
        return {
            str(path.relative_to(self.root)): " ".join(path.read_text().split())
            for path in self.root.rglob("*")
            if path.is_file()
        }

    def run(self, script, *arguments, **variables):
        return self.run_file(f"{script}.sh", *arguments, **variables)

    def run_file(self, name, *arguments, **variables):
        return subprocess.run(
            [*self.prefix, TUNING / name, *arguments],
            env={
                "PATH": self.path,
                "ROOKERY_TUNING_ROOT": str(self.root),
                "ROOKERY_TUNING_STATE": str(self.state),
                **variables,
            },
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )
