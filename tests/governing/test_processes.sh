#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Several processes of one user in one control group, at the default ratio, each wanting more than
# there is: what all of them together may grant is never more than that part of the group, as a
# watcher sees it every 5 ms; none is killed or refused; who dies is forgotten, also when another
# process has its number by then; and one alone gets all of it.
#
# What is compared: the sum of max(limit, granted) over the registered processes, against ratio x
# the group's limit. Nobody else is in the group, so no more than that is ever available to them,
# and what each has beside its limit (the untracked reserve) only lowers the sum.
#
# Environment: GOVERNING_MIB (1024) the group's size; the work grows with it.
. tests/governing/common.sh
need_groups
need_plain_build
need_spill_place
need_watch
mib=${GOVERNING_MIB:-1024}
rows=$((mib * 4500))
bound=$(((mib << 20) * 8 / 10))
workload "$scratch/rows.yaml" held_rows "$rows" 1
"$RATION" replay "$scratch/rows.yaml" --quiet --results "$scratch/rows.csv" >/dev/null || exit 1

# Over all looks: how many at most were there; the largest sums of limits, of granted bytes, of the
# larger of the two; and the largest sum of granted bytes while the most were there, in % of limits.
sums() {
    awk '
        function turn() {
            if (n > most) { most = n; loaded = 0 }
            if (limits > limits_most) limits_most = limits
            if (granted > granted_most) granted_most = granted
            if (held > held_most) held_most = held
            if (n == most && limits > 0 && granted / limits > loaded) loaded = granted / limits
            n = limits = granted = held = 0
        }
        $1 != look { turn(); look = $1; looks += 1 }
        { n += 1; limits += $4; granted += $5; held += $4 > $5 ? $4 : $5 }
        END { turn(); printf "%d %d %d %d %d %d\n", looks, most, limits_most, granted_most,
                             held_most, loaded * 100 }' "$scratch/looks"
}

judge_sums() {
    local looks most limits granted held loaded
    read -r looks most limits granted held loaded < <(sums)
    cp "$scratch/looks.err" "$scratch/err"
    test "$most" = "$1" || fail "$most processes were there, not $1"
    test "$held" -le "$bound" || fail "$held bytes could be granted, more than $bound"
    test "$loaded" -ge 80 || fail "only $loaded% of the limits were granted"
    echo "figure: $1 processes in $mib MiB, $looks looks: limits at most $(mib "$limits")," \
        "granted at most $(mib "$granted"), together $(mib "$held") of $(mib "$bound")" \
        "($((held * 1000 / bound)) per mille), $loaded% of the limits granted;" \
        "oom_kill $(kills_in host)"
}

# crowd COUNT: so many replays, each in a group of its own inside the one with the limit, until they
# are interrupted: what is waited for below comes sooner or later, however busy the machine is.
crowd() {
    local i
    make_group host $((mib << 20))
    workload "$scratch/work.yaml" held "$rows" 1 1000
    watch_registry
    for ((i = 1; i <= $1; i++)); do
        make_group "host/$i"
        start "$i" "host/$i" work.yaml
    done
}

# within_a_minute COMMAND...: until it succeeds.
within_a_minute() {
    for _ in {1..300}; do
        ! "$@" || return 0
        sleep 0.2
    done
    return 1
}

# is_loaded COUNT: so many were there at once, with 80% of their limits granted.
is_loaded() {
    local most loaded
    read -r _ most _ _ _ loaded < <(sums)
    test "$most" = "$1" && test "$loaded" -ge 80
}

# have_results NAME...: each of them has one.
have_results() {
    local name
    for name in "$@"; do
        test -n "$(outcomes "$scratch/$name.csv")" || return 1
    done
}

interrupt_crowd() {
    cat "$groups"/host/*/cgroup.procs | xargs -r kill -INT
}

end_crowd() {
    finish_started
    stop_watching
}

# expect_crowd NAME...: interrupted with results that are right, and nothing left.
expect_crowd() {
    local name
    have_results "$@" || fail "one of them has no result"
    for name in "$@"; do
        expect_replay "$name" "$scratch/rows.csv" 130
        test "$(json_figure "$scratch/$name.json" left_bytes)" = 0 || fail "$name: bytes are left"
        grep -q '"audit":true' "$scratch/$name.json" || fail "$name: the audit fails"
    done
}

two() {
    begin "two processes share what there is"
    crowd 2
    within_a_minute is_loaded 2
    within_a_minute have_results 1 2
    interrupt_crowd
    end_crowd
    expect_crowd 1 2
    test "$(kills_in host)" = 0 || fail "$(kills_in host) killed"
    judge_sums 2
}

# Microseconds and looks of the slowest survivor from the kill to the first look at which the others
# have, of what all had, as much as the reserve of the one that is gone allows.
forgotten_after() {
    awk -v kill_us="$1" -v victim="$2" '
        function turn() {
            if (at < kill_us && n == 4) before = all
            else if (at >= kill_us && !done && survivors >= before * 0.97) done = at
            all = survivors = n = 0
        }
        $1 != look { turn(); look = $1; at = $2 }
        { all += $4; n += 1 }
        $3 != victim { survivors += $4 }
        $3 != victim && $2 >= kill_us && !done && $7 != heard[$3] { heard[$3] = $7; looks[$3] += 1 }
        END {
            turn()
            for (pid in looks) if (looks[pid] > slowest) slowest = looks[pid]
            printf "%d %d\n", done ? done - kill_us : -1, slowest
        }' "$scratch/looks"
}

is_forgotten() {
    local us
    read -r us _ < <(forgotten_after "$@")
    test "$us" -ge 0
}

four() {
    local victim at us looks
    begin "four processes share what there is"
    crowd 4
    victim=$(process_in host/4)
    victim=${victim:-0}
    within_a_minute is_loaded 4
    await 60 "\$3 == $victim && \$5 > \$4 * 0.8" || fail "the fourth was never loaded"
    at=$("$watch" now)
    test "$victim" = 0 || kill -9 "$victim" 2>/dev/null
    within_a_minute is_forgotten "$at" "$victim"
    within_a_minute have_results 1 2 3
    interrupt_crowd
    end_crowd
    expect_crowd 1 2 3
    test "$(<"$scratch/4.code")" = 137 || fail "the fourth was not killed by us"
    test "$(kills_in host)" = 0 || fail "$(kills_in host) killed"
    judge_sums 4

    begin "a process that dies is forgotten"
    read -r us looks < <(forgotten_after "$at" "$victim")
    echo "figure: $us us and $looks looks from kill -9 to the others having its part"
    test "$us" -ge 0 || fail "the others never had its part"
    test "$looks" -le 10 || fail "it took $looks looks"
}

# alone NAME: one with no reserve, so that its limit is the ratio of what there is.
alone() {
    echo 'untracked_reserved_memory_mb: 0' >"$scratch/alone.yaml"
    workload "$scratch/large.yaml" held $((mib * 9000)) 1
    make_group host $((mib << 20))
    make_group "host/$1"
    watch_registry
    start "$1" "host/$1" large.yaml --config alone.yaml
}

# expect_all NAME: fully loaded, it had at least 98% of the bound.
expect_all() {
    local looks most limits granted loaded
    read -r looks most limits granted _ loaded < <(sums)
    test "$most" = 1 || fail "$most processes were there"
    test "$limits" -le "$bound" || fail "a limit of $limits bytes is more than $bound"
    test "$loaded" -ge 95 || fail "only $loaded% of the limit were granted"
    test "$granted" -ge $((bound * 98 / 100)) || fail "$granted of $bound bytes"
    test "$(kills_in host)" = 0 || fail "$(kills_in host) killed"
    echo "figure: $1 in $mib MiB, $looks looks: limit $(mib "$limits"), granted $(mib "$granted")" \
        "of $(mib "$bound"): $((granted * 1000 / (mib << 20))) per mille of the group;" \
        "RSS $(mib "$(json_figure "$scratch/$1.json" rss_peak_bytes)")"
}

one() {
    begin "one process alone gets all of it"
    alone one
    end_crowd
    code=$(<"$scratch/one.code")
    expect_code 0
    expect_all one
}

recycled() {
    local dead as
    begin "a dead process whose number another one has is nobody"
    alone dead
    dead=$(process_in host/dead)
    await 20 "\$3 == $dead && \$5 > \$4 * 0.5" || fail "it was never loaded"
    kill -9 "$dead"
    end_crowd
    "$watch" as "$dead" sleep 100 2>"$scratch/err" &
    as=$!
    sleep 0.2
    if ! kill -0 $as 2>/dev/null; then
        echo "skipped: $(cat "$scratch/err")"
        return
    fi
    kill -0 "$dead" || fail "nobody has the number $dead"
    alone heir
    end_crowd
    kill "$dead"
    wait $as
    code=$(<"$scratch/heir.code")
    expect_code 0
    expect_all heir
}

two
four
one
recycled
finish
