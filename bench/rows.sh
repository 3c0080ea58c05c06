# SPDX-License-Identifier: Apache-2.0
#
# Shared by the benchmarks: put_row collects {name, value, unit, against, ratio, goal, reached};
# finish prints the table and writes build/bench/NAME.json. Goals are literals in bench/goals.tsv;
# a row without one there is an error.

rows_file=$(mktemp)
trap 'rm -f "$rows_file"' EXIT

# put_row NAME VALUE UNIT AGAINST RATIO   ("-": none; a VALUE "-" was not measured)
put_row() {
    goal=$(awk -F '\t' -v name="$1" '$1 == name { print $2 "\t" $3 }' bench/goals.tsv)
    if [ -z "$goal" ]; then
        echo "bench: no goal for '$1' in bench/goals.tsv" >&2
        exit 1
    fi
    printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" "$5" "$goal" >>"$rows_file"
}

# finish NAME: judged by the ratio where there is one, else by the value.
finish() {
    out=$BUILD/bench/$1.json
    awk -F '\t' -v out="$out" '
        function shown(x) { return x == "-" ? "null" : x }
        BEGIN {
            printf "%-44s %16s %-8s %16s %8s %6s %s\n", \
                "name", "value", "unit", "against", "ratio", "goal", "reached"
            printf "[" >out
        }
        {
            judged = $5 == "-" ? $2 : $5
            met = $7 == "max" ? judged + 0 <= $6 + 0 : judged + 0 >= $6 + 0
            reached = $6 == "-" || judged == "-" ? "-" : met ? "yes" : "no"
            printf "%-44s %16s %-8s %16s %8s %6s %s\n", $1, $2, $3, $4, $5, $6, reached
            printf "%s\n{\"name\":\"%s\",\"value\":%s,\"unit\":\"%s\",\"against\":%s", \
                NR == 1 ? "" : ",", $1, shown($2), $3, shown($4) >out
            printf ",\"ratio\":%s,\"goal\":%s,\"reached\":%s}", shown($5), shown($6), \
                reached == "-" ? "null" : reached == "yes" ? "true" : "false" >out
        }
        END { printf "\n]\n" >out }' "$rows_file"
    echo "written: $out"
}
