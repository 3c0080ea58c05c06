#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Runs beside pwrite and pread of the same blocks, and write-behind beside none: MIB (512) written,
# read and given back in each of ROUNDS (7) interleaved rounds, in DIRECTORY (/var/tmp). Rows
# `cgroup` are taken inside a memory control group (v1, as root) of 80 MiB.
set -eu
. bench/rows.sh
MIB=${MIB:-512}
ROUNDS=${ROUNDS:-7}
DIRECTORY=${DIRECTORY:-/var/tmp}
make -s "$BUILD/release/bench/runs"
program=$BUILD/release/bench/runs
scratch=$(mktemp -d)

put_rows() {
    while read -r name value unit against ratio; do
        put_row "$name" "$value" "$unit" "$against" "$ratio"
    done <"$scratch/rows"
}

"$program" "$DIRECTORY" "$MIB" "$ROUNDS" runs. >"$scratch/rows"
put_rows

group=/sys/fs/cgroup/memory/ration-bench-$$
if mkdir "$group" 2>/dev/null; then
    echo $((80 * 1024 * 1024)) >"$group/memory.limit_in_bytes"
    (
        sh -c 'echo $PPID' >"$group/cgroup.procs"
        "$program" "$DIRECTORY" "$MIB" "$ROUNDS" runs.cgroup. >"$scratch/rows"
    )
    rmdir "$group"
    put_rows
else
    echo "cgroup: not measured, it needs root and memory control groups (v1)" >&2
fi
rm -rf "$scratch"
finish runs
