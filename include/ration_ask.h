/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking: for engines whose operators can write out what they hold. A query claims the least it
 * needs, or waits for it; then it can always go on, within that, by spilling. Before each piece of
 * work a worker settles for what it may need next:
 *
 *     ration_query_claim(query, minimum, "plan");           once, before the first row
 *     ration_slot_register_spill(slot, &spiller);           what it can write out, and how
 *         ration_slot_obtain(slot, bytes, "sort.rows");     charges; spills, waits if it must
 *         ration_slot_release(slot, bytes);
 *     ration_slot_register_spill(slot, NULL);
 *
 * ration_slot_obtain is a loop over ration_slot_settle, which never blocks, for hosts that schedule
 * themselves. Asked are, in this order: the query itself when it is above its fair share; others
 * above theirs, those of lower priority first; the query itself. When nobody can spill, the one
 * most above its share becomes the victim of one within its own. Fair share = claim + (limit - all
 * claims) x weight / weights of all that ask. A whole engine: docs/examples/spill.c.
 *
 * Conventions: ration.h. The header compiles alone as C99, C11 and C++17.
 */
#ifndef RATION_ASK_PUBLIC_H
#define RATION_ASK_PUBLIC_H

#include "ration.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a settle or a claim is answered. */
typedef enum ration_answer {
    RATION_GRANTED, /* charged, or claimed */
    RATION_SPILL,   /* write out `want_bytes`, call ration_slot_gave, settle again */
    RATION_WAIT,    /* others were asked to give: settle again after ration_slot_wait or the call */
    RATION_REFUSED  /* `status` says why; ration_query_refusal explains a want of memory */
} ration_answer;

/* The whole of an answer. A value. */
typedef struct ration_reply {
    ration_answer answer;
    ration_status status; /* RATION_OK unless refused */
    int64_t want_bytes;   /* to be written out; 0 otherwise */
} ration_reply;

/* What one worker's operators can write out. The caller's; must outlive its registration. */
typedef struct ration_spiller {
    void *state;
    /* Bytes that `spill` could give back. Cheap: called at every settle. */
    int64_t (*spillable)(void *state);
    /* Writes out and releases `want_bytes`, or as much as there is. Called by the owner of the slot
     * in a settle or a leave, or by another thread between ration_slot_leave and
     * ration_slot_enter; then it owns the slot. Charges nothing. Errors: become the query's. */
    ration_status (*spill)(void *state, int64_t want_bytes);
} ration_spiller;

/* Makes `minimum_bytes` the query's claim: charged at once, used first, never asked for. Waits
 * until there is room for it and its turn has come: queries wait in the order of their groups'
 * priority, then of age, at most admission_queue_max of them, for admission_wait_ms_max and the
 * query's time; also until fewer than queries_max of its group are admitted. Once admitted, a query
 * stays so until it is closed; a larger claim is then asked for as bytes are, without a queue, a
 * smaller one is made at once. For a larger one the query's own spillers may be called: its slots
 * are the caller's, or left. What it answers is the query's status. Any thread, one at a time; a
 * cancellation point. Errors: MINIMUM_ABOVE_LIMIT (it could never be had), QUEUE_FULL,
 * QUEUE_TIMEOUT, CANCELLED, DEADLINE; the limits' statuses for a larger claim; NO_MEMORY, NO_SLOT.
 * `site`: static text. */
RATION_NODISCARD RATION_PUBLIC ration_status ration_query_claim(ration_query *query,
                                                                int64_t minimum_bytes,
                                                                const char *site);
/* The same without blocking: GRANTED, WAIT (call it again when `ration_query_on_turn` says so, or
 * now and then: it also looks at the time), SPILL (a larger claim only) or REFUSED. */
RATION_PUBLIC ration_reply ration_query_try_claim(ration_query *query, int64_t minimum_bytes,
                                                  const char *site);
/* `call` is made when a query that waits for its claim should try again: under the governor's lock,
 * it may set a flag or write to a pipe. Before the first try. Errors: NO_MEMORY, NO_SLOT. */
RATION_NODISCARD RATION_PUBLIC ration_status ration_query_on_turn(ration_query *query,
                                                                  void (*call)(void *argument),
                                                                  void *argument);

/* Registers what the slot's operators can write out; NULL = nothing any more. Owner only. */
RATION_PUBLIC void ration_slot_register_spill(ration_slot *slot, const ration_spiller *spiller);
/* Charges `bytes` (>= 0) or says what is to be done first. Never blocks, never calls the spiller's
 * `spill`. Also the safe point for cancel, deadline and what others ask of the query, so it may
 * answer SPILL with room enough. Owner only. Cost: a call, and with a spiller one of its
 * `spillable` and one atomic operation; no lock while credit lasts. */
RATION_PUBLIC ration_reply ration_slot_settle(ration_slot *slot, int64_t bytes, const char *site);
/* The query has written out what it could: the answer to SPILL. Owner only. Cost: the lock. */
RATION_PUBLIC void ration_slot_gave(ration_slot *slot);
/* Sleeps after WAIT until it is worth to settle again, `wait_ms` at most. Before that it writes out
 * for queries that nobody is inside of. False: nothing has come. Owner only; a cancellation point.
 */
RATION_PUBLIC bool ration_slot_wait(ration_slot *slot, int64_t wait_ms);
/* Stops asking after WAIT: others need not wait behind it. Owner only. */
RATION_PUBLIC void ration_slot_withdraw(ration_slot *slot);
/* `call` is made when a slot that waits should settle again; as ration_query_on_turn. Owner only,
 * while it does not wait. */
RATION_PUBLIC void ration_slot_on_wake(ration_slot *slot, void (*call)(void *argument),
                                       void *argument);
/* Settles, spills through the registered spiller and waits (query_wait_ms_max at most) until
 * `bytes` are charged. What it answers is the query's status. Owner only; a cancellation point.
 * Errors: as ration_slot_try_charge; CANCELLED, DEADLINE, VICTIM, STOPPED_BY_PEER, QUEUE_TIMEOUT,
 * the spiller's. */
RATION_NODISCARD RATION_PUBLIC ration_status ration_slot_obtain(ration_slot *slot, int64_t bytes,
                                                                const char *site);
/* Nobody is inside: until ration_slot_enter another thread may call the spiller (an idle cursor
 * need not keep what others need). Leaving first answers what is asked of the query, and detaches
 * the slot: who enters owns it, in whatever thread. A slot starts inside. Owner only. Cost: one
 * atomic operation each. */
RATION_PUBLIC void ration_slot_leave(ration_slot *slot);
/* Back inside; waits while another thread writes out. Owner only. */
RATION_PUBLIC void ration_slot_enter(ration_slot *slot);

#ifdef __cplusplus
}
#endif
#endif
