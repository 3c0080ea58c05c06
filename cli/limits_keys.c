/* SPDX-License-Identifier: Apache-2.0
 *
 * The keys of memory.yaml with their values, where those come from, and what they mean. */
#include "cli/limits_parts.h"
#include "cli/table.h"

/* The rows of one table: of `values`, a ration_limits or, with `group`, a ration_group. */
static ration_status print_table(const rn_limits_view *view, const char *title, const char *group,
                                 const void *values, const rn_limits_key *keys, size_t count)
{
    static const bool right[] = {false, true, false, false};
    const char *const headings[] = {title, "value", "from", "meaning"};
    rn_table table;
    rn_table_open(&table, stdout, RN_COUNT(right), right);
    table.line_columns = 0; /* a path that is cut is of no use */
    ration_status status = rn_table_row(&table, headings);
    for (size_t i = 0; i < count && status == RATION_OK; i++) {
        char shown[256], from[288];
        rn_text text = rn_text_over(shown, sizeof shown);
        rn_limits_put_value(&text, &keys[i], values);
        text = rn_text_over(from, sizeof from);
        rn_place place = rn_places_find(&view->places, group, &keys[i]);
        rn_place_put(&place, &text);
        const char *const cells[] = {keys[i].name, shown, from, keys[i].sentence};
        status = rn_table_row(&table, cells);
    }
    rn_table_end(&table);
    return status;
}

ration_status rn_limits_print_keys(const rn_limits_view *view)
{
    size_t count;
    const rn_limits_key *keys = rn_limits_keys(&count);
    const ration_limits *limits = &view->limits;
    RN_TRY(print_table(view, "key", NULL, limits, keys, count));
    keys = rn_limits_group_keys(&count);
    for (int64_t i = 0; i < limits->group_count; i++) {
        const ration_group *group = &limits->groups[i];
        char title[64];
        rn_text text = rn_text_over(title, sizeof title);
        rn_text_format(&text, "group %s", group->name);
        printf("\n");
        RN_TRY(print_table(view, title, group->name, group, keys, count));
    }
    return RATION_OK;
}

/* ----------------------------------------------------------------------------------------- JSON */

static void put_values(const void *values, const rn_limits_key *keys, size_t count, rn_text *text)
{
    for (size_t i = 0; i < count; i++) {
        rn_text_format(text, "%s\"%s\":", i > 0 ? "," : "", keys[i].name);
        if (keys[i].type == RN_LIMITS_DIRECTORY) {
            const char *shown = rn_limits_text(values, &keys[i]);
            rn_text_put_json(text, shown, strlen(shown));
        } else if (keys[i].type == RN_LIMITS_CHOICE) {
            rn_text_put(text, "\"");
            rn_limits_put_value(text, &keys[i], values);
            rn_text_put(text, "\"");
        } else {
            rn_text_format(text, "%lld", (long long)rn_limits_get(values, &keys[i]));
        }
    }
}

static void put_origins(const rn_limits_view *view, const rn_limits_key *keys, size_t count,
                        rn_text *text)
{
    bool more = false;
    for (size_t i = 0; i < count; i++) {
        rn_place place = rn_places_find(&view->places, NULL, &keys[i]);
        if (place.origin == RN_ORIGIN_DEFAULT) {
            continue;
        }
        rn_text_format(text, "%s\"%s\":{\"%s\":", more ? "," : "", keys[i].name,
                       place.origin == RN_ORIGIN_FILE ? "file" : "variable");
        rn_text_put_json(text, place.name, strlen(place.name));
        if (place.line > 0) {
            rn_text_format(text, ",\"line\":%d,\"column\":%d", place.line, place.column);
        }
        rn_text_put(text, "}");
        more = true;
    }
}

void rn_limits_put_keys(const rn_limits_view *view, rn_text *text)
{
    size_t count;
    const rn_limits_key *keys = rn_limits_keys(&count);
    rn_text_put(text, ",\"keys\":{");
    put_values(&view->limits, keys, count, text);
    rn_text_put(text, "},\"origins\":{");
    put_origins(view, keys, count, text);
    rn_text_put(text, "},\"groups\":{");
    keys = rn_limits_group_keys(&count);
    for (int64_t i = 0; i < view->limits.group_count; i++) {
        const ration_group *group = &view->limits.groups[i];
        rn_text_put(text, i > 0 ? "," : "");
        rn_text_put_json(text, group->name, strlen(group->name));
        rn_text_put(text, ":{");
        put_values(group, keys, count, text);
        rn_text_put(text, "}");
    }
    rn_text_put(text, "}");
}
