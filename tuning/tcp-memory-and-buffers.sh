#!/usr/bin/env bash
# How much the kernel may hold for TCP, in all and for each connection.
#
# An idle connection has empty buffers; these numbers matter when many of a
# million speak, or stop reading, in the same second.
# shellcheck source=tuning/lib.sh
source "$(cd "$(dirname "$0")" && pwd)/lib.sh"

knobs() {
    sysctl_knob net.ipv4.tcp_mem at-least "786432 1048576 1572864" \
        "pages of 4 KiB for all of TCP: relaxed below 3 GiB, saving from 4 GiB, refusing at 6 GiB; one small packet each way at a million connections takes 2 to 4 GiB" \
        "up to 6 GiB that other programs cannot have; on a host with less than 16 GiB take a quarter of the memory instead"
    sysctl_knob net.ipv4.tcp_rmem exactly "4096 16384 4194304" \
        "receive buffer: least, at first, most; 16 KiB hold any usual chat message, and a million peers that send before we read cannot leave 128 KiB each" \
        "a peer that sends a large message at once waits one round trip for the window to grow"
    sysctl_knob net.ipv4.tcp_wmem exactly "4096 16384 4194304" \
        "send buffer: least, at first, most; the kernel grows it for readers that are far away" \
        "a slow reader may hold 4 MiB here before its outbox begins to fill, which tcp_notsent_lowat shortens"
    sysctl_knob net.ipv4.tcp_notsent_lowat exactly 131072 \
        "bytes that wait unsent in the kernel before a socket counts as full; what waits in our outbox instead is counted, limited and seen in the metrics" \
        "one more wake-up for each 128 KiB of a bulk transfer"
    sysctl_knob net.ipv4.tcp_max_orphans at-least 262144 \
        "connections that are closed but have bytes to deliver; a drain closes a million in 30 s" \
        "up to 64 KiB of memory that cannot be swapped for each, when their peers do not read"
    sysctl_knob net.ipv4.tcp_fin_timeout exactly 15 \
        "how long a closed connection waits for the peer's end" \
        "a peer that needs longer to close gets a reset, which does it no harm after our close frame"
    sysctl_knob net.ipv4.tcp_slow_start_after_idle exactly 0 \
        "chat is idle, then bursts; the window found before stays valid" \
        "the first burst after a pause may be too much for a path that has become narrower"
}

tuning_main "$@"
