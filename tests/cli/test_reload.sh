#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A memory.yaml that changes while `ration replay` or `ration query` runs: SIGHUP, the watch on its
# folder, errors, and what the command line says over it.
. tests/support.sh
cd "$scratch" || exit 1

cat >plans.yaml <<'END'
plans:
  numbers:
    pipeline:
      - range: { rows: 2000, columns: { i: sequence } }
      - sort: [i desc]
  endless:
    pipeline:
      - range: { rows: 1000000000000, columns: { i: sequence } }
      - filter: i < 0
END

# limits MIB [LINE]: memory.yaml, put in place by a rename.
limits() {
    printf 'limit_bytes: %sMiB\nenable_system_monitor: false\n%s\n' "$1" "${2-}" >memory.yaml.new
    mv memory.yaml.new memory.yaml
}

# workload QUERY COUNT: w.yaml, at 1000 queries a second.
workload() {
    printf 'plans: plans.yaml\ncount: %s\narrivals: { process: uniform, rate: 1000 }\n' "$2"
    printf 'concurrency: 2\nqueries:\n  - %s\n' "$1"
} >w.yaml

# start WORDS...: in the background; afterwards: child.
start() {
    : >"$scratch/err"
    "$RATION" "$@" >"$scratch/out" 2>"$scratch/err" </dev/null &
    child=$!
}

# await N TEXT: until stderr has N lines with the text, for a minute.
await() {
    local tries
    for ((tries = 0; tries < 3000; tries++)); do
        test "$(grep -cF -- "$2" "$scratch/err")" -ge "$1" && return
        sleep 0.02
    done
    fail "no '$2' ($1) on stderr"
}

# Until the child has a second thread: its keeper.
await_keeper() {
    local tries threads
    for ((tries = 0; tries < 3000; tries++)); do
        threads=("/proc/$child/task"/*)
        test "${#threads[@]}" -ge 2 && return
        sleep 0.02
    done
    fail "no keeper"
}

end() {
    test -z "${1-}" || kill "-$1" "$child"
    { wait "$child"; } 2>/dev/null
    code=$?
}

begin "rows are the same when limits change meanwhile"
limits 64
workload '{ plan: numbers }' 2000
start replay w.yaml --json
await 1 'limit '
end
expect_code 0
sum=$(grep -o '"checksum":"[0-9a-f]*"' "$scratch/out" | head -n 1)
start replay w.yaml --json
await 1 'limit '
limits 16
await 1 'memory.yaml: loaded again'
limits 48
await 2 'memory.yaml: loaded again'
end
expect_code 0
expect_out "$sum"
expect_out '"limit_bytes":50331648,"limit_highest_bytes":67108864'
expect_out '"completed":2000'
expect_out '"left_bytes":0'

begin "SIGHUP loads it again, an error keeps the last good one"
workload '{ plan: endless }' 4
limits 64
start replay w.yaml
await 1 'limit '
kill -HUP "$child"
await 1 'memory.yaml: loaded again'
limits 32 'limit_bites: 3'
await 1 "memory.yaml:3:1: error: "
await 1 "; the limits before hold"
limits 32 'spill_directory: /elsewhere'
await 1 "spill_directory cannot change while running, from"
await 2 "; the limits before hold"
kill -HUP "$child"
await 3 "; the limits before hold"
limits 40
await 2 'memory.yaml: loaded again'
end INT
expect_code 130
expect_out "of 64 MiB, in the end 40 MiB"
expect_out "pool queries holds 0 bytes; audit ok"

begin "what the command line says stays in force"
limits 64
start replay w.yaml --limit 50MiB --json
await 1 'limit '
limits 32
await 1 'memory.yaml: loaded again'
end INT
expect_code 130
expect_out '"limit_bytes":52428800,"limit_highest_bytes":52428800'

begin "so does the environment"
limits 64
RATION_LIMIT_BYTES=51MiB start replay w.yaml --json
await 1 'limit '
limits 32
await 1 'memory.yaml: loaded again'
end INT
expect_out '"limit_bytes":53477376,'

begin "ration query does so too"
limits 64
start query plans.yaml endless
await_keeper
limits 33
await 1 'memory.yaml: loaded again'
kill -HUP "$child"
await 2 'memory.yaml: loaded again'
limits 33 'no_key: 1'
await 1 "memory.yaml:3:1: error: "
end INT
expect_code 130

begin "quiet tells errors only"
limits 64
start replay w.yaml --quiet --json
await_keeper
limits 33 'no_key: 1'
await 1 "the limits before hold"
limits 34
sleep 0.2
end INT
expect_out '"limit_bytes":'
test "$(wc -l <"$scratch/err")" = 1 || fail "more than the error"

begin "without a memory.yaml SIGHUP ends it as ever"
rm memory.yaml
start replay w.yaml
await 1 'limit '
end HUP
expect_code 129

finish
