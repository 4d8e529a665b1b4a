#!/usr/bin/env bash
# Where connections wait before they are accepted.
#
# After a restart everyone comes at once. What does not fit into a queue is
# dropped without a word, and its client tries again after 1, 2, 4 s.
# shellcheck source=tuning/lib.sh
source "$(cd "$(dirname "$0")" && pwd)/lib.sh"

knobs() {
    sysctl_knob net.core.somaxconn at-least 65535 \
        "caps what listen() asks for; one shard accepts some 10,000 a second, so a queue of 65,535 holds a storm of seconds" \
        "up to 65,535 finished connections that no process knows yet, 1.5 KB each, per listener"
    sysctl_knob net.ipv4.tcp_max_syn_backlog at-least 262144 \
        "connections whose handshake is under way; a far client stays in here for a round trip" \
        "300 bytes of kernel memory for each; a SYN flood may fill all of it, 80 MB"
    sysctl_knob net.ipv4.tcp_syncookies exactly 1 \
        "when the queue above is full, answer without remembering instead of dropping" \
        "connections made this way lose window scaling without timestamps; only while the queue is full"
    sysctl_knob net.core.netdev_max_backlog at-least 32768 \
        "packets that one CPU holds between interrupt and protocol; a million pongs come in waves" \
        "a CPU that is behind by so many packets is late by tens of ms instead of dropping"
    sysctl_knob net.ipv4.tcp_synack_retries exactly 3 \
        "a peer that vanished leaves the queue after 15 s instead of a minute" \
        "a peer behind a link that loses four answers in a row has to begin anew"
}

tuning_main "$@"
