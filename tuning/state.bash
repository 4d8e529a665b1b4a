# shellcheck shell=bash
# Where the tuning scripts keep what was there before, and whether it may be believed.
#
# Root reads this and writes to /proc, /sys and /etc by it, so whoever can write it is
# root. It lies where only root can write: the state directory and each directory above
# it belong to root, are no links, and are not writable for group or others (a directory
# above may be so with the sticky bit, like /tmp, in which nobody moves what is root's).
# That is looked at from / downwards, so nobody else can change what was looked at.
# Files are made under new names and moved into place, and are believed only if they are
# plain, root's, not writable for others, and have no second name.
#
# A run that is not root's keeps its own, and believes its own user, too: tests, and who
# tries it on a tree of files.
#
# `<subject>.saved` has a line for each thing that was changed:
#   value <path> <what it held>      file <path> missing | different
#   taken <path> <what was written> <what the kernel made of it>
# with a tab between, and `<subject>.former` is the file that was different.

# Where former values wait for undo.
STATE="${ROOKERY_TUNING_STATE:-/var/lib/rookery-tuning}"
# Where older versions kept them: the server's user can write there.
FORMER_STATE="$ROOT/var/lib/rookery/tuning"
SAVED="$STATE/$SUBJECT.saved"
FORMER="$STATE/$SUBJECT.former"
SAVED_BYTES_MAX=1048576

STATE_LOCK=""
SAVED_KINDS=()
SAVED_PATHS=()
SAVED_VALUES=()
# By path: what was written, a tab, and what the kernel made of it.
declare -A TAKEN=()

# Types of files, as stat's %f has them.
IS_LINK=$((8#120000))
IS_DIRECTORY=$((8#040000))
IS_PLAIN=$((8#100000))

# lstat <path>: sets OWNER, TYPE, MODE and NAMES of the entry itself, links not followed.
lstat() {
    local raw
    read -r OWNER raw NAMES < <(stat -c '%u %f %h' -- "$1" 2>/dev/null) || return 1
    TYPE=$((16#$raw & 8#170000))
    MODE=$((16#$raw & 8#7777))
}

distrust() {
    fail 4 "$1: $2. Nothing was written. What root does by it must lie where root alone can write."
}

# trust_entry <path>: fails unless the entry that lstat saw is ours alone.
trust_entry() {
    [[ "$TYPE" != "$IS_LINK" ]] || distrust "$1" "it is a symbolic link"
    [[ "$OWNER" == 0 || "$OWNER" == "$EUID" ]] || distrust "$1" "it belongs to user $OWNER"
}

# trust_directory <path> <make | look> <mode of one that is made>
#
# Says whether it is there, and fails when others could write to what lies in it.
trust_directory() {
    local whole="$1" way="$2" mode="$3" path="" part
    local -a parts
    [[ "$whole" == /* && "$whole" != *$'\n'* && "$whole/" != */../* && "$whole/" != */./* ]] ||
        fail 2 "$whole: a directory is named by its whole path, without . and .."
    IFS=/ read -r -a parts <<<"${whole#/}"
    for part in "" "${parts[@]}"; do
        [[ -n "$part" || -z "$path" ]] || continue
        path="${path%/}/$part"
        if ! lstat "$path"; then
            [[ "$way" == make ]] || return 1
            # Where another one was first, what it made is looked at.
            mkdir -m "$([[ "$path" == "$whole" ]] && echo "$mode" || echo 0755)" -- "$path" 2>/dev/null || true
            lstat "$path" || fail 3 "cannot make $path; run it as root"
        fi
        trust_entry "$path"
        [[ "$TYPE" == "$IS_DIRECTORY" ]] || fail 3 "$path is no directory, and cannot be used; run it as root, with another one"
        if ((MODE & 8#022)) && { [[ "$path" == "${whole%/}" ]] || ! ((MODE & 8#1000)); }; then
            distrust "$path" "others can write to it (mode $(printf '%o' "$MODE"))"
        fi
    done
}

# trust_file <path>: whether it is there; fails when others could have written it.
trust_file() {
    lstat "$1" || return 1
    trust_entry "$1"
    [[ "$TYPE" == "$IS_PLAIN" ]] || distrust "$1" "it is no plain file"
    [[ "$NAMES" == 1 ]] || distrust "$1" "it has $NAMES names (hard links)"
    ((!(MODE & 8#022))) || distrust "$1" "others can write to it (mode $(printf '%o' "$MODE"))"
}

# open_saved: the state directory, made where it is not there, is ours alone from here on.
# Two scripts at once would both save, and one of them what the other wrote.
open_saved() {
    [[ -z "$STATE_LOCK" ]] || return 0
    trust_directory "$STATE" make 0700
    exec {STATE_LOCK}<"$STATE" || fail 3 "cannot read $STATE; run it as root"
    flock -w 60 "$STATE_LOCK" || fail 3 "another tuning script has been at work for a minute"
    # What a killed one left behind.
    rm -f -- "$STATE/.$SUBJECT."*
    load_saved || true
}

is_saved() {
    local path
    for path in ${SAVED_PATHS[@]+"${SAVED_PATHS[@]}"}; do
        [[ "$path" != "$1" ]] || return 0
    done
    return 1
}

# foreign <path> <why>: what no `apply` of this script has saved.
foreign() {
    fail 4 "$SAVED: a line for $(printf '%q' "$1") was not written by this script here: $2. Nothing was changed. \
If another version or machine wrote it, use that one's undo, or look at the file and take the line out."
}

# load_saved: whether there is something; fails when it is not of this form.
load_saved() {
    local text path
    SAVED_KINDS=() SAVED_PATHS=() SAVED_VALUES=() TAKEN=()
    trust_file "$SAVED" || return 1
    [[ -r "$SAVED" ]] || fail 3 "cannot read $SAVED; run it as root"
    [[ "$(stat -c %s -- "$SAVED")" -le "$SAVED_BYTES_MAX" ]] || distrust "$SAVED" "it is too long"
    [[ "$(tr -d '\11\12\40-\176' <"$SAVED" | wc -c)" == 0 ]] ||
        distrust "$SAVED" "it holds bytes that no value has"
    local changed=$'^(value|file)\t([^\t]+)\t([^\t]*)$'
    local taken=$'^taken\t([^\t]+)\t([^\t]*)\t([^\t]*)$'
    while IFS= read -r text || [[ -n "$text" ]]; do
        if [[ "$text" =~ $changed ]]; then
            SAVED_KINDS+=("${BASH_REMATCH[1]}")
            SAVED_PATHS+=("${BASH_REMATCH[2]}")
            SAVED_VALUES+=("${BASH_REMATCH[3]}")
        elif [[ "$text" =~ $taken ]]; then
            path="${BASH_REMATCH[1]}"
            TAKEN["$path"]="${BASH_REMATCH[2]}"$'\t'"${BASH_REMATCH[3]}"
        else
            foreign "${text:0:80}" "it is not of the form that apply writes"
        fi
    done <"$SAVED"
    [[ -z "$(tail -c 1 -- "$SAVED")" ]] || distrust "$SAVED" "its last line is cut off"
}

# For `check`, which anybody may run: what cannot be read or believed is not used.
look_at_saved() {
    [[ -d "$STATE" ]] || return 0
    if [[ ! -x "$STATE" ]] || [[ -e "$SAVED" && ! -r "$SAVED" ]]; then
        say "$SUBJECT: $SAVED cannot be read, so values that the kernel rounds may count as wrong" >&2
    elif [[ ! -e "$SAVED" && ! -L "$SAVED" ]]; then
        return 0
    elif (trust_directory "$STATE" look 0700 && load_saved); then
        load_saved
    fi
}

# store_saved: writes all lines anew, and moves the file into the old one's place.
store_saved() {
    local file index path
    file="$(mktemp -- "$STATE/.$SUBJECT.XXXXXXXXXX")" || fail 3 "cannot write to $STATE; run it as root"
    if ! {
        for index in "${!SAVED_PATHS[@]}"; do
            printf '%s\t%s\t%s\n' "${SAVED_KINDS[index]}" "${SAVED_PATHS[index]}" "${SAVED_VALUES[index]}"
        done
        for path in "${!TAKEN[@]}"; do
            printf 'taken\t%s\t%s\n' "$path" "${TAKEN["$path"]}"
        done
    } >"$file" || ! mv -T -- "$file" "$SAVED"; then
        fail 3 "cannot write to $STATE; run it as root"
    fi
}

# save <kind> <path> <value>: once, as a second `apply` must not take our value for the former.
save() {
    open_saved
    ! is_saved "$2" || return 0
    SAVED_KINDS+=("$1")
    SAVED_PATHS+=("$2")
    SAVED_VALUES+=("$3")
    store_saved
}

# save_taken <path> <what was written> <what the kernel made of it>
save_taken() {
    TAKEN["$1"]="$2"$'\t'"$3"
    store_saved
}

# save_former <path>: a copy of a file that is about to be replaced; the first one stays.
save_former() {
    local file
    open_saved
    ! is_saved "$1" || return 0
    if ! file="$(mktemp -- "$STATE/.$SUBJECT.XXXXXXXXXX")" ||
        ! cp -p -- "$ROOT$1" "$file" || ! mv -T -- "$file" "$FORMER"; then
        fail 3 "cannot write to $STATE; run it as root"
    fi
}

# place <source> <destination> <mode | same>: the whole new file, or the old one; never
# through a link, since a name is moved over whatever the name was before.
place() {
    local file
    local -a how=(--no-preserve=all)
    [[ "$3" != same ]] || how=(-p)
    if ! file="$(mktemp -- "$(dirname "$2")/.rookery.XXXXXXXXXX" 2>/dev/null)" ||
        ! cp "${how[@]}" -- "$1" "$file" ||
        ! { [[ "$3" == same ]] || chmod -- "$3" "$file"; } ||
        ! mv -T -- "$file" "$2"; then
        [[ -z "$file" ]] || rm -f -- "$file"
        fail 3 "cannot write $2; run it as root"
    fi
}

# Older versions kept their state where the server's user can write. It is not read.
refuse_former_directory() {
    [[ -e "$FORMER_STATE/$SUBJECT.saved" || -L "$FORMER_STATE/$SUBJECT.saved" ]] || return 0
    fail 4 "an older version has saved values in $FORMER_STATE, where the server's user can write, \
so they are not read. Look at $FORMER_STATE/$SUBJECT.saved; if its lines are what you expect: \
install -d -m 0700 $STATE && install -m 0600 $FORMER_STATE/$SUBJECT.* $STATE/, then undo again. \
If not, remove it; a reboot undoes all but /etc/security/limits.d/90-rookery.conf."
}
