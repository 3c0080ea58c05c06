#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# All defaults inside a control group of 600 MiB, set on the own group and on its parent: work that
# holds more than that is written out, complete and right, and nothing is killed.
#
# Environment: GOVERNING_MIB (600) the group's size; the work grows with it.
. tests/governing/common.sh
need_groups
need_plain_build
need_spill_place
mib=${GOVERNING_MIB:-600}

# numbers PLAN: rows and keys with which it holds more than the group has.
numbers() {
    case $1 in
    aggregate*) echo $((mib * 17000)) $((mib * 8500)) ;;
    join*) echo $((mib * 13300)) 1 ;;
    strings*) echo 1 $((mib * 100)) ;;
    *) echo $((mib * 7500)) 1 ;;
    esac
}

# replay PLACE PLAN [OPTION]...: in the group PLACE/inner.
replay() {
    local place=$1 plan=$2
    shift 2
    (
        cd "$scratch" || exit 1 # no memory.yaml here
        in_group "$place/inner" "$RATION" replay "$plan.yaml" --quiet --json "$@" \
            --results "$plan.$place.csv" >"$plan.$place.json" 2>"$plan.$place.err"
        echo $? >"$plan.$place.code"
    )
}

# judge PLAN PLACE GROUP: GROUP is the one with the limit.
judge() {
    local of=$1.$2 kills peak
    begin "$1, limit on the $2 group"
    : >"$scratch/out" && cp "$scratch/$of.err" "$scratch/err"
    code=$(<"$scratch/$of.code")
    kills=$(kills_in "$2")
    expect_code 0
    test "$kills" = 0 || fail "$kills killed"
    test "$(outcomes "$scratch/$of.csv")" = "$(outcomes "$scratch/${1}_rows.csv")" ||
        fail "$(outcomes "$scratch/$of.csv") is not $(outcomes "$scratch/${1}_rows.csv")"
    test "$(json_figure "$scratch/$of.json" spilled_bytes)" -gt 0 || fail "nothing was written out"
    peak=$(group_figure "$3" memory.max_usage_in_bytes)
    echo "figure: $1, $2 group: limit $(mib "$(json_figure "$scratch/$of.json" limit_bytes)")," \
        "RSS $(mib "$(json_figure "$scratch/$of.json" rss_peak_bytes)")," \
        "written out $(mib "$(json_figure "$scratch/$of.json" spilled_bytes)");" \
        "group of $mib MiB: peak $(mib "$peak")," \
        "failcnt $(group_figure "$3" memory.failcnt), oom_kill $kills," \
        "$(json_figure "$scratch/$of.json" elapsed_us) us"
}

# The same plan in both groups at the same time.
both() {
    local plan=$1
    # shellcheck disable=SC2046
    workload "$scratch/$plan.yaml" "$plan" $(numbers "$plan")
    # shellcheck disable=SC2046
    workload "$scratch/${plan}_rows.yaml" "${plan}_rows" $(numbers "$plan")
    make_group own
    make_group own/inner $((mib << 20))
    make_group parent $((mib << 20))
    make_group parent/inner
    "$RATION" replay "$scratch/${plan}_rows.yaml" --quiet --results "$scratch/${plan}_rows.csv" \
        >"$scratch/out" 2>"$scratch/err"
    replay own "$plan" &
    replay parent "$plan" &
    wait
    judge "$plan" own own/inner
    judge "$plan" parent parent
    rmdir "$groups"/{own,parent}{/inner,}
}

for plan in sort aggregate join held strings; do
    both "$plan"
done

# Without it the cases above would show nothing: such a group does kill.
begin "a limit that does not follow the group is a process killed"
make_group own
make_group own/inner $((mib << 20))
printf 'limit_bytes: 1TiB\nenable_system_monitor: false\n' >"$scratch/blind.yaml"
replay own strings --config blind.yaml 2>"$scratch/err"
code=$(<"$scratch/strings.own.code")
expect_code 137
test "$(kills_in own)" = 1 || fail "$(kills_in own) killed"
finish
