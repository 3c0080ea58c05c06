#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Every shape under every limit, scaled down: it completes, with the rows of the unlimited run, in
# their order where there is one, and what is resident over the start is at most limit + max(2 MiB,
# 2%). A limit below the plan's minimum is raised to it.
. tests/spill/common.sh
scale=${SPILL_SCALE:-0.02}

run "$SPILL" graph "$scale" "$place"
# shellcheck disable=SC2086
run "$SPILL" cells -s "$scale" "$place" $all_shapes
sed 's/^/    err: /' "$scratch/err"
# unlimited, 3 in MiB, 5 parts, and 3 floors
judge_cells $((12 * 9 + 3))
finish
