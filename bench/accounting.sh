#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What accounting costs beside the other ways to count bytes: walls of ROUNDS (11) interleaved
# rounds, and the instructions of charge and release by callgrind.
set -eu
. bench/rows.sh
ROUNDS=${ROUNDS:-11}
make -s "$BUILD/release/bench/accounting"
program=$BUILD/release/bench/accounting
scratch=$(mktemp -d)

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

loop=-
if command -v valgrind >/dev/null; then
    loop=$(per_turn empty)
else
    echo "instructions: not measured, valgrind is missing (apt-get install valgrind)" >&2
fi
for what in charge release plain plain_limited; do
    own=-
    test "$loop" = - || own=$(awk "BEGIN { printf \"%.2f\", $(per_turn $what) - $loop }")
    put_row "accounting.instructions.$what" "$own" Ir - -
done
rm -rf "$scratch"
finish accounting
