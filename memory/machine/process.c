/* SPDX-License-Identifier: Apache-2.0
 *
 * Processes: which one a pid is (rn_probe_start_time, rn_probe_process, rn_probe_epoch), and what
 * this one has in memory (rn_probe_resident, rn_probe_self).
 *
 * Bound: since Linux 6.2 the kernel sums its counters of pages up per processor; until 6.15 what it
 * shows may be wrong by some tens of pages for each processor. */
#include "memory/machine/probe.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "memory/machine/lines.h"

static int read_status(const char *sysroot, rn_lines_entry *entries, size_t count)
{
    rn_lines_place place = {.sysroot = sysroot != NULL ? sysroot : ""};
    return rn_lines_entries(&place, RN_LINES_ONCE, "/proc/self", "/status", entries, count);
}

void rn_probe_self(const char *sysroot, int64_t *out_rss_bytes, int64_t *out_peak_bytes)
{
    rn_lines_entry entries[] = {{.name = "VmRSS:", .unit = 1024}, {.name = "VmHWM:", .unit = 1024}};
    (void)read_status(sysroot, entries, RN_COUNT(entries));
    *out_rss_bytes = entries[0].value;
    *out_peak_bytes = entries[1].value;
}

/* Before Linux 4.5 only VmRSS is there, which has files too. */
int64_t rn_probe_resident(const char *sysroot)
{
    rn_lines_entry entries[] = {{.name = "VmRSS:", .unit = 1024},
                                {.name = "RssAnon:", .unit = 1024},
                                {.name = "RssShmem:", .unit = 1024}};
    (void)read_status(sysroot, entries, RN_COUNT(entries));
    return entries[1].found ? rn_add(entries[1].value, entries[2].value) : entries[0].value;
}

/* Field `wanted` (from 1) of /proc/PID/stat; field 2 is the only one with blanks, and ends at the
 * last ')' of the file. */
static const char *find_field(const char *line, int wanted)
{
    const char *at = strrchr(line, ')');
    for (int field = 2; at != NULL && field < wanted; field++) {
        at = strchr(at, ' ');
        at = at == NULL ? NULL : at + 1;
    }
    return at;
}

/* `path`: /proc/PID. */
static int64_t read_start(const char *path, int64_t pid)
{
    char last[1024] = "";
    rn_lines_place place = {.sysroot = ""};
    rn_lines lines;
    if (rn_lines_open(&lines, &place, RN_LINES_ONCE, path, "/stat") ==
        0) { /* a name may hold line ends */
        for (char *line = rn_lines_next(&lines); line != NULL; line = rn_lines_next(&lines)) {
            rn_copy_text(last, sizeof(last), line);
        }
    }
    rn_lines_close(&lines);
    const char *state = find_field(last, 3);
    const char *threads = find_field(last, 20);
    const char *start = find_field(last, 22);
    int64_t thread_count, ticks;
    if (start != NULL && rn_lines_number(threads, 1, &thread_count) &&
        rn_lines_number(start, 1, &ticks)) {
        /* A first thread that has ended shows as Z while others run; alone it has no memory left.
         */
        bool ended = strchr("ZXx", *state) != NULL && thread_count <= 1;
        return ended ? 0 : RN_MAX(ticks, 1);
    }
    /* /proc may hide the processes of others; their pids are there all the same. */
    return kill((pid_t)pid, 0) != 0 && errno == ESRCH ? 0 : -1;
}

/* statm: all pages, those in memory, those of these that a file or shared memory is behind, .. */
static int64_t read_private(const char *path)
{
    char line[256];
    int64_t page = sysconf(_SC_PAGESIZE), resident, shared;
    if (rn_lines_first("", path, "/statm", line, sizeof(line)) != 0) {
        return 0;
    }
    const char *second = strchr(line, ' ');
    const char *third = second == NULL ? NULL : strchr(second + 1, ' ');
    if (third == NULL || !rn_lines_number(second + 1, page, &resident) ||
        !rn_lines_number(third + 1, page, &shared)) {
        return 0;
    }
    return RN_MAX(0, resident - shared);
}

static void put_path(char path[64], int64_t pid)
{
    rn_text text = rn_text_over(path, 64);
    rn_text_format(&text, "/proc/%lld", (long long)pid);
}

int64_t rn_probe_start_time(int64_t pid)
{
    char path[64];
    put_path(path, pid);
    return read_start(path, pid);
}

int64_t rn_probe_process(int64_t pid, int64_t *out_private_bytes)
{
    char path[64];
    put_path(path, pid);
    *out_private_bytes = read_private(path);
    return read_start(path, pid);
}

static int64_t namespace_number(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? (int64_t)status.st_ino : 0;
}

int64_t rn_probe_epoch(void)
{
    char boot[64];
    uint64_t hash = 0;
    int code = rn_lines_first("", "/proc/sys/kernel/random", "/boot_id", boot, sizeof(boot));
    int64_t processes = namespace_number("/proc/self/ns/pid");
    if (code == 0 && processes != 0) {
        hash = rn_hash_bytes(RN_HASH_SEED, boot, strlen(boot));
        hash = rn_hash_word(hash, (uint64_t)processes);
        hash = rn_hash_word(hash, (uint64_t)namespace_number("/proc/self/ns/time"));
    }
    return (int64_t)hash;
}
