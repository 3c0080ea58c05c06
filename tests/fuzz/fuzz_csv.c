/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader of delimited text. The first byte chooses the dialect, the second repeats the rest
 * so that it crosses pieces. */
#include <stdlib.h>

#include "storage/csv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static rn_slot *open_slot(void)
{
    static rn_slot *slot;
    rn_ledger_options options = {.chunk_bytes_max = 1 << 20, .force_seq_cst = false};
    static ration_pool *root; /* links are distances, which LeakSanitizer does not follow */
    ration_pool *retained;
    rn_ledger *ledger;
    rn_blocks *blocks;

    if (slot == NULL) {
        bool good = rn_ledger_open(&options, &ledger) == RATION_OK &&
                    rn_pool_open(ledger, NULL, "root", INT64_MAX, RATION_GLOBAL_LIMIT, NULL,
                                 &root) == RATION_OK &&
                    rn_pool_open(ledger, root, "retained", INT64_MAX, RATION_GLOBAL_LIMIT, NULL,
                                 &retained) == RATION_OK &&
                    rn_blocks_open(retained, NULL, &blocks) == RATION_OK &&
                    rn_slot_open(root, NULL, &slot) == RATION_OK;
        if (!good) {
            abort();
        }
    }
    return slot;
}

static void check_fields(const rn_csv_field *fields, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        bool good = fields[i].line > 0 && fields[i].column > 0 &&
                    memchr(fields[i].text, 0, fields[i].length) == NULL;
        if (!good) {
            abort();
        }
    }
}

static void read_all(const char *text, size_t length, const rn_csv_dialect *dialect)
{
    static rn_csv csv;
    const rn_csv_field *fields;
    ration_error error = {0};
    uint32_t count;
    rn_slot *slot = open_slot();

    if (rn_csv_open(&csv, "fuzz", text, length, dialect, &slot->hot, &error) != RATION_OK) {
        abort();
    }
    ration_status status;
    while ((status = rn_csv_next(&csv, &fields, &count, &error)) == RATION_OK && count > 0) {
        check_fields(fields, count);
    }
    bool placed = status == RATION_OK || (status == RATION_DATA && error.line > 0);
    rn_csv_close(&csv);
    if (!placed || rn_slot_used(slot) != 0) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char text[4 * RN_CSV_PIECE_BYTES];
    size_t length = 0;

    if (size < 2) {
        return 0;
    }
    rn_csv_dialect dialect = {.separation = (rn_csv_separation)(data[0] % 3),
                              .delimiter = data[0] & 64 ? '|' : ',',
                              .quoting = data[0] & 4,
                              .header = data[0] & 8,
                              .comments = data[0] & 16};
    size_t times = data[1] < 8 && size > 2 ? sizeof text / (size - 2) : 1;
    for (size_t i = 0; i < times && length + size - 2 <= sizeof text; i++) {
        memcpy(text + length, data + 2, size - 2);
        length += size - 2;
    }
    read_all(text, length, &dialect);
    return 0;
}
