/* SPDX-License-Identifier: Apache-2.0
 *
 * The description of a graph's files (docs/graphs.md) as values. */
#ifndef RATION_MANIFEST_H
#define RATION_MANIFEST_H

#include "base/heap.h"
#include "storage/batch.h"
#include "storage/csv.h"

#define RN_MANIFEST_TABLES_MAX 1024u
#define RN_MANIFEST_PROPERTIES_MAX 250u

typedef enum rn_manifest_role {
    RN_MANIFEST_VALUE, /* a property */
    RN_MANIFEST_FROM,
    RN_MANIFEST_TO,
    RN_MANIFEST_SKIP
} rn_manifest_role;

typedef struct rn_manifest_column {
    const char *name;
    rn_manifest_role role;
    rn_kind kind; /* of a value */
} rn_manifest_column;

typedef struct rn_manifest_file {
    const char *path; /* ready to open */
    int line, column; /* of its name in the manifest; 0 without a manifest */
} rn_manifest_file;

/* A node label or an edge type. A label without files has one column, its id. */
typedef struct rn_manifest_table {
    const char *name;
    int line, column;
    rn_csv_dialect dialect;
    const char *null; /* an unquoted field with this text is null */
    uint32_t null_length;
    uint32_t file_count, column_count;
    uint32_t property_count; /* columns that are values */
    rn_manifest_file *files;
    rn_manifest_column *columns;
    uint32_t key;      /* labels: the column with the external id, int64 or string */
    uint32_t from, to; /* edge types: labels */
} rn_manifest_table;

typedef struct rn_manifest {
    const char *path;
    uint32_t label_count, type_count;
    rn_manifest_table *labels, *types;
    rn_arena arena; /* everything above */
} rn_manifest;

/* Reads a manifest or, when `text` is not NULL, `length` bytes of it under the name `path`.
 * `path` must outlive it. Errors: FILE, CONFIG with file, line and column, NO_MEMORY. */
RATION_NODISCARD ration_status rn_manifest_read(const char *path, const char *text, size_t length,
                                                rn_manifest *out_manifest, ration_error *error);
/* What stands for an edge list without a manifest: label `Node`, type `edge`, property `weight`
 * when `weighted`. Errors: NO_MEMORY. */
RATION_NODISCARD ration_status rn_manifest_edge_list(const char *path, bool weighted,
                                                     rn_manifest *out_manifest,
                                                     ration_error *error);
void rn_manifest_free(rn_manifest *manifest);

#endif
