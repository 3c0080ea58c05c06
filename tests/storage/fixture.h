/* SPDX-License-Identifier: Apache-2.0
 *
 * A ledger with one query's pool, slot and root context; and random batches of any column types. */
#ifndef RATION_TESTS_STORAGE_FIXTURE_H
#define RATION_TESTS_STORAGE_FIXTURE_H

#include <math.h>

#include "memory/context.h"
#include "storage/batch.h"
#include "tests/support.h"

typedef struct fixture {
    rn_ledger *ledger;
    ration_pool *root, *retained, *pool;
    rn_blocks *blocks;
    rn_slot *slot;
    ration_context *context;
} fixture;

SUPPORT_UNUSED static void fixture_open(fixture *fix, int64_t limit_bytes)
{
    rn_ledger_options options = {.chunk_bytes_max = 1 << 20, .force_seq_cst = false};
    ck_assert_int_eq(rn_ledger_open(&options, &fix->ledger), RATION_OK);
    ck_assert_int_eq(
        rn_pool_open(fix->ledger, NULL, "root", INT64_MAX, RATION_GLOBAL_LIMIT, NULL, &fix->root),
        RATION_OK);
    ck_assert_int_eq(rn_pool_open(fix->ledger, fix->root, "retained", INT64_MAX,
                                  RATION_GLOBAL_LIMIT, NULL, &fix->retained),
                     RATION_OK);
    ck_assert_int_eq(rn_blocks_open(fix->retained, NULL, &fix->blocks), RATION_OK);
    ck_assert_int_eq(rn_pool_open(fix->ledger, fix->root, "query", limit_bytes, RATION_QUERY_LIMIT,
                                  NULL, &fix->pool),
                     RATION_OK);
    ck_assert_int_eq(rn_slot_open(fix->pool, NULL, &fix->slot), RATION_OK);
    ck_assert_int_eq(
        ration_context_create(NULL, &fix->slot->hot, RATION_CONTEXT_BUMP, "root", &fix->context),
        RATION_OK);
}

/* Bytes charged for blocks, without what settles charged ahead. */
SUPPORT_UNUSED static int64_t fixture_drawn(const fixture *fix)
{
    return rn_slot_used(fix->slot) - fix->slot->advance_bytes;
}

/* Everything was given back, or the test fails. */
SUPPORT_UNUSED static void fixture_close(fixture *fix)
{
    ration_context_delete(fix->context);
    ck_assert_int_eq(rn_slot_prepay(fix->slot, 0), RATION_OK);
    ck_assert_int_eq(rn_slot_used(fix->slot), 0);
    rn_slot_close(fix->slot);
    rn_pool_close(fix->pool);
    rn_blocks_close(fix->blocks);
    rn_pool_close(fix->retained);
    ration_pool_figures figures = {.size = sizeof figures};
    ration_pool_read(fix->root, &figures);
    ck_assert_int_eq(figures.granted_bytes, 0);
    rn_pool_close(fix->root);
    rn_ledger_close(fix->ledger);
    ck_assert_int_eq(rn_faults(), 0);
}

/* A batch of random values of small domains, so that equal ones occur; nulls, selections and lists
 * in several segments. */
typedef struct sample {
    rn_batch batch;
    rn_column columns[RN_COLUMNS_MAX];
    void **memory;
    size_t memory_count;
} sample;

SUPPORT_UNUSED static void *sample_allocate(sample *made, size_t bytes)
{
    made->memory = realloc(made->memory, (made->memory_count + 1) * sizeof *made->memory);
    void *memory = calloc(1, bytes + 1);
    ck_assert(made->memory != NULL && memory != NULL);
    made->memory[made->memory_count++] = memory;
    return memory;
}

SUPPORT_UNUSED static void sample_close(sample *made)
{
    for (size_t i = 0; i < made->memory_count; i++) {
        free(made->memory[i]);
    }
    free(made->memory);
    made->memory = NULL;
    made->memory_count = 0;
}

SUPPORT_UNUSED static void sample_value(sample *made, uint64_t *seed, rn_type type, void *to)
{
    static const double doubles[] = {0.0, -0.0, 1.5, -2.25, 1e300, -1e300};
    uint64_t small = rn_random_below(seed, 7);
    int64_t integer = rn_random_below(seed, 10) == 0 ? INT64_MIN : (int64_t)small - 3;
    int32_t date = (int32_t)integer;
    uint32_t node = (uint32_t)small;
    double real = small == 6 ? (double)NAN : doubles[small];
    switch (type.kind) {
    case RN_BOOL:
        *(uint8_t *)to = (uint8_t)(small & 1);
        return;
    case RN_DATE:
        memcpy(to, &date, 4);
        return;
    case RN_NODE:
        memcpy(to, &node, 4);
        return;
    case RN_DOUBLE:
        memcpy(to, &real, 8);
        return;
    case RN_STRING: {
        uint32_t length =
            (uint32_t)rn_random_below(seed, rn_random_below(seed, 20) == 0 ? 300 : 20);
        char *bytes = sample_allocate(made, length);
        memset(bytes, 'a', length);
        if (length > 0) {
            bytes[length - 1] = (char)('a' + small % 2);
        }
        rn_string string = rn_string_over(bytes, length);
        memcpy(to, &string, sizeof string);
        return;
    }
    case RN_LIST: {
        rn_list list = {rn_random_below(seed, 5), NULL};
        rn_list_segment **link = &list.first;
        size_t width = rn_kind_bytes((rn_kind)type.element);
        for (uint64_t left = list.length; left > 0;) {
            uint32_t count = 1 + (uint32_t)rn_random_below(seed, left);
            rn_list_segment *segment = sample_allocate(made, sizeof *segment + count * width);
            segment->count = segment->capacity = count;
            for (uint32_t i = 0; i < count; i++) {
                sample_value(made, seed, rn_type_of((rn_kind)type.element),
                             (char *)rn_list_values(segment) + i * width);
            }
            *link = segment;
            link = &segment->next;
            left -= count;
        }
        memcpy(to, &list, sizeof list);
        return;
    }
    default:
        memcpy(to, &integer, 8);
        return;
    }
}

SUPPORT_UNUSED static void sample_column(sample *made, uint64_t *seed, rn_type type, uint32_t rows,
                                         rn_column *out)
{
    size_t width = rn_kind_bytes((rn_kind)type.kind);
    uint32_t entries = rows + (uint32_t)rn_random_below(seed, 5);
    char *data = sample_allocate(made, entries * width);
    uint64_t *valid = sample_allocate(made, (entries + 63) / 64 * 8);
    uint16_t *selection = sample_allocate(made, rows * sizeof *selection);
    bool nulls = rn_random_below(seed, 2) == 0;
    for (uint32_t i = 0; i < entries; i++) {
        if (nulls && rn_random_below(seed, 4) == 0) {
            memset(data + i * width, 0xee, width); /* a null's bytes mean nothing */
        } else {
            rn_bit_set(valid, i);
            sample_value(made, seed, type, data + i * width);
        }
    }
    for (uint32_t i = 0; i < rows; i++) {
        selection[i] = (uint16_t)rn_random_below(seed, entries);
    }
    *out = (rn_column){type, data, nulls ? valid : NULL,
                       rn_random_below(seed, 2) == 0 ? selection : NULL};
}

SUPPORT_UNUSED static rn_type sample_type(uint64_t *seed, bool variable)
{
    rn_type type = rn_type_of((rn_kind)rn_random_below(seed, RN_KINDS));
    while (!variable && (type.kind == RN_STRING || type.kind == RN_LIST)) {
        type.kind = (uint8_t)rn_random_below(seed, RN_KINDS);
    }
    type.element = (uint8_t)(type.kind == RN_LIST ? rn_random_below(seed, RN_LIST) : 0);
    return type;
}

SUPPORT_UNUSED static void sample_open(sample *made, uint64_t *seed, const rn_type *types,
                                       uint32_t columns, uint32_t rows)
{
    made->memory = NULL;
    made->memory_count = 0;
    made->batch = (rn_batch){rows, columns, made->columns};
    for (uint32_t c = 0; c < columns; c++) {
        sample_column(made, seed, types[c], rows, &made->columns[c]);
    }
}

/* Are these two values one (null = null)? */
SUPPORT_UNUSED static bool sample_same(const rn_column *a, uint32_t row_a, const rn_column *b,
                                       uint32_t row_b)
{
    bool valid = rn_column_valid(a, row_a);
    return valid == rn_column_valid(b, row_b) &&
           (!valid || rn_value_equal(a->type, rn_column_at(a, row_a), rn_column_at(b, row_b)));
}

/* The seed of a random test: printed, and taken from SEED when that is set. */
SUPPORT_UNUSED static uint64_t sample_seed(const char *test)
{
    const char *given = getenv("SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)getpid() * 7919;
    printf("seed=%llu replay: SEED=%llu (%s)\n", (unsigned long long)seed, (unsigned long long)seed,
           test);
    return seed;
}

#endif
