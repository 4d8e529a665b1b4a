# shellcheck shell=bash
# What the tuning scripts share: reading, comparing, changing and restoring.
#
# A script lists its knobs in a function `knobs`, with one call a knob, and ends
# with `tuning_main "$@"`. The same list serves every command, so what `check`
# demands, `apply` writes, and `explain` tells is one text.
#
# Commands: check    says for each knob what it is and what it should be;
#                    exit 1 when one of them is not as it should be
#           apply    saves the value that is there, then writes the wanted one
#           undo     puts back what the first `apply` found
#           explain  the reason and the price of every value
#           values   `name = value` of every sysctl, for the test that compares
#                    them with tuning/sysctl.d
# With --dry-run, apply and undo only tell what they would do.
#
# Exit codes: 0 all is as wanted, 1 something is not, 2 wrong use, 3 no right to.
#
# Deliberately absent: anything that outlives a reboot. For that, copy
# tuning/sysctl.d/90-rookery.conf and tuning/limits.d/90-rookery.conf.
set -euo pipefail

# A prefix before /proc, /sys and /etc, so that tests run on a tree of their own.
ROOT="${ROOKERY_TUNING_ROOT:-}"
# Where former values wait for undo.
STATE="${ROOKERY_TUNING_STATE:-/var/lib/rookery/tuning}"

SUBJECT="$(basename "$0" .sh)"
SAVED="$STATE/$SUBJECT.saved"
COMMAND=""
DRY_RUN=no
WRONG_COUNT=0
CHANGED_COUNT=0

say() { printf '%s\n' "$*"; }

fail() {
    printf '%s: %s\n' "$SUBJECT" "$2" >&2
    exit "$1"
}

# The words of a value, with one space between them.
words() {
    local -a list
    read -r -a list <<<"$1" || true
    printf '%s' "${list[*]-}"
}

# The larger of each pair of words.
each_at_least() {
    local -a now least larger=()
    read -r -a now <<<"$1" || true
    read -r -a least <<<"$2"
    local index
    for index in "${!least[@]}"; do
        local here="${now[index]:-0}"
        larger+=("$((here > least[index] ? here : least[index]))")
    done
    printf '%s' "${larger[*]}"
}

# A list of ports with everything of both lists, each entry once, sorted.
union() {
    printf '%s' "$1,$2" | tr ',' '\n' | sed '/^$/d' | sort -n -u | paste -s -d ',' -
}

# A CPU mask without commas and leading zeros: how it is spelt is the kernel's affair.
mask() {
    local digits="${1//,/}"
    digits="${digits#"${digits%%[!0]*}"}"
    printf '%s' "${digits:-0}"
}

# What a file should hold, given what it holds.
wanted() {
    local rule="$1" is="$2" want="$3"
    case "$rule" in
    at-least) each_at_least "$is" "$want" ;;
    exactly) words "$want" ;;
    includes) union "$is" "$want" ;;
    mask) mask "$want" ;;
    *) fail 2 "no rule is called $rule" ;;
    esac
}

# How a file's value is compared: the same spelling on both sides.
spelt() {
    local rule="$1" is="$2"
    case "$rule" in
    includes) union "$is" "" ;;
    mask) mask "$is" ;;
    *) words "$is" ;;
    esac
}

# A file is saved once: the second `apply` must not take our value for the former.
save() {
    local kind="$1" path="$2" value="$3"
    if [[ -f "$SAVED" ]] && cut -f 2 "$SAVED" | grep -qxF -- "$path"; then
        return
    fi
    mkdir -p "$STATE" || fail 3 "cannot write to $STATE; run it as root"
    # A copy that takes the old one's place: a crash leaves one of the two whole.
    {
        if [[ -f "$SAVED" ]]; then cat "$SAVED"; fi
        printf '%s\t%s\t%s\n' "$kind" "$path" "$value"
    } >"$SAVED.new" || fail 3 "cannot write to $STATE; run it as root"
    mv "$SAVED.new" "$SAVED"
}

# line <word> <path or name> <what there is to say>
line() { printf '%-9s %s: %s\n' "$1" "$2" "${3:-(empty)}"; }

# differs <path> <what it is> <what it should be>
differs() {
    local word=would
    [[ "$COMMAND" != check ]] || word=wrong
    WRONG_COUNT=$((WRONG_COUNT + 1))
    line "$word" "$1" "${2:-(empty)}, should be ${3:-(empty)}"
}

explain() {
    printf '%s %s %s\n  why:   %s\n  price: %s\n' "$1" "$2" "$3" "$4" "$5"
}

# knob <file below the root> <rule> <value> <why> <price>
#
# A file that is not there is told and skipped: the kernel or the machine has no
# such thing, so nothing can be wrong with it.
knob() {
    local path="$1" rule="$2" want="$3" why="$4" price="$5"
    if [[ "$COMMAND" == explain ]]; then
        explain "$path" "$rule" "$want" "$why" "$price"
        return
    fi
    if [[ "$COMMAND" == values ]]; then
        if [[ "$path" == /proc/sys/* ]]; then
            local name="${path#/proc/sys/}"
            printf '%s = %s\n' "${name//\//.}" "$want"
        fi
        return
    fi
    if [[ ! -e "$ROOT$path" ]]; then
        line absent "$path" "not here"
        return
    fi
    local is target
    is="$(cat "$ROOT$path" 2>/dev/null || true)"
    target="$(wanted "$rule" "$is" "$want")"
    if [[ "$(spelt "$rule" "$is")" == "$target" ]]; then
        line ok "$path" "$(words "$is")"
        return
    fi
    if [[ "$COMMAND" == check || "$DRY_RUN" == yes ]]; then
        differs "$path" "$(words "$is")" "$target"
        return
    fi
    [[ -w "$ROOT$path" ]] || fail 3 "$path is not writable; run it as root, outside a container"
    save value "$path" "$(words "$is")"
    write "$path" "$target"
}

write() {
    local path="$1" target="$2"
    if { printf '%s\n' "$target" >"$ROOT$path"; } 2>/dev/null; then
        CHANGED_COUNT=$((CHANGED_COUNT + 1))
        line changed "$path" "now ${target:-(empty)}"
    else
        # Some files of /proc/irq belong to the driver, which has spread them already.
        WRONG_COUNT=$((WRONG_COUNT + 1))
        line refused "$path" "the kernel did not take $target"
    fi
}

# sysctl_knob <name> <rule> <value> <why> <price>
sysctl_knob() {
    knob "/proc/sys/${1//.//}" "$2" "$3" "$4" "$5"
}

# file_knob <source in this folder> <destination> <why> <price>
#
# A whole file of ours that must lie where the system reads it.
file_knob() {
    local source="$1" path="$2" why="$3" price="$4"
    case "$COMMAND" in
    explain)
        explain "$path" holds "$(basename "$source")" "$why" "$price"
        return
        ;;
    values) return ;;
    esac
    if [[ -f "$ROOT$path" ]] && cmp -s "$source" "$ROOT$path"; then
        line ok "$path" "as in $(basename "$source")"
        return
    fi
    local is=missing
    [[ -f "$ROOT$path" ]] && is=different
    if [[ "$COMMAND" == check || "$DRY_RUN" == yes ]]; then
        differs "$path" "$is" "as in $(basename "$source")"
        return
    fi
    local former="$STATE/$SUBJECT.former"
    if [[ "$is" == different && ! -e "$former" ]]; then
        mkdir -p "$STATE" || fail 3 "cannot write to $STATE; run it as root"
        cp -p "$ROOT$path" "$former"
    fi
    save file "$path" "$is"
    mkdir -p "$(dirname "$ROOT$path")"
    cp "$source" "$ROOT$path" || fail 3 "cannot write $path; run it as root"
    CHANGED_COUNT=$((CHANGED_COUNT + 1))
    line changed "$path" "now as in $(basename "$source")"
}

# Something that a script can only look at: what to do about it is for people.
advice() {
    local name="$1" state="$2" text="$3"
    case "$COMMAND" in
    check | explain) line "$state" "$name" "$text" ;;
    *) ;;
    esac
}

# In reverse order: what was changed last depends on what was changed before it.
undo() {
    if [[ ! -f "$SAVED" ]]; then
        say "$SUBJECT: nothing to undo"
        return
    fi
    local kind path value
    while IFS=$'\t' read -r kind path value; do
        if [[ "$DRY_RUN" == yes ]]; then
            line would "$path" "back to ${value:-(empty)}"
        elif [[ "$kind" == value ]]; then
            write "$path" "$value"
        elif [[ "$value" == missing ]]; then
            rm -f "$ROOT$path"
            line changed "$path" "gone again"
        else
            cp -p "$STATE/$SUBJECT.former" "$ROOT$path"
            rm -f "$STATE/$SUBJECT.former"
            line changed "$path" "as it was"
        fi
    done < <(tac "$SAVED")
    if [[ "$DRY_RUN" == no && "$WRONG_COUNT" == 0 ]]; then
        rm -f "$SAVED"
    fi
}

# CPUs that are online, one number a line, from a list such as 0-3,6.
cpus_online() {
    local part
    local -a parts
    IFS=',' read -r -a parts <<<"$(cat "$ROOT/sys/devices/system/cpu/online")"
    for part in "${parts[@]}"; do
        seq "${part%-*}" "${part#*-}"
    done
}

# The mask of one CPU, as sysfs spells it: groups of eight digits.
cpu_mask() {
    local cpu="$1" group
    printf '%x' "$((1 << (cpu % 32)))"
    for ((group = cpu / 32; group > 0; group--)); do
        printf ',00000000'
    done
}

usage() {
    say "usage: $0 check | apply | undo | explain [--dry-run]" >&2
    exit 2
}

tuning_main() {
    local argument
    for argument in "$@"; do
        case "$argument" in
        --dry-run) DRY_RUN=yes ;;
        check | apply | undo | explain | values)
            [[ -z "$COMMAND" ]] || usage
            COMMAND="$argument"
            ;;
        *) usage ;;
        esac
    done
    case "$COMMAND" in
    "") usage ;;
    undo) undo ;;
    *) knobs ;;
    esac
    case "$COMMAND-$DRY_RUN" in
    check-*) [[ "$WRONG_COUNT" == 0 ]] || exit 1 ;;
    apply-no | undo-no) [[ "$WRONG_COUNT" == 0 ]] || exit 1 ;;
    *) ;;
    esac
}
