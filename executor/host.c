/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking for hosts: what the dispatcher does for our own operators (settle.c), as calls of
 * ration.h.
 *
 *     ration_slot_settle -> GRANTED, SPILL -> ration_slot_gave, WAIT -> ration_slot_wait, REFUSED
 *     ration_slot_obtain            all of it in one call
 *
 * A settle looks first whether the query is to stop or to give, then charges on the fast path, and
 * asks when that refuses. Nothing here blocks but ration_slot_wait, ration_slot_obtain and
 * ration_slot_enter. */
#include "executor/ask.h"

static ration_reply answer(ration_answer what, ration_status status, int64_t want_bytes)
{
    return (ration_reply){.answer = what, .status = status, .want_bytes = want_bytes};
}

/* With `more_bytes` that it holds next, so that a holder is known as one that can give before it
 * settles again. */
static void publish(rn_slot *slot, int64_t more_bytes)
{
    const ration_spiller *spiller = slot->spiller;
    if (spiller != NULL) {
        int64_t bytes = RN_MAX(spiller->spillable(spiller->state), 0);
        rn_ask_can_spill(slot, rn_add(bytes, more_bytes));
    }
}

ration_reply ration_slot_settle(ration_slot *slot, int64_t bytes, const char *site)
{
    rn_slot *self = rn_slot_of(slot);
    ration_query *query = rn_slot_query(self);
    rn_slot_expect_caller(self);
    if (!RN_GOVERNED) {
        return answer(RATION_GRANTED, RATION_OK, 0);
    }
    if (rn_never(bytes < 0)) {
        return answer(RATION_REFUSED, RATION_INVALID_ARGUMENT, 0);
    }
    ration_status status = rn_query_poll(query);
    if (status != RATION_OK) {
        (void)rn_ask_withdraw(self, status);
        return answer(RATION_REFUSED, status, 0);
    }
    int64_t want_bytes = rn_ask_wants(query);
    if (want_bytes != 0) {
        publish(self, 0);
        return answer(RATION_SPILL, RATION_OK, want_bytes);
    }
    if (rn_ticket_read(self) == RN_TICKET_NONE) {
        self->patient = true;
        status = ration_slot_try_charge(slot, bytes);
        self->patient = false;
        if (status == RATION_OK) {
            publish(self, bytes);
            return answer(RATION_GRANTED, RATION_OK, 0);
        }
    }
    publish(self, 0);
    rn_reply asked = rn_ask(self, bytes, site);
    if (asked.answer == RN_ASK_GRANTED) {
        publish(self, bytes);
    }
    if (asked.answer == RN_ASK_REFUSED && rn_is_refusal(asked.status) &&
        asked.status != RATION_VICTIM) {
        rn_query_note_refusal(query, self, site);
    }
    return rn_reply_public(asked);
}

void ration_slot_gave(ration_slot *slot)
{
    publish(rn_slot_of(slot), 0);
    rn_ask_gave(rn_slot_query(rn_slot_of(slot)));
}

bool ration_slot_wait(ration_slot *slot, int64_t wait_ms)
{
    rn_slot *self = rn_slot_of(slot);
    const ration_query *query = rn_slot_query(self);
    rn_reclaim_idle(query->governor);
    int64_t now_ns = rn_clock_ns();
    int64_t end_ns = RN_MIN(rn_add(now_ns, rn_multiply(wait_ms, 1000000)), query->deadline_ns);
    if (rn_ticket_read(self) == RN_TICKET_RESTING) {
        (void)rn_ticket_wait(self, RN_MIN(rn_add(now_ns, RN_LOOK_NS), end_ns));
        return rn_clock_ns() < end_ns;
    }
    return rn_ticket_wait(self, end_ns) != RN_TICKET_WAITING;
}

void ration_slot_withdraw(ration_slot *slot)
{
    rn_slot *self = rn_slot_of(slot);
    if (!rn_ask_withdraw(self, RATION_CANCELLED)) { /* granted meanwhile: it goes back */
        rn_ledger *ledger = rn_pool_ledger(rn_slot_pool(self));
        rn_ledger_lock(ledger);
        rn_ticket_leave(self);
        rn_ledger_unlock(ledger);
    }
}

void ration_slot_on_wake(ration_slot *slot, void (*call)(void *argument), void *argument)
{
    rn_ticket_on_wake(rn_slot_of(slot), call, argument);
}

static ration_status fail(rn_slot *slot, const char *site, ration_status status)
{
    ration_query *query = rn_slot_query(slot);
    ration_slot_withdraw(&slot->hot);
    (void)rn_query_fail(query, slot, site, status, NULL);
    return status;
}

ration_status ration_slot_obtain(ration_slot *slot, int64_t bytes, const char *site)
{
    rn_slot *self = rn_slot_of(slot);
    int64_t wait_ms = rn_slot_query(self)->settings->limits.query_wait_ms_max;
    int64_t until_ns = 0; /* from the first wait on */
    for (;;) {
        ration_reply reply = ration_slot_settle(slot, bytes, site);
        ration_status status = reply.status;
        switch (reply.answer) {
        case RATION_GRANTED:
            return RATION_OK;
        case RATION_SPILL:
            status = rn_give(self, reply.want_bytes);
            break;
        case RATION_WAIT:
            until_ns =
                until_ns != 0 ? until_ns : rn_add(rn_clock_ns(), rn_multiply(wait_ms, 1000000));
            status = rn_ask_wait(self, until_ns);
            break;
        case RATION_REFUSED:
            break;
        }
        if (status != RATION_OK) {
            return fail(self, site, status);
        }
    }
}

void ration_slot_leave(ration_slot *slot)
{
    publish(rn_slot_of(slot), 0);
    rn_slot_leave(rn_slot_of(slot));
}

void ration_slot_enter(ration_slot *slot)
{
    rn_slot_enter(rn_slot_of(slot));
}
