#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Every shape once more in a memory control group (v1) of limit + 64 MiB: what was spilled must not
# stay in the page cache instead. Needs root and the memory hierarchy.
. tests/spill/common.sh
scale=${SPILL_SCALE:-0.05}
groups=/sys/fs/cgroup/memory/ration-test-$$

if ! mkdir "$groups" 2>/dev/null || [ ! -e "$groups/memory.limit_in_bytes" ]; then
    rmdir "$groups" 2>/dev/null
    echo "skipped: no memory control group can be made here"
    exit 77
fi
trap 'rm -rf "$scratch" "$place"; rmdir "$groups"' EXIT
run "$SPILL" graph "$scale" "$place"
# shellcheck disable=SC2086
run "$SPILL" cells -s "$scale" -g "$groups" "$place" $all_shapes
sed 's/^/    err: /' "$scratch/err"
judge_cells 12
finish
