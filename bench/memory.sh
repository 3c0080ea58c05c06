#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What allocating costs under a governor, beside malloc, mimalloc and jemalloc: times of ROUNDS (11)
# interleaved rounds, bytes taken and given back, and instructions by callgrind.
# PEERS=1: also beside PostgreSQL's contexts, in a server of its own (bench/peers/postgresql.sh).
set -eu
. bench/rows.sh
ROUNDS=${ROUNDS:-11}
tools/deps bench || echo "memory: peers that are missing are not measured" >&2
make -s "$BUILD/release/bench/memory"
program=$BUILD/release/bench/memory
scratch=$(mktemp -d)
# Room for the thread-local area of an allocator that is loaded beside the C library's.
GLIBC_TUNABLES=glibc.rtld.optional_static_tls=16384
export GLIBC_TUNABLES

# instructions WHAT TURNS
instructions() {
    valgrind --tool=callgrind --collect-atstart=no --toggle-collect=count_turns \
        --callgrind-out-file="$scratch/out" "$program" count "$1" "$2" \
        >/dev/null 2>"$scratch/log" || { cat "$scratch/log" >&2; exit 1; }
    sed -n 's/^\(summary\|totals\): *\([0-9]*\).*/\2/p' "$scratch/out" | head -n 1
}

# per_turn WHAT: of one turn of the loop, by the difference of two lengths
per_turn() {
    short=$(instructions "$1" 100000)
    long=$(instructions "$1" 200000)
    awk "BEGIN { printf \"%.2f\", ($long - $short) / 100000 }"
}

"$program" "$ROUNDS" >"$scratch/rows"
while read -r name value unit against ratio; do
    put_row "$name" "$value" "$unit" "$against" "$ratio"
done <"$scratch/rows"

if [ "${PEERS:-0}" = 1 ]; then
    ROUNDS=$ROUNDS BUILD=$BUILD bench/peers/postgresql.sh >"$scratch/postgresql" ||
        echo "memory: postgresql is not measured" >&2
fi
touch "$scratch/postgresql"
for what in pair working working.p50 working.p99 working.p999 batch20 create_delete \
    million.fresh million.warm million.reset space.blocks; do
    unit=ns
    test "$what" != space.blocks || unit=%
    row=$(grep "^memory.$what.postgresql	" "$scratch/postgresql" ||
        echo "memory.$what.postgresql - $unit - -")
    # shellcheck disable=SC2086
    put_row $row
done

loop=-
if command -v valgrind >/dev/null; then
    loop=$(per_turn empty)
else
    echo "instructions: not measured, valgrind is missing (apt-get install valgrind)" >&2
fi
for what in pair bump create_delete; do
    own=-
    test "$loop" = - || own=$(awk "BEGIN { printf \"%.2f\", $(per_turn $what) - $loop }")
    put_row "memory.instructions.$what" "$own" Ir - -
done
rm -rf "$scratch"
finish memory
