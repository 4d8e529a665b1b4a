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
# Exit codes: 0 all is as wanted, 1 something is not, 2 wrong use, 3 no right to,
# 4 what was saved cannot be trusted, and nothing was written.
#
# Root runs this, so what was saved is believed only as far as nobody else can have
# written it, and as the script's own knobs explain it: tuning/state.bash.
#
# Deliberately absent: anything that outlives a reboot. For that, copy
# tuning/sysctl.d/90-rookery.conf and tuning/limits.d/90-rookery.conf.
set -euo pipefail
# How numbers and names sort is the kernel's affair, and no language's.
export LC_ALL=C

# A prefix before /proc, /sys and /etc, so that tests run on a tree of their own.
ROOT="${ROOKERY_TUNING_ROOT:-}"

SUBJECT="$(basename "$0" .sh)"
COMMAND=""
DRY_RUN=no
WRONG_COUNT=0

# What `knobs` names, by path; `undo` fills it.
declare -A KNOB_RULE=() KNOB_WANT=()
# Patterns of paths that come and go with a device: what was saved of one that is gone
# is not foreign, and there is nothing to put back.
DEVICE_PATHS=()

say() { printf '%s\n' "$*"; }

fail() {
    printf '%s: %s\n' "$SUBJECT" "$2" >&2
    exit "$1"
}

# shellcheck source=tuning/state.bash
source "$(dirname "${BASH_SOURCE[0]}")/state.bash"

# --- what values mean ------------------------------------------------------------

# The words of a value, with one space between them.
words() {
    local -a list
    read -r -a list <<<"$1" || true
    printf '%s' "${list[*]-}"
}

# The larger of two whole numbers. The kernel's reach beyond those of the shell.
larger() {
    local is="$1" least="$2" digits
    digits="${is#"${is%%[!0]*}"}"
    if [[ "$is" == -* || "${#digits}" -lt "${#least}" ]]; then
        printf '%s' "$least"
    elif [[ "${#digits}" -gt "${#least}" || ! "$digits" < "$least" ]]; then
        printf '%s' "$is"
    else
        printf '%s' "$least"
    fi
}

# The larger of each pair of words.
each_at_least() {
    local -a now least larger=()
    read -r -a now <<<"$1" || true
    read -r -a least <<<"$2"
    local index
    for index in "${!least[@]}"; do
        larger+=("$(larger "${now[index]:-0}" "${least[index]}")")
    done
    printf '%s' "${larger[*]}"
}

# Two lists of numbers and ranges in one, as the kernel would print it: sorted, each
# number once, and neighbours joined to a range.
ranges() {
    printf '%s\n%s\n' "$1" "$2" | tr -d ' \t' | tr ',' '\n' |
        awk -F- 'NF { print $1 + 0, (NF > 1 ? $2 : $1) + 0 }' | sort -n |
        awk '
            function tell() {
                if (some) printf "%s%s", comma, (first == last ? first : first "-" last)
                if (some) comma = ","
            }
            some && $1 <= last + 1 { if ($2 > last) last = $2; next }
            { tell(); some = 1; first = $1; last = $2 }
            END { tell() }'
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
    includes) ranges "$is" "$want" ;;
    cpus) ranges "$want" "" ;;
    mask) mask "$want" ;;
    *) fail 2 "no rule is called $rule" ;;
    esac
}

# How a file's value is compared: the same spelling on both sides.
spelt() {
    local rule="$1" is="$2"
    case "$rule" in
    includes | cpus) ranges "$is" "" ;;
    mask) mask "$is" ;;
    *) words "$is" ;;
    esac
}

# Whether a value is of the kind that a knob's file holds.
#
# Both ways: what does not fit is not saved, since it could not be put back, and is not
# put back, since no `apply` saved it.
fits() {
    local rule="$1" want="$2" value="$3" index
    local -a has needs
    [[ "${#value}" -le 4096 ]] || return 1
    case "$rule" in
    includes | cpus)
        [[ "$value" =~ ^([0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}(-[0-9]{1,5})?)*)?$ ]]
        return
        ;;
    mask)
        [[ "$value" =~ ^[0-9a-f]+(,[0-9a-f]{8})*$ ]]
        return
        ;;
    *) ;;
    esac
    read -r -a has <<<"$value" || true
    read -r -a needs <<<"$want" || true
    [[ "$value" == "${has[*]-}" && "${#has[@]}" == "${#needs[@]}" ]] || return 1
    for index in "${!needs[@]}"; do
        if [[ "${needs[index]}" =~ ^[0-9]+$ ]]; then
            [[ "${has[index]}" =~ ^-?[0-9]{1,20}$ ]] || return 1
        else
            [[ "${has[index]}" =~ ^[a-z0-9][a-z0-9_]{0,31}$ ]] || return 1
        fi
    done
}

# --- what is told ------------------------------------------------------------------

# line <word> <path or name> <what there is to say>
line() { printf '%-9s %s: %s\n' "$1" "$2" "${3:-(empty)}"; }

# differs <path> <what it is> <what it should be>
differs() {
    local word=would
    [[ "$COMMAND" != check ]] || word=wrong
    WRONG_COUNT=$((WRONG_COUNT + 1))
    line "$word" "$1" "${2:-(empty)}, should be ${3:-(empty)}"
}

# refused <path> <why>
refused() {
    WRONG_COUNT=$((WRONG_COUNT + 1))
    line refused "$1" "$2"
}

explain() {
    printf '%s %s %s\n  why:   %s\n  price: %s\n' "$1" "$2" "$3" "$4" "$5"
}

# Something that a script can only look at: what to do about it is for people.
advice() {
    local name="$1" state="$2" text="$3"
    case "$COMMAND" in
    check | explain) line "$state" "$name" "$text" ;;
    *) ;;
    esac
}

# --- knobs -------------------------------------------------------------------------

# knob <file below the root> <rule> <value> <why> <price>
#
# A file that is not there is told and skipped: the kernel or the machine has no
# such thing, so nothing can be wrong with it.
knob() {
    local path="$1" rule="$2" want="$3" why="$4" price="$5"
    case "$COMMAND" in
    explain)
        explain "$path" "$rule" "$want" "$why" "$price"
        return
        ;;
    values)
        if [[ "$path" == /proc/sys/* ]]; then
            local name="${path#/proc/sys/}"
            printf '%s = %s\n' "${name//\//.}" "$want"
        fi
        return
        ;;
    undo)
        KNOB_RULE["$path"]="$rule"
        KNOB_WANT["$path"]="$want"
        return
        ;;
    *) ;;
    esac
    if [[ ! -e "$ROOT$path" ]]; then
        line absent "$path" "not here"
        return
    fi
    local is target
    if ! is="$(cat "$ROOT$path" 2>/dev/null)"; then
        line absent "$path" "it cannot be read here"
        return
    fi
    is="$(words "$is")"
    target="$(wanted "$rule" "$is" "$want")"
    if [[ "$(spelt "$rule" "$is")" == "$target" ]]; then
        line ok "$path" "$is"
    elif [[ "${TAKEN["$path"]-}" == "$target"$'\t'"$is" ]]; then
        line ok "$path" "${is:-(empty)}, which is what this kernel makes of $target"
    elif [[ "$COMMAND" == check || "$DRY_RUN" == yes ]]; then
        differs "$path" "$is" "$target"
    else
        change "$path" "$rule" "$want" "$is" "$target"
    fi
}

# change <path> <rule> <wanted by the script> <what it is> <what to write>
change() {
    local path="$1" rule="$2" want="$3" is="$4" target="$5" now
    if [[ -L "$ROOT$path" ]]; then
        refused "$path" "it is a link"
        return
    fi
    if ! fits "$rule" "$want" "$is"; then
        refused "$path" "it holds ${is:-nothing}, which could not be put back"
        return
    fi
    [[ -w "$ROOT$path" ]] || fail 3 "$path is not writable; run it as root, outside a container"
    save value "$path" "$is"
    if ! write "$path" "$target"; then
        if [[ "$path" != /proc/irq/* ]]; then
            refused "$path" "the kernel did not take $target"
            return
        fi
        # Such an interrupt belongs to its driver, which has spread all of them already.
        save_taken "$path" "$target" "$is"
        line kept "$path" "$is, which is its driver's choice"
        return
    fi
    now="$(words "$(cat "$ROOT$path" 2>/dev/null || true)")"
    if [[ "$(spelt "$rule" "$now")" == "$target" ]]; then
        line changed "$path" "now ${target:-(empty)}"
    else
        # Kernels round and cap: what came out is as near as it gets.
        save_taken "$path" "$target" "$now"
        line changed "$path" "now ${now:-(empty)}, which is what this kernel makes of $target"
    fi
}

write() { { printf '%s\n' "$2" >"$ROOT$1"; } 2>/dev/null; }

# sysctl_knob <name> <rule> <value> <why> <price>
sysctl_knob() {
    knob "/proc/sys/${1//.//}" "$2" "$3" "$4" "$5"
}

# file_knob <source in this folder> <destination> <why> <price>
#
# A whole file of ours that must lie where the system reads it.
file_knob() {
    local source="$1" path="$2" why="$3" price="$4" is=missing
    case "$COMMAND" in
    explain)
        explain "$path" holds "$(basename "$source")" "$why" "$price"
        return
        ;;
    values) return ;;
    undo)
        KNOB_RULE["$path"]="file"
        KNOB_WANT["$path"]="$source"
        return
        ;;
    *) ;;
    esac
    if [[ -L "$ROOT$path" ]] || [[ -e "$ROOT$path" && ! -f "$ROOT$path" ]]; then
        refused "$path" "it is a link or no plain file, and was left alone"
        return
    fi
    if [[ -f "$ROOT$path" ]]; then
        is=different
        if cmp -s "$source" "$ROOT$path"; then
            line ok "$path" "as in $(basename "$source")"
            return
        fi
    fi
    if [[ "$COMMAND" == check || "$DRY_RUN" == yes ]]; then
        differs "$path" "$is" "as in $(basename "$source")"
        return
    fi
    trust_directory "$(dirname "$ROOT$path")" make 0755
    [[ "$is" == missing ]] || save_former "$path"
    save file "$path" "$is"
    place "$source" "$ROOT$path" 0644
    line changed "$path" "now as in $(basename "$source")"
}

# --- undo --------------------------------------------------------------------------

# Every line is held against the knobs before the first one is believed.
refuse_foreign() {
    local index kind path value command="$COMMAND"
    local -A seen=()
    COMMAND=undo
    knobs
    COMMAND="$command"
    for index in "${!SAVED_PATHS[@]}"; do
        kind="${SAVED_KINDS[index]}" path="${SAVED_PATHS[index]}" value="${SAVED_VALUES[index]}"
        [[ -z "${seen["$path"]-}" ]] || foreign "$path" "it is there twice"
        seen["$path"]=yes
        if [[ -z "${KNOB_RULE["$path"]-}" ]]; then
            is_of_a_device_that_is_gone "$path" ||
                foreign "$path" "no knob of $SUBJECT on this machine has this path"
        elif [[ "${KNOB_RULE["$path"]}" == file ]]; then
            [[ "$kind" == file && ("$value" == missing || "$value" == different) ]] ||
                foreign "$path" "a file was missing or different, and not this"
            [[ "$value" == missing ]] || trust_file "$FORMER" || foreign "$path" "its copy is not there"
        else
            if [[ "$kind" != value ]] ||
                ! fits "${KNOB_RULE["$path"]}" "${KNOB_WANT["$path"]}" "$value"; then
                foreign "$path" "its file never holds such a value"
            fi
            [[ ! -L "$ROOT$path" ]] || foreign "$path" "it is a link"
        fi
    done
}

is_of_a_device_that_is_gone() {
    local pattern
    for pattern in ${DEVICE_PATHS[@]+"${DEVICE_PATHS[@]}"}; do
        [[ "$1" =~ $pattern && ! -e "$ROOT$1" ]] && return
    done
    return 1
}

# In reverse order: what was changed last depends on what was changed before it.
undo() {
    if ! trust_directory "$STATE" look 0700 || ! load_saved; then
        refuse_former_directory
        say "$SUBJECT: nothing to undo"
        return
    fi
    refuse_foreign
    local index path value
    for ((index = ${#SAVED_PATHS[@]} - 1; index >= 0; index--)); do
        path="${SAVED_PATHS[index]}" value="${SAVED_VALUES[index]}"
        if [[ ! -e "$ROOT$path" && "${SAVED_KINDS[index]}" == value ]]; then
            line absent "$path" "gone, with nothing to put back"
        elif [[ "$DRY_RUN" == yes ]]; then
            line would "$path" "back to ${value:-(empty)}"
        elif [[ "${SAVED_KINDS[index]}" == value ]]; then
            undo_value "$path" "$value"
        else
            undo_file "$path" "$value"
        fi
    done
    if [[ "$DRY_RUN" == no && "$WRONG_COUNT" == 0 ]]; then
        rm -f -- "$SAVED" "$FORMER"
    fi
}

undo_value() {
    if write "$1" "$2"; then
        line changed "$1" "now ${2:-(empty)}"
    elif [[ "$1" == /proc/irq/* ]]; then
        line kept "$1" "its driver's choice"
    else
        refused "$1" "the kernel did not take $2"
    fi
}

undo_file() {
    local path="$1" value="$2"
    trust_directory "$(dirname "$ROOT$path")" make 0755
    if [[ "$value" == missing ]]; then
        rm -f -- "$ROOT$path"
        line changed "$path" "gone again"
    else
        place "$FORMER" "$ROOT$path" same
        line changed "$path" "as it was"
    fi
}

# --- CPUs ----------------------------------------------------------------------------

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

# --- the command line ------------------------------------------------------------------

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
    case "$COMMAND-$DRY_RUN" in
    -*) usage ;;
    apply-no)
        ! trust_directory "$STATE" look 0700 || open_saved
        refuse_foreign
        knobs
        ;;
    undo-no)
        ! trust_directory "$STATE" look 0700 || open_saved
        undo
        ;;
    undo-yes) undo ;;
    check-* | apply-yes)
        look_at_saved
        knobs
        ;;
    *) knobs ;;
    esac
    case "$COMMAND-$DRY_RUN" in
    check-* | apply-no | undo-no) [[ "$WRONG_COUNT" == 0 ]] || exit 1 ;;
    *) ;;
    esac
}
