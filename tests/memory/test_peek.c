/* SPDX-License-Identifier: Apache-2.0
 *
 * rn_slots_peek: the tree of a slot's contexts, read by another thread while its owner creates,
 * deletes, moves, names and fills them. What is read is a tree that was there at one moment. Both
 * orderings (_i). The interleavings one by one: tests/points/test_peek.c; all slots of a query:
 * tests/executor/test_peek.c. */
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memory/context.h"
#include "tests/memory/racing.h"

#define NODES 24    /* contexts of one owner, at most */
#define CAPACITY 16 /* sometimes too small */
#define DEPTH 8
#define OWNERS 3

static size_t peek(rn_slot *slot, ration_context_figures *figures, size_t capacity)
{
    rn_ledger *ledger = rn_pool_ledger(rn_slot_pool(slot));
    rn_ledger_lock(ledger);
    size_t count = rn_slots_peek(ledger, &slot, 1, figures, capacity);
    rn_ledger_unlock(ledger);
    return count;
}

static ration_context *create(ration_context *parent, rn_slot *slot, const char *name)
{
    ration_context *context = NULL;
    must(ration_context_create(parent, &slot->hot, RATION_CONTEXT_SET, name, &context) ==
         RATION_OK);
    return context;
}

/* ----------------------------------------------------------------------------------- one thread */

static void expect_equal(const ration_context_figures *peeked, const ration_context *context)
{
    ration_context_figures figures;
    ration_context_read(context, &figures);
    ck_assert_int_eq(peeked->free_bytes, -1);
    ck_assert_str_eq(peeked->name, figures.name);
    ck_assert_int_eq((int)peeked->kind, (int)figures.kind);
    ck_assert_int_eq(peeked->depth, figures.depth);
    ck_assert_int_eq(peeked->bytes, figures.bytes);
    ck_assert_int_eq(peeked->blocks, figures.blocks);
    ck_assert_int_eq(peeked->peak_bytes, figures.peak_bytes);
    ck_assert_int_eq(peeked->below, figures.below);
    ck_assert_int_eq(peeked->below_bytes, figures.below_bytes);
}

/* Parents before children, newest first; what does not fit is counted. */
START_TEST(test_peek__shows_the_tree)
{
    fixture world = fixture_open(64 * MIB, INT64_MAX, MIB, _i != 0);
    rn_slot *slot = open_slot(world.first);
    ration_context_figures figures[8];
    ck_assert_uint_eq(peek(slot, NULL, 0), 0);
    ration_context *top = create(NULL, slot, "top");
    ration_context *left = create(top, slot, "left");
    ration_context *leaf = create(left, slot, "leaf");
    ration_context *right = create(top, slot, "right");
    ration_context *other = create(NULL, slot, "other");
    ck_assert_ptr_nonnull(ration_context_allocate(leaf, 100 * 1024));
    ration_context_set_identifier(right, "17");
    const ration_context *expected[] = {other, top, right, left, leaf};
    ck_assert_uint_eq(peek(slot, NULL, 0), 5);
    for (size_t capacity = 0; capacity <= 8; capacity++) {
        memset(figures, 0x55, sizeof(figures));
        ck_assert_uint_eq(peek(slot, figures, capacity), 5);
        for (size_t i = 0; i < 8; i++) {
            if (i < RN_MIN(capacity, 5)) {
                expect_equal(&figures[i], expected[i]);
            } else {
                ck_assert_int_eq(figures[i].depth, 0x55555555);
            }
        }
    }
    ck_assert_str_eq(figures[2].name, "right: 17");
    ck_assert_int_eq(figures[1].below, 3);
    ration_context_reset(right);
    ck_assert_uint_eq(peek(slot, figures, 8), 5);
    ck_assert_str_eq(figures[2].name, "right");
    ration_context_delete(top);
    ration_context_delete(other);
    ck_assert_uint_eq(peek(slot, figures, 8), 0);
    rn_slot_close(slot);
    fixture_close(&world);
}
END_TEST

/* Several slots, some of them empty places, in one reading, cut anywhere: the sums are complete. */
START_TEST(test_peek__shows_many_slots)
{
    enum { SLOTS = 9, EACH = 3 };
    fixture world = fixture_open(64 * MIB, INT64_MAX, MIB, _i != 0);
    rn_slot *slots[SLOTS] = {NULL};
    for (int i = 0; i < SLOTS; i += 2) {
        slots[i] = open_slot(world.first);
        ration_context *at = NULL;
        for (int k = 0; k < EACH; k++) {
            at = create(at, slots[i], "link");
            ck_assert_ptr_nonnull(ration_context_allocate(at, (size_t)(k + 1) * 20000));
        }
    }
    const size_t all = (SLOTS + 1) / 2 * EACH;
    ration_context_figures figures[(SLOTS + 1) / 2 * EACH], cut[(SLOTS + 1) / 2 * EACH];
    for (size_t capacity = 0; capacity <= all; capacity++) {
        rn_ledger_lock(world.ledger);
        ck_assert_uint_eq(rn_slots_peek(world.ledger, slots, SLOTS, figures, all), all);
        ck_assert_uint_eq(rn_slots_peek(world.ledger, slots, SLOTS, cut, capacity), all);
        rn_ledger_unlock(world.ledger);
        for (size_t i = 0; i < capacity; i++) {
            ck_assert_int_eq(cut[i].depth, (int)(i % EACH));
            ck_assert_int_eq(cut[i].below, (int64_t)(EACH - 1 - i % EACH));
            ck_assert_int_eq(cut[i].below_bytes, figures[i].below_bytes);
            ck_assert_int_eq(cut[i].bytes, figures[i].bytes);
            ck_assert_int_eq(cut[i].free_bytes, -1);
            ck_assert(i % EACH == EACH - 1 ||
                      figures[i].below_bytes == figures[i + 1].bytes + figures[i + 1].below_bytes);
        }
    }
    for (int i = 0; i < SLOTS; i += 2) {
        ration_context_delete(slots[i]->contexts);
        rn_slot_close(slots[i]);
    }
    fixture_close(&world);
}
END_TEST

/* A name and identifier that are too long are cut, not overrun. */
START_TEST(test_peek__cuts_long_names)
{
    fixture world = fixture_open(MIB, INT64_MAX, MIB, _i != 0);
    rn_slot *slot = open_slot(world.first);
    ration_context *context = create(NULL, slot, "a name of thirty characters .....");
    ration_context_set_identifier(context, "and an identifier of thirty-nine of them");
    ration_context_figures figures[2] = {[1].depth = 77};
    ck_assert_uint_eq(peek(slot, figures, 1), 1);
    ck_assert_uint_eq(strlen(figures[0].name), sizeof(figures[0].name) - 1);
    ck_assert(strncmp(figures[0].name, "a name of thirty characters .....: and an ", 42) == 0);
    ck_assert_int_eq(figures[1].depth, 77);
    ration_context_delete(context);
    rn_slot_close(slot);
    fixture_close(&world);
}
END_TEST

/* --------------------------------------------------------------------------------- many threads */

typedef struct owner {
    rn_slot *slot;
    struct {
        ration_context *context; /* NULL = free */
        int parent, depth;
    } nodes[NODES];
    bool grows; /* its contexts take more than their first block */
    uint64_t seed;
    const int64_t *stop;
    int64_t steps; /* atomic */
} owner;

typedef struct theatre {
    fixture world;
    owner owners[OWNERS];
    pthread_t threads[OWNERS];
    int64_t stop;
} theatre;

static int find_free(const owner *self)
{
    int at = 0;
    while (at < NODES && self->nodes[at].context != NULL) {
        at++;
    }
    return at;
}

static bool is_below(const owner *self, int at, int top)
{
    while (at >= 0 && at != top) {
        at = self->nodes[at].parent;
    }
    return at == top;
}

static void forget_below(owner *self, int top)
{
    bool below[NODES];
    for (int i = 0; i < NODES; i++) {
        below[i] = self->nodes[i].context != NULL && i != top && is_below(self, i, top);
    }
    for (int i = 0; i < NODES; i++) {
        self->nodes[i].context = below[i] ? NULL : self->nodes[i].context;
    }
}

static void make_node(owner *self, int parent)
{
    int at = find_free(self);
    int depth = parent < 0 ? 0 : self->nodes[parent].depth + 1;
    if (at < NODES && depth < DEPTH) {
        self->nodes[at].context =
            create(parent < 0 ? NULL : self->nodes[parent].context, self->slot, "node");
        self->nodes[at].parent = parent;
        self->nodes[at].depth = depth;
    }
}

/* An identifier that lies in the context itself: eight times the same letter. */
static void name_node(owner *self, int at)
{
    char *text = (char *)ration_context_allocate(self->nodes[at].context, 9);
    memset(text, 'a' + (int)pick(&self->seed, 26), 8);
    text[8] = 0;
    ration_context_set_identifier(self->nodes[at].context, text);
}

static void move_node(owner *self, int at, int parent)
{
    bool leaf = true;
    for (int i = 0; i < NODES; i++) {
        leaf = leaf && (self->nodes[i].context == NULL || self->nodes[i].parent != at);
    }
    if (leaf && parent != at && self->nodes[parent].depth + 1 < DEPTH) {
        ration_context_set_parent(self->nodes[at].context, self->nodes[parent].context);
        self->nodes[at].parent = parent;
        self->nodes[at].depth = self->nodes[parent].depth + 1;
    }
}

static void step(owner *self)
{
    int at = (int)pick(&self->seed, NODES), other = (int)pick(&self->seed, NODES);
    int64_t what = pick(&self->seed, 16);
    if (self->nodes[at].context == NULL) {
        make_node(self, self->nodes[other].context == NULL || what == 0 ? -1 : other);
    } else if (what < 3) {
        forget_below(self, at);
        ration_context_delete(self->nodes[at].context);
        self->nodes[at].context = NULL;
    } else if (what < 5) {
        forget_below(self, at);
        ration_context_reset(self->nodes[at].context);
    } else if (what < 7) {
        ration_context_reset_only(self->nodes[at].context);
    } else if (what < 10) {
        name_node(self, at);
    } else if (what < 13 && self->nodes[other].context != NULL) {
        move_node(self, at, other);
    } else if (self->grows) {
        must(ration_context_allocate(self->nodes[at].context, 6000) != NULL);
    }
}

static void *run_owner(void *argument)
{
    owner *self = (owner *)argument;
    while (rn_load(self->stop) == 0) {
        step(self);
        (void)rn_fetch_add(&self->steps, 1);
        if (takes_turns()) {
            (void)sched_yield();
        }
    }
    for (int at = 0; at < NODES; at++) {
        if (self->nodes[at].context != NULL && self->nodes[at].parent < 0) {
            forget_below(self, at);
            ration_context_delete(self->nodes[at].context);
            self->nodes[at].context = NULL;
        }
    }
    return NULL;
}

/* A reading, whoever went on meanwhile; 0, or the number of the expectation that is not met. */
static int judge(const ration_context_figures *figures, size_t count, bool grows)
{
    size_t stored = RN_MIN(count, CAPACITY);
    if (count > NODES) {
        return 1;
    }
    for (size_t i = 0; i < stored; i++) {
        const ration_context_figures *at = &figures[i];
        int64_t most = i == 0 ? 0 : figures[i - 1].depth + 1;
        if (at->depth < 0 || at->depth > most || at->depth >= DEPTH) {
            return 2;
        }
        if (strncmp(at->name, "node", 4) != 0) {
            return 3;
        }
        if (at->name[4] != 0) { /* ": " and eight times the same letter */
            const char *text = at->name + 6;
            if (strlen(text) != 8 || strspn(text, (char[]){text[0], 0}) != 8) {
                return 4;
            }
        }
        size_t next = i + 1;
        while (next < stored && figures[next].depth > at->depth) {
            next++;
        }
        int64_t below = (int64_t)(next - i - 1);
        if (at->below < below || (next < stored && at->below != below)) {
            return 5;
        }
        int64_t below_bytes = 0;
        for (size_t k = i + 1; k < next; k++) {
            below_bytes += figures[k].bytes;
        }
        if (at->bytes < 8 * KIB || at->below_bytes < below_bytes || at->free_bytes != -1 ||
            (at->below == below && at->below_bytes != below_bytes)) {
            return 6;
        }
        if (!grows &&
            (at->bytes != 8 * KIB || at->below_bytes != at->below * 8 * KIB || at->blocks != 1)) {
            return 7;
        }
    }
    return 0;
}

static void open_theatre(theatre *in, bool seq_cst)
{
    *in = (theatre){.world = fixture_open(64 * MIB, INT64_MAX, MIB, seq_cst)};
    uint64_t seed = choose_seed(1);
    for (int i = 0; i < OWNERS; i++) {
        in->owners[i] = (owner){.slot = open_slot(in->world.first),
                                .grows = i == 0,
                                .seed = seed + (uint64_t)i,
                                .stop = &in->stop};
        in->threads[i] = start_thread(run_owner, &in->owners[i]);
    }
}

static void close_theatre(theatre *in)
{
    rn_store(&in->stop, 1);
    for (int i = 0; i < OWNERS; i++) {
        join_thread(in->threads[i]);
        ck_assert_uint_eq(peek(in->owners[i].slot, NULL, 0), 0);
        ck_assert_int_eq(rn_slot_used(in->owners[i].slot), 0);
        rn_slot_close(in->owners[i].slot);
    }
    check_audit(&in->world);
    fixture_close(&in->world);
}

START_TEST(test_peek__while_owners_change_their_trees)
{
    theatre in;
    open_theatre(&in, _i != 0);
    ration_context_figures figures[CAPACITY];
    int64_t seen = 0, peeks = scaled(8000);
    for (int64_t i = 0; i < peeks || seen == 0; i++) {
        owner *of = &in.owners[i % OWNERS];
        size_t count = peek(of->slot, figures, CAPACITY);
        int wrong = judge(figures, count, of->grows);
        if (wrong != 0) {
            ck_abort_msg("peek %lld: expectation %d", (long long)i, wrong);
        }
        seen += (int64_t)count;
        if (i % 16 == 0) {
            (void)rn_pool_recall(in.world.root);
        }
        let_move(&of->steps, rn_load(&of->steps));
    }
    printf("%s: %lld peeks saw %lld contexts\n", _i != 0 ? "seq_cst" : "default", (long long)peeks,
           (long long)seen);
    close_theatre(&in);
}
END_TEST

/* Who peeks all the time does not keep an owner from its work. */
static void *keep_peeking(void *argument)
{
    theatre *in = (theatre *)argument;
    while (rn_load(&in->stop) == 0) {
        (void)peek(in->owners[0].slot, NULL, 0);
    }
    return NULL;
}

START_TEST(test_peek__owners_go_on)
{
    theatre in;
    pthread_t readers[2];
    open_theatre(&in, _i != 0);
    for (int i = 0; i < 2; i++) {
        readers[i] = start_thread(keep_peeking, &in);
    }
    int64_t steps = scaled(5000);
    await(&in.owners[0].steps, steps);
    rn_store(&in.stop, 1);
    for (int i = 0; i < 2; i++) {
        join_thread(readers[i]);
    }
    close_theatre(&in);
}
END_TEST

/* In the child the owners are gone: each tree is as it was, or was being changed and is begun anew.
 */
START_TEST(test_peek__after_fork)
{
    theatre in;
    open_theatre(&in, _i != 0);
    int *verdict = (int *)mmap(NULL, sizeof(*verdict), PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(verdict != MAP_FAILED);
    int64_t forks = RN_MAX(scaled(30), 3);
    for (int64_t i = 0; i < forks; i++) {
        *verdict = -1;
        pid_t child = fork();
        must(child >= 0);
        if (child == 0) {
            int wrong = 0;
            for (int k = 0; k < OWNERS && wrong == 0; k++) {
                ration_context_figures figures[CAPACITY];
                size_t count = peek(in.owners[k].slot, figures, CAPACITY);
                wrong = judge(figures, count, in.owners[k].grows);
            }
            *verdict = wrong;
            _exit(0);
        }
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
        ck_assert_int_eq(*verdict, 0);
    }
    ck_assert_int_eq(munmap(verdict, sizeof(*verdict)), 0);
    close_theatre(&in);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_peek__shows_the_tree,  test_peek__shows_many_slots,
        test_peek__cuts_long_names, test_peek__while_owners_change_their_trees,
        test_peek__owners_go_on,    test_peek__after_fork,
    };
    return run_in_orderings("memory/peek", tests, RN_COUNT(tests));
}
