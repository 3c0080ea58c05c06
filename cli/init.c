/* SPDX-License-Identifier: Apache-2.0
 *
 * `ration init`: a commented memory.yaml of a profile on stdout, or the JSON Schema that editors
 * check one with. */
#include "cli/options.h"
#include "config/limits.h"

#define PROFILES_MAX 8

static void put_yaml(const void *what, rn_text *text)
{
    rn_limits_put_yaml(text, what);
}

static void put_schema(const void *what, rn_text *text)
{
    (void)what;
    rn_limits_put_schema(text);
}

int rn_cli_init(int argc, char **argv)
{
    const char *names[PROFILES_MAX + 1] = {NULL};
    size_t count;
    const rn_profile *profiles = rn_limits_profiles(&count);
    rn_assert(count <= PROFILES_MAX);
    for (size_t i = 0; i < count; i++) {
        names[i] = profiles[i].name;
    }
    int profile = -1;
    bool schema = false;
    const rn_option options[] = {
        {"profile", RN_OPTION_CHOICE, "NAME", "kind of machine it is for (default: default)",
         &profile, names},
        {"schema", RN_OPTION_FLAG, NULL,
         "the JSON Schema instead: ration init --schema > memory.schema.json", &schema, NULL},
    };
    const rn_usage usage = {"init",
                            "",
                            "prints a commented memory.yaml: ration init > memory.yaml",
                            0,
                            0,
                            options,
                            RN_COUNT(options)};
    int first, code;
    if (!rn_options_parse(&usage, argc, argv, &first, &code)) {
        return code;
    }
    if (schema && profile >= 0) {
        return rn_cli_usage_error("init", "--schema is the same for every profile");
    }
    bool printed = schema ? rn_cli_put_text(stdout, put_schema, NULL)
                          : rn_cli_put_text(stdout, put_yaml, &profiles[RN_MAX(profile, 0)]);
    if (!printed) {
        ration_error error;
        (void)rn_error_set(&error, RATION_NO_MEMORY, "", "no memory for the text");
        return rn_cli_error(&error);
    }
    return rn_cli_finish(0);
}
