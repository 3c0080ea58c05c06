/* SPDX-License-Identifier: Apache-2.0
 *
 * See disk.h. A file is an array of pages that exist once they were written to; what was punched
 * out reads as zeros. The device does one call at a time, in the order they come: a call ends when
 * those before it have, and what it takes itself has passed. */
#include "tests/sim/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/sim/scheduler.h"

#define FILES_MAX 128
#define PAGE_BYTES INT64_C(65536)
#define PAGES_MAX 4096
#define DIRECTORY 1000 /* every directory's descriptor; files follow */
#define EXT4 0xEF53

typedef struct file {
    bool open, named;
    int64_t bytes; /* in pages that exist */
    char *pages[PAGES_MAX];
} file;

static struct {
    sim_disk_options options;
    sim_breakage breakage;
    bool failed, full;
    int64_t busy_until_ns, bytes, written;
    int opened; /* directories */
    file files[FILES_MAX];
} disk;

void sim_disk_open(const sim_disk_options *options)
{
    memset(&disk, 0, sizeof disk);
    disk.options = *options;
}

void sim_disk_break(sim_breakage breakage)
{
    disk.breakage = breakage;
}

void sim_disk_set(int64_t bytes_per_ms, int64_t capacity_bytes)
{
    disk.options.bytes_per_ms = bytes_per_ms;
    disk.options.capacity_bytes = capacity_bytes;
}

bool sim_disk_has_failed(void)
{
    return disk.failed;
}

bool sim_disk_was_full(void)
{
    return disk.full;
}

int64_t sim_disk_bytes(void)
{
    return disk.bytes;
}

int64_t sim_disk_written(void)
{
    return disk.written;
}

int sim_disk_files(void)
{
    int count = 0;
    for (int i = 0; i < FILES_MAX; i++) {
        count += disk.files[i].open;
    }
    return count;
}

void sim_disk_close(void)
{
    for (int i = 0; i < FILES_MAX; i++) {
        for (int page = 0; page < PAGES_MAX; page++) {
            free(disk.files[i].pages[page]);
            disk.files[i].pages[page] = NULL;
        }
    }
}

/* ---------------------------------------------------------------------------------------- calls */

static file *find_file(int descriptor)
{
    int number = descriptor - DIRECTORY - 1;
    sim_must(number >= 0 && number < FILES_MAX && disk.files[number].open,
             "a call on the file %d, which is not open", descriptor);
    return &disk.files[number];
}

static int fail_with(int code)
{
    sim_note("disk: error", code);
    errno = code;
    return -1;
}

/* Others run until the call is done. */
static void take_time(const char *name, int64_t bytes)
{
    sim_note(name, bytes);
    int64_t start_ns = RN_MAX(sim_now_ns(), disk.busy_until_ns);
    int64_t work_ns = bytes * SIM_MILLISECOND_NS / disk.options.bytes_per_ms;
    disk.busy_until_ns = start_ns + disk.options.call_ns + work_ns;
    if (sim_is_inside()) {
        sim_sleep_until(disk.busy_until_ns);
    }
}

static int open_at(void *state, int directory, const char *name, int flags, unsigned mode)
{
    (void)state, (void)directory, (void)name, (void)mode;
    bool unnamed = (flags & O_TMPFILE) == O_TMPFILE;
    take_time("disk: open", 0);
    if (!unnamed && (flags & O_CREAT) == 0) {
        disk.opened += 1;
        return DIRECTORY;
    }
    if (unnamed && disk.options.names_only) {
        return fail_with(EOPNOTSUPP);
    }
    for (int i = 0; i < FILES_MAX; i++) {
        if (!disk.files[i].open) {
            disk.files[i].open = true;
            disk.files[i].named = !unnamed;
            return DIRECTORY + 1 + i;
        }
    }
    return fail_with(EMFILE);
}

static int unlink_at(void *state, int directory, const char *name)
{
    (void)state, (void)directory, (void)name;
    for (int i = 0; i < FILES_MAX; i++) {
        disk.files[i].named = false;
    }
    return 0;
}

static void free_page(file *from, int64_t page)
{
    if (from->pages[page] != NULL) {
        free(from->pages[page]);
        from->pages[page] = NULL;
        from->bytes -= PAGE_BYTES;
        disk.bytes -= PAGE_BYTES;
    }
}

static int close_descriptor(void *state, int descriptor)
{
    (void)state;
    if (descriptor == DIRECTORY) {
        disk.opened -= 1;
        return 0;
    }
    file *from = find_file(descriptor);
    sim_must(!from->named, "a spill file was left with its name");
    for (int64_t page = 0; page < PAGES_MAX; page++) {
        free_page(from, page);
    }
    sim_must(from->bytes == 0, "the simulated disk counts wrongly");
    from->open = false;
    return 0;
}

static int read_status(void *state, int descriptor, struct stat *out)
{
    (void)state;
    memset(out, 0, sizeof *out);
    out->st_mode = descriptor == DIRECTORY ? S_IFDIR | 0700 : S_IFREG | 0600;
    out->st_uid = geteuid();
    return 0;
}

static int read_file_system(void *state, int descriptor, struct statfs *out)
{
    (void)state, (void)descriptor;
    memset(out, 0, sizeof *out);
    out->f_type = EXT4;
    out->f_frsize = out->f_bsize = 4096;
    int64_t room = RN_MAX(disk.options.capacity_bytes - disk.bytes, 0);
    out->f_bavail = out->f_bfree = (fsblkcnt_t)(room / 4096);
    return 0;
}

/* The page, made if there is none; NULL = no space. */
static char *page_for(file *to, int64_t page)
{
    sim_must(page < PAGES_MAX, "a spill file grew beyond what is simulated");
    if (to->pages[page] == NULL) {
        if (disk.bytes + PAGE_BYTES > disk.options.capacity_bytes) {
            disk.full = true;
            return NULL;
        }
        to->pages[page] = calloc(1, (size_t)PAGE_BYTES);
        sim_must(to->pages[page] != NULL, "no memory for the simulated disk");
        to->bytes += PAGE_BYTES;
        disk.bytes += PAGE_BYTES;
    }
    return to->pages[page];
}

/* Bytes written until there was no space. */
static int64_t write_bytes(file *to, const char *bytes, int64_t count, int64_t offset)
{
    int64_t done = 0;
    while (done < count) {
        char *page = page_for(to, (offset + done) / PAGE_BYTES);
        if (page == NULL) {
            break;
        }
        int64_t at = (offset + done) % PAGE_BYTES;
        int64_t part = RN_MIN(count - done, PAGE_BYTES - at);
        memcpy(page + at, bytes + done, (size_t)part);
        done += part;
    }
    return done;
}

static bool happens(uint32_t one_in)
{
    return one_in != 0 && sim_one_in(one_in);
}

static ssize_t write_at(void *state, int descriptor, const struct iovec *parts, int count,
                        int64_t offset)
{
    (void)state;
    file *to = find_file(descriptor);
    int64_t wanted = 0, done = 0;
    for (int i = 0; i < count; i++) {
        wanted += (int64_t)parts[i].iov_len;
    }
    take_time("disk: write", wanted);
    if (happens(disk.options.interrupted_one_in)) {
        return fail_with(EINTR);
    }
    if (disk.breakage == SIM_DISK_WRITES_FAIL) {
        disk.failed = true;
        return fail_with(EIO);
    }
    if (happens(disk.options.short_one_in)) {
        wanted = 1 + (int64_t)sim_below((uint64_t)wanted);
    }
    for (int i = 0; i < count && done < wanted; i++) {
        int64_t part = RN_MIN((int64_t)parts[i].iov_len, wanted - done);
        int64_t written = write_bytes(to, parts[i].iov_base, part, offset + done);
        done += written;
        if (written < part) {
            break;
        }
    }
    disk.written += done;
    return done == 0 && wanted > 0 ? fail_with(ENOSPC) : (ssize_t)done;
}

static ssize_t read_at(void *state, int descriptor, void *to, size_t bytes, int64_t offset)
{
    (void)state;
    const file *from = find_file(descriptor);
    take_time("disk: read", (int64_t)bytes);
    if (happens(disk.options.interrupted_one_in)) {
        return fail_with(EINTR);
    }
    if (disk.breakage == SIM_DISK_READS_FAIL) {
        disk.failed = true;
        return fail_with(EIO);
    }
    if (happens(disk.options.short_one_in) && bytes > 1) {
        bytes = 1 + (size_t)sim_below(bytes);
    }
    for (size_t done = 0; done < bytes;) {
        int64_t place = offset + (int64_t)done;
        int64_t at = place % PAGE_BYTES;
        size_t part = (size_t)RN_MIN((int64_t)(bytes - done), PAGE_BYTES - at);
        const char *page = from->pages[place / PAGE_BYTES];
        if (page == NULL) {
            memset((char *)to + done, 0, part);
        } else {
            memcpy((char *)to + done, page + at, part);
        }
        done += part;
    }
    if (disk.breakage == SIM_DISK_READS_LIE) {
        disk.failed = true;
        ((char *)to)[sim_below(bytes)] ^= (char)(1 << sim_below(8));
    }
    return (ssize_t)bytes;
}

static int punch(void *state, int descriptor, int64_t offset, int64_t bytes)
{
    (void)state;
    file *from = find_file(descriptor);
    take_time("disk: punch", 0);
    int64_t first = (offset + PAGE_BYTES - 1) / PAGE_BYTES;
    for (int64_t page = first; (page + 1) * PAGE_BYTES <= offset + bytes; page++) {
        free_page(from, page);
    }
    return 0;
}

static int advise(void *state, int descriptor, int64_t offset, int64_t bytes)
{
    (void)state, (void)offset, (void)bytes;
    (void)find_file(descriptor);
    return 0;
}

static void sweep(void *state, int directory)
{
    (void)state, (void)directory;
}

const rn_disk *sim_disk_table(void)
{
    static const rn_disk table = {
        .open_at = open_at,
        .close = close_descriptor,
        .unlink_at = unlink_at,
        .status = read_status,
        .file_system = read_file_system,
        .write_at = write_at,
        .read_at = read_at,
        .punch = punch,
        .write_behind = advise,
        .read_ahead = advise,
        .sweep = sweep,
    };
    return &table;
}
