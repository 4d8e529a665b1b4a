#!/usr/bin/env bash
# Ports: outgoing connections must never sit on a port that the server listens on.
#
# A listener whose port lies inside the range of source ports cannot be bound
# again when some client of this machine happens to hold it.
# shellcheck source=tuning/lib.sh
source "$(cd "$(dirname "$0")" && pwd)/lib.sh"

# The listeners of the default configuration; others with ROOKERY_PORTS=a,b.
PORTS="${ROOKERY_PORTS:-8000,8001}"

knobs() {
    sysctl_knob net.ipv4.ip_local_port_range exactly "1024 65535" \
        "source ports of outgoing connections: the load generator, and a proxy in front, get 64,512 for each pair of addresses" \
        "every listener on this host must stand in ip_local_reserved_ports, or a client may take its port"
    sysctl_knob net.ipv4.ip_local_reserved_ports includes "$PORTS" \
        "the server's listeners, taken out of that range" \
        "two source ports fewer"
}

tuning_main "$@"
