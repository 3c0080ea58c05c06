/* SPDX-License-Identifier: Apache-2.0
 *
 * Queries that ask, played in one thread: rn_ask never blocks. Who is active is set by hand, so
 * that no clock decides. */
#ifndef RATION_TESTS_EXECUTOR_ASK_WORLD_H
#define RATION_TESTS_EXECUTOR_ASK_WORLD_H

#include "executor/ask.h"
#include "tests/memory/queue_world.h"

#define KIB ((int64_t)1024)
#define LIMIT (1200 * KIB)
#define ACTORS_MAX 8

typedef struct actor {
    ration_query *query; /* NULL = closed */
    rn_slot *slot;
    int64_t asked_ns; /* of its pool whenever somebody asks; 0 = inactive */
} actor;

typedef struct stage {
    ration_governor *governor;
    fixture view; /* of the governor's ledger, for expect_queue */
    actor actors[ACTORS_MAX];
    int count;
} stage;

#define ALWAYS (INT64_MAX / 2) /* later than any clock says: active */

QUEUE_UNUSED static void set_stage_with(stage *made, const ration_limits *limits)
{
    *made = (stage){0};
    ck_assert_int_eq(ration_governor_open(limits, &made->governor, NULL), RATION_OK);
    made->view.ledger = made->governor->ledger;
    made->view.root = made->governor->root;
}

QUEUE_UNUSED static void set_stage(stage *made)
{
    ration_limits limits;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = LIMIT;
    limits.chunk_bytes_max = 4 * KIB;
    set_stage_with(made, &limits);
}

/* Queries are named A, B, C in the order they come. */
QUEUE_UNUSED static actor *enter_query(stage *made, int64_t limit_bytes)
{
    actor *self = &made->actors[made->count];
    const char name[] = {(char)('A' + made->count++), '\0'};
    ration_query_options options = {
        .size = sizeof options, .name = name, .limit_bytes = limit_bytes};
    ration_slot *slot;
    ck_assert_int_eq(ration_query_open(made->governor, &options, &self->query, NULL), RATION_OK);
    ck_assert_int_eq(ration_query_slot(self->query, &slot), RATION_OK);
    self->slot = rn_slot_of(slot);
    self->asked_ns = ALWAYS;
    return self;
}

static inline ration_pool *pool_of(const actor *self)
{
    return self->query->pool;
}

QUEUE_UNUSED static int64_t held_by(const actor *self)
{
    return read_pool(pool_of(self)).charged_bytes;
}

QUEUE_UNUSED static bool is_asked(const actor *self)
{
    return rn_ask_wants(self->query) != 0;
}

/* Everybody's activity as it is to be; pools between are as active as can be. */
static inline void set_activity(stage *made)
{
    ration_pool *top = made->governor->queries;
    for (ration_pool *at = top; at != NULL; at = rn_pool_next(at, top)) {
        rn_store(&at->asked_ns, ALWAYS);
    }
    for (int i = 0; i < made->count; i++) {
        if (made->actors[i].query != NULL) {
            rn_store(&pool_of(&made->actors[i])->asked_ns, made->actors[i].asked_ns);
        }
    }
}

/* What is true between two calls. */
QUEUE_UNUSED static void expect_asking(const stage *made)
{
    expect_queue(&made->view);
    for (int i = 0; i < made->count; i++) {
        const actor *at = &made->actors[i];
        if (at->query != NULL) {
            int64_t givers = rn_load(&pool_of(at)->givers);
            must(givers == 0 || givers == 1);
            must((givers != 0) == is_asked(at));
        }
    }
    ration_pool_figures root = read_pool(made->governor->root);
    must(root.granted_bytes <= root.limit_bytes);
    must(rn_faults() == 0);
}

/* Tickets that wait, without its own. */
static inline int count_others(const stage *made, const actor *self)
{
    int count = 0;
    const rn_slot *slot = rn_queue_first(made->view.ledger);
    for (; slot != NULL; slot = rn_queue_next(slot)) {
        count += slot != self->slot;
    }
    return count;
}

QUEUE_UNUSED static rn_reply ask_for(stage *made, const actor *self, int64_t bytes)
{
    set_activity(made);
    int others = count_others(made, self);
    rn_reply asked = rn_ask(self->slot, bytes, "site");
    ck_assert_int_eq(asked.answer == RN_ASK_REFUSED, asked.status != RATION_OK);
    ck_assert_int_eq(asked.answer == RN_ASK_SPILL, asked.want_bytes > 0);
    if (asked.answer == RN_ASK_GRANTED || asked.answer == RN_ASK_REFUSED) {
        ck_assert_int_eq(rn_ticket_read(self->slot), RN_TICKET_NONE);
    }
    if (asked.answer == RN_ASK_WAIT && rn_ticket_read(self->slot) == RN_TICKET_AGAIN) {
        /* Because those before it were served in the same call; else it would go on for ever. */
        ck_assert_int_lt(count_others(made, self), others);
    }
    expect_asking(made);
    return asked;
}

#define EXPECT_ANSWER(actor, bytes, wanted)                                                        \
    ck_assert_int_eq(ask_for(&made, actor, bytes).answer, RN_ASK_##wanted)
#define EXPECT_REFUSED(actor, bytes, wanted)                                                       \
    ck_assert_int_eq(ask_for(&made, actor, bytes).status, RATION_##wanted)
#define EXPECT_TICKET(actor, wanted)                                                               \
    ck_assert_int_eq(rn_ticket_read((actor)->slot), RN_TICKET_##wanted)

/* Charges without asking anybody, and says that so much of all it has could be written out. */
QUEUE_UNUSED static void hold(stage *made, const actor *self, int64_t bytes, int64_t spillable)
{
    ck_assert_int_eq(charge(self->slot, bytes), RATION_OK);
    rn_ask_can_spill(self->slot, spillable);
    expect_asking(made);
}

/* Writes out `bytes` and answers. */
QUEUE_UNUSED static void give(stage *made, const actor *self, int64_t bytes)
{
    release(self->slot, bytes);
    rn_ask_can_spill(self->slot, rn_load(&self->query->spillable_bytes) - bytes);
    rn_ask_gave(self->query);
    ck_assert(!is_asked(self));
    expect_asking(made);
}

QUEUE_UNUSED static void close_query(stage *made, actor *self)
{
    ration_query_close(self->query);
    self->query = NULL;
    expect_asking(made);
}

QUEUE_UNUSED static void clear_stage(stage *made)
{
    for (int i = 0; i < made->count; i++) {
        if (made->actors[i].query != NULL) {
            close_query(made, &made->actors[i]);
        }
    }
    ck_assert_ptr_null(rn_queue_first(made->view.ledger));
    ck_assert_int_eq(read_pool(made->governor->queries).granted_bytes, 0);
    ck_assert_int_eq(rn_load(&made->governor->root->givers), 0);
    ration_governor_close(made->governor);
    ck_assert_int_eq(rn_heap_bytes(), 0);
    ck_assert_int_eq(rn_faults(), 0);
}

#endif
