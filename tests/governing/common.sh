# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
#
# What the tests here share: memory control groups (version 1) that go away with what runs in them
# however a test ends, and workloads that want more than there is.
. tests/support.sh
governing=$root/tests/governing
export RATION_REGISTRY_DIRECTORY=$scratch
hierarchy=/sys/fs/cgroup/memory
groups=$hierarchy/ration-governing-$$

# Ends what was started and takes every group away, those inside first.
end_all() {
    local folder try
    for try in {1..100}; do
        test -d "$groups" || break
        while read -r folder; do
            xargs -r kill -9 <"$folder/cgroup.procs"
            rmdir "$folder"
        done < <(find "$groups" -depth -type d) 2>/dev/null
        test ! -d "$groups" || sleep 0.05
    done
    jobs -p | xargs -r kill -9 2>/dev/null
    wait
    rm -rf "$scratch"
}
trap end_all EXIT
# Else bash is gone before its traps have run.
trap 'exit 130' INT TERM

skip() {
    echo "skipped: $1"
    exit 77
}

# The folder for the groups, or a skip that says why there is none.
need_groups() {
    test "$(id -u)" = 0 || skip "control groups are made as root"
    test -e $hierarchy/memory.limit_in_bytes ||
        skip "no memory hierarchy of control groups version 1"
    mkdir "$groups" 2>/dev/null || skip "no memory control group can be made here"
    test "$(cat "$groups/memory.use_hierarchy" 2>/dev/null)" = 1 ||
        skip "control groups do not count what is below them"
}

# A sanitizer's shadow is resident, belongs to nobody's limit and is several times what it shadows.
need_plain_build() {
    ! nm "$RATION" 2>/dev/null | grep -qE ' __(asan|tsan)_init' ||
        skip "a sanitizer's own memory does not fit into the groups"
}

# Where queries spill by default.
need_spill_place() {
    case $(stat -f -c %T /var/tmp) in
    tmpfs | ramfs) skip "/var/tmp is memory itself" ;;
    esac
    test "$(df --output=avail -BM /var/tmp | tail -n 1 | tr -dc 0-9)" -gt 4096 ||
        skip "less than 4 GiB free on /var/tmp"
}

# make_group NAME [BYTES]: below the folder of groups; NAME may be nested.
make_group() {
    mkdir -p "$groups/$1"
    test $# = 1 || echo "$2" >"$groups/$1/memory.limit_in_bytes"
}

# in_group NAME COMMAND...: the command as a process of the group.
in_group() {
    local group=$1
    shift
    bash -c 'echo 0 >"$1/cgroup.procs" && shift && exec "$@"' in_group "$groups/$group" "$@"
}

# group_figure NAME FILE: one of the group's numbers; of files with several, NAME FILE KEY.
group_figure() {
    if [ $# = 2 ]; then
        cat "$groups/$1/$2"
    else
        sed -n "s/^$3 //p" "$groups/$1/$2"
    fi
}

# What the kernel has killed in a group or below it.
kills_in() {
    local file sum=0
    while read -r file; do
        sum=$((sum + $(sed -n 's/^oom_kill //p' "$file")))
    done < <(find "$groups/$1" -name memory.oom_control)
    echo "$sum"
}

# workload FILE PLAN ROWS KEYS [COUNT [CONCURRENCY]]: so many of one plan, at once.
workload() {
    cat >"$1" <<YAML
plans: $governing/plans.yaml
concurrency: ${6:-1}
count: ${5:-1}
arrivals: { process: uniform, rate: 1000000 }
queries:
  - { plan: $2, parameters: { rows: $3, keys: $4 } }
YAML
}

# json_figure FILE NAME: the first number of that name in a report.
json_figure() {
    grep -oE "\"$2\":-?[0-9]+" "$1" | head -n 1 | cut -d : -f 2
}

# What a result file says about each query: its status, rows and checksum.
outcomes() {
    tail -n +2 "$1" 2>/dev/null | cut -d , -f 3-5
}

mib() {
    echo "$(($1 / 1048576)) MiB"
}

# ---- several processes, seen through their registry

# Sets `watch`, or skips.
need_watch() {
    watch=${WATCH:-build/release/tests/governing/watch}
    case $watch in /*) ;; *) watch=$root/$watch ;; esac
    test -x "$watch" || {
        echo "$watch is missing: make $watch" >&2
        exit 1
    }
}

started=()

# start NAME GROUP WORKLOAD [OPTION]...: a replay in the background, on all defaults. Leaves
# $scratch/NAME.json, .csv, .err and, when it has ended, .code.
start() {
    local name=$1 group=$2 work=$3
    shift 3
    (
        cd "$scratch" || exit 1
        in_group "$group" "$RATION" replay "$work" --quiet --json --results "$name.csv" "$@" \
            >"$name.json" 2>"$name.err"
        echo $? >"$name.code"
    ) 2>/dev/null &
    started+=($!)
}

# Waits for all that were started.
finish_started() {
    wait "${started[@]}"
    started=()
}

# The pid of the one that runs in a group, when it is there.
process_in() {
    local try
    for try in {1..500}; do
        test -z "$(cat "$groups/$1/cgroup.procs")" || break
        sleep 0.01
    done
    head -n 1 "$groups/$1/cgroup.procs"
}

# Looks at the registry in $scratch every 5 ms into $scratch/looks.
watch_registry() {
    "$watch" registry "$scratch" 5 >"$scratch/looks" 2>"$scratch/looks.err" &
    watching=$!
}

stop_watching() {
    kill -TERM "$watching" 2>/dev/null
    wait "$watching" 2>/dev/null
}

# await SECONDS AWK_CONDITION: until a line of the looks fulfils it; false when none did in time.
# Fields: $1 look, $2 us, $3 pid, $4 limit, $5 granted, $6 resident, $7 us when it was heard.
await() {
    local try
    test -n "$2" || return 1
    for ((try = 0; try < $1 * 20; try++)); do
        awk "$2 { found = 1; exit } END { exit !found }" "$scratch/looks" && return 0
        sleep 0.05
    done
    return 1
}

# Everything of a replay as it must be: ended well, nothing killed, all rows.
# expect_replay NAME ROWS_CSV [EXIT_CODE]
expect_replay() {
    local line
    test -e "$scratch/$1.csv" || : >"$scratch/$1.csv"
    : >"$scratch/out" && cp "$scratch/$1.err" "$scratch/err"
    code=$(cat "$scratch/$1.code" 2>/dev/null || echo none)
    test "$code" = "${3:-0}" || fail "$1: exit code $code"
    while read -r line; do
        test "$line" = "$(outcomes "$2")" || fail "$1: $line is not $(outcomes "$2")"
    done < <(outcomes "$scratch/$1.csv")
}
