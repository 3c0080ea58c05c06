# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
#
# What the tests here share: the program bench/spill.c (SPILL; `make test` builds it) and a folder
# on a file system that is not memory.
. tests/support.sh
SPILL=${SPILL:-build/release/bench/spill}
test -x "$SPILL" || {
    echo "$SPILL is missing: make $SPILL" >&2
    exit 1
}
all_shapes="sort aggregate distinct join collect held_rescan held_order strings lists
    hops_distinct hops_group hops_order"
place=$(mktemp -d "${SPILL%/*}/spill-XXXXXX")
place=$(cd "$place" && pwd)
trap 'rm -rf "$scratch" "$place"' EXIT

# judge_cells COUNT: each line of $scratch/out is a case; there are COUNT of them.
judge_cells() {
    local shape name verdict rest lines=0
    while IFS=$'\t' read -r _ shape name verdict rest; do
        begin "$shape at $name"
        lines=$((lines + 1))
        test "$verdict" = ok || {
            failures=$((failures + 1))
            echo "FAILED: $shape at $name: $verdict (limit, over start, allowed: $rest)"
        }
    done < <(grep '^cell' "$scratch/out")
    begin "all cells are there"
    test "$lines" = "$1" || fail "$lines cells, not $1"
}
