#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# While a replay runs that wants more than there is: the control group's limit is cut below what
# the ratio allowed of it, raised again, and another process of the group takes memory and goes.
# The limit follows, what is too much is written out, nothing is killed or refused, all rows come.
#
# Time is measured in looks, of which the monitor takes ten a second; how long it took is printed.
# The registry shows a lowered limit one look after it is in force: others may have what is free
# then.
#
# Environment: GOVERNING_MIB (600) the group's size; the work grows with it.
. tests/governing/common.sh
need_groups
need_plain_build
need_spill_place
need_watch
mib=${GOVERNING_MIB:-600}
rows=$((mib * 6000))
workload "$scratch/rows.yaml" held_rows "$rows" 1
"$RATION" replay "$scratch/rows.yaml" --quiet --results "$scratch/rows.csv" >/dev/null || exit 1
workload "$scratch/work.yaml" held "$rows" 1 1000 2

# What cannot be reclaimed: pages of processes, and the kernel's.
used_in() {
    echo $(($(group_figure "$1" memory.stat total_rss) +
        $(group_figure "$1" memory.kmem.usage_in_bytes)))
}

# The newest line of the looks at the replay, or one of its fields.
newest() {
    tail -n 1 "$scratch/looks" | cut -d ' ' -f "$1"
}

# until AFTER_US CONDITION: microseconds, and looks of the monitor, from then to the first look that
# fulfils it; -1 when there was none.
until_look() {
    awk -v after="$1" "
        \$2 >= after && \$7 != heard { looks += heard != \"\"; heard = \$7 }
        \$2 >= after && ($2) { print \$2 - after, looks + 0; found = 1; exit }
        END { if (!found) print -1, -1 }" "$scratch/looks"
}

# expect_follow WHAT AFTER_US CONDITION LOOKS SECONDS: within so many looks; waits so long for it.
expect_follow() {
    local us looks
    await "$5" "\$2 >= $2 && ($3)" || true
    read -r us looks < <(until_look "$2" "$3")
    echo "figure: $1: $((us / 1000)) ms, $looks looks"
    test "$looks" -ge 0 || fail "$1: never"
    test "$looks" -le "$4" || fail "$1: after $looks looks"
}

# set_limit BYTES: of the group; `at` is when it is in force. Not below what is in use.
at=
set_limit() {
    echo "$1" 2>/dev/null >"$groups/host/memory.limit_in_bytes" || return 1
    at=$("$watch" now)
}

make_group host $((mib << 20))
make_group host/work
make_group host/hog
watch_registry
start work host/work work.yaml
work=$(process_in host/work)

begin "the limit is loaded"
await 20 "\$5 > \$4 * 0.95" || {
    fail "it never was"
    finish
}
high=$(newest 4)

begin "cut to a value between use and use / ratio, the group takes the limit with it"
for _ in {1..500}; do # one query may have just ended
    used=$(used_in host)
    cut=$((used * 9 / 8))
    test "$used" -ge $((high * 9 / 10)) && set_limit $cut && break
    sleep 0.02
done
test -n "$at" || fail "the kernel cannot reach $cut bytes"
echo "figure: $(mib "$used") in use, limit of the group from $mib MiB to $(mib "$cut")"
expect_follow "limit below ratio x the group's" "$at" "\$4 <= $cut * 0.8" 3 5
low=$(newest 4)
expect_follow "what is above is written out" "$at" "\$4 <= $cut * 0.8 && \$5 <= \$4" 100 10
test "$low" -ge $((cut / 2)) || fail "a limit of $low bytes in a group of $cut"

begin "raised, it is used again"
set_limit $((mib << 20))
expect_follow "limit raised" "$at" "\$4 >= $high * 0.95" 12 5
expect_follow "used again" "$at" "\$5 > $low * 1.05" 100 10
await 20 "\$2 > $at && \$5 > \$4 * 0.9" || fail "it was not loaded again"

begin "another process of the group takes memory"
taken=$((mib / 4))
in_group host/hog "$watch" hold $((taken << 20)) $((2 << 20)) 10 >"$scratch/held" 2>/dev/null &
for _ in {1..1000}; do
    test ! -s "$scratch/held" || break
    sleep 0.01
done
at=$("$watch" now)
test -s "$scratch/held" || fail "it did not get it"
left="\$4 <= ($mib - $taken) * 1048576 * 0.8"
expect_follow "limit below ratio x what it left" "$at" "$left" 3 5
expect_follow "what is above is written out" "$at" "$left && \$5 <= \$4" 100 10

begin "and gives it back"
kill -9 "$(process_in host/hog)"
wait $! 2>/dev/null
at=$("$watch" now)
expect_follow "limit raised" "$at" "\$4 >= $high * 0.95" 12 5

begin "nothing was killed or refused, all rows came"
sleep 4 # some have ended by now
kill -INT "$work"
finish_started
stop_watching
expect_replay work "$scratch/rows.csv" 130
test "$(outcomes "$scratch/work.csv" | wc -l)" -ge 2 || fail "no query has ended"
test "$(kills_in host)" = 0 || fail "$(kills_in host) killed"
echo "figure: $(outcomes "$scratch/work.csv" | wc -l) queries," \
    "$(($(json_figure "$scratch/work.json" elapsed_us) / 1000)) ms, written out" \
    "$(mib "$(json_figure "$scratch/work.json" spilled_bytes)"), oom_kill $(kills_in host)"
finish
