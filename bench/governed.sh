#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Governed against ungoverned: the same sources, with guard, slot and charge compiled empty on the
# other side. User instructions by callgrind inside the query alone; wall clock as the best of
# ROUNDS (15) interleaved runs.
set -eu
. bench/rows.sh
ROUNDS=${ROUNDS:-15}
graph=$BUILD/snb/manifest.yaml
make -s "$graph" "$BUILD/release/bench/plan_clock"
make -s VARIANT=ungoverned "$BUILD/ungoverned/bench/plan_clock"
governed=$BUILD/release/bench/plan_clock
ungoverned=$BUILD/ungoverned/bench/plan_clock
scratch=$(mktemp -d)

# instructions PROGRAM PLAN GRAPH
instructions() {
    valgrind --tool=callgrind --collect-atstart=no --toggle-collect=measure_plan \
        --callgrind-out-file="$scratch/out" "$1" bench/plans.yaml "$2" "$3" \
        >/dev/null 2>"$scratch/log" || { cat "$scratch/log" >&2; exit 1; }
    sed -n 's/^\(summary\|totals\): *\([0-9]*\).*/\2/p' "$scratch/out" | head -n 1
}

ratio() {
    awk "BEGIN { printf \"%.4f\", $1 / $2 }"
}

# wall PROGRAM PLAN GRAPH
wall() {
    "$1" bench/plans.yaml "$2" "$3" 1 | awk '{ print $3 }'
}

for plan in scan_filter_count two_hops sort distinct aggregate join; do
    with=-
    test "$plan" != two_hops || with=$graph
    a=$(instructions "$governed" "$plan" "$with")
    b=$(instructions "$ungoverned" "$plan" "$with")
    put_row "governed.$plan.instructions" "$a" Ir "$b" "$(ratio "$a" "$b")"
    best_a=0 best_b=0 round=0
    while [ "$round" -lt "$ROUNDS" ]; do
        a=$(wall "$governed" "$plan" "$with")
        b=$(wall "$ungoverned" "$plan" "$with")
        if [ "$best_a" = 0 ] || [ "$a" -lt "$best_a" ]; then best_a=$a; fi
        if [ "$best_b" = 0 ] || [ "$b" -lt "$best_b" ]; then best_b=$b; fi
        round=$((round + 1))
    done
    put_row "governed.$plan.wall" "$best_a" ns "$best_b" "$(ratio "$best_a" "$best_b")"
done
rm -rf "$scratch"
finish governed
