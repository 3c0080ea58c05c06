#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Processor time of following the machine: LOOKS (1000) looks one after the other, alone and beside
# three other governors; and one sample of the machine in the control group this shell is in or, as
# root with memory control groups of version 1, in the root and in a group of a group: without
# limits, with one on the outer, on the inner, on both.
set -eu
. bench/rows.sh
LOOKS=${LOOKS:-1000}
make -s "$BUILD/release/bench/monitor"
scratch=$(mktemp -d)
mkdir "$scratch/registry"
program=$BUILD/release/bench/monitor

put_rows() {
    while read -r name value unit against ratio; do
        put_row "$name" "$value" "$unit" "$against" "$ratio"
    done <"$scratch/rows"
}

"$program" "$scratch/registry" "$LOOKS" >"$scratch/rows"
put_rows

outer=/sys/fs/cgroup/memory/ration-bench-$$
inner=$outer/inner

# sample_inside PLACE GROUP
sample_inside() {
    (
        sh -c 'echo $PPID' >"$2/cgroup.procs"
        "$program" sample "$1" >"$scratch/rows"
    )
    put_rows
}

# set_limits OUTER INNER
set_limits() {
    echo -1 >"$inner/memory.limit_in_bytes"
    echo "$1" >"$outer/memory.limit_in_bytes"
    echo "$2" >"$inner/memory.limit_in_bytes"
}

if mkdir "$outer" 2>/dev/null && mkdir "$inner"; then
    sample_inside root /sys/fs/cgroup/memory
    sample_inside unlimited "$inner"
    set_limits 4G -1
    sample_inside outer "$inner"
    set_limits -1 2G
    sample_inside inner "$inner"
    set_limits 4G 2G
    sample_inside both "$inner"
    rmdir "$inner" "$outer"
else
    echo "cgroup: not measured, it needs root and memory control groups (v1)" >&2
    "$program" sample root >"$scratch/rows"
    put_rows
fi
rm -rf "$scratch"
finish monitor
