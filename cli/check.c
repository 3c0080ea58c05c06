/* SPDX-License-Identifier: Apache-2.0
 *
 * `ration check`: validates memory.yaml files, looks for combinations that cannot be meant, and
 * says what a running process would do with one. The findings are the result, so they go to stdout
 * as file:line:column: severity: message (hint) [rule].
 *
 * Exit code: that of the worst error; without errors 4 for warnings when --strict asks for it, else
 * 0. Notes never count. */
#include <unistd.h>

#include "cli/against.h"
#include "cli/findings.h"
#include "cli/options.h"

typedef struct check_arguments {
    const char *sysroot, *against, *registry;
    bool json, strict, no_machine;
} check_arguments;

struct checking {
    const check_arguments *arguments;
    rn_findings findings; /* of the file in hand */
    size_t counts[RN_SEVERITIES];
    int worst;   /* exit code */
    size_t done; /* files */
};

/* ------------------------------------------------------------------------------------- one file */

static ration_status read_limits(const char *path, ration_limits *out_limits, rn_places *out_places,
                                 ration_error *error)
{
    uint64_t touched;
    RN_TRY(ration_limits_load(path, out_limits, error));
    RN_TRY(rn_limits_override(environ, out_limits, &touched, error));
    return rn_places_open(path, touched, out_places, error);
}

/* Fills checking->findings; `view` is open afterwards when the answer is RATION_OK. */
static ration_status look_at_file(struct checking *checking, const char *path, rn_limits_view *view,
                                  ration_error *error)
{
    const check_arguments *arguments = checking->arguments;
    ration_limits limits;
    rn_places places;
    RN_TRY(read_limits(path, &limits, &places, error));
    RN_TRY(rn_limits_view_open(&limits, path, arguments->sysroot, !arguments->no_machine, &places,
                               view, error));
    rn_rules_look(view, &checking->findings);
    if (!arguments->no_machine) {
        rn_rules_look_at_machine(view, &checking->findings);
    }
    rn_findings_sort(&checking->findings);
    return RATION_OK;
}

/* What one file comes to, for printing. */
typedef struct checked_file {
    const char *path;
    ration_status status;
    const ration_error *error; /* unless the status is OK */
    const rn_findings *findings;
    bool first;
} checked_file;

static void put_file_json(const void *what, rn_text *text)
{
    const checked_file *file = what;
    rn_text_put(text, file->first ? "{\"file\":" : ",{\"file\":");
    rn_text_put_json(text, file->path, strlen(file->path));
    rn_text_format(text, ",\"status\":\"%s\"", ration_status_name(file->status));
    if (file->status != RATION_OK) {
        rn_text_format(text, ",\"line\":%d,\"column\":%d,\"message\":", file->error->line,
                       file->error->column);
        rn_text_put_json(text, file->error->message, strlen(file->error->message));
        rn_text_put(text, ",\"hint\":");
        rn_text_put_json(text, file->error->hint, strlen(file->error->hint));
    }
    rn_text_put(text, ",\"findings\":[");
    for (size_t i = 0; i < file->findings->count; i++) {
        rn_text_put(text, i > 0 ? "," : "");
        rn_finding_put_json(&file->findings->all[i], text);
    }
    rn_text_put(text, "]}");
}

static void put_file(const void *what, rn_text *text)
{
    const checked_file *file = what;
    for (size_t i = 0; i < file->findings->count; i++) {
        rn_finding_put(&file->findings->all[i], text);
    }
    if (file->findings->counts[RN_SEVERITY_ERROR] + file->findings->counts[RN_SEVERITY_WARNING] ==
        0) {
        rn_text_format(text, "%s: ok\n", file->path);
    }
}

static void add_up(struct checking *checking)
{
    const rn_findings *findings = &checking->findings;
    for (size_t i = 0; i < RN_SEVERITIES; i++) {
        checking->counts[i] += findings->counts[i];
    }
    for (size_t i = 0; i < findings->count; i++) {
        if (findings->all[i].severity == RN_SEVERITY_ERROR) {
            checking->worst = RN_MAX(checking->worst, findings->all[i].exit_code);
        }
    }
}

static ration_status check_file(struct checking *checking, const char *path, rn_limits_view *view,
                                ration_error *error)
{
    rn_findings_clear(&checking->findings);
    ration_status status = look_at_file(checking, path, view, error);
    if (status != RATION_OK) {
        rn_findings_add_error(&checking->findings, "", error);
    }
    const checked_file file = {path, status, error, &checking->findings, checking->done == 0};
    checking->done += 1;
    add_up(checking);
    if (!rn_cli_put_text(stdout, checking->arguments->json ? put_file_json : put_file, &file)) {
        if (status == RATION_OK) {
            rn_limits_view_close(view);
        }
        return rn_error_set(error, RATION_NO_MEMORY, "", "no memory for the text");
    }
    return status;
}

/* -------------------------------------------------------------------------------------- against */

static void put_against_json(const void *what, rn_text *text)
{
    rn_text_put(text, "],\"against\":");
    rn_against_put_json(what, text);
}

/* In the folder of the file, which may be what the file changes, and then in the usual one; or
 * where it was said. */
static ration_status find_running(const check_arguments *arguments, rn_limits_view *view,
                                  rn_against *out_against, ration_error *error)
{
    if (arguments->registry != NULL) {
        rn_limits_view_look(view, arguments->registry);
    }
    ration_status status = rn_against_find(arguments->against, view, out_against, error);
    ration_limits usual;
    ration_limits_default(&usual);
    if (status == RATION_ENVIRONMENT && arguments->registry == NULL &&
        strcmp(usual.registry_directory, view->registry_directory) != 0) {
        ration_error second = *error;
        rn_limits_view_look(view, usual.registry_directory);
        ration_status there = rn_against_find(arguments->against, view, out_against, &second);
        if (there != RATION_ENVIRONMENT) {
            status = there;
            *error = second;
        }
    }
    return status;
}

/* The last file, which is the only one, beside a running process. */
static ration_status compare(struct checking *checking, rn_limits_view *view, ration_error *error)
{
    const check_arguments *arguments = checking->arguments;
    rn_against against;
    ration_status status = find_running(arguments, view, &against, error);
    if (status == RATION_OK && arguments->json) {
        status = rn_cli_put_text(stdout, put_against_json, &against) ? RATION_OK : RATION_NO_MEMORY;
    } else if (status == RATION_OK) {
        status = rn_against_print(&against);
    } else {
        return status;
    }
    if (status != RATION_OK) {
        return rn_error_set(error, status, "", "no memory for the text");
    }
    checking->worst = RN_MAX(checking->worst, ration_status_exit_code(rn_against_status(&against)));
    return RATION_OK;
}

/* ---------------------------------------------------------------------------------- the command */

static void put_count(rn_text *text, size_t count, const char *noun)
{
    if (count > 0) {
        rn_text_format(text, "%s%zu %s%s", text->length > 0 ? ", " : "", count, noun,
                       count == 1 ? "" : "s");
    }
}

static void print_end(const struct checking *checking, bool compared)
{
    const size_t *counts = checking->counts;
    if (checking->arguments->json) {
        printf("%s,\"notes\":%zu,\"warnings\":%zu,\"errors\":%zu}\n", compared ? "" : "]",
               counts[RN_SEVERITY_NOTE], counts[RN_SEVERITY_WARNING], counts[RN_SEVERITY_ERROR]);
        return;
    }
    char line[96] = "";
    rn_text text = rn_text_over(line, sizeof line);
    put_count(&text, counts[RN_SEVERITY_ERROR], "error");
    put_count(&text, counts[RN_SEVERITY_WARNING], "warning");
    if (text.length > 0) {
        printf("%s\n", line);
    }
}

static int check_all(struct checking *checking, char *const *files, int count)
{
    static rn_limits_view view; /* large, and only one at a time */
    const check_arguments *arguments = checking->arguments;
    ration_error error;
    bool compared = false;
    int code = 0;
    if (arguments->json) {
        printf("{\"schema_version\":%d,\"files\":[", RN_SCHEMA_VERSION);
    }
    for (int i = 0; i < count; i++) {
        if (check_file(checking, files[i], &view, &error) != RATION_OK) {
            continue; /* it is among the findings */
        }
        if (arguments->against != NULL) {
            compared = compare(checking, &view, &error) == RATION_OK;
            code = compared ? 0 : rn_cli_error(&error);
        }
        rn_limits_view_close(&view);
    }
    print_end(checking, compared);
    code = RN_MAX(code, checking->worst);
    bool strict = arguments->strict && checking->counts[RN_SEVERITY_WARNING] > 0;
    return code == 0 && strict ? RN_EXIT_THRESHOLD : code;
}

int rn_cli_check(int argc, char **argv)
{
    check_arguments arguments = {.sysroot = ""};
    const rn_option options[] = {
        {"json", RN_OPTION_FLAG, NULL, "findings as JSON", &arguments.json, NULL},
        {"strict", RN_OPTION_FLAG, NULL, "ends with 4 when there are warnings", &arguments.strict,
         NULL},
        {"no-machine", RN_OPTION_FLAG, NULL, "looks at the file alone, not at this machine",
         &arguments.no_machine, NULL},
        {"sysroot", RN_OPTION_TEXT, "DIR", "read DIR/proc and DIR/sys instead of this machine's",
         &arguments.sysroot, NULL},
        {"against", RN_OPTION_TEXT, "WHO",
         "what would change in a running process: its pid, or `running`; RATION_* variables count "
         "as "
         "they are here",
         &arguments.against, NULL},
        {"registry", RN_OPTION_TEXT, "DIR",
         "for --against: where it has registered, when FILE names another registry_directory",
         &arguments.registry, NULL},
    };
    const rn_usage usage = {
        "check",
        "[FILE]...",
        "validates memory.yaml files, and tells what cannot be meant (default: memory.yaml)",
        0,
        1000,
        options,
        RN_COUNT(options)};
    int first, code;
    if (!rn_options_parse(&usage, argc, argv, &first, &code)) {
        return code;
    }
    char by_default[] = "memory.yaml";
    char *only[] = {by_default};
    char **files = first < argc ? argv + first : only;
    int count = first < argc ? argc - first : 1;
    if (arguments.against != NULL && (count != 1 || arguments.no_machine)) {
        return rn_cli_usage_error("check", "--against takes one file, and looks at this machine");
    }
    if (arguments.registry != NULL && arguments.against == NULL) {
        return rn_cli_usage_error("check", "--registry goes with --against");
    }
    struct checking checking = {.arguments = &arguments};
    if (rn_findings_open(&checking.findings) != RATION_OK) {
        ration_error error;
        (void)rn_error_set(&error, RATION_NO_MEMORY, "", "no memory for the findings");
        return rn_cli_error(&error);
    }
    code = check_all(&checking, files, count);
    rn_findings_close(&checking.findings);
    return rn_cli_finish(code);
}
