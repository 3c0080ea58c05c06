/* SPDX-License-Identifier: Apache-2.0
 *
 * What each operator of an execution did, as a table or as JSON. */
#ifndef RATION_PROFILE_H
#define RATION_PROFILE_H

#include "cli/cli.h"
#include "executor/execution.h"

/* Operators as in --explain: the last step first, inputs indented below it. Errors: NO_MEMORY. */
RATION_NODISCARD ration_status rn_profile_print(const rn_execution *execution, FILE *stream);
/* A JSON array of the operators, by number. */
void rn_profile_put_json(const rn_execution *execution, FILE *stream);

#endif
