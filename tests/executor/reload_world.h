/* SPDX-License-Identifier: Apache-2.0
 *
 * Limits that change while a governor runs. */
#ifndef RATION_TESTS_EXECUTOR_RELOAD_WORLD_H
#define RATION_TESTS_EXECUTOR_RELOAD_WORLD_H

#include "ration_monitor.h"
#include "tests/executor/governor_world.h"

#define KIB INT64_C(1024)

/* Given limits, and nobody who looks at the machine. */
SUPPORT_UNUSED static ration_limits usual(void)
{
    ration_limits limits;
    ration_limits_default(&limits);
    limits.limit_bytes = 64 * MIB;
    limits.enable_system_monitor = false;
    return limits;
}

SUPPORT_UNUSED static ration_group *add_group(ration_limits *limits, const char *name,
                                              int64_t limit_bytes)
{
    ration_group *group = &limits->groups[limits->group_count++];
    *group = (ration_group){.limit_bytes = limit_bytes, .share = 1};
    rn_copy_text(group->name, sizeof group->name, name);
    return group;
}

SUPPORT_UNUSED static void reload(ration_governor *governor, const ration_limits *limits)
{
    ration_error error;
    support_ok(ration_governor_reload(governor, limits, &error), &error);
    check_audit(governor);
}

SUPPORT_UNUSED static ration_query *open_in(ration_governor *governor, const char *group,
                                            ration_slot **out_slot)
{
    const ration_query_options options = {.size = sizeof options, .group = group};
    return open_query(governor, &options, out_slot);
}

/* NULL = no query may be opened in it, whether it drains or not. */
SUPPORT_UNUSED static rn_group *find_open_group(ration_governor *governor, const char *name)
{
    rn_group *group = rn_group_find(governor, name);
    return group == NULL || group->gone ? NULL : group;
}

#endif
