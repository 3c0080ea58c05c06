/* SPDX-License-Identifier: Apache-2.0
 *
 * Owners at their shelves while another thread recalls, purges, ticks and cuts limits as fast as it
 * can, in both orderings. RATION_STRESS=long makes 2 x 10^7 steps in each.
 *
 * Every owner writes its mark into each block it gets and finds it there when it gives the block
 * up: a block that is handed out twice, or taken while it is in use, shows. With the lock held its
 * slot uses what it believes. At the end everything is accounted for. */
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memory/context.h"
#include "memory/shelf.h"
#include "tests/memory/racing.h"

#define OWNERS 4
#define HELD_BYTES_MAX (192 * KIB) /* of each owner */
#define BLOCKS_MAX ((int)(HELD_BYTES_MAX / (8 * KIB)))
#define BATCH 128

typedef struct stress {
    fixture world;
    int64_t steps;   /* made by all owners, atomic */
    int64_t disturb; /* times that main has disturbed them */
    int64_t stop, running;
} stress;

typedef struct owner {
    stress *in;
    rn_slot *slot;
    struct {
        uint64_t *words;
        int64_t bytes;
        uint64_t mark;
    } blocks[BLOCKS_MAX];
    int count;
    ration_context *context; /* NULL = none */
    unsigned char *memory;   /* of the context */
    int64_t held;
    uint64_t seed, mark;
    int64_t refused, broken;
} owner;

/* First and last word of each page, and one in the middle. */
static void write_mark(uint64_t *words, int64_t bytes, uint64_t mark)
{
    for (int64_t at = 0; at < bytes / 8; at += 512) {
        words[at] = words[at + 255] = words[at + 511] = mark;
    }
}
static bool has_mark(const uint64_t *words, int64_t bytes, uint64_t mark)
{
    bool has = true;
    for (int64_t at = 0; at < bytes / 8; at += 512) {
        has = has && words[at] == mark && words[at + 255] == mark && words[at + 511] == mark;
    }
    return has;
}

static void give_block(owner *self, int at)
{
    self->broken +=
        !has_mark(self->blocks[at].words, self->blocks[at].bytes, self->blocks[at].mark);
    rn_block_release(self->slot, self->blocks[at].words, self->blocks[at].bytes);
    self->held -= self->blocks[at].bytes;
    self->blocks[at] = self->blocks[--self->count];
}

static void take_block(owner *self, int64_t bytes)
{
    void *block = NULL;
    if (rn_block_acquire(self->slot, bytes, &block) != RATION_OK) {
        self->refused += 1;
        return;
    }
    self->mark += 1;
    self->blocks[self->count].words = (uint64_t *)block;
    self->blocks[self->count].bytes = bytes;
    self->blocks[self->count].mark = self->mark;
    self->count += 1;
    self->held += bytes;
    write_mark((uint64_t *)block, bytes, self->mark);
}

static void change_context(owner *self)
{
    unsigned char fill = (unsigned char)self->mark;
    if (self->context != NULL) {
        for (int i = 0; i < 1000; i += 99) {
            self->broken += self->memory[i] != fill;
        }
        ration_context_delete(self->context);
        self->context = NULL;
        self->held -= 8 * KIB;
        return;
    }
    ration_context_kind kind = self->seed % 2 == 0 ? RATION_CONTEXT_BUMP : RATION_CONTEXT_SET;
    if (ration_context_create(NULL, &self->slot->hot, kind, "stress", &self->context) !=
        RATION_OK) {
        self->context = NULL;
        self->refused += 1;
        return;
    }
    self->memory = (unsigned char *)ration_context_allocate(self->context, 1000);
    memset(self->memory, fill, 1000);
    self->held += 8 * KIB;
}

static void step(owner *self)
{
    uint64_t random = rn_random(&self->seed);
    int64_t bytes = random % 4 == 0 ? 8 * KIB << random / 1024 % 4 : 8 * KIB;
    bool room = self->held + bytes <= HELD_BYTES_MAX && self->count < BLOCKS_MAX;
    if (random / 8 % 4 == 0 && (self->context != NULL || room)) {
        if (self->context == NULL) {
            self->mark += 1;
        }
        change_context(self);
    } else if (self->context == NULL && room && random / 32 % 2 == 0) {
        take_block(self, bytes);
    } else if (self->count > 0) {
        give_block(self, (int)(random / 64 % (uint64_t)self->count));
    } else if (room && charge(self->slot, 5000) == RATION_OK) {
        release(self->slot, 5000);
    }
}

static void check_sum(owner *self)
{
    rn_ledger *ledger = self->in->world.ledger;
    rn_ledger_lock(ledger);
    self->broken += rn_slot_used(self->slot) != self->held || rn_slot_shelved(self->slot) < 0 ||
                    rn_slot_counted(self->slot) > self->slot->granted_bytes;
    rn_ledger_unlock(ledger);
}

/* Main is probably not running when the owners are far ahead. */
static void let_main_run(const stress *in)
{
    if (rn_load(&in->steps) / 256 > rn_load(&in->disturb)) {
        int64_t wanted = rn_load(&in->disturb) + 4;
        while (rn_load(&in->disturb) < wanted && rn_load(&in->stop) == 0) {
            (void)sched_yield();
        }
    }
}

static void *run_owner(void *argument)
{
    owner *self = (owner *)argument;
    while (rn_load(&self->in->stop) == 0 && self->broken == 0) {
        for (int i = 0; i < BATCH; i++) {
            step(self);
        }
        check_sum(self);
        (void)rn_fetch_add(&self->in->steps, BATCH);
        let_main_run(self->in);
    }
    if (self->context != NULL) {
        change_context(self);
    }
    while (self->count > 0) {
        give_block(self, 0);
    }
    (void)rn_fetch_add(&self->in->running, -1);
    return NULL;
}

static int64_t fake_ns;
static int64_t read_fake(void)
{
    return rn_load(&fake_ns);
}

/* One of the things that others do to shelves. */
static void disturb(stress *in, rn_slot *asker, int64_t asked_bytes, bool cuts, uint64_t random)
{
    ration_pool *pools[] = {in->world.first, in->world.root, in->world.second, in->world.queries};
    switch (random % 8) {
    case 0:
        rn_blocks_purge(in->world.blocks);
        break;
    case 1:
        rn_store(&fake_ns, fake_ns + 600 * INT64_C(1000000));
        rn_blocks_tick(in->world.blocks);
        break;
    case 2:
        if (cuts) {
            rn_pool_set_limit(in->world.queries, (int64_t)(random / 8 % 64) * 16 * KIB);
            break;
        }   /* fall through */
    case 3: /* what the owners may hold at most is never in the way */
        if (charge(asker, asked_bytes) == RATION_OK) {
            release(asker, asked_bytes);
        } else if (!cuts) {
            ck_abort_msg("refused: %lld charged", (long long)asker->no.charged_bytes);
        }
        break;
    case 4:
        rn_pool_set_limit(in->world.queries, INT64_MAX);
        break;
    default:
        (void)rn_pool_recall(pools[random / 8 % 4]);
        (void)rn_pool_recall(pools[random / 32 % 4]);
        break;
    }
}

static void open_stress(stress *in, owner *owners, int64_t limit, bool seq_cst)
{
    static const rn_blocks_options options = {.retain_ms = 1000, .clock_ns = read_fake};
    *in = (stress){.world = fixture_open(limit, INT64_MAX, 64 * KIB, seq_cst), .running = OWNERS};
    rn_blocks_close(in->world.blocks);
    ck_assert_int_eq(rn_blocks_open(in->world.retained, &options, &in->world.blocks), RATION_OK);
    uint64_t seed = choose_seed(1);
    for (int i = 0; i < OWNERS; i++) {
        owners[i] = (owner){.in = in,
                            .slot = open_slot(i % 2 == 0 ? in->world.first : in->world.second),
                            .seed = seed + (uint64_t)i,
                            .mark = (uint64_t)(i + 1) << 48};
    }
}

static void run_stress(bool seq_cst, bool cuts, int64_t steps)
{
    static owner owners[OWNERS];
    const int64_t asked_bytes = 256 * KIB;
    const int64_t limit = OWNERS * HELD_BYTES_MAX + asked_bytes;
    stress in;
    pthread_t threads[OWNERS];
    open_stress(&in, owners, limit, seq_cst);
    rn_slot *asker = open_slot(in.world.second);
    for (int i = 0; i < OWNERS; i++) {
        threads[i] = start_thread(run_owner, &owners[i]);
    }
    uint64_t seed = choose_seed(2);
    while (rn_load(&in.running) == OWNERS && rn_load(&in.steps) < steps) {
        disturb(&in, asker, asked_bytes, cuts, rn_random(&seed));
        rn_store(&in.disturb, in.disturb + 1);
        if (in.disturb % 128 == 0) {
            check_audit(&in.world);
            ck_assert(rn_blocks_check(in.world.blocks));
        }
        let_move(&in.steps, rn_load(&in.steps));
    }
    rn_store(&in.stop, 1);
    int64_t refused = 0;
    for (int i = 0; i < OWNERS; i++) {
        join_thread(threads[i]);
        ck_assert_msg(owners[i].broken == 0, "owner %d: after %lld steps", i, (long long)in.steps);
        ck_assert_int_eq(rn_slot_used(owners[i].slot), 0);
        refused += owners[i].refused;
    }
    printf("%s: %lld steps, disturbed %lld times, %lld refusals\n", seq_cst ? "seq_cst" : "default",
           (long long)in.steps, (long long)in.disturb, (long long)refused);
    ck_assert(cuts || refused == 0);
    check_audit(&in.world);
    ck_assert_int_eq(read_pool(in.world.queries).charged_bytes, 0);
    for (int i = 0; i < OWNERS; i++) {
        rn_slot_close(owners[i].slot);
    }
    rn_slot_close(asker);
    ck_assert(rn_blocks_check(in.world.blocks));
    ck_assert_int_eq(read_pool(in.world.queries).granted_bytes, 0);
    fixture_close(&in.world);
}

static int64_t count_steps(int64_t usual)
{
    return is_long() ? 20000000 : scaled(usual);
}

/* Nobody is ever refused: what the owners hold and what is asked fit, whatever lies on shelves. */
START_TEST(test_shelf__under_recalls_purges_and_ticks)
{
    run_stress(_i != 0, false, count_steps(400000));
}
END_TEST

START_TEST(test_shelf__under_cut_limits)
{
    run_stress(_i != 0, true, count_steps(400000));
}
END_TEST

/* ----------------------------------------------------------------------------------------- fork */

/* In the child, whose owners are gone wherever they were: the number of the first expectation that
 * is not met. What they had in use stays charged; all the rest is there. */
static int look_around(stress *in, owner *owners, rn_slot *own)
{
    char text[256];
    if (!ration_pool_check(in->world.root, text, sizeof(text))) {
        return 1;
    }
    if (!rn_blocks_check(in->world.blocks)) {
        return 2;
    }
    int64_t used = 0;
    for (int i = 0; i < OWNERS; i++) {
        const rn_slot *slot = owners[i].slot;
        int64_t most = HELD_BYTES_MAX + 5000;
        if (rn_shelf_holds(slot) || rn_slot_used(slot) != slot->granted_bytes ||
            rn_slot_used(slot) > most || rn_slot_used(slot) < 0) {
            return 3;
        }
        used += rn_slot_used(slot);
    }
    rn_pool_set_limit(in->world.queries, INT64_MAX);
    int64_t rest = rn_pool_limit(in->world.root) - used;
    if (charge(own, rest) != RATION_OK || charge(own, 1) != RATION_GLOBAL_LIMIT) {
        return 4;
    }
    release(own, rest);
    for (int i = 0; i < OWNERS; i++) { /* their shelves can be used again */
        void *first = NULL, *second = NULL;
        rn_slot *slot = owners[i].slot;
        int64_t before = rn_slot_used(slot);
        for (int round = 0; round < 3; round++) {
            if (rn_block_acquire(slot, 8 * KIB, &first) != RATION_OK ||
                rn_block_acquire(slot, 8 * KIB, &second) != RATION_OK || first == second ||
                rn_slot_used(slot) != before + 16 * KIB) {
                return 5;
            }
            rn_block_release(slot, first, 8 * KIB);
            rn_block_release(slot, second, 8 * KIB);
        }
        rn_slot_close(slot);
    }
    return rn_faults() == 0 && rn_blocks_check(in->world.blocks) ? 0 : 6;
}

START_TEST(test_shelf__fork_in_the_middle)
{
    static owner owners[OWNERS];
    stress in;
    pthread_t threads[OWNERS];
    open_stress(&in, owners, 4 * MIB, _i != 0);
    rn_slot *own = open_slot(in.world.second);
    int *verdict = (int *)mmap(NULL, sizeof(*verdict), PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(verdict != MAP_FAILED);
    for (int i = 0; i < OWNERS; i++) {
        threads[i] = start_thread(run_owner, &owners[i]);
    }
    int64_t forks = RN_MAX(scaled(150), 5);
    for (int64_t i = 0; i < forks; i++) {
        (void)rn_pool_recall(i % 3 == 0 ? in.world.first : in.world.root);
        rn_store(&in.disturb, rn_load(&in.steps)); /* nobody waits for main here */
        *verdict = -1;
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            *verdict = look_around(&in, owners, own);
            _exit(0);
        }
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
        ck_assert_int_eq(*verdict, 0);
        let_move(&in.steps, rn_load(&in.steps));
    }
    rn_store(&in.stop, 1);
    for (int i = 0; i < OWNERS; i++) {
        join_thread(threads[i]);
        ck_assert_int_eq(owners[i].broken, 0);
        ck_assert_int_eq(rn_slot_used(owners[i].slot), 0);
        rn_slot_close(owners[i].slot);
    }
    rn_slot_close(own);
    ck_assert_int_eq(munmap(verdict, sizeof(*verdict)), 0);
    fixture_close(&in.world);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    TCase *both = tcase_create("both orderings");
    tcase_add_loop_test(both, test_shelf__under_recalls_purges_and_ticks, 0, ORDERINGS);
    tcase_add_loop_test(both, test_shelf__under_cut_limits, 0, ORDERINGS);
    tcase_add_loop_test(both, test_shelf__fork_in_the_middle, 0, ORDERINGS);
    tcase_set_timeout(both, is_long() ? 3600 : 300);
    Suite *suite = suite_create("memory/shelf_threads");
    suite_add_tcase(suite, both);
    return run_suite(suite);
}
