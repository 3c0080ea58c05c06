/* SPDX-License-Identifier: Apache-2.0
 *
 * Queries in groups that claim: on the stage of ask_world.h. */
#ifndef RATION_TESTS_EXECUTOR_ADMISSION_WORLD_H
#define RATION_TESTS_EXECUTOR_ADMISSION_WORLD_H

#include "executor/admission.h"
#include "tests/executor/ask_world.h"

QUEUE_UNUSED static ration_limits usual(void)
{
    ration_limits limits;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = LIMIT;
    limits.chunk_bytes_max = 4 * KIB;
    limits.admission_wait_ms_max = 600000;
    return limits;
}

QUEUE_UNUSED static void add_group(ration_limits *limits, const char *name, int64_t limit_bytes,
                                   int64_t priority, int64_t queries_max)
{
    ration_group *group = &limits->groups[limits->group_count++];
    *group = (ration_group){
        .limit_bytes = limit_bytes, .share = 1, .priority = priority, .queries_max = queries_max};
    rn_copy_text(group->name, sizeof group->name, name);
}

QUEUE_UNUSED static actor *enter_group(stage *made, const char *group)
{
    actor *self = &made->actors[made->count];
    const char name[] = {(char)('A' + made->count++), '\0'};
    ration_query_options options = {.size = sizeof options, .name = name, .group = group};
    ration_slot *slot;
    ck_assert_int_eq(ration_query_open(made->governor, &options, &self->query, NULL), RATION_OK);
    ck_assert_int_eq(ration_query_slot(self->query, &slot), RATION_OK);
    self->slot = rn_slot_of(slot);
    self->asked_ns = ALWAYS;
    return self;
}

QUEUE_UNUSED static ration_reply claim(stage *made, const actor *self, int64_t bytes)
{
    set_activity(made);
    ration_reply reply = ration_query_try_claim(self->query, bytes, "plan");
    ck_assert_int_eq(reply.answer == RATION_REFUSED, reply.status != RATION_OK);
    if (reply.answer == RATION_GRANTED) {
        ck_assert_int_ge(rn_load(&pool_of(self)->claim), bytes);
        ck_assert_ptr_null(self->query->entry);
    }
    ck_assert(self->query->waits_turn == (reply.answer == RATION_WAIT && !self->query->admitted));
    expect_asking(made);
    return reply;
}

#define EXPECT_CLAIM(actor, bytes, wanted)                                                         \
    ck_assert_int_eq(claim(&made, actor, bytes).answer, RATION_##wanted)
#define EXPECT_NO_CLAIM(actor, bytes, wanted)                                                      \
    ck_assert_int_eq(claim(&made, actor, bytes).status, RATION_##wanted)

/* Is it to try again? */
QUEUE_UNUSED static bool is_woken(const actor *self)
{
    rn_ticket_state state = rn_ticket_read(self->query->entry);
    return state != RN_TICKET_RESTING && state != RN_TICKET_WAITING;
}

#endif
