/* SPDX-License-Identifier: Apache-2.0
 *
 * `ration check`: validates memory.yaml files. The findings are the result, so they go to stdout as
 * file:line:column: error: message (hint). */
#include "cli/options.h"

static void print_json(const char *file, ration_status status, const ration_error *error,
                       bool first)
{
    char buffer[4096];
    rn_text text = rn_text_over(buffer, sizeof buffer);
    rn_text_put(&text, first ? "{\"file\":" : ",{\"file\":");
    rn_text_put_json(&text, file, RN_MIN(strlen(file), 512));
    rn_text_format(&text, ",\"status\":\"%s\"", ration_status_name(status));
    if (status != RATION_OK) {
        rn_text_format(&text, ",\"line\":%d,\"column\":%d,\"message\":", error->line,
                       error->column);
        rn_text_put_json(&text, error->message, strlen(error->message));
        rn_text_put(&text, ",\"hint\":");
        rn_text_put_json(&text, error->hint, strlen(error->hint));
    }
    rn_text_put(&text, "}");
    fputs(buffer, stdout);
}

int rn_cli_check(int argc, char **argv)
{
    bool json = false;
    const rn_option options[] = {{"json", RN_OPTION_FLAG, NULL, "findings as JSON", &json, NULL}};
    const rn_usage usage = {
        "check", "[FILE]...",      "validates memory.yaml files (default: memory.yaml)", 0, 1000,
        options, RN_COUNT(options)};
    int first, code;
    if (!rn_options_parse(&usage, argc, argv, &first, &code)) {
        return code;
    }
    char by_default[] = "memory.yaml";
    char *only[] = {by_default};
    char **files = first < argc ? argv + first : only;
    int count = first < argc ? argc - first : 1;

    int worst = 0, errors = 0;
    if (json) {
        printf("{\"schema_version\":%d,\"files\":[", RN_SCHEMA_VERSION);
    }
    for (int i = 0; i < count; i++) {
        ration_limits limits;
        ration_error error;
        ration_status status = ration_limits_load(files[i], &limits, &error);
        if (json) {
            print_json(files[i], status, &error, i == 0);
        } else if (status == RATION_OK) {
            printf("%s: ok\n", files[i]);
        } else {
            char text[1200];
            (void)ration_error_format(&error, text, sizeof text);
            printf("%s\n", text);
        }
        if (status != RATION_OK) {
            errors += 1;
            worst = RN_MAX(worst, ration_status_exit_code(status));
        }
    }
    if (json) {
        printf("],\"errors\":%d}\n", errors);
    } else if (errors > 0) {
        printf("%d error%s\n", errors, errors == 1 ? "" : "s");
    }
    return rn_cli_finish(worst);
}
