#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tools/run-tests counts cases, shows failures in full, and never passes what it did not see pass.
. tests/support.sh

# program NAME: a test program from stdin.
program() {
    { echo '#!/bin/sh' && cat; } >"$scratch/$1"
    chmod +x "$scratch/$1"
}
counted='echo "100%: Checks: 12, Failures: 0, Errors: 0"'

begin "adds up the cases of programs"
program good <<<"$counted"
program plain <<<'exit 0'
run tools/run-tests "$scratch/good" "$scratch/plain"
expect_code 0
expect_out "13 passed, 0 failed, 0 skipped"

begin "shows a failure in full"
program bad <<'END'
echo "bad.c:7:F:core:one: expected 1"
echo "50%: Checks: 4, Failures: 1, Errors: 1"
exit 1
END
run tools/run-tests "$scratch/bad" "$scratch/good"
expect_code 1
expect_out "bad.c:7:F:core:one: expected 1"
expect_out "14 passed, 2 failed, 0 skipped"
expect_out "failed: $scratch/bad"

begin "tells why a case was skipped, and does not count it as passed"
program skips <<<"echo 'skipped: no data'; $counted"
run tools/run-tests "$scratch/skips"
expect_code 0
expect_out "1 x skipped: no data"
expect_out "11 passed, 0 failed, 1 skipped"

begin "counts a program that exits with 77 as skipped"
program absent <<<'echo "skipped: no valgrind"; exit 77'
run tools/run-tests "$scratch/absent"
expect_code 0
expect_out "0 passed, 0 failed, 1 skipped"

for fate in 'kill -SEGV $$' 'exit 1' "$counted; exit 3"; do
    begin "fails a program that ends by: $fate"
    program dies <<<"$fate"
    run tools/run-tests "$scratch/dies"
    expect_code 1
    expect_out "1 failed"
done

begin "fails a program that is not there"
run tools/run-tests "$scratch/nowhere"
expect_code 1
expect_out "0 passed, 1 failed"

begin "stops a program that does not end"
program hangs <<<'exec sleep 100'
TEST_SECONDS=1 run tools/run-tests "$scratch/hangs"
expect_code 1
expect_out "stopped after 1 seconds"

begin "tools/deps names what is missing, and where it cannot install gives up with 5"
run env DEPS_SYSTEM=none PKG_CONFIG_LIBDIR="$scratch" PKG_CONFIG_PATH= tools/deps build
expect_code 5
expect_err "library yaml-0.1 (Debian: libyaml-dev)"
expect_err "library libxxhash (Debian: libxxhash-dev)"
expect_err "library check (Debian: check)"

begin "tools/deps asks for spin and g++ for the tests, not for the build"
run env DEPS_SYSTEM=none PATH="$scratch" "$root/tools/deps" test
expect_code 5
expect_err "command spin (Debian: spin)"
expect_err "command g++ (Debian: g++)"
run env DEPS_SYSTEM=none PATH="$scratch" "$root/tools/deps" build
expect_code 5
! grep -q -e spin -e g++ -e malloc "$scratch/err" || fail "asked for the build"
run env DEPS_SYSTEM=none PATH="$scratch" "$root/tools/deps" bench
expect_code 5
expect_err "command valgrind (Debian: valgrind)"
! grep -q -e spin -e g++ "$scratch/err" || fail "asked for the benchmarks"
run tools/deps tests
expect_code 2

begin "tools/deps is silent when all is there"
run tools/deps build
expect_code 0
expect_silence
expect_exactly ""
finish
