#!/usr/bin/env bash
# The network card: one queue for each CPU, each queue's interrupt on its CPU.
#
# The server accepts a connection on the shard whose CPU took its packet, so a
# connection's packets, its socket and its session stay in one cache.
#
# Cards are those with a device behind them; others with ROOKERY_NICS="eth1".
# irqbalance moves interrupts back: stop it, or ban these interrupts in its options.
# shellcheck source=tuning/lib.sh
source "$(cd "$(dirname "$0")" && pwd)/lib.sh"

DEVICE_PATHS=(
    '^/proc/irq/[0-9]+/smp_affinity_list$'
    '^/sys/class/net/[A-Za-z0-9][A-Za-z0-9_.:@-]*/queues/(rx-[0-9]+/rps|tx-[0-9]+/xps)_cpus$'
)

cards() {
    local card
    if [[ -n "${ROOKERY_NICS:-}" ]]; then
        [[ "$ROOKERY_NICS" =~ ^[A-Za-z0-9_.:@\ -]+$ && " $ROOKERY_NICS" != *" ."* ]] ||
            fail 2 "ROOKERY_NICS=$ROOKERY_NICS has something that is no card's name"
        tr ' ' '\n' <<<"$ROOKERY_NICS"
        return
    fi
    for card in "$ROOT"/sys/class/net/*; do
        [[ -e "$card/device" ]] && basename "$card"
    done
    return 0
}

knobs() {
    local -a cpus
    mapfile -t cpus < <(cpus_online)
    local card
    local all
    all="$(cards)"
    for card in $all; do
        interrupts "$card"
        queues "$card" rx
        queues "$card" tx
    done
    sysctl_knob net.core.rps_sock_flow_entries exactly 0 \
        "steering by flow in software would move packets away from the CPU that the shard was chosen by" \
        "other services of this host that gain from it lose it"
}

interrupts() {
    local card="$1" entry index=0
    for entry in "$ROOT/sys/class/net/$card/device/msi_irqs/"*; do
        [[ -e "$entry" ]] || continue
        knob "/proc/irq/$(basename "$entry")/smp_affinity_list" cpus "${cpus[index % ${#cpus[@]}]}" \
            "interrupt $index of $card on one CPU, the next on the next" \
            "that CPU's other work waits; interrupts that the driver manages refuse the change, and need none"
        index=$((index + 1))
    done
}

queues() {
    local card="$1" way="$2" entry index count=0
    for entry in "$ROOT/sys/class/net/$card/queues/$way-"*; do
        [[ -e "$entry" ]] && count=$((count + 1))
    done
    if [[ "$way" == rx && "$count" -gt 0 && "$count" -lt "${#cpus[@]}" ]]; then
        advice "$card" note "receive queues: $count, for ${#cpus[@]} CPUs; try ethtool -L $card combined ${#cpus[@]}"
    fi
    for ((index = 0; index < count; index++)); do
        if [[ "$way" == rx ]]; then
            receive_queue "$card" "$index" "$count"
        elif [[ "$count" -gt 1 ]]; then
            knob "/sys/class/net/$card/queues/tx-$index/xps_cpus" mask "$(cpu_mask "${cpus[index % ${#cpus[@]}]}")" \
                "a CPU sends through the queue whose interrupt it takes" \
                "a queue that is full cannot be helped out by its neighbour"
        fi
    done
}

# With a queue for each CPU the card spreads; with fewer the kernel has to.
receive_queue() {
    local card="$1" index="$2" count="$3"
    if [[ "$count" -ge "${#cpus[@]}" ]]; then
        knob "/sys/class/net/$card/queues/rx-$index/rps_cpus" mask 0 \
            "the card has a queue for each CPU; spreading once more in software only costs" \
            "none"
    else
        local all="" cpu
        all="$(for cpu in "${cpus[@]}"; do cpu_mask "$cpu"; echo; done | mask_or)"
        knob "/sys/class/net/$card/queues/rx-$index/rps_cpus" mask "$all" \
            "fewer queues than CPUs: the kernel spreads packets by connection" \
            "an interrupt between CPUs for each batch of packets, about 1 us"
    fi
}

# The union of masks, one a line, each with groups of eight digits.
mask_or() {
    awk '
        function value(digits,   i, out) {
            out = 0
            for (i = 1; i <= length(digits); i++)
                out = out * 16 + index("0123456789abcdef", substr(digits, i, 1)) - 1
            return out
        }
        {
            count = split($0, part, ",")
            if (count > most) most = count
            # Every line is one bit, and each bit comes once: a sum is the union.
            sum[count] += value(part[1])
        }
        END {
            for (group = most; group > 0; group--)
                printf (group == most ? "%x" : ",%08x"), sum[group]
            print ""
        }'
}

tuning_main "$@"
