/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts that the explanation of a limit is put together from. */
#ifndef RATION_LIMITS_PARTS_H
#define RATION_LIMITS_PARTS_H

#include "cli/view.h"

/* ---- limits_machine.c ---- */

void rn_limits_print_machine(const rn_limits_view *view);
/* ,"pages":{..},"swap":{..} and so on. */
void rn_limits_put_machine(const rn_limits_view *view, rn_text *text);
/* Window of the trigger on stalls that the kernel allows, in microseconds; 0 = none. */
int64_t rn_limits_find_window(const rn_limits_view *view);

/* ---- limits_keys.c ---- */

/* Every key with value, origin and meaning, and each group. Errors: NO_MEMORY. */
RATION_NODISCARD ration_status rn_limits_print_keys(const rn_limits_view *view);
/* ,"keys":{..},"origins":{..},"groups":{..} */
void rn_limits_put_keys(const rn_limits_view *view, rn_text *text);

#endif
