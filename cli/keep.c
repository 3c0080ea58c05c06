/* SPDX-License-Identifier: Apache-2.0
 *
 * A keeper for the governor of a sub-command. What it does with memory.yaml is said on stderr, one
 * line each time.
 *
 * SIGHUP also says that a terminal has gone. A command that was started to outlive it ignores the
 * signal, and goes on to; one without a memory.yaml has nothing to load and ends as ever. */
#include "cli/keep.h"

#include <signal.h>

/* Who the handler wakes. */
static int64_t on_hangup; /* a ration_keeper, or 0; atomic */

static void note_hangup(int number)
{
    (void)number;
    ration_keeper *keeper = (ration_keeper *)(intptr_t)rn_load_acquire(&on_hangup);
    if (keeper != NULL) {
        ration_keeper_reload(keeper);
    }
}

static void tell(void *argument, const ration_error *error)
{
    const rn_cli_keep *keep = argument;
    const char *start = keep->progress ? "\r\x1b[K" : "";
    if (error != NULL) {
        char text[1400];
        (void)ration_error_format(error, text, sizeof text);
        fprintf(stderr, "%sration: %s; the limits before hold\n", start, text);
    } else if (!keep->quiet) {
        fprintf(stderr, "%sration: %s: loaded again\n", start, keep->path);
    }
}

void rn_cli_keep_adjust(const rn_cli_keep *keep, ration_limits *limits)
{
    if (keep->limit_bytes > 0) {
        limits->limit_bytes = keep->limit_bytes;
    }
    if (keep->query_limit_bytes > 0) {
        limits->query_limit_bytes = keep->query_limit_bytes;
    }
}

static void adjust(void *argument, ration_limits *limits)
{
    rn_cli_keep_adjust(argument, limits);
}

ration_status rn_cli_keep_start(rn_cli_keep *keep, ration_governor *governor, ration_error *error)
{
    const ration_keeper_options options = {.size = sizeof options,
                                           .path = keep->path,
                                           .environment = true,
                                           .watch = true,
                                           .adjust = adjust,
                                           .told = tell,
                                           .argument = keep};
    struct sigaction before;
    const struct sigaction action = {.sa_handler = note_hangup, .sa_flags = SA_RESTART};
    bool handles = keep->path != NULL && sigaction(SIGHUP, NULL, &before) == 0 &&
                   before.sa_handler != SIG_IGN && sigaction(SIGHUP, &action, NULL) == 0;
    ration_status status = ration_keeper_start(governor, &options, &keep->keeper, error);
    if (status != RATION_OK) {
        (void)(handles && sigaction(SIGHUP, &before, NULL) == 0);
        return status;
    }
    rn_store_release(&on_hangup, (int64_t)(intptr_t)keep->keeper);
    return RATION_OK;
}

/* Called by the only thread that takes signals now: no handler is in the middle. */
void rn_cli_keep_stop(rn_cli_keep *keep)
{
    if (keep->keeper != NULL && keep->path != NULL) {
        (void)signal(SIGHUP, SIG_IGN); /* there is nothing to load for any more */
    }
    rn_store_release(&on_hangup, 0);
    ration_keeper_stop(keep->keeper);
    keep->keeper = NULL;
}
