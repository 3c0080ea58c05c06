#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Equal aggregations at the same time under a limit far below what they would take together.
. tests/spill/common.sh

# together COUNT GROUPS LIMIT
together() {
    begin "$1 queries of $2 groups under $3 bytes"
    run "$SPILL" together "$1" "$2" "$3" "$place"
    expect_code 0
    expect_out "complete=$1 of=$1 "
    expect_out " rows=$2 "
}

together 8 100000 $((4 << 20))
together 64 20000 $((4 << 20))
finish
