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

# sweep NAME COMMAND...: the command with less and less, from 64 MiB down.
sweep() {
    local name=$1 kib started=''
    shift
    begin "$name with room"
    run limited 200000 "$@"
    expect_code 0
    for kib in 65536 32768 24576 20480 16384 14336 12288 11264 10240 9216 8192 7168 6144 5120 4096; do
        begin "$name with $kib KiB of address space"
        run limited "$kib" "$@"
        case $code in
        0) ;;
        1 | 5)
            test -s "$scratch/err" || test -s "$scratch/out" || fail "exit code $code without a word"
            started=yes
            ;;
        127) ;; # the loader had no room for the program
        *) fail "exit code $code" ;;
        esac
    done
    begin "$name was short of it at last"
    test -n "$started" || fail "no size was too small"
}

sweep query query plan.yaml --quiet --format csv
sweep replay replay w.yaml
finish
