#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Killed in the middle of spilling, a query leaves nothing: no file in the directory and, as root on
# a file system of its own, no byte taken there.
. tests/spill/common.sh
file_system=''

# A small file system in a file, mounted on $place/fs; fails where that cannot be done.
mount_one() {
    mkdir "$place/fs" && truncate -s 2G "$place/image" &&
        mkfs.ext4 -q -F -O ^has_journal "$place/image" &&
        mount -o loop "$place/image" "$place/fs"
}

used_bytes() {
    sync -f "$1"
    df --output=used -B1 "$1" | tail -n 1
}

# spilled_bytes PID: what its unnamed files take.
spilled_bytes() {
    local sum=0 link
    for link in "/proc/$1/fd/"*; do
        case $(readlink "$link") in
        "$directory"/*) sum=$((sum + $(stat -L -c '%b * 512' "$link" || echo 0))) ;;
        esac
    done 2>/dev/null
    echo "$sum"
}

if mount_one >"$scratch/out" 2>&1; then
    file_system=$place/fs
    trap 'umount "$file_system"; rm -rf "$scratch" "$place"' EXIT
else
    echo "no file system of its own: only the directory is looked at"
fi
directory=${file_system:-$place}/spill
mkdir "$directory"
test -z "$file_system" || before=$(used_bytes "$file_system")

begin "killed while it spills, it leaves nothing"
"$SPILL" run sort $((8 << 20)) 0.1 "$directory" >"$scratch/out" 2>"$scratch/err" &
victim=$!
seen=0
while kill -0 "$victim" 2>/dev/null && [ "$seen" -lt $((16 << 20)) ]; do
    seen=$(spilled_bytes "$victim")
    sleep 0.01
done
kill -9 "$victim" 2>/dev/null
wait "$victim" 2>/dev/null
# shellcheck disable=SC2034 # expect_code reads it
code=$?
test "$seen" -ge $((16 << 20)) || fail "it had spilled only $seen bytes when it ended"
expect_code 137
test -z "$(ls -A "$directory")" || fail "files are left: $(ls -A "$directory")"
if [ -n "$file_system" ]; then
    begin "no byte of the file system is taken"
    after=$(used_bytes "$file_system")
    test "$after" = "$before" || fail "$before bytes before, $after after"
fi
finish
