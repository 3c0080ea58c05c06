/* SPDX-License-Identifier: Apache-2.0
 *
 * The limit that a governor would get here and now, and everything it comes from: what `ration
 * limits` shows and `ration check` judges by. Reading only: no place in the registry is taken.
 *
 *     rn_limits_view_open -> rn_limits_put_explanation, .._put_json, rn_rules_look ..
 *                         -> rn_limits_view_close
 */
#ifndef RATION_VIEW_H
#define RATION_VIEW_H

#include "cli/cli.h"
#include "cli/places.h"
#include "executor/limit.h"

/* What may be beyond the limit at worst. */
typedef struct rn_slack {
    int64_t executor_bytes; /* what is not charged of Ration's own executor */
    int64_t settle_bytes;   /* what a host that tells afterwards lets run up before it tells */
    int64_t guard_bytes;    /* of one guard of such a host: settle bytes + a row + a growth step */
    int64_t spare_bytes;    /* left for it: the reserve, and what the ratio leaves free */
    int64_t free_bytes;     /* of the total, what the ratio leaves: pressure is judged by it */
} rn_slack;

typedef struct rn_limits_view {
    ration_limits limits;
    const char *source;   /* the file, or "defaults" */
    const char *sysroot;  /* "" = this machine */
    const char *ordering; /* how slots publish, or NULL: of `ration limits` */
    rn_places places;
    rn_probe probe; /* count 0 = the machine tells nothing, or was not asked */
    rn_registry *registry;
    char registry_directory[256]; /* where it was looked for, without the sysroot */
    char registry_note[256];      /* why it could not be read, or "" */
    /* Who is there; behind them, while there is a place left, who would come. */
    rn_registry_entry entries[RN_REGISTRY_PLACES];
    int64_t other_count; /* who is there */
    rn_registry_division division;
    rn_limit_sources sources;
    bool divided;          /* the two above hold */
    int64_t derived_bytes; /* what it would be without a ceiling; -1 = cannot be said */
    int64_t limit_bytes;   /* once others have given way; -1 = none could be had */
    int64_t now_bytes;     /* what they leave at this instant; at most that */
    ration_error refused;  /* why a governor would not open; status OK = it would */
    int64_t sort_bytes;    /* the least that a sort of rows up to max_row_bytes needs */
    int64_t join_bytes;    /* and a join */
    rn_slack slack;
} rn_limits_view;

/* Looks at the machine below `sysroot` and at the registry, as far as `machine`. Takes `places`
 * over, also on failure. Errors: ENVIRONMENT (limit_bytes is 0 and the machine tells nothing),
 * NO_MEMORY. */
RATION_NODISCARD ration_status rn_limits_view_open(const ration_limits *limits, const char *source,
                                                   const char *sysroot, bool machine,
                                                   rn_places *places, rn_limits_view *out_view,
                                                   ration_error *error);
void rn_limits_view_close(rn_limits_view *view);
/* Looks for others in another folder than that of the limits; nothing is divided anew. */
void rn_limits_view_look(rn_limits_view *view, const char *registry_directory);
/* The limit that entry `other` would have, if it went by the limits of the view; -1 = cannot be
 * said, because it lives in another control group, or its own resource limits bind. */
int64_t rn_limits_view_for(const rn_limits_view *view, int64_t other);
/* Is it a part of what the machine has, or limit_bytes as it is? */
static inline bool rn_limits_view_follows(const rn_limits_view *view)
{
    return view->limits.limit_bytes == 0 || view->limits.enable_system_monitor;
}

/* ---- limits_explain.c, limits_json.c ---- */

/* The limit and its arithmetic, a few lines. */
void rn_limits_print_arithmetic(const rn_limits_view *view);
/* All the rest. Errors: NO_MEMORY. */
RATION_NODISCARD ration_status rn_limits_print_explanation(const rn_limits_view *view);
/* For rn_cli_put_text. */
void rn_limits_put_json(const void *view, rn_text *text);

#endif
