/* SPDX-License-Identifier: Apache-2.0
 *
 * Profiles of memory.yaml: what to begin with on a kind of machine. Each value stands beside its
 * reason, which the printed file repeats; what a profile does not name is the default. */
#include "config/limits.h"

static const rn_profile_value small_values[] = {
    {"limit_bytes", "100MiB",
     "enough for the queries of one user, and the same on every machine. What does not fit is "
     "written out."},
    {"enable_system_monitor", "false",
     "100 MiB are there or the machine has other worries; nothing is read while running."},
    {"check_interval", "10000",
     "few queries at a time: nobody waits for what a guard gives back some thousand rows later."},
};

static const rn_profile_value server_values[] = {
    {"limit_ratio", "0.75",
     "a quarter stays for the system, for the page cache through which spilled rows go, and for "
     "what is not charged."},
    {"limit_base", "total",
     "the machine is there for this service: the limit is the same after every start, whatever "
     "else was busy at that moment."},
    {"limit_floor_bytes", "1GiB",
     "a dedicated machine that leaves less is not the one that was meant."},
    {"untracked_reserved_memory_mb", "512",
     "stacks and allocator caches of many threads, and libraries of the host program."},
    {"spill_query_bytes_max", "100GiB",
     "a join that explodes ends with SPILL_QUOTA long before the disk is full for the others."},
    {"spill_free_bytes_min", "10GiB",
     "logs, core dumps and updates need the same disk; a full one takes more than queries down."},
    {"admission_wait_ms_max", "30000",
     "below the 60 seconds after which most clients and proxies give up, so that no answer is "
     "computed that nobody reads."},
    {"chunk_bytes_max", "4MiB",
     "many workers ask at the same time; larger chunks keep them off the one lock, and near the "
     "limit they shrink by themselves."},
    {"retain_ms", "5000",
     "queries follow each other all day: pages that are kept need not be faulted in again."},
};

static const rn_profile_value container_values[] = {
    {"limit_ratio", "0.75",
     "at the limit of its control group the kernel kills without asking, and the group pays for "
     "more than rows: page cache not yet written back, page tables, socket buffers."},
    {"limit_floor_bytes", "64MiB",
     "a container with less was given a wrong limit: better that it does not start and says why "
     "than that every query waits."},
    {"untracked_reserved_memory_mb", "96",
     "the group also counts kernel memory and whatever runs beside this process, such as a shell "
     "or a probe."},
    {"spill_bytes_max", "10GiB",
     "who writes more than the ephemeral storage he was given is evicted: keep this below it, or "
     "mount a volume at spill_directory and write 0."},
    {"spill_free_bytes_min", "4GiB",
     "the file system is the node's: other containers need it too, and a node that runs full "
     "evicts."},
    {"retain_ms", "250",
     "pages that nobody uses count against the group as well; a short pause between two queries "
     "is bridged."},
};

const rn_profile *rn_limits_profiles(size_t *out_count)
{
    static const rn_profile profiles[] = {
        {"default", "a machine that others use too", NULL, 0},
        {"small", "a laptop, a test, a tool that is started by hand", small_values,
         RN_COUNT(small_values)},
        {"server", "a machine that is there for this service alone", server_values,
         RN_COUNT(server_values)},
        {"container", "a control group with a limit of its own", container_values,
         RN_COUNT(container_values)},
    };
    *out_count = RN_COUNT(profiles);
    return profiles;
}
