# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
#
# What shell tests share; sourced by tests/*/test_*.sh, which tools/run-tests starts in the root of
# the project.
#
#     begin "does this"; run ration check x.yaml; expect_code 3; expect_out "x.yaml:1:1"
#     ...
#     finish
#
# A case fails with its first unmet expectation, which is printed; the others go on.
set -u
root=$PWD
export RATION=${RATION:-build/ration}
case $RATION in /*) ;; *) RATION=$root/$RATION ;; esac
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset COLUMNS NO_COLOR
# Alone, a test divides the machine with nobody else either; tools/run-tests gives each a folder.
if [ -z "${RATION_REGISTRY_DIRECTORY:-}" ]; then
    mkdir -m 700 "$scratch/.registry"
    export RATION_REGISTRY_DIRECTORY=$scratch/.registry
fi
: >"$scratch/out" >"$scratch/err"
cases=0 failures=0 current='' failed_already=''

begin() {
    current=$1 failed_already=''
    cases=$((cases + 1))
}

# Runs a command; afterwards: code, $scratch/out, $scratch/err.
run() {
    "$@" >"$scratch/out" 2>"$scratch/err" </dev/null
    code=$?
}

ration() {
    "$RATION" "$@"
}

fail() {
    test -z "$failed_already" || return 0
    failed_already=yes
    failures=$((failures + 1))
    echo "FAILED: $current: $1"
    sed 's/^/    out: /' "$scratch/out" | head -n 20
    sed 's/^/    err: /' "$scratch/err" | head -n 20
}

expect_code() {
    test "$code" = "$1" || fail "exit code $code, not $1"
}

# The text occurs on stdout, on stderr.
expect_out() {
    grep -qF -- "$1" "$scratch/out" || fail "stdout lacks '$1'"
}
expect_err() {
    grep -qF -- "$1" "$scratch/err" || fail "stderr lacks '$1'"
}
expect_silence() {
    test ! -s "$scratch/err" || fail "stderr is not empty"
}
# stdout is exactly this text.
expect_exactly() {
    printf '%s' "$1" | cmp -s - "$scratch/out" || fail "stdout is not: $1"
}

finish() {
    local percent=$((cases == 0 ? 0 : 100 * (cases - failures) / cases))
    echo "$percent%: Checks: $cases, Failures: $failures, Errors: 0"
    test "$failures" = 0
    exit
}
