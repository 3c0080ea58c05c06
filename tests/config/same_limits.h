/* SPDX-License-Identifier: Apache-2.0
 *
 * Are two ration_limits the same, key by key? */
#ifndef RATION_TESTS_CONFIG_SAME_LIMITS_H
#define RATION_TESTS_CONFIG_SAME_LIMITS_H

#include "config/limits.h"
#include "tests/support.h"

SUPPORT_UNUSED static void same_limits(const ration_limits *a, const ration_limits *b)
{
    size_t count;
    const rn_limits_key *keys = rn_limits_keys(&count);
    for (size_t i = 0; i < count; i++) {
        ck_assert_msg(rn_limits_get(a, &keys[i]) == rn_limits_get(b, &keys[i]), "%s", keys[i].name);
        if (keys[i].type == RN_LIMITS_DIRECTORY) {
            ck_assert_str_eq(rn_limits_text(a, &keys[i]), rn_limits_text(b, &keys[i]));
        }
    }
    ck_assert_int_eq(a->group_count, b->group_count);
    ck_assert_mem_eq(a->groups, b->groups, sizeof a->groups);
}

#endif
