/* SPDX-License-Identifier: Apache-2.0
 *
 * What tests of spill files share: a volume in a folder of its own, on a disk whose nth call can be
 * made to fail, and records whose bytes follow from their number.
 *
 *     spill_world_open -> spill_world_reopen ... -> spill_world_close
 *
 * Closing proves that nothing is left: bytes in quotas, names, descriptors, heap, faults. */
#ifndef RATION_TESTS_STORAGE_SPILL_WORLD_H
#define RATION_TESTS_STORAGE_SPILL_WORLD_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>

#include "base/hash.h"
#include "base/heap.h"
#include "storage/run.h"
#include "storage/spill_file.h"
#include "tests/support.h"

/* What a call does instead of what it should. */
enum {
    FAULT_SHORT = -1,
    FAULT_ZERO = -2
}; /* beside errno values; other calls than reads and
                                               writes do as if nothing were */

typedef struct faulty_disk {
    rn_disk disk;
    int64_t calls;      /* ever */
    rn_failure due;     /* which */
    int fault;          /* errno, FAULT_* */
    bool no_unnamed;    /* O_TMPFILE is not known */
    bool die_between;   /* between making a name and taking it away */
    long type;          /* of the file system, instead of the real one; 0 = real */
    int64_t free_bytes; /* the same; -1 = real */
    int64_t writes, reads, punches, behinds, aheads, sweeps;
} faulty_disk;

/* Is this the call? Then errno is set. */
SUPPORT_UNUSED static bool fault_due(faulty_disk *disk)
{
    disk->calls += 1;
    if (!rn_failure_due(&disk->due)) {
        return false;
    }
    errno = disk->fault > 0 ? disk->fault : 0;
    return true;
}

SUPPORT_UNUSED static int faulty_open_at(void *state, int directory, const char *name, int flags,
                                         unsigned mode)
{
    faulty_disk *disk = state;
    if (fault_due(disk) && disk->fault > 0) {
        return -1;
    }
    if (disk->no_unnamed && (flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return rn_disk_system.open_at(NULL, directory, name, flags, mode);
}

SUPPORT_UNUSED static int faulty_close(void *state, int descriptor)
{
    bool due = fault_due(state);
    int code = errno;
    int answer = rn_disk_system.close(NULL, descriptor); /* it is closed whatever is answered */
    errno = code;
    return due && code != 0 ? -1 : answer;
}

SUPPORT_UNUSED static int faulty_unlink_at(void *state, int directory, const char *name)
{
    faulty_disk *disk = state;
    if (disk->die_between) {
        raise(SIGKILL);
    }
    return fault_due(disk) && disk->fault > 0 ? -1
                                              : rn_disk_system.unlink_at(NULL, directory, name);
}

SUPPORT_UNUSED static int faulty_status(void *state, int descriptor, struct stat *out)
{
    faulty_disk *disk = state;
    return fault_due(disk) && disk->fault > 0 ? -1 : rn_disk_system.status(NULL, descriptor, out);
}

SUPPORT_UNUSED static int faulty_file_system(void *state, int descriptor, struct statfs *out)
{
    faulty_disk *disk = state;
    if (fault_due(disk) && disk->fault > 0) {
        return -1;
    }
    int answer = rn_disk_system.file_system(NULL, descriptor, out);
    if (disk->type != 0) {
        out->f_type = disk->type;
    }
    if (disk->free_bytes >= 0) {
        out->f_frsize = 1;
        out->f_bavail = (fsblkcnt_t)disk->free_bytes;
    }
    return answer;
}

SUPPORT_UNUSED static ssize_t faulty_write_at(void *state, int descriptor,
                                              const struct iovec *parts, int count, int64_t offset)
{
    faulty_disk *disk = state;
    disk->writes += 1;
    if (fault_due(disk)) {
        if (disk->fault == FAULT_SHORT) { /* in the middle of the first part, or all but the last */
            struct iovec half = {parts[0].iov_base, RN_MAX(parts[0].iov_len / 2, (size_t)1)};
            return count > 1 ? rn_disk_system.write_at(NULL, descriptor, parts, count - 1, offset)
                             : rn_disk_system.write_at(NULL, descriptor, &half, 1, offset);
        }
        return disk->fault == FAULT_ZERO ? 0 : -1;
    }
    return rn_disk_system.write_at(NULL, descriptor, parts, count, offset);
}

SUPPORT_UNUSED static ssize_t faulty_read_at(void *state, int descriptor, void *to, size_t bytes,
                                             int64_t offset)
{
    faulty_disk *disk = state;
    disk->reads += 1;
    if (fault_due(disk)) {
        if (disk->fault == FAULT_SHORT) {
            return rn_disk_system.read_at(NULL, descriptor, to, (bytes + 1) / 2, offset);
        }
        return disk->fault == FAULT_ZERO ? 0 : -1;
    }
    return rn_disk_system.read_at(NULL, descriptor, to, bytes, offset);
}

SUPPORT_UNUSED static int faulty_punch(void *state, int descriptor, int64_t offset, int64_t bytes)
{
    faulty_disk *disk = state;
    disk->punches += 1;
    return fault_due(disk) && disk->fault > 0
               ? -1
               : rn_disk_system.punch(NULL, descriptor, offset, bytes);
}

SUPPORT_UNUSED static int faulty_write_behind(void *state, int descriptor, int64_t offset,
                                              int64_t bytes)
{
    faulty_disk *disk = state;
    disk->behinds += 1;
    return fault_due(disk) && disk->fault > 0
               ? -1
               : rn_disk_system.write_behind(NULL, descriptor, offset, bytes);
}

SUPPORT_UNUSED static int faulty_read_ahead(void *state, int descriptor, int64_t offset,
                                            int64_t bytes)
{
    faulty_disk *disk = state;
    disk->aheads += 1;
    return fault_due(disk) && disk->fault > 0
               ? -1
               : rn_disk_system.read_ahead(NULL, descriptor, offset, bytes);
}

SUPPORT_UNUSED static void faulty_sweep(void *state, int directory)
{
    faulty_disk *disk = state;
    disk->sweeps += 1;
    rn_disk_system.sweep(NULL, directory);
}

SUPPORT_UNUSED static void faulty_disk_open(faulty_disk *disk)
{
    *disk = (faulty_disk){
        .disk = {.state = disk,
                 .open_at = faulty_open_at,
                 .close = faulty_close,
                 .unlink_at = faulty_unlink_at,
                 .status = faulty_status,
                 .file_system = faulty_file_system,
                 .write_at = faulty_write_at,
                 .read_at = faulty_read_at,
                 .punch = faulty_punch,
                 .write_behind = faulty_write_behind,
                 .read_ahead = faulty_read_ahead,
                 .sweep = faulty_sweep},
        .free_bytes = -1,
    };
}

/* ---------------------------------------------------------------------------------------- world */

typedef struct spill_world {
    char folder[PATH_MAX];
    faulty_disk disk;
    rn_spill_volume *volume;
    rn_spill_quota quota; /* of the query; below it the volume's */
    rn_spill_file *file;
    int64_t heap_bytes; /* before */
    int descriptors;    /* before */
    int64_t faults;     /* before */
} spill_world;

SUPPORT_UNUSED static int count_entries(const char *path)
{
    DIR *names = opendir(path);
    ck_assert_ptr_nonnull(names);
    int count = 0;
    for (const struct dirent *entry = readdir(names); entry != NULL; entry = readdir(names)) {
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    closedir(names);
    return count;
}

SUPPORT_UNUSED static void spill_world_open_file(spill_world *world)
{
    ck_assert_int_eq(rn_spill_file_open(world->volume, &world->quota, 77, &world->file), RATION_OK);
}

/* `options` NULL: the folder, wherever it lies. */
SUPPORT_UNUSED static void spill_world_open_with(spill_world *world,
                                                 const rn_spill_options *options)
{
    memset(world, 0, sizeof *world);
    world->heap_bytes = rn_heap_bytes();
    world->descriptors = count_entries("/proc/self/fd");
    world->faults = rn_faults();
    ck_assert_ptr_nonnull(realpath(support_folder(), world->folder));
    rn_spill_options all = options != NULL ? *options : (rn_spill_options){.allow_memory = true};
    if (all.directory == NULL) {
        all.directory = world->folder;
    }
    ration_error error = {0};
    support_ok(rn_spill_volume_open(&all, &world->volume, &error), &error);
    faulty_disk_open(&world->disk);
    rn_spill_volume_replace(world->volume, &world->disk.disk);
    world->quota.parent = rn_spill_volume_quota(world->volume);
    spill_world_open_file(world);
}

SUPPORT_UNUSED static void spill_world_open(spill_world *world)
{
    spill_world_open_with(world, NULL);
}

/* Closes what lies on the volume, and it; proves that nothing is left but the folder. */
SUPPORT_UNUSED static void spill_world_end(spill_world *world)
{
    rn_spill_file_close(world->file);
    ck_assert_int_eq(world->quota.used_bytes, 0);
    ck_assert_int_eq(rn_spill_volume_quota(world->volume)->used_bytes, 0);
    rn_spill_volume_close(world->volume);
    ck_assert_int_eq(count_entries("/proc/self/fd"), world->descriptors);
    ck_assert_int_eq(rn_heap_bytes(), world->heap_bytes);
    ck_assert_int_eq(rn_faults(), world->faults);
}

SUPPORT_UNUSED static void spill_world_close(spill_world *world)
{
    spill_world_end(world);
    ck_assert_int_eq(count_entries(world->folder), 0);
    support_remove(world->folder);
}

/* The first failure, which has to be `status` and name the folder. */
SUPPORT_UNUSED static const char *spill_world_failure(const spill_world *world,
                                                      ration_status status)
{
    ration_error error = {0};
    ck_assert(rn_spill_file_error(world->file, &error));
    ck_assert_msg(error.status == status, "%s", support_error(&error));
    ck_assert_msg(strstr(error.message, world->folder) != NULL, "%s", support_error(&error));
    return support_error(&error);
}

/* -------------------------------------------------------------------------------------- records */

/* A buffer for blocks. */
SUPPORT_UNUSED static char *buffer_of(size_t bytes)
{
    char *buffer = aligned_alloc(64, (bytes + 63) / 64 * 64);
    ck_assert_ptr_nonnull(buffer);
    return buffer;
}

/* Fills `to` with the bytes of record `number`: a word and `bytes` more, a multiple of 8. */
SUPPORT_UNUSED static void make_record(uint64_t number, char *to, size_t bytes)
{
    uint64_t seed = number;
    for (size_t at = 0; at < bytes; at += 8) {
        uint64_t word = rn_random(&seed);
        memcpy(to + at, &word, 8);
    }
}

/* A run of `blocks` blocks of 64 KiB. */
SUPPORT_UNUSED static ration_status write_blocks(rn_spill_file *file, int64_t blocks, rn_run *out)
{
    static char buffer[RN_RUN_BLOCK_BYTES] __attribute__((aligned(64)));
    static char record[RN_RUN_BLOCK_BYTES - RN_RUN_HEAD_BYTES];
    rn_run_writer writer;
    rn_run_begin(&writer, file, 1, buffer, sizeof buffer);
    for (int64_t i = 0; i < blocks; i++) {
        make_record((uint64_t)i, record, sizeof record);
        ration_status status = rn_run_append(&writer, record, sizeof record, record, 0);
        if (status != RATION_OK) {
            rn_run_abandon(&writer);
            return status;
        }
    }
    return rn_run_end(&writer, out);
}

SUPPORT_UNUSED static void must_write(spill_world *world, int64_t blocks, rn_run *out)
{
    ration_error error = {0};
    ration_status status = write_blocks(world->file, blocks, out);
    (void)rn_spill_file_error(world->file, &error);
    ck_assert_msg(status == RATION_OK, "%s", support_error(&error));
}

#endif
