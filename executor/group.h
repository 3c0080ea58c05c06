/* SPDX-License-Identifier: Apache-2.0
 *
 * A class of queries: `groups` of memory.yaml. It lives from the limits that name it first to the
 * last of its queries, also when limits without it come into force meanwhile.
 *
 *     rn_group_open -> rn_group_set -> rn_query_begin, rn_query_end of each query
 *                   -> marked as gone by a reload -> gone with its last query, or with the governor
 */
#ifndef RATION_GROUP_H
#define RATION_GROUP_H

#include "executor/settings.h"
#include "memory/ledger.h"
#include "storage/spill.h"

/* Words under the ledger's lock unless said otherwise. */
typedef struct rn_group {
    struct rn_group *next;         /* of the governor, in the order in which they came */
    char name[RN_POOL_NAME_BYTES]; /* fixed */
    ration_pool *pool;             /* fixed; between `queries` and its queries */
    rn_spill_quota spill_quota;    /* its own rules */
    int64_t queries_max;           /* admitted at a time; 0 = no bound; read by all */
    int64_t priority;
    int64_t admitted;
    int64_t holders; /* its open queries, and whoever looks at it for a while */
    bool gone;       /* not in the limits any more, or not yet: it takes no queries */
    bool listed;     /* among those of the governor */
} rn_group;

/* Opens the group of `limits`, with one holder, and shows it to nobody. Errors: NO_MEMORY. */
RATION_NODISCARD ration_status rn_group_open(ration_governor *governor, const ration_group *limits,
                                             rn_group **out_group);
/* Puts the words of `limits` in force and adds the group to those of the governor, if it is not
 * there yet, with the lock held. */
void rn_group_set(ration_governor *governor, rn_group *group, const ration_group *limits);
/* Marks as gone those that `settings` do not name, with the lock held; returns those that nobody
 * holds, taken off the list, for rn_group_close_all. */
rn_group *rn_group_retire(ration_governor *governor, const rn_settings *settings);
/* Its group of this name, also when it is gone; NULL = none. The lock is held. */
rn_group *rn_group_find(const ration_governor *governor, const char *name);
/* One holder less. The last one of a group that is gone, or was never added, closes it. */
void rn_group_release(ration_governor *governor, rn_group *group);
/* Closes those of a list; `pools` false: in the child of a fork, which does not have the ledger. */
void rn_group_close_all(rn_group *groups, bool pools);

/* What is shown of a group. */
typedef struct rn_group_figures {
    char name[RN_POOL_NAME_BYTES];
    int64_t limit_bytes; /* of memory.yaml: 0 = none */
    ration_pool_figures pool;
} rn_group_figures;

/* The group at this place of the limits in force, from 0; false = there are no more. Any thread. */
bool rn_group_read(ration_governor *governor, int64_t place, rn_group_figures *out_figures);

#endif
