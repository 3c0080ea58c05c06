#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# `ration limits`: machines made of files, their explanation, and its arithmetic done again here.
#
#     tests/cli/test_limits.sh --write     writes the golden explanation anew
. tests/support.sh
. tests/cli/machines.sh
cd "$scratch" || exit 1

# group MACHINE PATH MAX CURRENT FILE_CACHE: a control group of version 2, bytes.
group() {
    local at="$1/sys/fs/cgroup$2"
    mkdir -p "$at"
    echo "$3" >"$at/memory.max"
    echo max >"$at/memory.high"
    echo "$4" >"$at/memory.current"
    printf 'anon %d\nfile %d\ninactive_file %d\nactive_file 0\nslab_reclaimable 0\n' \
        $(($4 - $5)) "$5" "$5" >"$at/memory.stat"
}

# number NAME: its first value in the JSON of the last run. of_binding NAME: that of the source that
# binds. many: how many sources there are.
number() {
    grep -o "\"$1\":-\?[0-9]*" "$scratch/out" | head -n 1 | cut -d: -f2
}
of_binding() {
    local at
    at=$(sed -n 's/.*"others_limit_bytes":[0-9a-z]*,"binding":\([0-9]*\).*/\1/p' "$scratch/out")
    grep -o '{"kind"[^}]*}' "$scratch/out" | sed -n "$((at + 1))p" |
        grep -o "\"$1\":-\?[0-9]*" | cut -d: -f2
}

# Does the limit follow from the figures beside it, to the byte?
expect_sum() {
    local total part share room
    total=$(of_binding total_bytes) part=$(of_binding part_bytes) room=$(of_binding room_bytes)
    share=$(($(number ratio_ppm) * part / 1000000 - $(number reserve_bytes)))
    test "$(number share_bytes)" = "$share" || fail "share_bytes is not $share"
    test "$(number limit_bytes)" = "$share" || fail "limit_bytes is not $share"
    test "$(number now_bytes)" = $((share < room ? share : room)) || fail "now_bytes"
    local left=$(($(number ratio_ppm) * total / 1000000 - $(of_binding held_bytes)))
    test "$room" = $((left > 0 ? left : 0)) || fail "room_bytes is not $left"
}

# await PID: until it has registered below `here`; the last run is then one that shows it.
await() {
    for ((i = 0; i < 200; i++)); do
        run ration limits --sysroot here --json
        grep -q "\"process\":$1" "$scratch/out" && break
        sleep 0.05
    done
}

machine bare 16384 12288
begin "one process alone gets its ratio of what is available"
run ration limits --sysroot bare --json
expect_code 0
# 0.8 x 12 GiB - 50 MiB
expect_out '"limit_bytes":10255492710,'
expect_out '"binding":"MemAvailable"'
expect_sum
test "$(of_binding total_bytes)" = $((12288 * MIB)) || fail "total"

begin "the arithmetic as text"
run ration limits --sysroot bare
expect_code 0
expect_exactly "limit     9.55 GiB = 0.8 x 12 GiB available - 50 MiB reserved
          10255492710 = 800000 x 12884901888 / 1000000 - 52428800
binding   MemAvailable
mode      a part of what is available, followed every 100 ms; at least 16 MiB
"

begin "and each line of it is right"
awk '/^ / { exit !(int($3 * $5 / 1000000) - $9 == $1) }' "$scratch/out" || fail "it does not add up"

machine pod 16384 12288 /pod/app
group pod "" max 0 0
group pod /pod $((1024 * MIB)) $((700 * MIB)) $((300 * MIB))
group pod /pod/app max $((600 * MIB)) $((200 * MIB))
begin "a limit of a group above, and the page cache is no use"
run ration limits --sysroot pod --json
expect_out '"binding":"cgroup v2 /pod"'
# 1024 - (700 - 300) = 624 MiB
test "$(of_binding total_bytes)" = $((624 * MIB)) || fail "total"
expect_sum

begin "the explanation of it"
run ration limits --sysroot pod --explain
expect_code 0
expect_silence
expect_out "limit     449 MiB = 0.8 x 624 MiB available - 50 MiB reserved"
grep '^cgroup v2 /pod ' "$scratch/out" |
    grep -q '1 GiB  *400 MiB  *624 MiB  *1  *449 MiB  <-- smallest' || fail "the row of /pod"
grep '^cgroup v2 /pod/app' "$scratch/out" | grep -q 'unlimited' || fail "the row of /pod/app"
expect_out "swap      none"
expect_out "beyond the limit at worst"
# 2 MiB is more than 2% of 449 MiB only below 100 MiB
expect_out "  executor  8.98 MiB = max(2 MiB, 2% of 449 MiB)"
# min(1024 x 64 KiB, 256 KiB) + 64 KiB + 64 KiB
expect_out "  hosts     384 KiB for each guard = min(1024 rows x 64 KiB, 256 KiB) + a row of 64 KiB"

# What depends on this machine and its kernel is left out, and the table of keys.
explained() {
    (cd "$root" && "$RATION" limits --sysroot docs/examples/pod --config memory.yaml --explain) |
        sed '/^key  /,$d; /^ordering /d; /^pages /d; /^nodes /d; /^caches /d; /^ *not read: /d'
}
golden=$root/tests/cli/limits_explain.golden
if [ "${1:-}" = --write ]; then
    explained >"$golden"
fi
begin "the whole explanation of the pod in the README"
explained >"$scratch/out"
diff -u "$golden" "$scratch/out" >"$scratch/err" || fail "it is not $golden"

begin "a registry that cannot be read"
: >file
RATION_REGISTRY_DIRECTORY=/file run ration limits --sysroot "$scratch" --config "$root/memory.yaml"
expect_code 5
mkdir -p odd && cp -r bare/proc bare/sys odd/ && : >odd/file
RATION_REGISTRY_DIRECTORY=/file run ration limits --sysroot odd --explain
expect_code 0
expect_out "others    unknown: "

begin "of the total"
printf 'limit_base: total\nlimit_ratio: 50%%\nuntracked_reserved_memory_mb: 0\n' >total.yaml
run ration limits --sysroot pod --config total.yaml --json
test "$(number limit_bytes)" = $((512 * MIB)) || fail "not half of 1 GiB"
expect_sum
run ration limits --sysroot pod --config total.yaml
expect_out "0.5 x 1 GiB in all - 0 B reserved"
expect_out "mode      a part of the total"

begin "a ceiling, a given limit"
printf 'limit_ceiling_bytes: 100MiB\n' >ceiling.yaml
run ration limits --sysroot pod --config ceiling.yaml
expect_out "limit     100 MiB = limit_ceiling_bytes of ceiling.yaml; 449 MiB would be there"
printf 'limit_bytes: 64MiB\n' >given.yaml
run ration limits --sysroot pod --config given.yaml
expect_out "limit     64 MiB = limit_bytes of given.yaml; 449 MiB would be there"
printf 'limit_bytes: 64GiB\n' >large.yaml
run ration limits --sysroot pod --config large.yaml
expect_out "limit     449 MiB = 0.8 x 624 MiB"
expect_out "at most 64 GiB"
printf 'limit_bytes: 64GiB\nenable_system_monitor: false\n' >off.yaml
run ration limits --sysroot pod --config off.yaml
expect_exactly "limit     64 GiB = limit_bytes of off.yaml
"
expect_err "warning: limit_bytes is above the 624 MiB that cgroup v2 /pod leaves"

machine small 16384 12288 /tiny
group small "" max 0 0
group small /tiny $((70 * MIB)) $((10 * MIB)) 0
begin "below the floor: an error that says what there is"
run ration limits --sysroot small
expect_code 5
expect_out "limit     none: "
expect_err "0.8 x 60 MiB of cgroup v2 /tiny"
expect_err "the least is 16 MiB"

begin "a machine that tells nothing is the environment's fault"
run ration limits --sysroot "$scratch/nowhere"
expect_code 5
run ration limits --sysroot "$scratch/nowhere" --config given.yaml
expect_code 0
expect_exactly "limit     64 MiB = limit_bytes of given.yaml
"

begin "where values come from"
printf 'check_interval: 512\ngroups:\n  reports: { share: 3 }\n' >some.yaml
RATION_LIMIT_RATIO=0.5 run ration limits --sysroot bare --config some.yaml --explain
expect_code 0
grep '^check_interval ' "$scratch/out" | grep -q ' 512  *some.yaml:1 ' || fail "of the file"
grep '^limit_ratio ' "$scratch/out" | grep -q ' 0.5  *RATION_LIMIT_RATIO ' || fail "of a variable"
grep '^retain_ms ' "$scratch/out" | grep -q ' 1000  *default ' || fail "default"
grep '^share ' "$scratch/out" | grep -q ' 3  *some.yaml:3 ' || fail "of a group"
RATION_LIMIT_RATIO=0.5 run ration limits --sysroot bare --config some.yaml --json
expect_out '"origins":{"limit_ratio":{"variable":"RATION_LIMIT_RATIO"},'
expect_out '"check_interval":{"file":"some.yaml","line":1,"column":17}}'
expect_sum

begin "a variable that is wrong ends every command"
RATION_LIMIT_RATIO=lots run ration limits --sysroot bare
expect_code 3
expect_err "RATION_LIMIT_RATIO"

begin "version 1, and groups that cannot be seen"
fixtures=$root/tests/fixtures/sysroot
run ration limits --sysroot "$fixtures/v1_hidden" --explain
expect_out "cgroup v1"
expect_out "note: "
run ration limits --sysroot "$fixtures/v1_container" --json
expect_code 0
expect_out '"binding":"cgroup v1 '
expect_sum

begin "pressure, events"
mkdir -p pod/proc/pressure
cat >pod/proc/pressure/memory <<'END'
some avg10=3.50 avg60=0.00 avg300=0.00 total=12
full avg10=0.25 avg60=0.00 avg300=0.00 total=7
END
printf 'low 0\nhigh 3\nmax 4\noom 1\noom_kill 2\n' >pod/sys/fs/cgroup/pod/app/memory.events
run ration limits --sysroot pod --explain
expect_out "machine some 3.50%, all 0.25%"
expect_out "events    of the own group, ever: high 3, max 4, oom 1, oom_kill 2"
run ration limits --sysroot pod --json
expect_out '"machine":{"some_us":12,"full_us":7,"some_ppm_of_10s":35000,"full_ppm_of_10s":2500}'
expect_out '"events":{"high":3,"max":4,"oom":1,"oom_kill":2}'

begin "it reads only"
find . -newer some.yaml -name '*.registry' | grep -q . && fail "a registry was made"
test -z "$(ls bare/dev/shm)" || fail "a registry was made"

begin "who else is there, and what is left"
endless_workload
mkdir -p here/dev/shm && chmod 700 here/dev/shm
cp -r bare/proc bare/sys here/
RATION_REGISTRY_DIRECTORY=$PWD/here/dev/shm "$RATION" replay w.yaml --quiet --limit 128MiB \
    >replay.out 2>&1 &
other=$!
await $other
expect_out "\"process\":$other,\"governor\":1,\"limit_bytes\":134217728,"
expect_out '"members":2'
expect_sum
# It takes (what it wants + 50 MiB) / 0.8 of 12 GiB and leaves the rest.
wants=$(sed -n 's/.*"demand_bytes":\([0-9]*\),.*/\1/p' "$scratch/out")
test -n "$wants" && test "$wants" -lt $((128 * MIB)) || wants=$((128 * MIB))
taken=$((((wants + 50 * MIB) * 10 + 7) / 8))
test "$(of_binding part_bytes)" = $(($(of_binding total_bytes) - taken)) || fail "the part"
run ration limits --sysroot here --explain
expect_out "others    1 registered in here/dev/shm"
grep -q "^ *$other  *1  *128 MiB " "$scratch/out" || fail "the row of the other"
begin "another one holds what will be this one's, and gives way"
RATION_REGISTRY_DIRECTORY=$PWD/here/dev/shm "$RATION" replay w.yaml --quiet >large.out 2>&1 &
large=$!
await $large
expect_out '"members":3'
expect_sum
test "$(number now_bytes)" -lt "$(number limit_bytes)" || fail "it holds nothing"
run ration limits --sysroot here
expect_out "now       "
expect_out "beside 2 others"
kill -INT $other $large
wait $other $large

begin "it is gone when it has ended"
run ration limits --sysroot here --json
expect_out '"others":[]'
finish
