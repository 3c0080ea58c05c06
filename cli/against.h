/* SPDX-License-Identifier: Apache-2.0
 *
 * `ration check --against`: what a running process would do with another memory.yaml.
 *
 *     rn_against_find -> rn_against_print, or rn_against_put_json -> rn_against_status
 */
#ifndef RATION_AGAINST_H
#define RATION_AGAINST_H

#include "cli/view.h"

/* One governor of the process, with the limits it goes by. */
typedef struct rn_against_governor {
    rn_registry_entry entry;
    ration_limits limits;
    int64_t limit_bytes; /* what the new limits would make of it; -1 = cannot be said */
    int64_t changes;     /* keys and groups that differ */
    int64_t restarts;    /* of these, keys that a running governor cannot take */
} rn_against_governor;

#define RN_AGAINST_GOVERNORS_MAX 8

typedef struct rn_against {
    const rn_limits_view *view; /* the new limits */
    int count;
    rn_against_governor governors[RN_AGAINST_GOVERNORS_MAX];
} rn_against;

/* Finds `who`, "running" or a pid, among the processes of `view`. Errors: ENVIRONMENT (it is not
 * there, or of another version), INVALID_ARGUMENT ("running", and there are several; no pid). */
RATION_NODISCARD ration_status rn_against_find(const char *who, const rn_limits_view *view,
                                               rn_against *out_against, ration_error *error);
/* A table per governor, on stdout. Errors: NO_MEMORY. */
RATION_NODISCARD ration_status rn_against_print(const rn_against *against);
void rn_against_put_json(const rn_against *against, rn_text *text);
/* RATION_CONFIG when a reload would be refused, else RATION_OK. */
ration_status rn_against_status(const rn_against *against);

#endif
