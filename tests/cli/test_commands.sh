#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The command line as a whole: dispatch, options, exit codes, the sub-commands that need no graph.
. tests/support.sh
cd "$scratch" || exit 1

begin "--version and --help"
run ration --version
expect_code 0
expect_exactly "ration 0.1.0
"
run ration --help
expect_code 0
for command in check limits init query replay generate; do
    expect_out "  $command"
done
expect_silence

begin "no command is a usage error"
run ration
expect_code 2
expect_err "which command?"

begin "an unknown command: did you mean"
run ration qery
expect_code 2
expect_err "unknown command 'qery' (did you mean 'query'?)"

begin "every command has --help with its options"
for command in check limits init query replay generate; do
    run ration $command --help
    expect_code 0
    expect_out "usage: ration $command"
    expect_out "--help"
done

begin "an unknown option: did you mean"
run ration query --limt 3 x.yaml
expect_code 2
expect_err "unknown option '--limt' (did you mean '--limit'?)"

begin "an option without its value"
run ration query x.yaml --limit
expect_code 2
expect_err "--limit needs a value: --limit SIZE"

begin "a flag with a value"
run ration limits --json=yes
expect_code 2
expect_err "--json takes no value"

begin "a letter that is no option"
run ration limits -x
expect_code 2
expect_err "unknown option '-x'"

begin "values of the wrong kind"
run ration query x.yaml --limit lots
expect_code 2
expect_err "--limit takes a size such as 512MiB, not 'lots'"
run ration query x.yaml --rows -1
expect_code 2
expect_err "--rows takes a whole number from 0, not '-1'"
run ration query x.yaml --format xml
expect_code 2
expect_err "--format is one of table, csv, json, jsonl, not 'xml'"

begin "too few and too many operands"
run ration query
expect_code 2
expect_err "missing operand"
run ration init extra
expect_code 2
expect_err "one operand too many: 'extra'"

begin "init prints a file that check accepts"
run ration init
expect_code 0
expect_silence
cp out memory.yaml
run env -u RATION_REGISTRY_DIRECTORY "$RATION" check --no-machine
expect_code 0
expect_exactly "memory.yaml: ok
"

begin "check names place and remedy, and ends with 3"
printf 'limit_bytes: 0\nlimit_rato: 0.8\n' >bad.yaml
run ration check memory.yaml bad.yaml
expect_code 3
expect_out "memory.yaml: ok"
expect_out "bad.yaml:2:1: error: "
expect_out "limit_ratio"
expect_out "1 error"

begin "check as JSON"
run ration check --json memory.yaml bad.yaml
expect_code 3
expect_out '"file":"bad.yaml","status":"CONFIG","line":2,"column":1'
expect_out '"errors":1}'

begin "check of a file that is not there"
run ration check nothing.yaml
expect_code 1
expect_out "nothing.yaml: error: "

begin "a memory.yaml of the current folder counts, and its errors end every command"
printf 'limit_bytes: 64MiB\n' >memory.yaml
run ration limits
expect_code 0
expect_out "limit     64 MiB = limit_bytes of memory.yaml"
printf 'limit_bytes: -1\n' >memory.yaml
run ration limits
expect_code 3
expect_err "memory.yaml:1:14: error: "
rm memory.yaml

begin "limits needs no configuration"
run ration limits
expect_code 0
expect_silence
expect_out "available"

begin "limits --explain marks the binding source"
run ration limits --explain
expect_code 0
expect_out "<-- smallest"
expect_out "ordering"
expect_out "pages     $(getconf PAGESIZE | awk '{ print $1 / 1024 }') KiB, huge pages "
expect_out "check_interval"

begin "limits shows groups"
printf 'groups:\n  reports: { share: 3, limit_bytes: 8MiB }\n  none:\n' >groups.yaml
run ration limits --config groups.yaml --explain
expect_code 0
expect_out "group reports "
expect_out "group none "
expect_out "spill_directory "
run ration limits --config groups.yaml --json
expect_out '"groups":{"reports":{"limit_bytes":8388608,"share":3,'
expect_out '"spill_directory":"/var/tmp"'
run ration check groups.yaml
expect_code 0
printf 'groups:\n  reports: { shar: 3 }\n' >groups.yaml
run ration check groups.yaml
expect_code 3
expect_out "groups.yaml:2:14: error: unknown key 'shar' (did you mean 'share'?)"

begin "limits reads another machine"
mkdir -p machine/proc/self
printf 'MemTotal: 1048576 kB\nMemAvailable: 524288 kB\n' >machine/proc/meminfo
printf '0::/\n' >machine/proc/self/cgroup
: >machine/proc/self/mountinfo
run ration limits --sysroot machine --json
expect_code 0
expect_out "\"pages\":{\"page_bytes\":$(getconf PAGESIZE),\"huge\":\""
expect_out '"available_bytes":536870912,"binding":"MemAvailable"'
# 0.8 x 512 MiB - 50 MiB, in whole bytes
expect_out '"limit_bytes":377067929'

begin "a machine that tells nothing is the environment's fault"
run ration limits --sysroot "$scratch/nowhere"
expect_code 5

begin "a full disk is told"
if [ -e /dev/full ]; then
    "$RATION" init >/dev/full 2>"$scratch/err"
    code=$?
    expect_code 1
    expect_err "could not be written"
fi
finish
