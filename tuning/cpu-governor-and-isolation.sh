#!/usr/bin/env bash
# CPUs: full speed at once, and nobody else on the shards' cores.
#
# Isolation is decided at boot. This script only looks whether it is there, and
# says what to add to the kernel's command line.
# shellcheck source=tuning/lib.sh
source "$(cd "$(dirname "$0")" && pwd)/lib.sh"

DEVICE_PATHS=('^/sys/devices/system/cpu/cpu[0-9]+/cpufreq/(scaling_governor|energy_performance_preference)$')

knobs() {
    local entry cpu
    for entry in "$ROOT"/sys/devices/system/cpu/cpu[0-9]*; do
        [[ -e "$entry/cpufreq/scaling_governor" ]] || continue
        cpu="/sys/devices/system/cpu/$(basename "$entry")/cpufreq"
        knob "$cpu/scaling_governor" exactly performance \
            "a shard sleeps between messages; a governor that saves power wakes it at the lowest clock, and the first message pays" \
            "more power and heat; the highest single-core clock may be lower when all cores are at full speed"
        if [[ -e "$ROOT$cpu/energy_performance_preference" ]]; then
            knob "$cpu/energy_performance_preference" exactly performance \
                "where the processor itself chooses its clock, this is what it listens to" \
                "as above"
        fi
    done
    sysctl_knob kernel.sched_autogroup_enabled exactly 0 \
        "groups by terminal share CPUs evenly among groups, whatever priority a shard has" \
        "a build on another terminal of this host is felt more"
    sysctl_knob kernel.nmi_watchdog exactly 0 \
        "one interrupt a second and a performance counter for each CPU" \
        "a kernel that hangs with interrupts off is not reported"
    isolation
}

isolation() {
    local isolated=""
    [[ -r "$ROOT/sys/devices/system/cpu/isolated" ]] && isolated="$(cat "$ROOT/sys/devices/system/cpu/isolated")"
    if [[ -n "$isolated" ]]; then
        advice isolation ok "CPUs $isolated are isolated; give them to the server with shards and cpu settings"
    else
        advice isolation note "no CPU is isolated; from four CPUs on, think of isolcpus=, nohz_full= and rcu_nocbs= with all but CPU 0 on the kernel's command line (price: nothing else runs there, CPU 0 does the rest)"
    fi
}

tuning_main "$@"
