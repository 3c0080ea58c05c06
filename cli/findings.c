/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of findings, and how one is written; findings.h. */
#include "cli/findings.h"

#include "base/heap.h"

static const char *const severities[] = {
    [RN_SEVERITY_NOTE] = "note", [RN_SEVERITY_WARNING] = "warning", [RN_SEVERITY_ERROR] = "error"};

ration_status rn_findings_open(rn_findings *out_findings)
{
    rn_findings findings = {.all = rn_heap_allocate(RN_FINDINGS_MAX * sizeof *findings.all)};
    if (findings.all == NULL) {
        return RATION_NO_MEMORY;
    }
    *out_findings = findings;
    return RATION_OK;
}

void rn_findings_close(rn_findings *findings)
{
    rn_heap_free(findings->all, RN_FINDINGS_MAX * sizeof *findings->all);
    findings->all = NULL;
}

void rn_findings_clear(rn_findings *findings)
{
    findings->count = 0;
    memset(findings->counts, 0, sizeof findings->counts);
}

/* The next place of the list, counted; NULL = it is full. */
static rn_finding *take(rn_findings *findings, rn_severity severity, const char *rule)
{
    findings->counts[severity] += 1;
    if (findings->count == RN_FINDINGS_MAX) {
        return NULL;
    }
    rn_finding *finding = &findings->all[findings->count++];
    memset(finding, 0, sizeof *finding);
    finding->severity = severity;
    finding->rule = rule;
    return finding;
}

void rn_findings_add(rn_findings *findings, rn_severity severity, const char *rule,
                     const rn_place *place, const char *hint, const char *format, ...)
{
    rn_finding *finding = take(findings, severity, rule);
    if (finding == NULL) {
        return;
    }
    finding->place = *place;
    finding->exit_code = ration_status_exit_code(RATION_CONFIG);
    rn_copy_text(finding->hint, sizeof finding->hint, hint);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(finding->message, sizeof finding->message, format, arguments);
    va_end(arguments);
}

void rn_findings_add_error(rn_findings *findings, const char *rule, const ration_error *error)
{
    rn_finding *finding = take(findings, RN_SEVERITY_ERROR, rule);
    if (finding == NULL) {
        return;
    }
    finding->exit_code = ration_status_exit_code(error->status);
    finding->place.line = error->line;
    finding->place.column = error->column;
    rn_copy_text(finding->place.name, sizeof finding->place.name, error->file);
    rn_copy_text(finding->message, sizeof finding->message, error->message);
    rn_copy_text(finding->hint, sizeof finding->hint, error->hint);
}

static bool comes_before(const rn_place *a, const rn_place *b)
{
    int line_a = a->line > 0 ? a->line : INT32_MAX, line_b = b->line > 0 ? b->line : INT32_MAX;
    return line_a != line_b ? line_a < line_b : a->column < b->column;
}

void rn_findings_sort(rn_findings *findings)
{
    for (size_t i = 1; i < findings->count; i++) {
        rn_finding moved = findings->all[i];
        size_t at = i;
        for (; at > 0 && comes_before(&moved.place, &findings->all[at - 1].place); at--) {
            findings->all[at] = findings->all[at - 1];
        }
        findings->all[at] = moved;
    }
}

void rn_finding_put(const rn_finding *finding, rn_text *text)
{
    const rn_place *place = &finding->place;
    if (place->name[0] != '\0') {
        rn_text_put(text, place->name);
        if (place->line > 0) {
            rn_text_format(text, ":%d:%d", place->line, place->column);
        }
        rn_text_put(text, ": ");
    }
    rn_text_format(text, "%s: %s", severities[finding->severity], finding->message);
    if (finding->hint[0] != '\0') {
        rn_text_format(text, " (%s)", finding->hint);
    }
    if (finding->rule[0] != '\0') {
        rn_text_format(text, " [%s]", finding->rule);
    }
    rn_text_put(text, "\n");
}

static void put_member(rn_text *text, const char *name, const char *value)
{
    rn_text_format(text, ",\"%s\":", name);
    rn_text_put_json(text, value, strlen(value));
}

void rn_finding_put_json(const rn_finding *finding, rn_text *text)
{
    rn_text_format(text, "{\"severity\":\"%s\",\"rule\":\"%s\"", severities[finding->severity],
                   finding->rule);
    put_member(text, finding->place.origin == RN_ORIGIN_ENVIRONMENT ? "variable" : "file",
               finding->place.name);
    if (finding->place.line > 0) {
        rn_text_format(text, ",\"line\":%d,\"column\":%d", finding->place.line,
                       finding->place.column);
    }
    put_member(text, "message", finding->message);
    put_member(text, "hint", finding->hint);
    rn_text_put(text, "}");
}
