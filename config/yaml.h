/* SPDX-License-Identifier: Apache-2.0
 *
 * YAML as Ration reads it: libyaml events folded into a small tree with positions. Used by
 * memory.yaml, manifests, plans and workloads; the only file that includes yaml.h is config/yaml.c.
 * The readers below are config/values.c.
 *
 * Files are hostile: at most RN_YAML_BYTES_MAX bytes and `depth_max` levels, in files of
 * configuration RN_YAML_CONFIG_NODES_MAX values; anchors, aliases, tags, merge keys, duplicate
 * keys, keys that are not scalars, empty keys, NUL, several documents and invalid UTF-8 are errors
 * with file:line:column. A byte order mark is passed over.
 * A tree is one allocation unit: rn_yaml_free gives it all back. Nodes are read-only.
 */
#ifndef RATION_YAML_H
#define RATION_YAML_H

#include "base/base.h"

typedef enum rn_yaml_kind { RN_YAML_SCALAR, RN_YAML_SEQUENCE, RN_YAML_MAPPING } rn_yaml_kind;

typedef struct rn_yaml {
    rn_yaml_kind kind;
    bool quoted;              /* scalar written with '...' or "..." or as a block */
    int line, column;         /* 1-based, of the value */
    int key_line, key_column; /* of the key, in a mapping */
    const char *key;          /* in a mapping; NUL-terminated, no embedded NUL */
    const char *text;         /* scalar; NUL-terminated, no embedded NUL */
    size_t length;            /* of text */
    struct rn_yaml *first;    /* children in the order of the file */
    struct rn_yaml *next;     /* sibling */
    size_t count;             /* children */
} rn_yaml;

typedef struct rn_yaml_file {
    const char *path;      /* as given, copied; in errors */
    rn_yaml *root;         /* NULL for an empty document */
    void *arena;           /* yaml.c's */
    ration_status invalid; /* what every mistake in this file is reported as */
} rn_yaml_file;

#define RN_YAML_BYTES_MAX (256 * 1024)
#define RN_YAML_CONFIG_DEPTH_MAX 8
#define RN_YAML_PLAN_DEPTH_MAX 32
/* Values and collections in a file of at most RN_YAML_CONFIG_DEPTH_MAX levels: a memory.yaml with
 * every key and 64 groups has 500. */
#define RN_YAML_CONFIG_NODES_MAX 8192

/* Reads a file or, when `text` is not NULL, `length` bytes of it under the name `path`. Errors:
 * FILE, `invalid` (CONFIG, PLAN or DATA as the caller says) with place, NO_MEMORY. */
RATION_NODISCARD ration_status rn_yaml_read(const char *path, const char *text, size_t length,
                                            int depth_max, ration_status invalid,
                                            rn_yaml_file *out_file, ration_error *error);
void rn_yaml_free(rn_yaml_file *file);

/* The value of `key` in a mapping, or NULL (also when `node` is NULL or no mapping). */
const rn_yaml *rn_yaml_get(const rn_yaml *node, const char *key);
/* Is the node an unquoted scalar that reads as null ("", "~", "null")? */
bool rn_yaml_is_null(const rn_yaml *node);

/* Reading a tree. Every function below answers RATION_OK, or `file->invalid` with the place of the
 * node, its key and what was found; out-parameters stay untouched on failure. Where `node` may be
 * NULL it stands for a key that is not there: RATION_OK, the out-parameter keeps its default, so
 * that an optional key is one line:
 *
 *     int64_t rows = 100;
 *     RN_TRY(rn_yaml_check_keys(file, node, keys, RN_COUNT(keys), error));
 *     RN_TRY(rn_yaml_int64(file, rn_yaml_get(node, "rows"), 1, 1000000, &rows, error));
 *
 * and a required one is rn_yaml_require before it. */

/* Fills an error with the place of the node (of its value; of its key in the second form) and
 * returns file->invalid. A NULL node is the start of the file. */
ration_status rn_yaml_error(const rn_yaml_file *file, const rn_yaml *node, ration_error *error,
                            const char *hint, const char *format, ...) RN_PRINTF(5, 6);
ration_status rn_yaml_error_key(const rn_yaml_file *file, const rn_yaml *node, ration_error *error,
                                const char *hint, const char *format, ...) RN_PRINTF(5, 6);

/* Is it this kind? NULL is a mistake here ("expected a mapping, found nothing"). */
RATION_NODISCARD ration_status rn_yaml_expect(const rn_yaml_file *file, const rn_yaml *node,
                                              rn_yaml_kind kind, ration_error *error);
/* Is it a mapping (or NULL) of known keys only? The error sits at the unknown key and says "did you
 * mean". */
RATION_NODISCARD ration_status rn_yaml_check_keys(const rn_yaml_file *file, const rn_yaml *node,
                                                  const char *const *keys, size_t count,
                                                  ration_error *error);
/* The value of a key that must be there. `node` must be a mapping or the error says so. */
RATION_NODISCARD ration_status rn_yaml_require(const rn_yaml_file *file, const rn_yaml *node,
                                               const char *key, const rn_yaml **out_value,
                                               ration_error *error);

/* Scalars; `node` may be NULL. Ranges are inclusive and named in the error. An empty value is a
 * mistake.
 * Text: any scalar, lives as long as the file. */
RATION_NODISCARD ration_status rn_yaml_string(const rn_yaml_file *file, const rn_yaml *node,
                                              const char **out_text, ration_error *error);
/* "true" or "false", unquoted. */
RATION_NODISCARD ration_status rn_yaml_bool(const rn_yaml_file *file, const rn_yaml *node,
                                            bool *out_value, ration_error *error);
/* Whole decimal number, unquoted. */
RATION_NODISCARD ration_status rn_yaml_int64(const rn_yaml_file *file, const rn_yaml *node,
                                             int64_t minimum, int64_t maximum, int64_t *out_value,
                                             ration_error *error);
/* Finite decimal number, unquoted. */
RATION_NODISCARD ration_status rn_yaml_double(const rn_yaml_file *file, const rn_yaml *node,
                                              double minimum, double maximum, double *out_value,
                                              ration_error *error);
/* "512MiB", "1.5GiB", plain bytes -> bytes. */
RATION_NODISCARD ration_status rn_yaml_bytes(const rn_yaml_file *file, const rn_yaml *node,
                                             int64_t minimum, int64_t maximum, int64_t *out_bytes,
                                             ration_error *error);
/* "0.8", "80%" -> 800000. */
RATION_NODISCARD ration_status rn_yaml_ratio(const rn_yaml_file *file, const rn_yaml *node,
                                             int64_t minimum_ppm, int64_t maximum_ppm,
                                             int64_t *out_ppm, ration_error *error);
/* One of `names` -> its index; the error lists them and says "did you mean". */
RATION_NODISCARD ration_status rn_yaml_choice(const rn_yaml_file *file, const rn_yaml *node,
                                              const char *const *names, size_t count,
                                              size_t *out_index, ration_error *error);

#endif
