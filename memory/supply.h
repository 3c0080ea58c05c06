/* SPDX-License-Identifier: Apache-2.0
 *
 * Where blocks come from and where they go: spans for those up to 64 KiB, a mapping of its own for
 * each larger one. Charges nothing; blocks.c does. */
#ifndef RATION_SUPPLY_H
#define RATION_SUPPLY_H

#include "memory/ledger.h"
#include "memory/span.h"

/* The lock of the ledger guards the spans; it is not held by callers, but where it says so. */
typedef struct rn_supply {
    rn_ledger *ledger;
    rn_spans spans;
    int64_t prefault;  /* fresh blocks are made resident at once; atomic */
    int64_t out_bytes; /* of blocks obtained and not vacated; any thread */
} rn_supply;

/* False = no memory for the table of spans. */
RATION_NODISCARD bool rn_supply_open(rn_supply *supply, rn_ledger *ledger);
/* Unmaps all spans. Of a shared ledger that the process does not have any more, too. */
void rn_supply_close(rn_supply *supply);
/* A block without pages: it reads as zeros. NULL = the system refuses. */
void *rn_supply_obtain(rn_supply *supply, int64_t bytes);
/* Its pages go, then its place is vacant. Cannot fail. */
void rn_supply_vacate(rn_supply *supply, void *block, int64_t bytes);
/* The same for a small block, with the lock held. */
void rn_supply_vacate_locked(rn_supply *supply, void *block, int64_t bytes);
/* For large blocks before and after; NULL = refused, and it is as it was. */
void *rn_supply_resize(rn_supply *supply, void *block, int64_t old_bytes, int64_t new_bytes);
/* Makes the nth block from now fail, once or for ever; 0 = off. */
void rn_supply_fail_after(int64_t n, bool forever);

#endif
