/* SPDX-License-Identifier: Apache-2.0
 *
 * Admission: who may claim its minimum, and when. ration_query_claim and ration_query_try_claim of
 * ration.h, and what the rest of executor/ must tell. */
#ifndef RATION_ADMISSION_H
#define RATION_ADMISSION_H

#include "executor/ask.h"

/* Room has come, or may have: who is to try next is woken. Any thread. */
void rn_admission_move(ration_governor *governor);
/* Priorities have changed, with the ledger's lock held. */
void rn_admission_sort_locked(ration_governor *governor);
/* In the child of a fork nobody waits. */
void rn_admission_forked(ration_query *query);
/* The query ends: it waits no more, and its place in its group is free. Before its pool closes. */
void rn_admission_end(ration_query *query);

#endif
