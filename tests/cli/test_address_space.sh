#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# `ulimit -v`: a query and a replay with less and less address space end with a status that is told,
# or with their rows; never by a signal.
. tests/support.sh
cd "$scratch" || exit 1

cat >memory.yaml <<'END'
limit_bytes: 64MiB
END
cat >plans.yaml <<'END'
plans:
  numbers:
    pipeline:
      - range: { rows: 20000, columns: { i: sequence, s: { random: string, width: 32 } } }
      - sort: [s, i]
      - limit: 1
END
sed -n 's/^    pipeline:/pipeline:/p; s/^      - /  - /p' plans.yaml >plan.yaml
cat >w.yaml <<'END'
plans: plans.yaml
count: 20
concurrency: 4
arrivals: { process: uniform, rate: 2000 }
queries:
  - { plan: numbers }
END

# limited KIB COMMAND...: runs it with so much address space. Builtins only behind `ulimit`.
limited() {
    (ulimit -v "$1" && shift && exec "$RATION" "$@")
}

# Sanitizers need more address space than there is to limit.
if ! limited 1000000 --version >out 2>&1; then
    echo "skipped: this build does not run with limited address space"
    exit 77
fi

# sweep NAME COMMAND...: the command with less and less.
sweep() {
    local name=$1 mib started=''
    shift
    begin "$name with room"
    run limited 200000 "$@"
    expect_code 0
    for mib in 64 40 32 30 28 26 25 24 23 22 20 16 14 12 11 10 9 8 7 6 5 4; do
        limited $((mib * 1024)) --version >/dev/null 2>&1 || break # it cannot be started
        begin "$name with $mib MiB of address space"
        run limited $((mib * 1024)) "$@"
        case $code in
        0) ;;
        1 | 5)
            cat "$scratch/out" "$scratch/err" | grep -q . || fail "exit code $code without a word"
            started=yes
            ;;
        *) fail "exit code $code" ;;
        esac
    done
    begin "$name was short of it at last"
    test -n "$started" || fail "no size was too small"
}

sweep query query plan.yaml --quiet --format csv
sweep replay replay w.yaml
finish
