# shellcheck shell=bash
# What the scripts share. Every script may be run from anywhere, and alone.
set -euo pipefail

# The scripts that source this use them.
# shellcheck disable=SC2034
{
    TOP="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
    VENV="$TOP/target/tools/venv"
    NODE_TESTS="$TOP/tests/external/sdk/node"
    WEB_TESTS="$TOP/tests/external/web"
    PYTHON_TESTS="$TOP/tests/external/sdk/python"
    ALERT_TESTS="$TOP/tests/external/alertmanager"
    EXPOSITION_TESTS="$TOP/tests/external/exposition"
    SITE_TESTS="$TOP/tests/external/site"
    LOG_TESTS="$TOP/tests/external/log"
}

say() { printf '%s\n' "$*"; }

die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# The oldest Node that the packages of this project take.
need_node_18() {
    local major
    major="$(node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/')"
    [[ "${major:-0}" -ge 18 ]] ||
        die "Node 18 or newer is needed, found $(node --version 2>/dev/null || echo none)"
}

# install_npm <folder with a package-lock.json>: its packages, as that pins them.
install_npm() {
    local stamp="$1/node_modules/.rookery-stamp"
    stamp_is_fresh "$stamp" "$1/package-lock.json" && return
    say "installing the npm packages of ${1#"$TOP/"}"
    npm ci --prefix "$1" --no-audit --no-fund --no-update-notifier --ignore-scripts \
        --loglevel=error </dev/null
    stamp_of "$1/package-lock.json" >"$stamp"
}

# Whether what was installed from lock files is what they name now.
# stamp_is_fresh <file of the stamp> <lock file>...: true when it is.
stamp_is_fresh() {
    local stamp="$1"
    shift
    [[ -f "$stamp" ]] && [[ "$(cat "$stamp")" == "$(stamp_of "$@")" ]]
}

stamp_of() {
    cat -- "$@" | sha256sum | cut -d ' ' -f 1
}
