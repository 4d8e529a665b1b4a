#!/usr/bin/env bash
# Ports: outgoing connections must never sit on a port that the server listens on.
#
# A listener whose port lies inside the range of source ports cannot be bound
# again when some client of this machine happens to hold it.
# shellcheck source=tuning/lib.sh
source "$(cd "$(dirname "$0")" && pwd)/lib.sh"

# The listeners of the default configurations: chat, admin, alert bridge, probe. Others
# with ROOKERY_PORTS=a,b-c.
PORTS="${ROOKERY_PORTS:-8000,8001,9494,9497}"
fits includes "" "$PORTS" || fail 2 "ROOKERY_PORTS=$PORTS is no list such as 8000,9000-9010"

# The reserved ones come first, so that there is no moment in which they can be taken,
# and `undo`, which goes the other way, gives them back last.
knobs() {
    sysctl_knob net.ipv4.ip_local_reserved_ports includes "$PORTS" \
        "the listeners of server, alert bridge and probe, taken out of the range below" \
        "four source ports fewer"
    sysctl_knob net.ipv4.ip_local_port_range exactly "1024 65535" \
        "source ports of outgoing connections: the load generator, and a proxy in front, get 64,512 for each pair of addresses" \
        "every listener on this host must stand in ip_local_reserved_ports, or a client may take its port"
}

tuning_main "$@"
