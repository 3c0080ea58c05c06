#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# `ration check`: what it finds in a memory.yaml and on machines made of files, with places, exit
# codes and JSON; and what a running process would do with another file.
. tests/support.sh
. tests/cli/machines.sh
cd "$scratch" || exit 1

# finds RULE PLACE SEVERITY TEXT < memory.yaml: that line is there, and the exit code is as it says.
finds() {
    cat >memory.yaml
    run ration check --sysroot here
    grep -F "[$1]" "$scratch/out" | grep -F "memory.yaml$2: $3: " | grep -qF -- "$4" ||
        fail "no $3 at $2: '$4' [$1]"
    case $3 in error) expect_code 3 ;; *) expect_code 0 ;; esac
}

machine here 16384 12288

begin "nothing to say"
ration init >memory.yaml
run ration check --no-machine
expect_code 0
expect_exactly "memory.yaml: ok
"
run ration check --no-machine --strict
expect_code 0

begin "a mistake in the file comes alone"
printf 'limit_rato: 0.8\n' >memory.yaml
run ration check
expect_code 3
expect_exactly "memory.yaml:1:1: error: unknown key 'limit_rato' (did you mean 'limit_ratio'?)
1 error
"

begin "rules of the file alone"
for profile in default small server container; do
    ration init --profile "$profile" >memory.yaml
    run ration check --no-machine --strict
    expect_code 0
done
finds monitor-off :1:24 warning "gives way neither when the machine has less" \
    <<<"enable_system_monitor: false"
finds no-effect :3:14 warning "limit_ratio has no effect: limit_bytes is given" <<'END'
limit_bytes: 1GiB
enable_system_monitor: false
limit_ratio: 0.5
END
finds no-effect :2:22 warning \
    "monitor_interval_ms has no effect: enable_system_monitor is false" <<'END'
enable_system_monitor: false
monitor_interval_ms: 50
END
finds spill-unbounded :1:23 warning "nothing keeps spilling from filling" \
    <<<"spill_free_bytes_min: 0"
finds admission-shorter :1:24 warning "(5000 ms) sooner than" <<<"admission_wait_ms_max: 5000"
finds time-shorter :1:20 note "(100 ms) before it may have waited" <<<"query_time_ms_max: 100"
finds few-rows :1:17 warning "batches have 4 rows" <<<"check_interval: 4"
finds retain-long :1:12 note "freed pages stay for 600 s" <<<"retain_ms: 600000"
finds check-bytes-below-row :1:14 note "looked at one by one" <<<"check_bytes: 32KiB"

begin "N x the widest row, with its numbers"
# min(1024 x 16 MiB, 64 MiB) + 16 MiB + 64 KiB of 100 MiB
finds rows-between-looks :1:16 warning "= 64 MiB between two looks" <<'END'
max_row_bytes: 16MiB
check_bytes: 64MiB
limit_bytes: 100MiB
END
expect_out "may be 80.1 MiB above its limit, 80% of 100 MiB"

begin "the least that a query needs"
finds minimum-above-limit :1:20 warning "query_limit_bytes 256 KiB is less than a query needs" \
    <<<"query_limit_bytes: 256KiB"
finds minimum-above-limit :2:27 warning "group 'small': limit_bytes 64 KiB is less" <<'END'
groups:
  small: { limit_bytes:   64KiB }
END
least=$(sed -n 's/.*raise it to \([0-9.]*\) \(KiB\|MiB\) or more.*/\1 \2/p' "$scratch/out")
finds minimum-above-limit :1:20 warning "raise it to" <<<"query_limit_bytes: 100KiB"
expect_out "raise it to $least or more"
# With that much it is silent.
echo "query_limit_bytes: $(awk -v n="${least% *}" -v u="${least#* }" \
    'BEGIN { printf "%d", (n + 0.01) * (u == "KiB" ? 1024 : 1048576) + 1 }')" >memory.yaml
run ration check --no-machine
grep -q minimum-above-limit "$scratch/out" && fail "it is not silent with $least"
expect_out "memory.yaml: ok"

begin "groups beside each other"
finds groups-above-limit :3:3 note "add up to 1.5 GiB, and that of all is 1 GiB" <<'END'
limit_bytes: 1GiB
groups:
  a: { limit_bytes: 1GiB }
  b: { limit_bytes: 512MiB }
END
finds groups-below-limit :3:3 note "256 MiB are left to queries without a group" <<'END'
limit_bytes: 1GiB
groups:
  a: { limit_bytes: 256MiB }
  b: { limit_bytes: 512MiB }
END
finds gate-above-limit :2:40 note "admits 100 queries at a time" <<'END'
groups:
  a: { limit_bytes: 8MiB, queries_max: 100 }
END
finds group-above-limit :2:21 warning \
    "may hold 32 GiB, and the limit of all comes to 9.55 GiB" <<'END'
groups:
  a: { limit_bytes: 32GiB }
END

begin "data that leave nothing"
finds data-takes-all :2:19 warning "no query could run beside it" <<'END'
limit_bytes: 64MiB
data_limit_bytes: 64MiB
END

begin "limits against the machine"
finds limit-above-machine :1:14 warning "64 GiB is more than there ever is" <<<"limit_bytes: 64GiB"
finds limit-above-available :2:14 warning "is more than the 12 GiB that MemAvailable leaves" <<'END'
enable_system_monitor: false
limit_bytes: 14GiB
END
finds limit-not-reached :1:14 note "14 GiB is not reached now: the machine gives 9.55 GiB" \
    <<<"limit_bytes: 14GiB"
finds ratio-high :1:14 warning "limit_ratio 0.98 of 12 GiB leaves 296 MiB" <<<"limit_ratio: 0.98"
finds total-above-available :1:13 warning \
    "the limit comes to 12.8 GiB, and MemAvailable leaves 12 GiB" \
    <<<"limit_base: total"
finds reserve-large :1:31 warning "takes more than half" <<<"untracked_reserved_memory_mb: 6000"
finds ceiling-not-reached :1:22 note "32 GiB is above the 12 GiB that are here" \
    <<<"limit_ceiling_bytes: 32GiB"
finds no-stalls "" note "this kernel does not tell" <<<"check_interval: 1024"

begin "nothing to govern is an error"
finds no-limit-here :1:14 error "no governor would open here: no memory to govern" \
    <<<"limit_ratio: 0.001"
expect_out "1 error"

begin "a small machine"
machine little 256 128
printf 'limit_ratio: 0.8\n' >memory.yaml
run ration check --sysroot little
expect_out "memory.yaml:1:14: note: the limit comes to 52.4 MiB: 0.8 of 128 MiB"

begin "less than a query needs"
finds minimum-above-limit :1:14 warning "the limit here, 1.61 MiB is less than" <<'END'
limit_ratio: 0.0042
limit_floor_bytes: 1MiB
max_row_bytes: 1MiB
END

begin "folders"
finds spill-impossible :1:18 warning "nothing can be written out: spilling to /nowhere/at/all" \
    <<<"spill_directory: /nowhere/at/all"
finds spill-impossible :2:18 warning "have to stay free" <<END
spill_free_bytes_min: 1EiB
spill_directory: /var/tmp
END
finds registry-impossible :1:21 warning "processes do not find each other there" \
    <<<"registry_directory: /nowhere/at/all"
if [ "$(stat -f -c %T /var/tmp)" != tmpfs ]; then
    finds registry-on-disk :1:21 note "lies on a disk" <<<"registry_directory: /var/tmp"
fi
if [ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ]; then
    finds spill-on-memory :1:18 warning "is refused, as it would free nothing" \
        <<<"spill_directory: /dev/shm"
    finds spill-on-memory :1:18 warning "takes the memory that it should free" <<'END'
spill_directory: /dev/shm
spill_allow_memory: true
END
    expect_out "[spill-allow-memory]"
fi

begin "findings come in the order of the file, are counted, and --strict makes them count"
cat >memory.yaml <<'END'
check_interval: 4
retain_ms: 600000
admission_wait_ms_max: 5000
END
run ration check --no-machine
expect_code 0
test "$(cut -d: -f2 "$scratch/out" | head -n 3 | tr '\n' ' ')" = "1 2 3 " || fail "order"
test "$(tail -n 1 "$scratch/out")" = "2 warnings" || fail "count"
run ration check --no-machine --strict
expect_code 4
printf 'limit_bytes: -1\n' >bad.yaml
run ration check --no-machine --strict memory.yaml bad.yaml
expect_code 3
test "$(tail -n 1 "$scratch/out")" = "1 error, 2 warnings" || fail "count of both"

begin "as JSON"
run ration check --no-machine --json memory.yaml
expect_code 0
expect_out '{"schema_version":1,"files":[{"file":"memory.yaml","status":"OK","findings":['
expect_out '{"severity":"warning","rule":"few-rows","file":"memory.yaml","line":1,"column":17,'
expect_out '"message":"batches have 4 rows'
expect_out '],"notes":1,"warnings":2,"errors":0}'

begin "a value from the environment names its variable"
ration init >memory.yaml
RATION_CHECK_INTERVAL=4 run ration check --no-machine
expect_out "RATION_CHECK_INTERVAL: warning: batches have 4 rows"

# ------------------------------------------------------------------------------------- against

endless_workload
mkdir -m 700 registry
export RATION_REGISTRY_DIRECTORY=$PWD/registry
cat >running.yaml <<'END'
limit_bytes: 96MiB
groups:
  reports: { limit_bytes: 32MiB, share: 2 }
  old: { share: 1 }
END
started=()
# start: one more process in the background, with running.yaml.
start() {
    "$RATION" replay w.yaml --quiet --config running.yaml >replay.out 2>&1 &
    started+=($!)
    for ((i = 0; i < 200; i++)); do
        run ration check --against $! running.yaml
        test $code != 5 && break
        sleep 0.05
    done
}

begin "nobody is there"
run ration check --against running running.yaml
expect_code 5
expect_err "no process has registered in $PWD/registry"
run ration check --against 1 running.yaml
expect_code 5
expect_err "process 1 has not registered"

begin "against the same file"
start
first=${started[0]}
run ration check --against running running.yaml
expect_code 0
expect_out "against process $first, governor 1: limit 96 MiB"
expect_out "  nothing would change"

begin "against another one"
cat >other.yaml <<'END'
limit_bytes: 80MiB
check_interval: 512
groups:
  reports: { limit_bytes: 16MiB, share: 2 }
  fresh: { share: 5 }
END
run ration check --against "$first" other.yaml
expect_code 0
row() {
    grep -q "^$1  *$2  *$3  *$4\$" "$scratch/out" || fail "no row $*"
}
row limit_bytes 96MiB 80MiB now
row check_interval 1024 512 "for new queries"
row "group reports limit_bytes" 32MiB 16MiB now
row "group fresh" - there now
row "group old" there - "takes no new queries, goes with its last one"
expect_out "limit 96 MiB -> 80 MiB"

begin "the same as JSON"
run ration check --json --against "$first" other.yaml
expect_code 0
expect_out "\"against\":[{\"process\":$first,\"governor\":1,\"limit_bytes\":$((96 * MIB)),"
expect_out "\"accepted\":true,\"new_limit_bytes\":$((80 * MIB)),\"changes\":["
expect_out '{"key":"limit_bytes","running":"96MiB","file":"80MiB","holds":"now","restart":false}'
expect_out '{"group":"old","running":"there","file":null,'

begin "a key that needs a restart: the reload would be refused"
printf 'limit_bytes: 80MiB\nspill_directory: /tmp\n' >restart.yaml
run ration check --against "$first" restart.yaml
expect_code 3
row spill_directory /var/tmp /tmp "needs a restart: a reload is refused"
expect_out "a reload would be refused as a whole: 1 key needs a restart"

begin "a file that names another folder than the one it runs with"
mkdir -p other/dev/shm elsewhere && chmod 700 other/dev/shm
ln -s /proc /sys other/
(
    unset RATION_REGISTRY_DIRECTORY
    printf 'limit_bytes: 96MiB\nregistry_directory: %s\n' "$PWD/other/dev/shm" >apart.yaml
    exec "$RATION" replay w.yaml --quiet --config apart.yaml >apart.out 2>&1
) &
apart=$!
printf 'limit_bytes: 96MiB\nregistry_directory: %s\n' "$PWD/elsewhere" >moved.yaml
# there COMMAND..: until it has registered, without this shell's variable.
there() {
    for ((i = 0; i < 200; i++)); do
        run env -u RATION_REGISTRY_DIRECTORY "$RATION" check --against "$apart" moved.yaml "$@"
        test $code != 5 && break
        sleep 0.05
    done
}
there --registry "$PWD/other/dev/shm"
expect_code 3
row registry_directory "$PWD/other/dev/shm" "$PWD/elsewhere" "needs a restart: a reload is refused"
begin "or than the usual one"
there --sysroot other
expect_code 3
row registry_directory "$PWD/other/dev/shm" "$PWD/elsewhere" "needs a restart: a reload is refused"
kill -INT "$apart"
wait "$apart"
run ration check --registry elsewhere running.yaml
expect_code 2

begin "several: one has to be named"
start
run ration check --against running running.yaml
expect_code 2
expect_err "2 processes are running: "
run ration check --against "${started[1]}" running.yaml
expect_code 0

begin "what was said is what a reload does"
cp other.yaml running.yaml
kill -HUP "$first"
for ((i = 0; i < 200; i++)); do
    run ration check --against "$first" other.yaml
    grep -q "limit 80 MiB" "$scratch/out" && grep -q "nothing would" "$scratch/out" && break
    sleep 0.05
done
expect_out "nothing would change"
expect_out "against process $first, governor 1: limit 80 MiB"
for process in "${started[@]}"; do
    kill -INT "$process"
    wait "$process"
done

begin "words that are neither"
run ration check --against both running.yaml
expect_code 2
expect_err "'both' is neither 'running' nor a process"
run ration check --against running running.yaml other.yaml
expect_code 2
expect_err "--against takes one file"
finish
