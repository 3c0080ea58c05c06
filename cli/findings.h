/* SPDX-License-Identifier: Apache-2.0
 *
 * What `ration check` has to say: findings with a place, a rule's name and a remedy.
 *
 *     rn_findings_open -> rn_findings_add .. -> rn_findings_sort -> rn_findings_put -> .._close
 */
#ifndef RATION_FINDINGS_H
#define RATION_FINDINGS_H

#include "cli/places.h"
#include "cli/view.h"

typedef enum rn_severity {
    RN_SEVERITY_NOTE,    /* worth knowing */
    RN_SEVERITY_WARNING, /* it starts, and does not do what the file says */
    RN_SEVERITY_ERROR,   /* it does not start */
    RN_SEVERITIES
} rn_severity;

typedef struct rn_finding {
    rn_severity severity;
    const char *rule; /* a stable name for programs: "spill-on-memory" */
    int exit_code;    /* of an error */
    rn_place place;
    char message[384];
    char hint[256];
} rn_finding;

#define RN_FINDINGS_MAX 256

typedef struct rn_findings {
    size_t count;
    size_t counts[RN_SEVERITIES];
    rn_finding *all; /* room for RN_FINDINGS_MAX; what is more is dropped and counted */
} rn_findings;

RATION_NODISCARD ration_status rn_findings_open(rn_findings *out_findings);
void rn_findings_close(rn_findings *findings);
void rn_findings_clear(rn_findings *findings);
void rn_findings_add(rn_findings *findings, rn_severity severity, const char *rule,
                     const rn_place *place, const char *hint, const char *format, ...)
    RN_PRINTF(6, 7);
/* An error as a finding: its own place, message and hint. */
void rn_findings_add_error(rn_findings *findings, const char *rule, const ration_error *error);
/* In the order of the file; what has no line comes last. */
void rn_findings_sort(rn_findings *findings);
/* "memory.yaml:3:14: warning: message (hint) [rule]" */
void rn_finding_put(const rn_finding *finding, rn_text *text);
void rn_finding_put_json(const rn_finding *finding, rn_text *text);

/* What may be wrong with the limits, and with what is seen of the machine: check_rules.c and
 * check_machine.c. Where view->probe.count is 0, nothing is said of its memory. */
void rn_rules_look(const rn_limits_view *view, rn_findings *findings);
void rn_rules_look_at_machine(const rn_limits_view *view, rn_findings *findings);

#endif
