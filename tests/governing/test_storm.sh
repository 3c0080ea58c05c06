#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# 1,000 reloads while a replay runs: SIGHUP, files that replace memory.yaml or are written in place,
# folders swapped behind a link as a Kubernetes ConfigMap does it, good and bad ones mixed. The rows
# are those of a calm run, no descriptor, byte or file is left, and each good file holds until the
# next one.
#
# Environment: GOVERNING_RELOADS (1000).
# shellcheck disable=SC2317 # some functions are called by name
. tests/governing/common.sh
need_spill_place
need_watch
reloads=${GOVERNING_RELOADS:-1000}
map=$scratch/map
mkdir "$map"

# good NUMBER: a file that can hold; the number can be read back.
good() {
    printf 'limit_bytes: %dMiB\nquery_rows_max: %d\nspill_directory: /var/tmp\n' \
        $((8 + $1 % 4)) $((1000000000 + $1))
    printf 'groups:\n  some: { limit_bytes: %dMiB, share: %d }\n' $((6 + $1 % 3)) $((1 + $1 % 5))
    test $(($1 % 3)) = 0 || printf '  other: { queries_max: %d }\n' $((1 + $1 % 7))
}

# bad NUMBER: one that must not.
bad() {
    case $(($1 % 4)) in
    0) printf 'limit_bytes: 1MiB\nlimit_byte: 3\n' ;;
    1) printf 'groups: {{{\n' ;;
    2) head -c 3000 /dev/urandom ;;
    3) good "$1" | sed 's/^spill_directory.*/spill_directory: \/tmp/' ;;
    esac
}

# Four ways to put a file there: WAY NUMBER GOOD_OR_BAD.
swap() { # a folder of its own, and the link to it replaced in one step
    local old
    mkdir "$map/..$1"
    "$2" "$1" >"$map/..$1/memory.yaml"
    old=$(readlink "$map/..data" || true)
    ln -s "..$1" "$map/..data_new"
    mv -T "$map/..data_new" "$map/..data"
    test -z "$old" || rm -r "${map:?}/$old"
    if [ ! -L "$map/memory.yaml" ]; then
        ln -s ..data/memory.yaml "$map/link"
        mv -T "$map/link" "$map/memory.yaml"
    fi
}
replace() { # by another file
    "$2" "$1" >"$map/new"
    mv -T "$map/new" "$map/memory.yaml"
}
write() { # in place
    test ! -L "$map/memory.yaml" || rm "$map/memory.yaml"
    "$2" "$1" >"$map/memory.yaml"
}
signal() { # nobody looks at the folder's links
    "$2" "$1" >"$(readlink -f "$map/memory.yaml")"
    kill -HUP "$replay"
}

# await_file NUMBER: until this file holds.
await_file() {
    "$watch" until "$scratch" "$replay" query_rows_max $((1000000000 + $1))
}

# The number of the file that holds.
holds() {
    echo $(($("$watch" limit "$scratch" "$replay" query_rows_max) - 1000000000))
}

# Descriptors that are no run's, and what the inotify ones look at.
descriptors() {
    find "/proc/$replay/fd" -type l -printf '%l\n' | grep -vc '^/var/tmp/'
    cat "/proc/$replay/fdinfo/"* 2>/dev/null | grep -c '^inotify wd'
}

# begin_replay NAME: under $map/memory.yaml, until it is interrupted.
begin_replay() {
    "$RATION" replay "$scratch/work.yaml" --quiet --json --config "$map/memory.yaml" \
        --results "$scratch/$1.csv" >"$scratch/$1.json" 2>"$scratch/$1.err" &
    replay=$!
    for _ in {1..1000}; do
        test "$(tail -n +2 "$scratch/$1.csv" 2>/dev/null | wc -l)" -lt 3 || break
        sleep 0.01
    done
}

end_replay() {
    kill -INT "$replay"
    wait "$replay"
    # shellcheck disable=SC2034 # expect_code reads it
    code=$?
    : >"$scratch/out" && tail -n 5 "$scratch/$1.err" >"$scratch/err"
    expect_code 130
}

sed 's/rate: 1000000/rate: 8/' >"$scratch/work.yaml" < <(workload /dev/stdout sort 60000 1 10000 4)
swap 0 good
begin_replay calm
sleep 1
end_replay calm

begin "each good file holds until the next one"
begin_replay storm
before=$(descriptors)
last=0 applied=0
ways=(swap replace write signal)
for ((i = 1; i <= reloads; i++)); do
    way=${ways[$((i / 2 % 4))]}
    if [ $((i % 2)) = 1 ]; then
        $way $i bad
        test $((i % 16)) != 1 || sleep 0.01
        continue
    fi
    $way $i good
    last=$i
    if ! await_file $i; then
        fail "after $way number $i, $(holds) holds"
        break
    fi
    applied=$((applied + 1))
done
echo "figure: $reloads files and signals, $applied of $((reloads / 2)) good ones held"

begin "a bad file changes nothing"
for way in "${ways[@]}"; do
    i=$((i + 1))
    $way $i bad
    sleep 0.1
    test "$(holds)" = $last || fail "after $way of a bad file, $(holds) holds, not $last"
done

begin "nothing is left"
swap 0 good # as before the storm
await_file 0 || fail "after all, $(holds) holds"
after=$(descriptors)
test "$before" = "$after" || fail "descriptors, watches: $before before, $after after"
kill -0 "$replay" || fail "the replay has ended"
end_replay storm
test "$(json_figure "$scratch/storm.json" left_bytes)" = 0 || fail "bytes are left"
grep -q '"audit":true' "$scratch/storm.json" || fail "the audit fails"
calm=$(json_figure "$scratch/calm.json" heap_peak_bytes)
storm=$(json_figure "$scratch/storm.json" heap_peak_bytes)
# A load takes the text (256 KiB at most, and room for as much) and its tree; a leak is 1,000 times.
test "$storm" -le $((calm + (384 << 10))) || fail "heap of $calm bytes, and $storm after reloads"

begin "the rows are those of a calm run"
test "$(outcomes "$scratch/storm.csv" | sort -u)" = "$(outcomes "$scratch/calm.csv" | sort -u)" ||
    fail "$(outcomes "$scratch/storm.csv" | sort | uniq -c)"
test "$(outcomes "$scratch/storm.csv" | sort -u | wc -l)" = 1 || fail "they differ"
echo "figure: $(outcomes "$scratch/storm.csv" | wc -l) queries meanwhile," \
    "$((storm >> 10)) KiB of heap at most, $((calm >> 10)) KiB without reloads," \
    "written out $(mib "$(json_figure "$scratch/storm.json" spilled_bytes)")"
finish
