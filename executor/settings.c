/* SPDX-License-Identifier: Apache-2.0
 *
 * Counted limits. Whoever lets go of them last frees them, so that neither a reload waits for
 * queries nor a query for a reload, and what a query reads never changes under it.
 *
 * Who holds them already may hold them once more without a lock. To come by those of a governor,
 * which may be replaced, takes the ledger's lock: rn_query_begin does, and a reload.
 */
#include "executor/settings.h"

#include "base/heap.h"

ration_status rn_settings_open(const ration_limits *limits, rn_settings **out_settings,
                               ration_error *error)
{
    if (limits == NULL || limits->size != sizeof *limits) {
        return rn_error_set(error, RATION_INVALID_ARGUMENT, "start from ration_limits_default",
                            "limits are missing or not of this version of the library");
    }
    RN_TRY(rn_limits_validate(limits, error));
    rn_settings *settings = rn_heap_allocate(sizeof *settings);
    if (settings == NULL) {
        return rn_error_set(error, RATION_NO_MEMORY, "", "no memory for other limits");
    }
    settings->holders = 1;
    settings->limits = *limits;
#ifdef RATION_HARD
    settings->limits.chunk_bytes_max = 0; /* slots take exact bytes */
#endif
    *out_settings = settings;
    return RATION_OK;
}

rn_settings *rn_settings_hold(rn_settings *settings)
{
    (void)rn_always(rn_fetch_add(&settings->holders, 1) > 0);
    return settings;
}

void rn_settings_release(rn_settings *settings)
{
    if (settings == NULL) {
        return;
    }
    int64_t holders = rn_load(&settings->holders);
    while (!rn_compare_swap(&settings->holders, &holders, holders - 1)) {
    }
    if (holders == 1) {
        rn_heap_free(settings, sizeof *settings);
    }
}
