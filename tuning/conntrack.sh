#!/usr/bin/env bash
# Connection tracking: a table in the kernel with an entry for each connection,
# if a firewall or a container network has loaded it. When it is full, new
# connections are dropped.
#
# The better answer is not to track the server's port at all:
#   nft add table inet rookery
#   nft 'add chain inet rookery in { type filter hook prerouting priority raw; }'
#   nft 'add chain inet rookery out { type filter hook output priority raw; }'
#   nft add rule inet rookery in tcp dport 8000 notrack
#   nft add rule inet rookery out tcp sport 8000 notrack
# This script does not touch the firewall; it makes the table large enough.
# shellcheck source=tuning/lib.sh
source "$(cd "$(dirname "$0")" && pwd)/lib.sh"

knobs() {
    sysctl_knob net.netfilter.nf_conntrack_max at-least 2097152 \
        "entries; a million connections, and as many that linger after a reconnect" \
        "some 320 bytes for each entry in use, 640 MiB at the limit"
    knob /sys/module/nf_conntrack/parameters/hashsize at-least 524288 \
        "buckets; four entries in each at the limit keep a look-up short" \
        "8 bytes each, 4 MiB, taken at once"
    sysctl_knob net.netfilter.nf_conntrack_tcp_timeout_established exactly 600 \
        "the server pings every 25 s, so an entry that was silent for ten minutes belongs to nobody" \
        "other services of this host lose a connection's entry after ten silent minutes, and must use keepalive"
    sysctl_knob net.netfilter.nf_conntrack_tcp_timeout_time_wait exactly 15 \
        "a reconnect storm leaves an entry for each old connection" \
        "a very late packet of a closed connection counts as invalid"
}

tuning_main "$@"
