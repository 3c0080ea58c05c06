/* SPDX-License-Identifier: Apache-2.0
 *
 * What is paid once per chunk or less: recalls, refusals and readings over 1, 128 and 1023 slots
 * that belong to idle threads, and the bytes such threads leave usable.
 *
 * A recall is timed one by one, because the slots must hold credit again before the next: the
 * median of a round, the least of all rounds; two readings of the clock are in it. Three settings.
 * `alone`: the second thread of the process sleeps, the barrier interrupts nobody. `beside`: it
 * runs on another core, and is seen running right before, so that the barrier interrupts it.
 * `remote`: beside, and it was that thread that charged the slots, so that their lines lie in the
 * other core's cache. The bare barrier is timed in the same way. */
#include "bench/accounting.h"

#include <linux/membarrier.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SLOTS_MOST 1023
#define SAMPLES 64
#define HELD_BYTES 64
#define BUDGET_BYTES GIB

typedef struct crowd {
    rn_ledger *ledger;
    ration_pool *root, *group, *query, *other;
    rn_slot *slots[SLOTS_MOST];
    rn_slot *peer; /* in `other` */
    int count;
} crowd;

static void open_crowd(crowd *self, int count, int64_t query_limit)
{
    rn_ledger_options options = {.chunk_bytes_max = CHUNK_BYTES};
    self->count = count;
    must_be_ok(rn_ledger_open(&options, &self->ledger));
    must_be_ok(rn_pool_open(self->ledger, NULL, "root", 1024 * GIB, RATION_GLOBAL_LIMIT, NULL,
                            &self->root));
    must_be_ok(rn_pool_open(self->ledger, self->root, "group", 512 * GIB, RATION_GROUP_LIMIT, NULL,
                            &self->group));
    must_be_ok(rn_pool_open(self->ledger, self->group, "query", query_limit, RATION_QUERY_LIMIT,
                            NULL, &self->query));
    must_be_ok(rn_pool_open(self->ledger, self->root, "other", 256 * GIB, RATION_QUERY_LIMIT, NULL,
                            &self->other));
    must_be_ok(rn_slot_open(self->other, NULL, &self->peer));
    for (int i = 0; i < count; i++) {
        must_be_ok(rn_slot_open(self->query, NULL, &self->slots[i]));
        must_be_ok(ration_slot_try_charge(&self->slots[i]->hot, HELD_BYTES));
    }
}

static void close_crowd(crowd *self)
{
    for (int i = 0; i < self->count; i++) {
        ration_slot_release(&self->slots[i]->hot, HELD_BYTES);
        rn_slot_close(self->slots[i]);
    }
    rn_slot_close(self->peer);
    rn_pool_close(self->other);
    rn_pool_close(self->query);
    rn_pool_close(self->group);
    rn_pool_close(self->root);
    rn_ledger_close(self->ledger);
}

/* Every slot takes credit again. */
static void charge_all(crowd *self)
{
    for (int i = 0; i < self->count; i++) {
        ration_slot *slot = &self->slots[i]->hot;
        must_be_ok(ration_slot_try_charge(slot, HELD_BYTES));
        ration_slot_release(slot, HELD_BYTES);
    }
}

/* ---------------------------------------------------------------------------- the second thread */

enum { PEER_RUN, PEER_CHARGE_ALL, PEER_LEAVE };

static struct {
    pthread_t thread;
    pthread_barrier_t door; /* asleep until the main thread comes too */
    crowd *world;
    int64_t order __attribute__((aligned(128)));
    int64_t seen __attribute__((aligned(128))); /* grows while it runs */
} peer;

static void *run_peer(void *argument)
{
    (void)argument;
    clock_pin(1);
    (void)pthread_barrier_wait(&peer.door);
    int64_t order;
    do {
        order = rn_load_acquire(&peer.order);
        if (order == PEER_CHARGE_ALL) {
            charge_all(peer.world);
            rn_store_release(&peer.order, PEER_RUN);
        }
        for (int i = 0; i < 16; i++) {
            must_be_ok(ration_slot_try_charge(&peer.world->peer->hot, HELD_BYTES));
            ration_slot_release(&peer.world->peer->hot, HELD_BYTES);
        }
        rn_store(&peer.seen, rn_load(&peer.seen) + 1);
    } while (order != PEER_LEAVE);
    return NULL;
}

static void start_peer(crowd *world)
{
    peer.world = world;
    rn_store(&peer.order, PEER_RUN);
    (void)pthread_barrier_init(&peer.door, NULL, 2);
    if (pthread_create(&peer.thread, NULL, run_peer, NULL) != 0) {
        stop_bench("pthread_create");
    }
}

/* Lets the sleeping peer run. */
static void wake_peer(void)
{
    (void)pthread_barrier_wait(&peer.door);
}

static void end_peer(void)
{
    rn_store_release(&peer.order, PEER_LEAVE);
    (void)pthread_join(peer.thread, NULL);
    (void)pthread_barrier_destroy(&peer.door);
}

static void see_peer_run(void)
{
    int64_t seen = rn_load(&peer.seen);
    while (rn_load(&peer.seen) == seen) {
    }
}

static void let_peer_charge_all(void)
{
    rn_store_release(&peer.order, PEER_CHARGE_ALL);
    while (rn_load_acquire(&peer.order) != PEER_RUN) {
    }
}

/* -------------------------------------------------------------------------------------- recalls */

enum setting { ALONE, BESIDE, REMOTE, SETTINGS };
static bool beside_too; /* there is a second core */
static const char *const setting_names[SETTINGS] = {"alone", "beside", "remote"};

static int64_t pass_barrier(void)
{
    return syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

static int compare_samples(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

/* Median of one round; `bare`: the barrier alone. */
static double time_recalls(crowd *world, enum setting setting, bool bare)
{
    int64_t samples[SAMPLES];
    for (int i = 0; i < SAMPLES; i++) {
        if (setting == REMOTE) {
            let_peer_charge_all();
        } else {
            charge_all(world);
        }
        if (setting != ALONE) {
            see_peer_run();
        }
        int64_t start_ns = rn_clock_ns();
        int64_t home = bare ? pass_barrier() : rn_pool_recall(world->query);
        samples[i] = rn_clock_ns() - start_ns;
        if (!bare && home < (int64_t)world->count * CHUNK_BYTES / 2) {
            stop_bench("a recall found no credit");
        }
    }
    qsort(samples, SAMPLES, sizeof samples[0], compare_samples);
    return (double)samples[SAMPLES / 2];
}

static void read_turns(void *state, int64_t bytes, int64_t turns)
{
    for (; turns > 0; turns--) {
        ration_pool_figures figures;
        ration_pool_read(((crowd *)state)->query, &figures);
        bytes += figures.charged_bytes;
        FORGET(bytes);
    }
}

/* The first slot asks for more than there is left, again and again. */
static void refuse_turns(void *state, int64_t bytes, int64_t turns)
{
    for (; turns > 0; turns--) {
        FORGET(bytes);
        ration_slot *slot = &((crowd *)state)->slots[0]->hot;
        if (ration_slot_try_charge(slot, bytes) != RATION_QUERY_LIMIT) {
            stop_bench("granted, where there is no room");
        }
    }
}

static double best_of(int rounds, const rival *what, int64_t bytes)
{
    int64_t turns = clock_turns(what, bytes, 1000000);
    double best = INFINITY;
    for (int round = 0; round < rounds; round++) {
        best = fmin(best, clock_one(what, bytes, turns));
    }
    return best;
}

static void print_count_row(const char *what, int count, double ns)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s.%d", what, count);
    print_row(name, ns, "ns", NAN, NAN);
}

/* The least of `rounds` medians in each setting; NAN where it cannot be had. */
static void time_settings(crowd *world, int rounds, bool bare, double best[SETTINGS])
{
    for (enum setting setting = ALONE; setting < SETTINGS; setting++) {
        best[setting] = setting == ALONE || beside_too ? INFINITY : NAN;
    }
    clock_pin(0);
    start_peer(world);
    for (int round = 0; round < rounds; round++) {
        best[ALONE] = fmin(best[ALONE], time_recalls(world, ALONE, bare));
    }
    wake_peer();
    for (int round = 0; round < rounds && beside_too; round++) {
        for (enum setting setting = BESIDE; setting < SETTINGS; setting++) {
            best[setting] = fmin(best[setting], time_recalls(world, setting, bare));
        }
    }
    end_peer();
}

/* Beside what the bare barrier costs in the same setting. */
static void measure_recall(int count, int rounds, const double barrier[SETTINGS])
{
    static crowd world;
    double best[SETTINGS];
    open_crowd(&world, count, 256 * GIB);
    time_settings(&world, rounds, false, best);
    for (enum setting setting = ALONE; setting < SETTINGS; setting++) {
        char name[64];
        (void)snprintf(name, sizeof name, "recall.%d.%s", count, setting_names[setting]);
        print_row(name, best[setting], "ns", barrier[setting], NAN);
    }
    charge_all(&world);
    rival reading = {"read", read_turns, {&world, NULL}};
    print_count_row("snapshot", count, best_of(rounds, &reading, 0));
    close_crowd(&world);
}

static void measure_barrier(int rounds, double best[SETTINGS])
{
    static crowd world;
    open_crowd(&world, 1, 256 * GIB);
    time_settings(&world, rounds, true, best);
    for (enum setting setting = ALONE; setting < REMOTE; setting++) {
        char name[64];
        (void)snprintf(name, sizeof name, "barrier.%s", setting_names[setting]);
        print_row(name, best[setting], "ns", NAN, NAN);
    }
    close_crowd(&world);
}

static void measure_refusal(int count, int rounds)
{
    static crowd world;
    open_crowd(&world, count, GIB);
    rival refusal = {"refuse", refuse_turns, {&world, NULL}};
    int64_t rest = GIB - (int64_t)count * HELD_BYTES;
    must_be_ok(ration_slot_try_charge(&world.slots[0]->hot, rest));
    print_count_row("refusal", count, best_of(rounds, &refusal, KIB));
    ration_slot_release(&world.slots[0]->hot, rest);
    close_crowd(&world);
}

void measure_recalls(int rounds, bool two_cores)
{
    static const int counts[] = {1, 128, SLOTS_MOST};
    double barrier[SETTINGS];
    beside_too = two_cores;
    measure_barrier(rounds, barrier);
    for (size_t i = 0; i < RN_COUNT(counts); i++) {
        measure_recall(counts[i], rounds, barrier);
    }
    for (size_t i = 0; i < RN_COUNT(counts); i++) {
        measure_refusal(counts[i], rounds);
    }
}

/* --------------------------------------------------------------------------------------- budget */

static bool slot_grants(crowd *world, int64_t bytes)
{
    charge_all(world);
    if (ration_slot_try_charge(&world->slots[0]->hot, bytes) != RATION_OK) {
        return false;
    }
    ration_slot_release(&world->slots[0]->hot, bytes);
    return true;
}

static bool chunk_grants(chunk_counter *global, int64_t bytes)
{
    int64_t reserved = 0;
    if (!chunk_charge(global, &reserved, bytes)) {
        return false;
    }
    chunk_release(global, &reserved, bytes);
    (void)rn_fetch_add(&global->used, -reserved);
    return true;
}

/* The largest ask of one more thread that is granted, in percent of what is not charged. */
static double usable_slots(void)
{
    static crowd world;
    open_crowd(&world, SLOTS_MOST, BUDGET_BYTES);
    int64_t most = BUDGET_BYTES - SLOTS_MOST * HELD_BYTES;
    int64_t granted = 0, refused = most + 1;
    if (slot_grants(&world, refused)) {
        stop_bench("granted more than there is");
    }
    for (int64_t ask = most; granted + 1 < refused; ask = granted + (refused - granted) / 2) {
        *(slot_grants(&world, ask) ? &granted : &refused) = ask;
    }
    close_crowd(&world);
    return 100 * (double)granted / (double)most;
}

static double usable_chunks(void)
{
    chunk_counter global = {.limit = BUDGET_BYTES};
    int64_t held = 0;
    for (int i = 0; i < SLOTS_MOST; i++) {
        int64_t reserved = 0;
        held += chunk_charge(&global, &reserved, HELD_BYTES) ? HELD_BYTES : 0;
    }
    int64_t granted = 0, refused = BUDGET_BYTES - held + 1;
    while (granted + 1 < refused) {
        int64_t ask = granted + (refused - granted) / 2;
        *(chunk_grants(&global, ask) ? &granted : &refused) = ask;
    }
    return 100 * (double)granted / (double)(BUDGET_BYTES - held);
}

void measure_budget(void)
{
    print_row("usable.slots", usable_slots(), "%", NAN, NAN);
    print_row("usable.chunks", usable_chunks(), "%", NAN, NAN);
}
