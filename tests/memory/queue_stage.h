/* SPDX-License-Identifier: Apache-2.0
 *
 * Four slots below two pools, played in one thread: one holds what the others wait for. */
#ifndef RATION_TESTS_MEMORY_QUEUE_STAGE_H
#define RATION_TESTS_MEMORY_QUEUE_STAGE_H

#include "tests/memory/queue_world.h"

#define LIMIT 1000
#define NONE INT64_MAX

typedef struct stage {
    fixture world;
    rn_slot *holder; /* below q2: has what others wait for */
    rn_slot *a, *b;  /* below q1 */
    rn_slot *c;      /* below q2 */
} stage;

/* As many below q1 and below q2 from now on. */
QUEUE_UNUSED static void set_givers(const stage *made, int64_t first, int64_t second)
{
    count_givers(made->world.first, first - rn_load(&made->world.first->givers));
    count_givers(made->world.second, second - rn_load(&made->world.second->givers));
}

/* A giver below each pool that never answers keeps waiting tickets asleep. */
QUEUE_UNUSED static stage set_stage(bool seq_cst)
{
    stage made = {.world = fixture_open(LIMIT, NONE, 64, seq_cst)};
    made.holder = open_slot(made.world.second);
    made.a = open_slot(made.world.first);
    made.b = open_slot(made.world.first);
    made.c = open_slot(made.world.second);
    set_givers(&made, 1, 1);
    return made;
}

QUEUE_UNUSED static void clear_stage(stage *made)
{
    rn_slot *slots[] = {made->holder, made->a, made->b, made->c};
    for (size_t i = 0; i < RN_COUNT(slots); i++) {
        if (slots[i] != NULL) {
            leave(slots[i]);
            release(slots[i], rn_slot_used(slots[i]));
            rn_slot_close(slots[i]);
            expect_queue(&made->world);
        }
    }
    fixture_close(&made->world);
}

QUEUE_UNUSED static void expect_states(const stage *made, rn_ticket_state a, rn_ticket_state b,
                                       rn_ticket_state c)
{
    expect_queue(&made->world);
    ck_assert_int_eq(rn_ticket_read(made->a), a);
    ck_assert_int_eq(rn_ticket_read(made->b), b);
    ck_assert_int_eq(rn_ticket_read(made->c), c);
}

#define EXPECT(a, b, c) expect_states(&made, RN_TICKET_##a, RN_TICKET_##b, RN_TICKET_##c)

#endif
