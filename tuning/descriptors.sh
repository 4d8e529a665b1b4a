#!/usr/bin/env bash
# Descriptors: each connection holds one, and three limits stand above each other.
#
# The server gets by without this (`descriptor_table = "per-shard"` gives each
# shard a table of its own), but one table is simpler to look at, and tools such
# as ss and lsof then see every connection under one thread.
here="$(cd "$(dirname "$0")" && pwd)"
# shellcheck source=tuning/lib.sh
source "$here/lib.sh"

knobs() {
    sysctl_knob fs.nr_open at-least 2097152 \
        "the ceiling that a process's own limit can be raised to; a million connections, and room for a second million" \
        "a process gone wrong may grow a table of 8 bytes a descriptor, 16 MiB, in kernel memory"
    sysctl_knob fs.file-max at-least 4194304 \
        "open files of the whole system; server and load generator on one machine hold two for each connection" \
        "some 250 bytes of kernel memory for each file that is really open; the limit itself costs nothing"
    file_knob "$here/limits.d/90-rookery.conf" /etc/security/limits.d/90-rookery.conf \
        "the limit of a login session (pam_limits); a systemd unit needs LimitNOFILE=2097152 and LimitMEMLOCK=64M instead" \
        "programs that close every possible descriptor at start take longer; it counts from the next login on"
}

tuning_main "$@"
