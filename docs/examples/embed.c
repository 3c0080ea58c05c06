/* SPDX-License-Identifier: Apache-2.0
 *
 * An engine that keeps rows under a limit of 1 MiB, in twenty lines: cc embed.c -lration */
#include <ration.h>
#include <stdio.h>

static ration_status keep_rows(ration_slot *slot, int rows)
{
    RATION_GUARD(guard, slot, "engine.rows"); /* gives everything back when it goes out of scope */
    for (int i = 0; i < rows; i++) {
        ration_status status = ration_guard_row(&guard, 100); /* a row of 100 bytes */
        if (status != RATION_OK) {
            return status;
        }
    }
    return RATION_OK;
}

int main(void)
{
    ration_governor *governor;
    ration_query *query;
    ration_slot *slot;
    ration_limits limits;
    ration_limits_default(&limits); /* or ration_limits_load("memory.yaml", &limits, &error) */
    limits.limit_bytes = 1 << 20;
    if (ration_governor_open(&limits, &governor, NULL) != RATION_OK ||
        ration_query_open(governor, NULL, &query, NULL) != RATION_OK ||
        ration_query_slot(query, &slot) != RATION_OK) {
        return 1;
    }
    printf("5000 rows: %s\n", ration_status_name(keep_rows(slot, 5000)));
    printf("50000 rows: %s\n", ration_status_name(keep_rows(slot, 50000)));
    ration_refusal refusal;
    char text[2000];
    if (ration_query_refusal(query, &refusal)) {
        ration_refusal_format(&refusal, text, sizeof text);
        fputs(text, stdout);
    }
    ration_query_close(query);
    ration_governor_close(governor);
    return 0;
}
