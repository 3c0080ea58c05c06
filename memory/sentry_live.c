/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocks by address: what is live, for all resources, and what was freed lately, for chunks and
 * blocks. rn_live_insert -> rn_live_take, rn_live_forget, rn_live_close.
 *
 * Live. Nodes lie in one array, dense, with a list per hash value and a list per owner, newest
 * first, all by index; the hash doubles with what it holds. One mutex.
 *
 *   1. A node is in the list of its address and in that of its owner, or in the list of free ones.
 *   2. Within an owner's list sequences fall, so that "since" is a prefix.
 *   3. When the array is full, inserts are counted in `unknown`, and as many blocks that are not
 *      found are believed.
 *
 * Freed lately. A table of one entry per hash value, taken by compare-and-swap of its address: who
 * does not get it goes without.
 *
 * fork: the child gives the mutex a new start; every change is a single store away from a sound
 * list, in the order that keeps it sound, so at worst one block is lost.
 *
 * Memory: zeroed data, touched as it fills (12 MiB and 0.3 MiB), for the reason given in
 * sentry_stack.c.
 */
#include "memory/alarm.h"

#ifdef RATION_CHECKED

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define NODES_MAX ((uint32_t)1 << 18)
#define BUCKETS_MIN ((uint32_t)1 << 10)
#define OWNERS_MAX 1024
#define DEPARTED_BITS 12
#define DEPARTED_WRITTEN 1

typedef struct live_node {
    uint32_t next;         /* of the same hash value; of the free ones */
    uint32_t older, newer; /* of the same owner */
    uint32_t owner;        /* index; 0 = the node is free */
    uint32_t stack;
    uint32_t align;
    uintptr_t address;
    size_t bytes;
    uint64_t sequence;
} live_node;

typedef struct live_owner {
    const void *owner; /* NULL = the place is free */
    const char *noun, *name, *kind;
    uint32_t newest;
    int64_t count;
} live_owner;

/* All under the mutex; index 0 of nodes and owners is none. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static live_node nodes[NODES_MAX];
static uint32_t buckets[NODES_MAX];
static live_owner owners[OWNERS_MAX];
static uint32_t bucket_count = BUCKETS_MIN, node_count = 1, free_node;
static uint32_t live_count;
static uint64_t sequence;
static int64_t unknown;

static rn_departed departed[1 << DEPARTED_BITS]; /* by `address`, each by who wrote its address */

/* --------------------------------------------------------------------------------- freed lately */

static rn_departed *find_entry(const void *address)
{
    uint64_t hash = (uint64_t)(uintptr_t)address * UINT64_C(0x9e3779b97f4a7c15);
    return &departed[hash >> (64 - DEPARTED_BITS)];
}

void rn_departed_add(const void *address, size_t bytes, uint32_t made, uint32_t ended,
                     const rn_place *place)
{
    rn_departed *entry = find_entry(address);
    int64_t seen = rn_load(&entry->address);
    if (seen == DEPARTED_WRITTEN || !rn_compare_swap(&entry->address, &seen, DEPARTED_WRITTEN)) {
        return;
    }
    entry->bytes = bytes;
    entry->made = made;
    entry->ended = ended;
    entry->noun = place->noun;
    entry->kind = place->kind;
    const char *name = place->name == NULL ? "" : place->name;
    size_t length = strnlen(name, sizeof(entry->name) - 1);
    memcpy(entry->name, name, length);
    entry->name[length] = '\0';
    rn_store_release(&entry->address, (int64_t)(uintptr_t)address);
}

/* Takes the entry of this address out of the table; the caller stores the address again, or 0. */
static rn_departed *take_entry(const void *address)
{
    rn_departed *entry = find_entry(address);
    int64_t key = (int64_t)(uintptr_t)address;
    return rn_load(&entry->address) == key &&
                   rn_compare_swap(&entry->address, &key, DEPARTED_WRITTEN)
               ? entry
               : NULL;
}

void rn_departed_clear(const void *address)
{
    rn_departed *entry = take_entry(address);
    if (entry != NULL) {
        rn_store_release(&entry->address, 0);
    }
}

bool rn_departed_find(const void *address, rn_departed *out_departed)
{
    rn_departed *entry = take_entry(address);
    if (entry == NULL) {
        return false;
    }
    *out_departed = *entry;
    rn_store_release(&entry->address, (int64_t)(uintptr_t)address);
    return true;
}

/* ---------------------------------------------------------------------------------------- lists */

static void start_child(void)
{
    (void)pthread_mutex_init(&mutex, NULL);
}

static void watch_fork(void)
{
    (void)pthread_atfork(NULL, NULL, start_child);
}

static void lock(void)
{
    (void)pthread_once(&once, watch_fork);
    (void)pthread_mutex_lock(&mutex);
}

static void unlock(void)
{
    (void)pthread_mutex_unlock(&mutex);
}

static uint32_t *find_bucket(uintptr_t address)
{
    uint64_t hash = (uint64_t)address * UINT64_C(0x9e3779b97f4a7c15);
    return &buckets[(hash >> 40) & (bucket_count - 1)];
}

static void double_buckets(void)
{
    memset(buckets, 0, 2 * bucket_count * sizeof(*buckets));
    bucket_count *= 2;
    for (uint32_t i = 1; i < node_count; i++) {
        if (nodes[i].owner != 0) {
            uint32_t *bucket = find_bucket(nodes[i].address);
            nodes[i].next = *bucket;
            *bucket = i;
        }
    }
}

static uint32_t find_node(const void *address)
{
    uint32_t at = *find_bucket((uintptr_t)address);
    while (at != 0 && nodes[at].address != (uintptr_t)address) {
        at = nodes[at].next;
    }
    return at;
}

/* The place of this owner; a free one when it has none; 0 when there is neither. */
static uint32_t find_owner(const void *owner)
{
    uint32_t start = (uint32_t)((uint64_t)(uintptr_t)owner * UINT64_C(0x9e3779b97f4a7c15) >> 40);
    uint32_t vacant = 0;
    for (uint32_t i = 0; i < OWNERS_MAX; i++) {
        uint32_t at = (start + i) % OWNERS_MAX;
        if (at != 0 && owners[at].owner == owner) {
            return at;
        }
        vacant = vacant == 0 && at != 0 && owners[at].owner == NULL ? at : vacant;
    }
    return vacant;
}

static uint32_t take_free_node(void)
{
    uint32_t at = free_node;
    if (at != 0) {
        free_node = nodes[at].next;
    } else if (node_count < NODES_MAX) {
        at = node_count;
        node_count += 1;
    }
    return at;
}

/* The node leaves both lists. */
static void remove_node(uint32_t at)
{
    live_node *node = &nodes[at];
    live_owner *owner = &owners[node->owner];
    uint32_t *link = find_bucket(node->address);
    while (*link != at) {
        link = &nodes[*link].next;
    }
    *link = node->next;
    if (node->newer != 0) {
        nodes[node->newer].older = node->older;
    } else {
        owner->newest = node->older;
    }
    if (node->older != 0) {
        nodes[node->older].newer = node->newer;
    }
    owner->count -= 1;
    live_count -= 1;
    node->owner = 0;
    node->next = free_node;
    free_node = at;
}

/* ----------------------------------------------------------------------------------------- live */

void rn_live_insert(const void *owner, const void *address, size_t bytes, size_t align,
                    const rn_place *place)
{
    uint32_t stack = rn_stack_here(1);
    rn_departed_clear(address);
    lock();
    uint32_t whose = find_owner(owner);
    uint32_t at = whose == 0 ? 0 : take_free_node();
    if (at == 0) {
        unknown += 1;
        unlock();
        return;
    }
    live_owner *entry = &owners[whose];
    entry->owner = owner;
    entry->noun = place->noun;
    entry->name = place->name;
    entry->kind = place->kind;
    if (live_count >= bucket_count && bucket_count < NODES_MAX) {
        double_buckets();
    }
    uint32_t *bucket = find_bucket((uintptr_t)address);
    sequence += 1;
    nodes[at] = (live_node){.next = *bucket,
                            .older = entry->newest,
                            .owner = whose,
                            .stack = stack,
                            .align = (uint32_t)align,
                            .address = (uintptr_t)address,
                            .bytes = bytes,
                            .sequence = sequence};
    *bucket = at;
    if (entry->newest != 0) {
        nodes[entry->newest].newer = at;
    }
    entry->newest = at;
    entry->count += 1;
    live_count += 1;
    unlock();
}

/* The live block around an address that is none; index, or 0. */
static uint32_t find_around(const void *address)
{
    for (uint32_t i = 1; i < node_count; i++) {
        if (nodes[i].owner != 0 && (uintptr_t)address - nodes[i].address < nodes[i].bytes) {
            return i;
        }
    }
    return 0;
}

/* `address` is no live block; under the mutex, which it gives up. */
static void report_unknown(const void *address, size_t bytes, const rn_place *place)
{
    rn_departed gone;
    if (unknown > 0) {
        unknown -= 1;
        unlock();
        return;
    }
    uint32_t around = find_around(address);
    live_node node = nodes[around];
    unlock();
    if (rn_departed_find(address, &gone)) {
        rn_sentry_abort(place, gone.made, gone.ended, "double free of a block: %zu bytes at %p",
                        gone.bytes, address);
    }
    if (around != 0) {
        rn_sentry_abort(place, node.stack, 0,
                        "foreign free: %p is byte %zu of a block: %zu bytes at %p", address,
                        (size_t)((uintptr_t)address - node.address), node.bytes,
                        (void *)node.address); /* NOLINT */
    }
    rn_sentry_abort(place, 0, 0, "foreign free: %zu bytes at %p are no block", bytes, address);
}

/* The live block that this is said to be, under the mutex; 0, and not under it, when there is no
 * telling. */
static uint32_t find_expected(const void *owner, const void *address, size_t bytes, size_t align,
                              const rn_place *place)
{
    lock();
    uint32_t at = find_node(address);
    if (at == 0) {
        report_unknown(address, bytes, place);
        return 0;
    }
    live_node node = nodes[at];
    live_owner whose = owners[node.owner];
    if (whose.owner == owner && node.bytes == bytes && node.align == (uint32_t)align) {
        return at;
    }
    unlock();
    if (whose.owner != owner) {
        rn_sentry_abort(place, node.stack, 0,
                        "foreign free: the block of %zu bytes at %p is of %s \"%.64s\" (%s), freed",
                        node.bytes, address, whose.noun, whose.name, whose.kind);
    }
    if (node.bytes != bytes) {
        rn_sentry_abort(place, node.stack, 0,
                        "mismatched size: a block of %zu bytes at %p, freed with %zu bytes",
                        node.bytes, address, bytes);
    }
    rn_sentry_abort(place, node.stack, 0,
                    "mismatched alignment: a block of %zu bytes at %p, aligned to %zu, freed with "
                    "%zu",
                    node.bytes, address, (size_t)node.align, align);
}

void rn_live_take(const void *owner, const void *address, size_t bytes, size_t align,
                  const rn_place *place)
{
    uint32_t stack = rn_stack_here(1);
    uint32_t at = find_expected(owner, address, bytes, align, place);
    if (at != 0) {
        uint32_t made = nodes[at].stack;
        remove_node(at);
        unlock();
        rn_departed_add(address, bytes, made, stack, place);
    }
}

void rn_live_expect(const void *owner, const void *address, size_t bytes, size_t align,
                    const rn_place *place)
{
    if (find_expected(owner, address, bytes, align, place) != 0) {
        unlock();
    }
}

void rn_live_resize(const void *address, size_t bytes)
{
    lock();
    uint32_t at = find_node(address);
    if (at != 0) {
        nodes[at].bytes = bytes;
    }
    unlock();
}

uint64_t rn_live_mark(void)
{
    lock();
    uint64_t mark = sequence;
    unlock();
    return mark;
}

void rn_live_forget(const void *owner, uint64_t mark)
{
    uint32_t stack = rn_stack_here(1);
    lock();
    live_owner *entry = &owners[find_owner(owner)];
    rn_place place = {.noun = entry->noun, .name = entry->name, .kind = entry->kind};
    while (entry->newest != 0 && nodes[entry->newest].sequence > mark) {
        const live_node *node = &nodes[entry->newest];
        rn_departed_add((const void *)node->address, node->bytes, node->stack, stack, /* NOLINT */
                        &place);
        remove_node(entry->newest);
    }
    unlock();
}

int64_t rn_live_count(const void *owner)
{
    lock();
    int64_t count = owners[find_owner(owner)].count;
    unlock();
    return count;
}

void rn_live_close(const void *owner, const rn_place *place)
{
    rn_leaks leaks = {0};
    lock();
    live_owner *entry = &owners[find_owner(owner)];
    while (entry->newest != 0) {
        const live_node *node = &nodes[entry->newest];
        rn_leaks_add_block(&leaks, (const void *)node->address, node->bytes, /* NOLINT */
                           node->stack);
        remove_node(entry->newest);
    }
    *entry = (live_owner){0};
    unlock();
    rn_leaks_end(&leaks, place);
}

#endif
