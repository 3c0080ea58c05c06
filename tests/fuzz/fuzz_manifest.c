/* SPDX-License-Identifier: Apache-2.0
 *
 * Manifests of hostile bytes: a manifest that keeps its promises, or an error; nothing is left. */
#include <stdlib.h>

#include "storage/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool label_good(const rn_manifest_table *table)
{
    const rn_manifest_column *key = &table->columns[table->key];

    return table->key < table->column_count && key->role == RN_MANIFEST_VALUE &&
           (key->kind == RN_INT64 || key->kind == RN_STRING) &&
           (table->file_count > 0 || table->column_count == 1) &&
           strlen(table->name) < RN_NAME_BYTES;
}

static bool type_good(const rn_manifest *manifest, const rn_manifest_table *table)
{
    uint32_t ends = 0;

    for (uint32_t i = 0; i < table->column_count; i++) {
        ends += table->columns[i].role == RN_MANIFEST_FROM;
        ends += table->columns[i].role == RN_MANIFEST_TO;
    }
    return ends == 2 && table->file_count > 0 && table->from < manifest->label_count &&
           table->to < manifest->label_count && table->property_count <= RN_MANIFEST_PROPERTIES_MAX;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rn_manifest manifest;
    ration_error error = {0};
    ration_status status =
        rn_manifest_read("dir/fuzz.yaml", (const char *)data, size, &manifest, &error);
    bool good = status == RATION_OK || (status == RATION_CONFIG && error.line > 0) ||
                (status == RATION_CONFIG && size > 256 * 1024);

    if (status == RATION_OK) {
        good = manifest.label_count > 0;
        for (uint32_t i = 0; i < manifest.label_count; i++) {
            good = good && label_good(&manifest.labels[i]);
        }
        for (uint32_t i = 0; i < manifest.type_count; i++) {
            good = good && type_good(&manifest, &manifest.types[i]);
        }
        rn_manifest_free(&manifest);
    }
    if (!good || rn_heap_bytes() != 0) {
        abort();
    }
    return 0;
}
