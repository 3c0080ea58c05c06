/* SPDX-License-Identifier: Apache-2.0
 *
 * The file of the registry: name, owner, lock, bytes.
 *
 * It is opened for each turn, unlocked and closed behind it. So a file that was removed or replaced
 * is found out at once, a host that closes all descriptors breaks nothing, and the child of a fork
 * has none of its parent's; one that was forked inside of a turn has the descriptor, but not the
 * lock once the turn is over. The kernel drops the lock of who dies.
 *
 * Layout: head, 64 places, and, from LIMITS_AT, the limits of each. Nothing is mapped: a file that
 * somebody cuts short while it is open is read as zeros, and nobody is sent SIGBUS.
 *
 * Invariants
 * 1. Bytes are hostile: an entry counts only when its sum is right and every field is in its range.
 * 2. The file is a regular one, of the user, closed to all others, with one name; links are not
 *    followed, and a FIFO does not hold up.
 * 3. A place is written with one call; who reads it half written finds a wrong sum.
 * 4. The space of the places is there before the first one is taken: a full disk stops nobody
 *    later.
 *
 * A later version keeps head and places as they are, and puts what is new into their spare words:
 * of two that cannot read each other's places each would go on as if it were alone.
 *
 * Rejected: a lock of fcntl(2), which any other descriptor of the file that this process closes
 * would drop. A mapping, as the shared ledger has: it needs a file that nobody else can shorten. */
#include "executor/registry_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"

#define LIMITS_AT INT64_C(65536)
#define LIMITS_BYTES INT64_C(32768) /* of one place: the same in every version */
#define REPLACED_MAX 8
#define SLEEP_NS_MAX INT64_C(500000)

static const char magic[8] = "RATIONR1";

_Static_assert(sizeof(rn_registry_contents) <= LIMITS_AT, "places run into the limits");
_Static_assert(sizeof(rn_registry_limits) <= LIMITS_BYTES, "limits run into the next ones");
_Static_assert(RN_REGISTRY_GROUP_BYTES == RN_PROBE_GROUP_BYTES, "a group as the probe names it");

static ration_status fail(const rn_registry_file *file, const char *what, int code,
                          ration_error *error)
{
    return rn_error_at(error, RATION_FILE, file->path, 0, 0,
                       code == ENOENT ? "make the folder, or set registry_directory" : "", "%s: %s",
                       what, strerror(code));
}

/* Does a test make this system call fail? */
static bool fails(rn_registry_file *file)
{
    if (rn_failure_due(file->failure)) {
        errno = EIO;
        return true;
    }
    return false;
}

ration_status rn_registry_file_name(const char *directory, char path[RN_REGISTRY_PATH_BYTES],
                                    ration_error *error)
{
    int64_t epoch = rn_probe_epoch();
    if (epoch == 0) {
        return rn_error_set(error, RATION_ENVIRONMENT, "mount /proc",
                            "cannot tell processes apart: no boot or pid namespace in /proc");
    }
    rn_text text = rn_text_over(path, RN_REGISTRY_PATH_BYTES);
    rn_text_format(&text, "%s/ration-%lld-%016" PRIx64 ".registry", directory, (long long)geteuid(),
                   (uint64_t)epoch);
    if (directory[0] == '\0' || text.length >= RN_REGISTRY_PATH_BYTES) {
        return rn_error_set(error, RATION_INVALID_ARGUMENT, "",
                            "the folder of the registry has no name, or too long a one");
    }
    return RATION_OK;
}

static ration_status judge_file(rn_registry_file *file, ration_error *error)
{
    struct stat status;
    const char *why = NULL;
    if (fails(file) || fstat(file->descriptor, &status) != 0) {
        return fail(file, "cannot look at the registry", errno, error);
    }
    why = !S_ISREG(status.st_mode)      ? "is no regular file"
          : status.st_uid != geteuid()  ? "belongs to another user"
          : (status.st_mode & 077) != 0 ? "is open to other users"
          : status.st_nlink > 1         ? "has a second name"
                                        : NULL;
    if (why != NULL) {
        return rn_error_at(error, RATION_FILE, file->path, 0, 0,
                           "remove it, or set registry_directory to a folder of your own",
                           "the registry %s", why);
    }
    return RATION_OK;
}

ration_status rn_registry_file_open(rn_registry_file *file, rn_registry_access access,
                                    bool *out_absent, ration_error *error)
{
    static const int flags[] = {[RN_REGISTRY_READS] = O_RDONLY,
                                [RN_REGISTRY_WRITES] = O_RDWR,
                                [RN_REGISTRY_MAKES] = O_RDWR | O_CREAT};
    file->descriptor =
        fails(file) ? -1
                    : open(file->path,
                           flags[access] | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
    bool absent = file->descriptor < 0 && errno == ENOENT && access != RN_REGISTRY_MAKES;
    if (file->descriptor < 0 && !absent) {
        return errno == ELOOP ? rn_error_at(error, RATION_FILE, file->path, 0, 0, "remove it",
                                            "the registry is a symbolic link")
                              : fail(file, "cannot open the registry", errno, error);
    }
    ration_status status = absent ? RATION_OK : judge_file(file, error);
    if (status != RATION_OK) {
        rn_registry_file_close(file);
        return status;
    }
    if (out_absent != NULL) {
        *out_absent = absent;
    }
    return RATION_OK;
}

void rn_registry_file_close(rn_registry_file *file)
{
    if (file->descriptor >= 0) {
        /* A child that was forked since the file was opened has it open too. */
        (void)flock(file->descriptor, LOCK_UN);
        (void)close(file->descriptor);
        file->descriptor = -1;
    }
}

static ration_status wait_for_lock(rn_registry_file *file, int64_t wait_ns, ration_error *error)
{
    int64_t until_ns = rn_clock_ns() + wait_ns;
    struct timespec pause = {.tv_nsec = 20000};
    for (;;) {
        if (!fails(file) && flock(file->descriptor, LOCK_EX | LOCK_NB) == 0) {
            return RATION_OK;
        }
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return fail(file, "cannot lock the registry", errno, error);
        }
        file->waited = true;
        if (rn_clock_ns() >= until_ns) {
            return rn_error_at(error, RATION_ENVIRONMENT, file->path, 0, 0,
                               "a process that was stopped with it must go on, or end",
                               "another process holds the lock of the registry");
        }
        (void)nanosleep(&pause, NULL);
        pause.tv_nsec = RN_MIN(pause.tv_nsec * 2, SLEEP_NS_MAX);
    }
}

ration_status rn_registry_file_lock(rn_registry_file *file, bool writes, int64_t wait_ns,
                                    ration_error *error)
{
    for (int i = 0; i < REPLACED_MAX; i++) {
        struct stat status;
        RN_TRY(wait_for_lock(file, wait_ns, error));
        if (!writes) {
            return RATION_OK;
        }
        if (fails(file) || fstat(file->descriptor, &status) != 0) {
            return fail(file, "cannot look at the registry", errno, error);
        }
        if (status.st_nlink > 0) {
            return RATION_OK;
        }
        rn_registry_file_close(file);
        RN_TRY(rn_registry_file_open(file, RN_REGISTRY_MAKES, NULL, error));
    }
    return rn_error_at(error, RATION_FILE, file->path, 0, 0, "",
                       "somebody removes the registry again and again");
}

static ration_status write_at(rn_registry_file *file, const void *bytes, size_t count, int64_t at,
                              ration_error *error)
{
    ssize_t written = fails(file) ? -1 : pwrite(file->descriptor, bytes, count, at);
    if (written != (ssize_t)count) {
        return fail(file, "cannot write the registry", written < 0 ? errno : ENOSPC, error);
    }
    return RATION_OK;
}

/* Bytes that were read; what is behind the end of the file is zeros. */
static bool read_at(rn_registry_file *file, void *bytes, size_t count, int64_t at)
{
    ssize_t got = fails(file) ? -1 : pread(file->descriptor, bytes, count, at);
    if (got < 0) {
        return false;
    }
    memset((char *)bytes + got, 0, count - (size_t)got);
    return true;
}

static bool is_blank(const void *bytes, size_t count)
{
    const char *at = (const char *)bytes;
    return at[0] == 0 && memcmp(at, at + 1, count - 1) == 0;
}

static ration_status write_head(rn_registry_file *file, rn_registry_contents *contents,
                                ration_error *error)
{
    int code = fails(file) ? EIO : posix_fallocate(file->descriptor, 0, sizeof(*contents));
    if (code != 0 && code != EOPNOTSUPP && code != EINVAL) {
        return fail(file, "no space for the registry", code, error);
    }
    memcpy(contents->magic, magic, sizeof(magic));
    contents->layout = sizeof(*contents);
    memset(contents->spare, 0, sizeof(contents->spare));
    return write_at(file, contents, offsetof(rn_registry_contents, records), 0, error);
}

ration_status rn_registry_file_read(rn_registry_file *file, bool writes, bool heals,
                                    rn_registry_contents *out_contents, ration_error *error)
{
    if (!read_at(file, out_contents, sizeof(*out_contents), 0)) {
        return fail(file, "cannot read the registry", errno, error);
    }
    bool good = memcmp(out_contents->magic, magic, sizeof(magic)) == 0 &&
                out_contents->layout == sizeof(*out_contents);
    if (good) {
        return RATION_OK;
    }
    if (!heals && !is_blank(out_contents, offsetof(rn_registry_contents, records))) {
        return rn_error_at(error, RATION_FILE, file->path, 0, 0,
                           "remove it when no other process of Ration runs",
                           "the registry is damaged, or of another version");
    }
    if (!writes) {
        memset(out_contents, 0, sizeof(*out_contents));
        return RATION_OK;
    }
    return write_head(file, out_contents, error);
}

static uint64_t sum_of(const void *bytes, size_t count)
{
    return rn_hash_bytes(RN_HASH_SEED, bytes, count) | 1;
}

rn_registry_word rn_registry_file_judge(const rn_registry_record *record)
{
    const rn_registry_entry *entry = &record->entry;
    if (record->sum == 0) {
        return is_blank(entry, sizeof(*entry)) ? RN_REGISTRY_BLANK : RN_REGISTRY_LOST;
    }
    if (record->sum != sum_of(entry, sizeof(*entry))) {
        return RN_REGISTRY_LOST;
    }
    if (entry->process == 0) {
        return RN_REGISTRY_FREE;
    }
    bool amounts = entry->granted_bytes >= 0 && entry->resident_bytes >= 0 &&
                   entry->limit_bytes >= 0 && entry->memory_bytes >= 0 &&
                   entry->ceiling_bytes >= 0 && entry->demand_bytes >= 0 &&
                   entry->bound_bytes >= 0 && entry->reserve_bytes >= 0;
    bool names = entry->process > 0 && entry->process <= INT32_MAX && entry->start_time > 0 &&
                 entry->number > 0 && memchr(entry->group, '\0', sizeof(entry->group)) != NULL;
    bool sane = amounts && names && entry->ratio_ppm >= 1 && entry->ratio_ppm <= 1000000 &&
                entry->resident_bytes <= entry->granted_bytes && entry->heard_ns > 0;
    return sane ? RN_REGISTRY_ENTRY : RN_REGISTRY_LOST;
}

ration_status rn_registry_file_write(rn_registry_file *file, int64_t place,
                                     const rn_registry_entry *entry, ration_error *error)
{
    rn_registry_record record = {.sum = sum_of(entry, sizeof(*entry)), .entry = *entry};
    size_t at = offsetof(rn_registry_contents, records) + (size_t)place * sizeof(record);
    return write_at(file, &record, sizeof(record), (int64_t)at, error);
}

/* --------------------------------------------------------------------------------------- limits */

/* The same for all who mean the same by the bytes of ration_limits. */
static uint64_t find_layout(void)
{
    size_t counts[2];
    const rn_limits_key *tables[] = {rn_limits_keys(&counts[0]), rn_limits_group_keys(&counts[1])};
    uint64_t layout = rn_hash_word(sizeof(ration_limits), RATION_GROUPS_MAX);
    for (size_t table = 0; table < RN_COUNT(tables); table++) {
        for (size_t i = 0; i < counts[table]; i++) {
            const rn_limits_key *key = &tables[table][i];
            layout = rn_hash_bytes(layout, key->name, strlen(key->name));
            layout = rn_hash_word(layout, (uint64_t)key->type << 32 | key->offset);
        }
    }
    return layout;
}

static uint64_t sum_of_limits(const rn_registry_limits *limits)
{
    return sum_of(&limits->layout, sizeof(*limits) - sizeof(limits->sum));
}

ration_status rn_registry_file_write_limits(rn_registry_file *file, int64_t place,
                                            rn_registry_limits *limits, ration_error *error)
{
    limits->layout = find_layout();
    limits->sum = sum_of_limits(limits);
    return write_at(file, limits, sizeof(*limits), LIMITS_AT + place * LIMITS_BYTES, error);
}

bool rn_registry_file_read_limits(rn_registry_file *file, int64_t place,
                                  const rn_registry_entry *entry, rn_registry_limits *out_limits,
                                  bool *out_other)
{
    if (!read_at(file, out_limits, sizeof(*out_limits), LIMITS_AT + place * LIMITS_BYTES)) {
        return false;
    }
    bool its = out_limits->process == entry->process &&
               out_limits->start_time == entry->start_time && out_limits->number == entry->number;
    *out_other = its && out_limits->layout != find_layout();
    if (!its || *out_other || out_limits->sum != sum_of_limits(out_limits)) {
        return false;
    }
    return rn_limits_validate(&out_limits->limits, NULL) == RATION_OK;
}
