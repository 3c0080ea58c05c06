/* SPDX-License-Identifier: Apache-2.0
 *
 * Where values come from; places.h. The environment wins over the file, as it does in
 * ration_limits_override; groups have no variables.
 *
 * The file is read a second time: values that carried their places with them would make every
 * ration_limits ten times as large, and only two commands ask. */
#include "cli/places.h"

ration_status rn_places_open(const char *path, uint64_t touched, rn_places *out_places,
                             ration_error *error)
{
    rn_places places = {.has_file = path != NULL, .touched = touched};
    if (path != NULL) {
        RN_TRY(rn_yaml_read(path, NULL, 0, RN_YAML_CONFIG_DEPTH_MAX, RATION_CONFIG, &places.file,
                            error));
    }
    *out_places = places;
    return RATION_OK;
}

void rn_places_close(rn_places *places)
{
    if (places->has_file) {
        rn_yaml_free(&places->file);
        places->has_file = false;
    }
}

static rn_place place_of(const rn_places *places, const rn_yaml *node)
{
    rn_place place = {.origin = RN_ORIGIN_DEFAULT};
    if (places->has_file) {
        rn_copy_text(place.name, sizeof place.name, places->file.path);
    }
    if (node != NULL) {
        place.origin = RN_ORIGIN_FILE;
        place.line = node->line;
        place.column = node->column;
    }
    return place;
}

static const rn_yaml *find_group(const rn_places *places, const char *group)
{
    return places->has_file ? rn_yaml_get(rn_yaml_get(places->file.root, "groups"), group) : NULL;
}

rn_place rn_places_find(const rn_places *places, const char *group, const rn_limits_key *key)
{
    if (group != NULL) {
        return place_of(places, rn_yaml_get(find_group(places, group), key->name));
    }
    size_t count;
    const rn_limits_key *keys = rn_limits_keys(&count);
    if ((places->touched >> (key - keys) & 1) != 0) {
        char variable[RN_LIMITS_VARIABLE_BYTES];
        rn_place place = {.origin = RN_ORIGIN_ENVIRONMENT};
        rn_copy_text(place.name, sizeof place.name, rn_limits_variable(key, variable));
        return place;
    }
    const rn_yaml *root = places->has_file ? places->file.root : NULL;
    return place_of(places, rn_yaml_get(root, key->name));
}

rn_place rn_places_find_group(const rn_places *places, const char *group)
{
    const rn_yaml *node = find_group(places, group);
    rn_place place = place_of(places, node);
    if (node != NULL) {
        place.line = node->key_line;
        place.column = node->key_column;
    }
    return place;
}

void rn_place_put(const rn_place *place, rn_text *text)
{
    if (place->origin == RN_ORIGIN_DEFAULT) {
        rn_text_put(text, "default");
    } else {
        rn_text_put(text, place->name);
        if (place->line > 0) {
            rn_text_format(text, ":%d", place->line);
        }
    }
}
