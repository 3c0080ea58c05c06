/* SPDX-License-Identifier: Apache-2.0
 *
 * `ration init`: a commented memory.yaml of the defaults on stdout. */
#include "cli/options.h"
#include "config/limits.h"

static void put_yaml(const void *what, rn_text *text)
{
    (void)what;
    rn_limits_put_yaml(text);
}

int rn_cli_init(int argc, char **argv)
{
    const rn_usage usage = {
        "init", "", "prints a commented memory.yaml: ration init > memory.yaml", 0, 0, NULL, 0};
    int first, code;
    if (!rn_options_parse(&usage, argc, argv, &first, &code)) {
        return code;
    }
    if (!rn_cli_put_text(stdout, put_yaml, NULL)) {
        ration_error error;
        (void)rn_error_set(&error, RATION_NO_MEMORY, "", "no memory for the text");
        return rn_cli_error(&error);
    }
    return rn_cli_finish(0);
}
