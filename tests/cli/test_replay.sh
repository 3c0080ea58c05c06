#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# `ration replay`: reports, thresholds, result files, interruption, the deepest plan on a worker.
. tests/support.sh
cd "$scratch" || exit 1

cat >plans.yaml <<'END'
parameters: { n: 100 }
plans:
  numbers:
    pipeline:
      - range: { rows: $n, columns: { i: sequence } }
      - sort: [i desc]
  bad:
    pipeline:
      - range: { rows: 3, columns: { i: sequence } }
      - project: { x: "1 / (i - i)" }
  endless:
    pipeline:
      - range: { rows: 1000000000000, columns: { i: sequence } }
      - filter: i < 0
END
{
    echo "  deep:"
    echo "    pipeline:"
    echo "      - range: { rows: 100, columns: { i: sequence } }"
    for ((i = 0; i < 127; i++)); do
        echo "      - filter: i >= 0"
        echo "      - project: { i: i + 1 }"
    done
    echo "      - sort: [i]"
} >>plans.yaml

# workload QUERY...: a workload of these queries, written to w.yaml.
workload() {
    echo "plans: plans.yaml"
    echo "count: 20"
    echo "arrivals: { process: uniform, rate: 2000 }"
    echo "queries:"
    printf '  - %s\n' "$@"
} >w.yaml

begin "reports what completed and what the pools hold"
workload '{ plan: numbers }'
run ration replay w.yaml --quiet
expect_code 0
expect_out "all                              20        20        0       0"
expect_out "not completed  none"
expect_out "pool queries holds 0 bytes; audit ok"

begin "the same seed gives the same checksum"
sum=$(grep checksum "$scratch/out")
run ration replay w.yaml --quiet --concurrency 7
expect_out "$sum"

begin "the deepest plan runs on a worker's stack"
workload '{ plan: deep }'
run ration replay w.yaml --quiet
expect_code 0
expect_out "not completed  none"

begin "a limit refuses, explains and ends with 0"
workload '{ plan: numbers, limit_bytes: 64KiB }'
run ration replay w.yaml --quiet --results results.csv
expect_code 0
expect_out "not completed  MINIMUM_ABOVE_LIMIT 20"
expect_out "memory limit exceeded: "
expect_out "raise limit_bytes of the query to at least"

begin "queries run in their groups, and the report shows them"
printf 'groups:\n  reports: { queries_max: 1, priority: 2 }\n' >groups.yaml
printf '  small: { limit_bytes: 16KiB }\n' >>groups.yaml
workload '{ plan: numbers, group: reports }'
run ration replay w.yaml --quiet --config groups.yaml --concurrency 4
expect_code 0
expect_out "not completed  none"
expect_out "groups         reports: peak "
expect_out "               small: peak 0 B of 16 KiB, refused there 0"
run ration replay w.yaml --quiet --config groups.yaml --json
expect_out '"group":"reports"'
expect_out '"groups":[{"name":"reports",'
workload '{ plan: numbers, group: small }'
run ration replay w.yaml --quiet --config groups.yaml
expect_out "raise groups.small.limit_bytes to at least"

begin "a group that is not there is told with its place"
workload '{ plan: numbers, group: report }'
run ration replay w.yaml --quiet --config groups.yaml
expect_code 3
expect_err "w.yaml:5:5: error: there is no group 'report' (did you mean 'reports'?)"
run ration replay w.yaml --quiet
expect_code 3
expect_err "there is no group 'report' (memory.yaml names none)"

begin "every refusal is in the result file"
workload '{ plan: numbers, limit_bytes: 64KiB }'
run ration replay w.yaml --quiet --results results.csv
run awk -F, '$3 == "MINIMUM_ABOVE_LIMIT" && $9 == 65536 &&
    $10 + $11 > $9 && $12 != "" && $15 != ""' \
    results.csv
test "$(wc -l <"$scratch/out")" = 20 || fail "not 20 complete refusals"

begin "a missed threshold ends with 4, a query that never completed misses latencies"
run ration replay w.yaml --quiet --fail-if 'refused>50%'
expect_code 4
expect_out "MISS  refused>50%: 100.000%"
run ration replay w.yaml --quiet --fail-if 'p99>1s'
expect_code 4
run ration replay w.yaml --quiet --fail-if 'failed>0' --fail-if 'peak>1GiB'
expect_code 0

begin "a failure is told with its place, in JSON too"
workload '{ plan: bad }'
run ration replay w.yaml --quiet
expect_out "plans.yaml:10:"
run ration replay w.yaml --quiet --json
expect_out '"first_failure":{"status":"EVALUATION","file":"plans.yaml","line":10'

begin "an interrupt ends with 130 and no failures"
workload '{ plan: endless }'
"$RATION" replay w.yaml --quiet --fail-if 'failed>0' >"$scratch/out" 2>"$scratch/err" &
sleep 0.5
kill -INT $!
wait $!
code=$?
expect_code 130
expect_out "interrupted"

begin "a result file that cannot be written is an error"
workload '{ plan: numbers }'
run ration replay w.yaml --quiet --results /dev/full
expect_code 1
expect_err "could not be written"

begin "options out of range are usage errors"
run ration replay w.yaml --speed -3
expect_code 2
run ration replay w.yaml --concurrency 100000
expect_code 2
run ration replay w.yaml --fail-if 'refused'
expect_code 2

begin "too many workers for the limit are refused before the start"
run ration replay w.yaml --limit 1MiB --concurrency 256
expect_code 1
expect_err "stacks of 256 workers"

begin "a mistake in a plan shows before the start"
workload '{ plan: numbers, parameters: { m: 5 } }'
run ration replay w.yaml
expect_code 3
expect_err "parameter"

finish
