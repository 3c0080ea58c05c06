/* SPDX-License-Identifier: Apache-2.0
 *
 * The region of a shared ledger: header, ledger, and fixed tables of pools and slots in one file
 * that every process maps where its system likes; all links in it are distances (link.h).
 *
 * A place in a table is taken by one compare-and-swap of the word that says who holds it: process =
 * start time in ticks since boot x 2^22 + pid, so that a pid given to another process is not taken
 * for the old one. The place counts from the moment its link to ledger or pool is set, and until
 * that link is cleared, both under the lock; before and behind that it is only in somebody's hands.
 * There are no free lists that a death could break.
 *
 * What only one process may follow lies in front of the region, in memory of its own
 * (rn_share_own), or is looked at only after asking who holds the place (rn_pool_owner, calls of
 * tickets). One process's barrier orders nothing in another, so the slots of a shared ledger use
 * seq_cst.
 *
 * fork: the child has neither the region nor what lies in front of it. It could write with its
 * parent's slots otherwise. It joins for itself; touching what it inherited is an access violation.
 * execve without rn_ledger_close: what the process held is held until it ends.
 *
 * Trust. Whoever can write the file is trusted with all that is in it, and can crash whoever has
 * joined (also by making it shorter). A file that is no region, too short, of another version or
 * layout, of another boot or pid namespace, or with links that lead anywhere but to places of its
 * tables, is refused before anything in it is followed; amounts are believed.
 *
 * Bounds: taking a place O(places), 8 bytes each. Rejected: offsets from the start of the region
 * instead of distances, which would cost the private ledger an addition at each step and a
 * register.
 */
#include "memory/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "memory/pages.h"

#define MAGIC "RATIONSH"
#define FORMAT 1
#define PLACES_MAX ((int64_t)1 << 20) /* of each kind */
#define JOIN_NS ((int64_t)10 * 1000 * 1000 * 1000)

static int64_t handles; /* of this process, ever; atomic */

static const char remove_hint[] = "remove the file when no process uses it";

/* --------------------------------------------------------------------------------------- layout */

static uint64_t layout_of_this_build(void)
{
    const size_t sizes[] = {FORMAT,
                            RN_GOVERNED,
                            sizeof(void *),
                            sizeof(pthread_mutex_t),
                            sizeof(sem_t),
                            sizeof(rn_share),
                            sizeof(rn_ledger),
                            offsetof(rn_ledger, shared),
                            sizeof(ration_pool),
                            offsetof(ration_pool, ledger),
                            offsetof(ration_pool, name),
                            sizeof(rn_slot),
                            offsetof(rn_slot, granted_bytes),
                            offsetof(rn_slot, ticket)};
    return rn_hash_bytes(RN_HASH_SEED, sizes, sizeof(sizes));
}

static int64_t pools_offset(const rn_share_sizes *sizes)
{
    int64_t holders = sizes->processes + sizes->pools + sizes->slots;
    return rn_round_up((int64_t)sizeof(rn_share) + holders * 8, 128);
}

static int64_t slots_offset(const rn_share_sizes *sizes)
{
    return rn_round_up(pools_offset(sizes) + sizes->pools * (int64_t)sizeof(ration_pool), 128);
}

/* Bytes of the region; 0 = no such sizes. At most 2^20 places of each kind, so nothing overflows.
 */
static int64_t region_bytes(const rn_share_sizes *sizes)
{
    const int64_t counts[] = {sizes->processes, sizes->pools, sizes->slots};
    for (size_t i = 0; i < RN_COUNT(counts); i++) {
        if (counts[i] < 1 || counts[i] > PLACES_MAX) {
            return 0;
        }
    }
    return slots_offset(sizes) + sizes->slots * (int64_t)sizeof(rn_slot);
}

ration_pool *rn_share_pool(rn_share *share, int64_t i)
{
    return (ration_pool *)((uintptr_t)share + (uintptr_t)pools_offset(&share->sizes)) + i;
}

rn_slot *rn_share_slot(rn_share *share, int64_t i)
{
    return (rn_slot *)((uintptr_t)share + (uintptr_t)slots_offset(&share->sizes)) + i;
}

/* --------------------------------------------------------------------------------------- places */

/* The word that says who holds the place at this address; NULL = it is no place. */
static int64_t *find_holder(rn_share *share, const void *place)
{
    uintptr_t pool = (uintptr_t)place - (uintptr_t)rn_share_pool(share, 0);
    uintptr_t slot = (uintptr_t)place - (uintptr_t)rn_share_slot(share, 0);
    if (pool < (uintptr_t)share->sizes.pools * sizeof(ration_pool)) {
        return pool % sizeof(ration_pool) == 0
                   ? rn_share_pool_holder(share, (int64_t)(pool / sizeof(ration_pool)))
                   : NULL;
    }
    if (slot < (uintptr_t)share->sizes.slots * sizeof(rn_slot) && slot % sizeof(rn_slot) == 0) {
        return rn_share_slot_holder(share, (int64_t)(slot / sizeof(rn_slot)));
    }
    return NULL;
}

/* The first free of `count` places, now held by `process`; -1 = none. */
static int64_t take_place(int64_t *holders, int64_t count, int64_t process)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t nobody = 0;
        if (rn_load(&holders[i]) == 0 && rn_compare_swap(&holders[i], &nobody, process)) {
            return i;
        }
    }
    return -1;
}

void *rn_share_take(rn_ledger *ledger, size_t bytes)
{
    rn_share *share = rn_share_of(ledger);
    int64_t process = rn_share_own_of(ledger)->process;
    bool pool = bytes == sizeof(ration_pool);
    rn_assert(pool || bytes == sizeof(rn_slot));
    int64_t count = pool ? share->sizes.pools : share->sizes.slots;
    int64_t *holders = pool ? rn_share_pool_holder(share, 0) : rn_share_slot_holder(share, 0);
    int64_t i = take_place(holders, count, process);
    if (i < 0 && rn_ledger_bury(ledger) > 0) {
        i = take_place(holders, count, process);
    }
    if (i < 0) {
        return NULL;
    }
    void *place = pool ? (void *)rn_share_pool(share, i) : (void *)rn_share_slot(share, i);
    return memset(place, 0, bytes);
}

void rn_share_give(rn_ledger *ledger, void *memory)
{
    rn_store_release(find_holder(rn_share_of(ledger), memory), 0);
}

bool rn_share_owns(const rn_ledger *ledger, const void *place)
{
    return rn_load(find_holder(rn_share_of(ledger), place)) == rn_share_own_of(ledger)->process;
}

void rn_pool_keep(ration_pool *pool)
{
    rn_ledger *ledger = rn_pool_ledger(pool);
    rn_ledger_lock(ledger);
    rn_store(find_holder(rn_share_of(ledger), pool), RN_SHARE_EVERYBODY);
    rn_ledger_unlock(ledger);
}

ration_pool *rn_pool_find(rn_ledger *ledger, ration_pool *parent, const char *name)
{
    rn_ledger_lock(ledger);
    ration_pool *pool = (ration_pool *)rn_link_get(parent == NULL ? &ledger->root : &parent->child);
    while (pool != NULL && strcmp(pool->name, name) != 0) {
        pool = rn_pool_sibling(pool);
    }
    rn_ledger_unlock(ledger);
    return pool;
}

/* ----------------------------------------------------------------------------------- soundness */

/* Is it a place of the tables that is in the tree, and of this kind? */
static bool is_live_pool(rn_share *share, const ration_pool *pool)
{
    const int64_t *holder = find_holder(share, pool);
    int64_t i = holder == NULL ? -1 : holder - rn_share_pool_holder(share, 0);
    return i >= 0 && i < share->sizes.pools && rn_share_has_pool(share, i);
}

/* Does every chain of parents end at one root, within the tables? All that is followed from then on
 * is built from these links (rn_ledger_rebuild). */
static bool is_sound(rn_share *share)
{
    const ration_pool *root = NULL;
    for (int64_t i = 0; i < share->sizes.pools; i++) {
        const ration_pool *pool = rn_share_pool(share, i);
        if (!rn_share_has_pool(share, i)) {
            continue;
        }
        if (rn_pool_ledger(pool) != &share->ledger ||
            memchr(pool->name, 0, sizeof(pool->name)) == NULL) {
            return false;
        }
        int64_t steps = 0;
        for (; rn_pool_parent(pool) != NULL && steps < share->sizes.pools; steps++) {
            pool = rn_pool_parent(pool);
            if (!is_live_pool(share, pool)) {
                return false;
            }
        }
        if (steps == share->sizes.pools || (root != NULL && root != pool)) {
            return false;
        }
        root = pool;
    }
    for (int64_t i = 0; i < share->sizes.slots; i++) {
        const rn_slot *slot = rn_share_slot(share, i);
        if (rn_share_has_slot(share, i) && !is_live_pool(share, rn_slot_pool(slot))) {
            return false;
        }
    }
    return true;
}

/* What can be told of a region without mapping it. */
static ration_status examine(int descriptor, rn_share *header, ration_error *error)
{
    struct stat file;
    if (fstat(descriptor, &file) != 0 || !S_ISREG(file.st_mode)) {
        return rn_error_set(error, RATION_FILE, "", "a shared ledger lies in a regular file");
    }
    ssize_t got = pread(descriptor, header, sizeof(*header), 0);
    if (got != (ssize_t)sizeof(*header) || memcmp(header->magic, MAGIC, 8) != 0) {
        return rn_error_set(error, RATION_FILE, "", "the file holds no shared ledger");
    }
    if (header->layout != layout_of_this_build() ||
        strncmp(header->version, RATION_VERSION, sizeof(header->version)) != 0) {
        return rn_error_set(error, RATION_FILE, remove_hint,
                            "the shared ledger was made by version %.24s, or another build of it; "
                            "this is version %s",
                            header->version, RATION_VERSION);
    }
    int64_t bytes = region_bytes(&header->sizes);
    if (bytes == 0 || bytes != header->bytes || file.st_size < bytes) {
        return rn_error_set(error, RATION_FILE, remove_hint,
                            "the shared ledger is damaged: %lld bytes, and its tables need %lld",
                            (long long)file.st_size, (long long)bytes);
    }
    if (header->epoch != rn_probe_epoch()) {
        return rn_error_set(error, RATION_ENVIRONMENT, remove_hint,
                            "the shared ledger is from before this boot, or its processes have "
                            "another pid or time namespace");
    }
    return RATION_OK;
}

/* ----------------------------------------------------------------------------- create, join, leave
 */

static bool open_robust_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attributes;
    if (pthread_mutexattr_init(&attributes) != 0) {
        return false;
    }
    int failed = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    failed |= pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    failed |= pthread_mutex_init(lock, &attributes);
    (void)pthread_mutexattr_destroy(&attributes);
    return failed == 0;
}

/* As in the table of holders; 0 = /proc does not say. */
static int64_t identify_self(void)
{
    int64_t pid = (int64_t)getpid();
    int64_t start = rn_probe_start_time(pid);
    return start <= 0 || rn_probe_epoch() == 0 ? 0 : start << RN_SHARE_PID_BITS | pid;
}

static ration_status map_region(int descriptor, int64_t bytes, rn_share **out_share,
                                ration_error *error)
{
    int64_t process = identify_self();
    if (process == 0) {
        return rn_error_set(error, RATION_ENVIRONMENT, "mount /proc",
                            "a shared ledger must tell processes apart, and cannot read /proc");
    }
    rn_share *share =
        (rn_share *)rn_pages_map_shared(descriptor, bytes, (int64_t)sizeof(rn_share_own));
    if (share == NULL) {
        return rn_error_set(error, RATION_NO_MEMORY, "", "cannot map the shared ledger");
    }
    rn_share_own_of(&share->ledger)->process = process;
    rn_share_own_of(&share->ledger)->number = rn_fetch_add(&handles, 1) + 1;
    *out_share = share;
    return RATION_OK;
}

static void unmap_region(rn_share *share, int64_t bytes)
{
    rn_pages_unmap_shared(share, bytes, (int64_t)sizeof(rn_share_own));
}

ration_status rn_ledger_create_shared(int descriptor, const rn_share_sizes *sizes,
                                      int64_t chunk_bytes_max, rn_ledger **out_ledger,
                                      ration_error *error)
{
    int64_t bytes = region_bytes(sizes);
    struct stat file;
    if (bytes == 0 || fstat(descriptor, &file) != 0 || file.st_size != 0) {
        return rn_error_set(error, RATION_INVALID_ARGUMENT, "",
                            "a shared ledger is made of an empty file and 1 to %lld places",
                            (long long)PLACES_MAX);
    }
    /* Pages that are there cannot be missing later, when the file system is full. */
    int code;
    do {
        code = posix_fallocate(descriptor, 0, (off_t)bytes);
    } while (code == EINTR);
    if (code != 0) {
        return rn_error_set(error, RATION_FILE, "", "no room for a shared ledger of %lld bytes: %s",
                            (long long)bytes, strerror(code));
    }
    rn_share *share;
    RN_TRY(map_region(descriptor, bytes, &share, error));
    if (!open_robust_lock(&share->ledger.lock)) {
        unmap_region(share, bytes);
        return rn_error_set(error, RATION_ENVIRONMENT, "",
                            "the system has no robust mutexes between processes");
    }
    share->layout = layout_of_this_build();
    share->epoch = rn_probe_epoch();
    share->bytes = bytes;
    share->sizes = *sizes;
    share->ledger.shared = true;
    share->ledger.chunk_bytes_max = RN_MAX(chunk_bytes_max, 0);
    share->holders[0] = rn_share_own_of(&share->ledger)->process;
    rn_copy_text(share->version, sizeof(share->version), RATION_VERSION);
    memcpy(share->magic, MAGIC, sizeof(share->magic));
    *out_ledger = &share->ledger;
    return RATION_OK;
}

/* The lock, but not for ever: what the file says of it may be wrong. Nothing is repaired yet. */
static int lock_to_join(rn_ledger *ledger)
{
    const struct timespec moment = {.tv_nsec = 1000 * 1000};
    int64_t until_ns = rn_clock_ns() + JOIN_NS;
    int failed = pthread_mutex_trylock(&ledger->lock);
    while (failed == EBUSY && rn_clock_ns() < until_ns) {
        (void)nanosleep(&moment, NULL);
        failed = pthread_mutex_trylock(&ledger->lock);
    }
    return failed;
}

static bool is_alone(const rn_share *share)
{
    bool alone = true;
    for (int64_t i = 0; i < share->sizes.processes; i++) {
        alone &= rn_load(&share->holders[i]) == 0;
    }
    return alone;
}

/* With the lock held, in a region whose links are sound. */
static ration_status enter(rn_share *share, int64_t chunk_bytes_max, bool *out_alone,
                           ration_error *error)
{
    rn_ledger *ledger = &share->ledger;
    rn_ledger_rebuild(ledger); /* the lists were not looked at */
    (void)rn_ledger_bury_gone(ledger, true);
    bool alone = is_alone(share);
    int64_t process = rn_share_own_of(ledger)->process;
    if (take_place(share->holders, share->sizes.processes, process) < 0) {
        return rn_error_set(error, RATION_ENVIRONMENT, "",
                            "all places of the shared ledger are taken: %lld processes",
                            (long long)share->sizes.processes);
    }
    if (alone) {
        ledger->chunk_bytes_max = RN_MAX(chunk_bytes_max, 0);
    }
    *out_alone = alone;
    return RATION_OK;
}

static ration_status lock_and_enter(rn_share *share, int64_t chunk_bytes_max, bool *out_alone,
                                    ration_error *error)
{
    int failed = lock_to_join(&share->ledger);
    if (failed != 0 && failed != EOWNERDEAD) {
        return rn_error_set(error, RATION_ENVIRONMENT, remove_hint,
                            "the lock of the shared ledger cannot be had: %s", strerror(failed));
    }
    if (!is_sound(share)) {
        (void)pthread_mutex_unlock(&share->ledger.lock);
        return rn_error_set(error, RATION_FILE, remove_hint,
                            "the shared ledger is damaged: its links lead out of its tables");
    }
    if (failed == EOWNERDEAD) {
        (void)pthread_mutex_consistent(&share->ledger.lock);
        share->repairs += 1;
    }
    ration_status status = enter(share, chunk_bytes_max, out_alone, error);
    rn_ledger_unlock(&share->ledger);
    return status;
}

ration_status rn_ledger_join_shared(int descriptor, int64_t chunk_bytes_max, rn_ledger **out_ledger,
                                    bool *out_alone, ration_error *error)
{
    rn_share header;
    rn_share *share;
    RN_TRY(examine(descriptor, &header, error));
    RN_TRY(map_region(descriptor, header.bytes, &share, error));
    ration_status status = lock_and_enter(share, chunk_bytes_max, out_alone, error);
    if (status != RATION_OK) {
        unmap_region(share, header.bytes);
        return status;
    }
    *out_ledger = &share->ledger;
    return RATION_OK;
}

bool rn_ledger_leads(rn_ledger *ledger)
{
    if (!ledger->shared) {
        return true;
    }
    rn_share *share = rn_share_of(ledger);
    bool there = false;
    rn_ledger_lock(ledger);
    (void)rn_ledger_bury_gone(ledger, false);
    for (int64_t i = 0; i < share->sizes.processes; i++) {
        there |= ledger->leader != 0 && rn_load(&share->holders[i]) == ledger->leader;
    }
    const rn_share_own *own = rn_share_own_of(ledger);
    if (!there) {
        ledger->leader = own->process;
        ledger->leader_number = own->number;
    }
    bool leads = ledger->leader == own->process && ledger->leader_number == own->number;
    rn_ledger_unlock(ledger);
    return leads;
}

void rn_ledger_leave(rn_ledger *ledger)
{
    rn_share *share = rn_share_of(ledger);
    int64_t process = rn_share_own_of(ledger)->process;
    int64_t joined = 0, mine = -1;
    rn_ledger_lock(ledger);
    if (ledger->leader == process && ledger->leader_number == rn_share_own_of(ledger)->number) {
        ledger->leader = 0;
    }
    for (int64_t i = 0; i < share->sizes.processes; i++) {
        bool own = rn_load(&share->holders[i]) == process;
        joined += own;
        mine = own ? i : mine;
    }
    if (joined > 1) { /* it has joined twice: what there is may be the other's */
        rn_store(&share->holders[mine], 0);
    } else {
        (void)rn_never(rn_ledger_bury_process(ledger, process) > 0);
    }
    rn_ledger_unlock(ledger);
    unmap_region(share, share->bytes);
}

int64_t rn_ledger_repairs(rn_ledger *ledger)
{
    rn_ledger_lock(ledger);
    int64_t repairs = rn_share_of(ledger)->repairs;
    rn_ledger_unlock(ledger);
    return repairs;
}
