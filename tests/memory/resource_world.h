/* SPDX-License-Identifier: Apache-2.0
 *
 * For tests of resources: a slot in a fixture, a random walk that holds for every resource, and
 * processes that must die with a report. */
#ifndef RATION_TESTS_MEMORY_RESOURCE_WORLD_H
#define RATION_TESTS_MEMORY_RESOURCE_WORLD_H

#include <sys/wait.h>
#include <unistd.h>

#include "memory/pool.h"
#include "memory/resource.h"
#include "tests/memory/fixture.h"

#define KIB ((int64_t)1024)
#define WORLD_UNUSED __attribute__((unused))
#define WORLD_NOINLINE __attribute__((noinline, unused))

typedef struct place {
    fixture world;
    rn_slot *slot;
} place;

static inline place open_place(int64_t limit)
{
    place here = {.world = fixture_open(INT64_C(1) << 40, limit, MIB, false)};
    here.slot = open_slot(here.world.first);
    return here;
}

static inline void close_place(place *here)
{
    ck_assert_int_eq(rn_slot_used(here->slot), 0);
    rn_slot_close(here->slot);
    fixture_close(&here->world);
}

static inline int64_t governed(int64_t bytes)
{
    return RN_GOVERNED ? bytes : 0;
}

/* What a block of `asked` bytes says of itself: checked builds answer what was asked for. */
static inline size_t real_size(size_t asked, size_t real)
{
#ifdef RATION_CHECKED
    (void)real;
    return asked > 0 ? asked : 1;
#else
    (void)asked;
    return real;
#endif
}

static inline ration_block take_block(ration_resource *resource, size_t bytes, size_t align)
{
    ration_block block = {0};
    ck_assert_int_eq(ration_resource_allocate(resource, bytes, align, &block), RATION_OK);
    ck_assert_ptr_nonnull(block.memory);
    ck_assert_uint_ge(block.bytes, bytes);
    ck_assert_uint_eq((uintptr_t)block.memory & (align - 1), 0);
    return block;
}

static inline ration_resource_info read_resource(const ration_resource *resource)
{
    ration_resource_info info;
    ration_resource_read(resource, &info);
    return info;
}

/* ---------------------------------------------------------------------------------- random walk */

typedef struct walk {
    ration_resource *resource;
    size_t bytes_max, align_max;
    bool lifo; /* only the newest is freed */
    int steps;
} walk;

typedef struct walk_block {
    ration_block block;
    size_t asked, align;
    uint8_t pattern;
} walk_block;

#define WALK_BLOCKS 48

static inline void walk_fill(walk_block *entry, uint8_t pattern)
{
    entry->pattern = pattern;
    memset(entry->block.memory, pattern, entry->block.bytes);
}

static inline void walk_look(const walk_block *entry, size_t bytes)
{
    const uint8_t *memory = (const uint8_t *)entry->block.memory;
    for (size_t i = 0; i < bytes; i += i < 64 || i + 64 > bytes ? 1 : 61) {
        if (memory[i] != entry->pattern) {
            ck_abort_msg("byte %zu of %zu", i, bytes);
        }
    }
}

static inline void walk_step(const walk *how, walk_block *blocks, int *count, uint64_t *state)
{
    uint64_t random = rn_random(state);
    int choice = (int)(random % 8);
    size_t bytes = (size_t)((random >> 8) % ((how->bytes_max >> (random >> 40) % 12) + 1));
    if (*count == 0 || (choice < 4 && *count < WALK_BLOCKS)) {
        walk_block *entry = &blocks[*count];
        size_t align = (size_t)1 << (random >> 50) % 13;
        align = align > how->align_max ? how->align_max : align;
        ration_status status = ration_resource_allocate(how->resource, bytes, align, &entry->block);
        if (status != RATION_OK) {
            return;
        }
        ck_assert_uint_ge(entry->block.bytes, bytes);
        ck_assert_uint_eq((uintptr_t)entry->block.memory & (align - 1), 0);
        entry->asked = bytes;
        entry->align = align;
        walk_fill(entry, (uint8_t)random);
        *count += 1;
        return;
    }
    int at = how->lifo ? *count - 1 : (int)((random >> 20) % (uint64_t)*count);
    walk_block *entry = &blocks[at];
    walk_look(entry, entry->block.bytes);
    if (choice == 7) {
        size_t kept = RN_MIN(entry->block.bytes, bytes);
        ration_block before = entry->block;
        if (ration_resource_reallocate(how->resource, &entry->block, bytes, entry->align) !=
            RATION_OK) {
            ck_assert_ptr_eq(entry->block.memory, before.memory);
            ck_assert_uint_gt(bytes, before.bytes);
            kept = before.bytes;
        } else {
            ck_assert_uint_ge(entry->block.bytes, bytes);
            entry->asked = entry->block.bytes;
        }
        walk_look(entry, kept);
        walk_fill(entry, (uint8_t)(random >> 3));
        return;
    }
    ration_block block = entry->block;
    block.bytes = (random >> 60 & 1) != 0 ? entry->asked : block.bytes;
    ration_resource_deallocate(how->resource, block, entry->align);
    *entry = blocks[*count - 1];
    *count -= 1;
}

/* Allocates, reallocates and frees at random, looks at all bytes, and ends with nothing. */
WORLD_UNUSED static void walk_at_random(const walk *how, uint64_t seed)
{
    walk_block blocks[WALK_BLOCKS];
    int count = 0;
    printf("seed=%llu\n", (unsigned long long)seed);
    for (int i = 0; i < how->steps; i++) {
        walk_step(how, blocks, &count, &seed);
    }
    while (count > 0) {
        count -= 1;
        walk_look(&blocks[count], blocks[count].block.bytes);
        ration_resource_deallocate(how->resource, blocks[count].block, blocks[count].align);
    }
}

/* ---------------------------------------------------------------------------------------- dying */

/* Runs `call` in a process of its own, which must end badly and say `message` and `function`. Under
 * AddressSanitizer its own report will do. */
WORLD_UNUSED static void expect_report(void (*call)(place *here), const char *message,
                                       const char *function)
{
    int pipes[2];
    ck_assert_int_eq(pipe(pipes), 0);
    (void)fflush(NULL);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        (void)dup2(pipes[1], STDERR_FILENO);
        place here = open_place(64 * MIB);
        call(&here);
        _exit(0);
    }
    (void)close(pipes[1]);
    static char text[65536];
    size_t length = 0;
    ssize_t got;
    while ((got = read(pipes[0], text + length, sizeof(text) - 1 - length)) > 0) {
        length += (size_t)got;
    }
    text[length] = '\0';
    (void)close(pipes[0]);
    int state = 0;
    ck_assert_int_eq(waitpid(child, &state, 0), child);
    ck_assert_msg(!(WIFEXITED(state) && WEXITSTATUS(state) == 0), "it lives: %s", text);
    if (strstr(text, "AddressSanitizer") == NULL) {
        ck_assert_msg(strstr(text, message) != NULL, "no '%s' in: %s", message, text);
        ck_assert_msg(strstr(text, function) != NULL, "no '%s' in: %s", function, text);
    }
}

#endif
