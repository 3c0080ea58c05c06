/* SPDX-License-Identifier: Apache-2.0
 *
 * The limits of memory.yaml that somebody goes by: a counted value that never changes. A governor
 * holds those in force, a query those it began with; a reload puts another value in their place.
 *
 *     rn_settings_open -> rn_settings_hold, rn_settings_release by each holder -> freed by the last
 */
#ifndef RATION_SETTINGS_H
#define RATION_SETTINGS_H

#include "config/limits.h"

typedef struct rn_settings {
    int64_t holders; /* atomic */
    ration_limits limits;
} rn_settings;

/* A copy with one holder, when the values are in range. Errors: INVALID_ARGUMENT, CONFIG,
 * NO_MEMORY. */
RATION_NODISCARD ration_status rn_settings_open(const ration_limits *limits,
                                                rn_settings **out_settings, ration_error *error);
/* One holder more, as long as there is another one. */
rn_settings *rn_settings_hold(rn_settings *settings);
/* One less. NULL is none. */
void rn_settings_release(rn_settings *settings);

#endif
