/* SPDX-License-Identifier: Apache-2.0
 *
 * Sub-commands that run for a while follow their memory.yaml: when it changes, and on SIGHUP.
 *
 *     rn_cli_keep_start -> the governor at work -> rn_cli_keep_stop
 */
#ifndef RATION_KEEP_H
#define RATION_KEEP_H

#include "cli/cli.h"
#include "ration_monitor.h"

/* One at a time in a process. All zeros = not started. */
typedef struct rn_cli_keep {
    const char *path; /* NULL = the defaults: nothing to load, and SIGHUP is left alone */
    bool quiet;       /* tells errors only */
    bool progress;    /* a line of progress may stand on stderr */
    int64_t limit_bytes,
        query_limit_bytes; /* of the command line, over every file; 0 = not given */
    ration_keeper *keeper;
} rn_cli_keep;

/* Puts what the command line says over `limits`. */
void rn_cli_keep_adjust(const rn_cli_keep *keep, ration_limits *limits);
/* Ticks the governor, too. Errors: as ration_keeper_start. */
RATION_NODISCARD ration_status rn_cli_keep_start(rn_cli_keep *keep, ration_governor *governor,
                                                 ration_error *error);
/* Before the governor closes; in any state. */
void rn_cli_keep_stop(rn_cli_keep *keep);

#endif
