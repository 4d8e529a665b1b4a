# shellcheck shell=bash
# What the scripts share. Every script may be run from anywhere, and alone.
set -euo pipefail

# The scripts that source this use them.
# shellcheck disable=SC2034
{
    TOP="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
    VENV="$TOP/target/tools/venv"
    NODE_TESTS="$TOP/tests/sdk/node"
    PYTHON_TESTS="$TOP/tests/sdk/python"
}

say() { printf '%s\n' "$*"; }

die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# Whether a tool that was installed from a lock file is the one the file names now.
# stamp <file of the stamp> <lock file>: true when it is.
stamp_is_fresh() {
    [[ -f "$1" ]] && [[ "$(cat "$1")" == "$(stamp_of "$2")" ]]
}

stamp_of() {
    sha256sum <"$1" | cut -d ' ' -f 1
}
