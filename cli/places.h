/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the value of a key comes from: a line of memory.yaml, a variable of the environment, or
 * nowhere, which is the default.
 *
 *     rn_places_open -> rn_places_find, again and again -> rn_places_close
 */
#ifndef RATION_PLACES_H
#define RATION_PLACES_H

#include "config/limits.h"
#include "config/yaml.h"

typedef enum rn_origin { RN_ORIGIN_DEFAULT, RN_ORIGIN_FILE, RN_ORIGIN_ENVIRONMENT } rn_origin;

typedef struct rn_place {
    rn_origin origin;
    char name[256];   /* of the file, or of the variable */
    int line, column; /* of the value, 1-based; 0 = it is not in the file */
} rn_place;

/* A memory.yaml, read once more for its places. */
typedef struct rn_places {
    rn_yaml_file file;
    bool has_file;
    uint64_t touched; /* bit i = row i of rn_limits_keys comes from the environment */
} rn_places;

/* `path` NULL: no file. Errors: those of rn_yaml_read. */
RATION_NODISCARD ration_status rn_places_open(const char *path, uint64_t touched,
                                              rn_places *out_places, ration_error *error);
void rn_places_close(rn_places *places);
/* The place of a key; `group` NULL: of all, else of that group. */
rn_place rn_places_find(const rn_places *places, const char *group, const rn_limits_key *key);
/* The place of the group itself. */
rn_place rn_places_find_group(const rn_places *places, const char *group);
/* "default", "memory.yaml:3", "RATION_LIMIT_RATIO". */
void rn_place_put(const rn_place *place, rn_text *text);

#endif
