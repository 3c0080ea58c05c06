#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Queries that do not fit, under limits down to 3.1% of what they would take: do they complete with
# the same rows, what is resident beside the limit, what do they write, and how much longer do they
# take. Each cell is a process of its own, ROUNDS times (7; shapes that no peer runs: 3),
# interleaved.
#
# PEERS=1: beside DuckDB, one thread each, at the same limits in the same rounds.
# SCALE (1): of all rows and limits. As root, one cell per shape runs again in a memory control
# group of limit + 64 MiB, so that the page cache cannot hide what was written.
# DIRECTORY ($BUILD/bench/spill): where runs are written.
set -eu
. bench/rows.sh
ROUNDS=${ROUNDS:-7}
SCALE=${SCALE:-1}
directory=${DIRECTORY:-$PWD/$BUILD/bench/spill}
case $BUILD in /*) directory=${DIRECTORY:-$BUILD/bench/spill} ;; esac
program=$BUILD/release/bench/spill
make -s "$program"
mkdir -p "$directory"
scratch=$(mktemp -d)
beside_peers="sort aggregate distinct join"
others="collect held_rescan held_order strings lists hops_distinct hops_group hops_order"
"$program" graph "$SCALE" "$directory"

# cells ROUNDS [OPTION]... -- SHAPE...
cells() {
    rounds=$1
    shift
    options=
    while [ "$1" != -- ]; do
        options="$options $1"
        shift
    done
    shift
    for shape in "$@"; do
        echo "spill: $shape" >&2
        # shellcheck disable=SC2086
        "$program" cells -s "$SCALE" -r "$rounds" $options "$directory" "$shape" ||
            echo "spill: $shape is not as it must be" >&2
    done
}

peer=
if [ "${PEERS:-0}" = 1 ]; then
    if peer=$(bench/peers/duckdb.sh); then
        # shellcheck disable=SC2086
        set -- $peer
        peer="-p $1 -l $2"
    else
        echo "spill: duckdb is not measured" >&2
    fi
fi
# shellcheck disable=SC2086
{
    cells "$ROUNDS" $peer -- $beside_peers
    cells $((ROUNDS < 3 ? ROUNDS : 3)) -- $others
} >"$scratch/cells"

# ---- the rows of the table: name value unit against ratio
awk -F '\t' '
    function ratio(a, b) { return a == "-" || b == "-" || b == 0 ? "-" : sprintf("%.3f", a / b) }
    function ms(ns) { return ns == "-" || ns == "" ? "-" : sprintf("%.0f", ns / 1e6) }
    function mib(bytes) {
        return bytes == "-" || bytes == "" ? "-" : sprintf("%.1f", bytes / 1048576)
    }
    function less(a, b) { return a == "-" || b == "" ? "-" : a - b }
    NR == FNR {
        if ($1 == "generate") { rows_ns[$2] = $3; its_rows_ns[$2] = $4 }
        if ($1 == "cell" && $3 == "unlimited") unlimited_ns[$2] = $8
        next
    }
    $1 == "cell" {
        for (i = 5; i <= 11; i++) if ($i == "") $i = "-"
        name = "spill." $2 "." $3 "."
        printf "%scomplete\t%d\t%%\t-\t-\n", name, $4 == "ok" || $4 ~ /^resident|^starts/ ? 100 : 0
        printf "%sresident\t%s\tMiB\t%s\t%s\n", name, mib($6), mib($7), ratio($6, $7)
        printf "%swall\t%s\tms\t%s\t%s\n", name, ms($8), ms(unlimited_ns[$2]), \
            ratio($8, unlimited_ns[$2])
        printf "%sspilled\t%s\tMiB\t-\t-\n", name, mib($9)
        if (!($2 ~ /^(sort|aggregate|distinct|join)$/) || $3 ~ /%$/ || $3 == "16MiB") next
        its = $10
        printf "%sduckdb\t%s\tms\t%s\t%s\n", name, ms($8), ms(its), ratio($8, its)
        net = less($8, rows_ns[$2]); its_net = less(its, its_rows_ns[$2])
        printf "%sduckdb_net\t%s\tms\t%s\t%s\n", name, ms(net), ms(its_net), ratio(net, its_net)
        printf "%sduckdb_resident\t%s\tMiB\t%s\t%s\n", name, mib($11), \
            $5 == "-" ? "-" : mib($5), ratio($11, $5)
    }' "$scratch/cells" "$scratch/cells" >"$scratch/rows"

# ---- one cell per shape in a control group of limit + 64 MiB
groups=/sys/fs/cgroup/memory/ration-spill-$$
: >"$scratch/grouped"
if mkdir "$groups" 2>/dev/null; then
    # shellcheck disable=SC2086
    cells 1 -g "$groups" -- $beside_peers $others >"$scratch/grouped"
    rmdir "$groups"
else
    echo "spill: no control group can be made here, cells in one are not measured" >&2
fi
for shape in $beside_peers $others; do
    verdict=$(awk -F '\t' -v shape="$shape" '$2 == shape { print $4 == "ok" ? 100 : 0 }' \
        "$scratch/grouped")
    printf 'spill.%s.grouped\t%s\t%%\t-\t-\n' "$shape" "${verdict:--}" >>"$scratch/rows"
done

# ---- queries at the same time
# together MODE COUNT GROUPS LIMIT_MIB
together() {
    "$program" "$1" "$2" "$(awk "BEGIN { printf \"%d\", $3 * $SCALE }")" \
        "$(awk "BEGIN { printf \"%d\", $4 * 1048576 * $SCALE }")" "$directory"
}
# field NAME LINE
field() {
    echo "$2" | tr ' ' '\n' | sed -n "s/^$1=//p"
}
wall=0 alone=0 jain=0 complete=100 over=0 round=0
while [ "$round" -lt $((ROUNDS < 3 ? ROUNDS : 3)) ]; do
    echo "spill: 8 at once" >&2
    all=$(together together 8 5000000 128)
    each=$(together in_turn 8 5000000 128)
    test "$(field complete "$all")" = 8 || complete=0
    now=$(field wall_ns "$all")
    if [ "$wall" = 0 ] || [ "$now" -lt "$wall" ]; then
        wall=$now jain=$(field jain "$all") over=$(field over_bytes "$all")
    fi
    now=$(field wall_ns "$each")
    if [ "$alone" = 0 ] || [ "$now" -lt "$alone" ]; then alone=$now; fi
    round=$((round + 1))
done
many=$(together together 64 1000000 128)
limit=$(awk "BEGIN { printf \"%d\", 128 * 1048576 * $SCALE }")
awk "BEGIN {
    allowed = $limit + ($limit / 50 > 2097152 ? $limit / 50 : 2097152)
    printf \"spill.at_once_8.complete\t%d\t%%\t-\t-\n\", $complete
    printf \"spill.at_once_8.wall\t%.0f\tms\t%.0f\t%.3f\n\", $wall / 1e6, $alone / 1e6, \
        $wall / $alone
    printf \"spill.at_once_8.jain\t%s\tratio\t-\t-\n\", \"$jain\"
    printf \"spill.at_once_8.resident\t%.1f\tMiB\t%.1f\t%.3f\n\", $over / 1048576, \
        allowed / 1048576, $over / allowed
    printf \"spill.at_once_64.complete\t%d\t%%\t-\t-\n\", \
        $(field complete "$many") / 64 * 100
    over = $(field over_bytes "$many")
    printf \"spill.at_once_64.resident\t%.1f\tMiB\t%.1f\t%.3f\n\", over / 1048576, \
        allowed / 1048576, over / allowed
    printf \"spill.at_once_64.wall\t%.0f\tms\t-\t-\n\", $(field wall_ns "$many") / 1e6
}" >>"$scratch/rows"

while read -r name value unit against ratio; do
    put_row "$name" "$value" "$unit" "$against" "$ratio"
done <"$scratch/rows"
rm -rf "$scratch"
finish spill
