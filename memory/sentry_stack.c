/* SPDX-License-Identifier: Apache-2.0
 *
 * Call stacks: rn_stack_here -> rn_stack_print.
 *
 * Capture follows the chain of frame pointers (checked builds keep them), because it runs for every
 * allocation: some 20 ns against 1 us and more of backtrace(3). A link is followed only upwards and
 * inside of the thread's stack, whose bounds are found once per thread; so code without frame
 * pointers ends the chain, or at worst adds a frame that is none, and never faults. On a stack that
 * is not the thread's (fibers, signals) backtrace(3) serves.
 *
 * Depot: each different stack is stored once, in an array of words, found by hash. Insertion is one
 * compare-and-swap on a chain's head; nothing is ever removed; so there is no lock, and a child of
 * fork finds it whole.
 *
 *   1. A node is complete before its chain's head names it. `next` always names an older node.
 *   2. When the array is full, new stacks are 0 = unknown.
 *
 * Memory: 4 MiB of zeroed data, touched as it fills: about 40,000 stacks. Not the heap: tests count
 * its bytes and make it fail, and neither may change with the build.
 */
#include "memory/alarm.h"

#ifdef RATION_CHECKED

#include <dlfcn.h>
#include <execinfo.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <unistd.h>

#define FRAMES_MAX 10
#define BUCKET_BITS 14
#define ARENA_WORDS ((int64_t)1 << RN_STACK_BITS)
#define NODE_HEAD_WORDS 2
/* The main stack grows, and its limit says nothing where it is infinite. */
#define MAIN_STACK_BYTES ((uintptr_t)64 * 1024 * 1024)

#define NO_SANITIZER __attribute__((no_sanitize("address", "thread", "undefined")))

/* words: [0] next | count << 32, [1] hash, then the frames. */
static uint64_t arena[ARENA_WORDS];
static int64_t arena_used = 1; /* words; 0 is no identity. Any thread */
static int64_t
    buckets[1 << BUCKET_BITS]; /* newest node of the chain; written by compare-and-swap */

static __thread uintptr_t stack_low, stack_high;

/* Highest address of the main thread's stack, as the loader saw it. */
extern void *__libc_stack_end;

static void find_bounds(void)
{
    if (getpid() == gettid()) {
        stack_high = (uintptr_t)__libc_stack_end;
        stack_low = stack_high - MAIN_STACK_BYTES;
        return;
    }
    pthread_attr_t attributes;
    void *low = NULL;
    size_t bytes = 0;
    stack_high = 1; /* asked, in vain */
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        if (pthread_attr_getstack(&attributes, &low, &bytes) == 0) {
            stack_low = (uintptr_t)low;
            stack_high = (uintptr_t)low + bytes;
        }
        (void)pthread_attr_destroy(&attributes);
    }
}

/* Frames of a stack with unknown bounds, from the return address `first` on: sanitizers put frames
 * of their own before it. */
static size_t walk_tables(uintptr_t first, uintptr_t *frames, size_t skip)
{
    void *found[FRAMES_MAX + 8];
    size_t count = (size_t)RN_MAX(backtrace(found, (int)RN_COUNT(found)), 0);
    size_t at = 0;
    while (at < count && (uintptr_t)found[at] != first) {
        at += 1;
    }
    size_t stored = 0;
    for (at += skip; at < count && stored < FRAMES_MAX; at++) {
        frames[stored] = (uintptr_t)found[at];
        stored += 1;
    }
    return stored;
}

/* `frame` holds the caller's frame, then the return address; on both machines we know. */
NO_SANITIZER static inline size_t walk_frames(const uintptr_t *frame, uintptr_t *frames,
                                              size_t skip)
{
    size_t stored = 0;
    uintptr_t high = stack_high - 2 * sizeof(uintptr_t);
    for (;;) {
        uintptr_t returns = frame[1];
        if (returns < 4096) {
            break;
        }
        if (skip > 0) {
            skip -= 1;
        } else {
            frames[stored] = returns;
            stored += 1;
        }
        uintptr_t next = frame[0];
        if (stored == FRAMES_MAX || next <= (uintptr_t)frame || next > high || next % 8 != 0) {
            break;
        }
        frame = (const uintptr_t *)next;
    }
    return stored;
}

/* The node of these frames in the chain from `at` on; 0 when there is none. */
static uint32_t find_node(uint32_t at, uint64_t hash, const uintptr_t *frames, size_t count)
{
    while (at != 0) {
        const uint64_t *node = &arena[at];
        if (node[1] == hash && node[0] >> 32 == count) {
            size_t same = 0;
            while (same < count && node[NODE_HEAD_WORDS + same] == frames[same]) {
                same += 1;
            }
            if (same == count) {
                return at;
            }
        }
        at = (uint32_t)node[0];
    }
    return 0;
}

static uint32_t store_stack(const uintptr_t *frames, size_t count)
{
    uint64_t hash = count;
    for (size_t i = 0; i < count; i++) {
        hash = (hash ^ frames[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    int64_t *bucket = &buckets[hash >> (64 - BUCKET_BITS)];
    int64_t head = rn_load_acquire(bucket);
    uint32_t found = find_node((uint32_t)head, hash, frames, count);
    int64_t words = (int64_t)count + NODE_HEAD_WORDS;
    if (found != 0 || rn_load(&arena_used) > ARENA_WORDS - words) {
        return found;
    }
    int64_t at = rn_fetch_add(&arena_used, words);
    if (at > ARENA_WORDS - words) {
        return 0;
    }
    uint64_t *node = &arena[at];
    node[1] = hash;
    for (size_t i = 0; i < count; i++) {
        node[NODE_HEAD_WORDS + i] = frames[i];
    }
    do {
        node[0] = (uint64_t)count << 32 | (uint64_t)head;
    } while (!rn_compare_swap(bucket, &head, at)); /* twice in a chain is harmless */
    return (uint32_t)at;
}

__attribute__((noinline)) uint32_t rn_stack_here(int skip)
{
    if (stack_high == 0) {
        find_bounds();
    }
    const uintptr_t *frame = (const uintptr_t *)__builtin_frame_address(0);
    uintptr_t frames[FRAMES_MAX];
    size_t stored = (uintptr_t)frame > stack_low && (uintptr_t)frame < stack_high
                        ? walk_frames(frame, frames, (size_t)skip)
                        : walk_tables(frame[1], frames, (size_t)skip);
    return stored == 0 ? 0 : store_stack(frames, stored);
}

size_t rn_stack_frames(uint32_t stack, const uintptr_t **out_frames)
{
    size_t count = stack == 0 || stack >= rn_load(&arena_used) ? 0 : (size_t)(arena[stack] >> 32);
    if (count > FRAMES_MAX) { /* no identity: a damaged record */
        return 0;
    }
    _Static_assert(sizeof(uintptr_t) == sizeof(uint64_t), "a frame is a word");
    *out_frames = (const uintptr_t *)&arena[stack + NODE_HEAD_WORDS];
    return count;
}

/* The main program is known to the loader by the name it was called by, which may be no path. */
static const char *find_path(const Dl_info *info)
{
    unsigned long entry = getauxval(AT_PHDR);
    bool is_main = entry - (uintptr_t)info->dli_fbase < 4096;
    const char *path = is_main ? (const char *)getauxval(AT_EXECFN) : NULL; /* NOLINT */
    return path != NULL ? path : info->dli_fname;
}

static void add_frame(rn_alarm *alarm, uintptr_t returns)
{
    Dl_info info;
    uintptr_t at = returns - 1;                                           /* inside of the call */
    if (dladdr((const void *)at, &info) == 0 || info.dli_fname == NULL) { /* NOLINT */
        rn_alarm_add(alarm, "  [0x%zx]\n", (size_t)returns);
        return;
    }
    const char *path = find_path(&info);
    uintptr_t base = (uintptr_t)info.dli_fbase;
    char name[128];
    uintptr_t start = 0;
    /* A file that is not loaded where it says counts from its base. */
    if (info.dli_sname != NULL) {
        (void)snprintf(name, sizeof(name), "%s", info.dli_sname);
        start = (uintptr_t)info.dli_saddr - base;
    } else if (!rn_symbol_find(path, at - base, name, sizeof(name), &start)) {
        name[0] = '\0';
    }
    rn_alarm_add(alarm, "  %s(%s+0x%zx) [0x%zx]\n", path, name, (size_t)(returns - base - start),
                 (size_t)(returns - base));
}

void rn_alarm_stack(rn_alarm *alarm, const char *head, uint32_t stack)
{
    const uintptr_t *frames = NULL;
    size_t count = rn_stack_frames(stack, &frames);
    if (count > 0) {
        rn_alarm_add(alarm, "%s\n", head);
    }
    for (size_t i = 0; i < count; i++) {
        add_frame(alarm, frames[i]);
    }
}

void rn_stack_print(uint32_t stack, int descriptor)
{
    rn_alarm alarm;
    rn_alarm_begin(&alarm, descriptor);
    const uintptr_t *frames = NULL;
    size_t count = rn_stack_frames(stack, &frames);
    for (size_t i = 0; i < count; i++) {
        add_frame(&alarm, frames[i]);
    }
    rn_alarm_end(&alarm);
}

#endif
