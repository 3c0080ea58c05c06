# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What tests of limits share: machines made of files, and a process for others to look at.
for name in $(compgen -e RATION_); do unset "$name"; done
export MIB=1048576

# machine NAME TOTAL_MIB AVAILABLE_MIB [GROUP]: a folder with its /proc, in a control group of v2.
machine() {
    mkdir -p "$1/proc/self" "$1/sys/fs/cgroup" "$1/dev/shm"
    printf 'MemTotal: %d kB\nMemAvailable: %d kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n' \
        $(($2 * 1024)) $(($3 * 1024)) >"$1/proc/meminfo"
    printf '0::%s\n' "${4:-/}" >"$1/proc/self/cgroup"
    echo '30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate' \
        >"$1/proc/self/mountinfo"
}

# endless_workload: writes w.yaml, which runs until it is interrupted, into the current folder.
endless_workload() {
    cat >plans.yaml <<'END'
plans:
  endless:
    pipeline:
      - range: { rows: 1000000000000, columns: { i: sequence } }
      - filter: i < 0
END
    cat >w.yaml <<'END'
plans: plans.yaml
count: 1
arrivals: { process: uniform, rate: 2000 }
queries:
  - { plan: endless }
END
}
