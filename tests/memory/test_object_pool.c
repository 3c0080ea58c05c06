/* SPDX-License-Identifier: Apache-2.0
 *
 * Object pools: every size and align, blocks that are given back, the pool as a resource, faults,
 * contracts. */
#include "tests/memory/resource_world.h"

#ifdef RATION_CHECKED
#define WAITING_BYTES (64 * KIB) /* blocks of the objects in quarantine */
#else
#define WAITING_BYTES 0
#endif

static ration_object_pool *open_pool(place *here, size_t bytes, size_t align)
{
    ration_object_pool *pool = NULL;
    ck_assert_int_eq(ration_object_pool_open(&here->slot->hot, bytes, align, "test", &pool),
                     RATION_OK);
    return pool;
}

static int64_t held(ration_object_pool *pool)
{
    return read_resource(ration_object_pool_resource(pool)).held_bytes;
}

static char *take(ration_object_pool *pool)
{
    char *object = (char *)ration_object_pool_allocate(pool);
    ck_assert_ptr_nonnull(object);
    return object;
}

START_TEST(test_object_pool__gives_objects_of_every_size)
{
    static char *objects[3000];
    size_t sizes[] = {1, 7, 8, 9, 24, 63, 64, 100, 1000, 16000};
    size_t aligns[] = {1, 8, 16, 64, 4096};
    for (size_t s = 0; s < RN_COUNT(sizes); s++) {
        for (size_t a = 0; a < RN_COUNT(aligns); a++) {
            place here = open_place(INT64_MAX);
            ration_object_pool *pool = open_pool(&here, sizes[s], aligns[a]);
            int count = sizes[s] > 500 || aligns[a] > 64 ? 50 : 3000;
            for (int i = 0; i < count; i++) {
                objects[i] = take(pool);
                ck_assert_uint_eq((uintptr_t)objects[i] & (aligns[a] - 1), 0);
                memset(objects[i], i, sizes[s]);
            }
            ck_assert_int_eq(rn_slot_used(here.slot), governed(held(pool)));
            for (int i = 0; i < count; i++) {
                ck_assert_int_eq((uint8_t)objects[i][0], (uint8_t)i);
                ck_assert_int_eq((uint8_t)objects[i][sizes[s] - 1], (uint8_t)i);
                ration_object_pool_free(pool, objects[i]);
            }
            ration_object_pool_free(pool, NULL);
            ration_object_pool_close(pool);
            close_place(&here);
        }
    }
    ration_object_pool_close(NULL);
}
END_TEST

START_TEST(test_object_pool__wastes_little)
{
    static char *objects[100000];
    place here = open_place(INT64_MAX);
    ration_object_pool *pool = open_pool(&here, 64, 16);
    for (int i = 0; i < 100000; i++) {
        objects[i] = take(pool);
    }
#ifndef RATION_CHECKED /* there each has a front and a tail */
    ck_assert_int_le(held(pool), 6400000 / 100 * 102);
#endif
    ration_resource_info info = read_resource(ration_object_pool_resource(pool));
    ck_assert_str_eq(info.kind, "object pool");
    ck_assert_str_eq(info.name, "test");
    ck_assert(!info.thread_safe);
    ck_assert_int_eq(info.blocks, 100000);
    ck_assert_int_eq(info.bytes, 6400000);
    ck_assert_int_eq(info.peak_bytes, info.held_bytes);
    ck_assert_int_eq(info.allocations, 100000);
    ck_assert_int_eq(info.deallocations, 0);
    ck_assert_int_eq(info.refusals, 0);
    for (int i = 0; i < 100000; i++) {
        ration_object_pool_free(pool, objects[i]);
    }
    ration_object_pool_close(pool);
    close_place(&here);
}
END_TEST

START_TEST(test_object_pool__emptied_blocks_are_given_back)
{
    static char *objects[20000];
    place here = open_place(INT64_MAX);
    ration_object_pool *pool = open_pool(&here, 128, 8);
    for (int lap = 0; lap < 3; lap++) {
        for (int i = 0; i < 20000; i++) {
            objects[i] = take(pool);
        }
        int64_t most = held(pool);
        for (int i = 0; i < 20000; i++) {
            ration_object_pool_free(pool, objects[lap == 1 ? 19999 - i : i]);
            ck_assert_int_eq(rn_slot_used(here.slot), governed(held(pool)));
        }
        ck_assert_int_le(held(pool), rn_block_round(8 * KIB) + 64 * KIB + WAITING_BYTES);
        ck_assert_int_gt(most, 20000 * 128);
        ck_assert_int_eq(read_resource(ration_object_pool_resource(pool)).blocks, 0);
    }
    ration_object_pool_close(pool);
    close_place(&here);
}
END_TEST

START_TEST(test_object_pool__refuses)
{
    place here = open_place(256 * KIB);
    ration_object_pool *pool = NULL;
    ration_slot *slot = &here.slot->hot;
    ck_assert_int_eq(ration_object_pool_open(slot, 0, 8, "no", &pool), RATION_INVALID_ARGUMENT);
    ck_assert_int_eq(ration_object_pool_open(slot, 16001, 8, "no", &pool), RATION_INVALID_ARGUMENT);
    ck_assert_int_eq(ration_object_pool_open(slot, 8, 0, "no", &pool), RATION_INVALID_ARGUMENT);
    ck_assert_int_eq(ration_object_pool_open(slot, 8, 24, "no", &pool), RATION_INVALID_ARGUMENT);
    ck_assert_int_eq(ration_object_pool_open(slot, 8, 8192, "no", &pool), RATION_INVALID_ARGUMENT);
    ck_assert_ptr_null(pool);
    pool = open_pool(&here, 1000, 8);
    ck_assert_int_eq(ration_object_pool_status(pool), RATION_OK);
    static char *objects[400];
    int count = 0;
    while (RN_GOVERNED && (objects[count] = (char *)ration_object_pool_allocate(pool)) != NULL) {
        memset(objects[count], count, 1000);
        count += 1;
        ck_assert_int_lt(count, 400);
    }
    ck_assert_int_eq(ration_object_pool_status(pool), RN_GOVERNED ? RATION_QUERY_LIMIT : RATION_OK);
    ck_assert_int_le(rn_slot_used(here.slot), 256 * KIB);
    if (RN_GOVERNED) {
        ration_resource *resource = ration_object_pool_resource(pool);
        ration_block block = {0};
        ck_assert_int_eq(ration_resource_allocate(resource, 1000, 8, &block), RATION_QUERY_LIMIT);
        ck_assert_int_eq(read_resource(resource).refusals, 2);
        ration_object_pool_free(pool, objects[count / 2]);
        objects[count / 2] = take(pool); /* what was freed serves, in checked builds too */
        memset(objects[count / 2], count / 2, 1000);
    }
    for (int i = 0; i < count; i++) {
        ck_assert_int_eq((uint8_t)objects[i][999], (uint8_t)i);
        ration_object_pool_free(pool, objects[i]);
    }
    ration_object_pool_close(pool);
    close_place(&here);
}
END_TEST

START_TEST(test_object_pool__random_frees)
{
    static char *objects[5000];
    for (uint64_t seed = 1; seed <= 4; seed++) {
        printf("seed=%llu\n", (unsigned long long)seed);
        place here = open_place(INT64_MAX);
        size_t bytes = (size_t)(8 + seed * 37);
        ration_object_pool *pool = open_pool(&here, bytes, 8);
        memset(objects, 0, sizeof(objects));
        uint64_t state = seed;
        int64_t live = 0;
        for (int i = 0; i < 60000; i++) {
            uint64_t random = rn_random(&state);
            uint64_t span = i % 20000 < 10000 ? 5000 : 50; /* grows, and shrinks again */
            size_t at = (size_t)(random % (i % 20000 < 10000 ? span : 5000));
            bool frees = i % 20000 >= 10000 && random >> 32 & 3;
            if (objects[at] != NULL) {
                ck_assert_int_eq((uint8_t)objects[at][0], (uint8_t)at);
                ck_assert_int_eq((uint8_t)objects[at][bytes - 1], (uint8_t)at);
                ration_object_pool_free(pool, objects[at]);
                objects[at] = NULL;
                live -= 1;
            } else if (!frees) {
                objects[at] = take(pool);
                memset(objects[at], (int)at, bytes);
                live += 1;
            }
            if (i % 1000 == 0) {
                ration_resource_info info = read_resource(ration_object_pool_resource(pool));
                ck_assert_int_eq(info.blocks, live);
                ck_assert_int_eq(rn_slot_used(here.slot), governed(info.held_bytes));
            }
        }
        for (size_t at = 0; at < 5000; at++) {
            ration_object_pool_free(pool, objects[at]);
        }
        ration_object_pool_close(pool);
        close_place(&here);
    }
}
END_TEST

START_TEST(test_object_pool__is_a_resource_of_one_size)
{
    place here = open_place(INT64_MAX);
    ration_object_pool *pool = open_pool(&here, 48, 16);
    ration_resource *resource = ration_object_pool_resource(pool);
    ration_block block = {.bytes = 5};
    ck_assert_int_eq(ration_resource_allocate(resource, 49, 8, &block), RATION_INVALID_ARGUMENT);
    ck_assert_int_eq(ration_resource_allocate(resource, 48, 32, &block), RATION_INVALID_ARGUMENT);
    ck_assert_uint_eq(block.bytes, 5);
    block = take_block(resource, 0, 1);
    ck_assert_uint_eq(block.bytes, real_size(0, 48));
    ck_assert_int_eq(ration_resource_reallocate(resource, &block, 48, 1), RATION_OK);
    ck_assert_uint_eq(block.bytes, 48);
    ck_assert_int_eq(ration_resource_reallocate(resource, &block, 49, 1), RATION_INVALID_ARGUMENT);
    ration_resource_deallocate(resource, block, 1);
    for (uint64_t seed = 1; seed <= 3; seed++) {
        walk how = {resource, 48, 16, false, 3000};
        walk_at_random(&how, seed);
    }
    ck_assert_int_eq(read_resource(resource).blocks, 0);
    ration_object_pool_close(pool);
    close_place(&here);
}
END_TEST

START_TEST(test_object_pool__survives_every_fault)
{
    static char *objects[2000];
    for (int forever = 0; forever < 2; forever++) {
        bool done = false;
        for (int n = 1; !done; n++) {
            place here = open_place(INT64_MAX);
            ration_object_pool *pool = NULL;
            rn_blocks_fail_after(n, forever != 0);
            done = ration_object_pool_open(&here.slot->hot, 200, 8, "faults", &pool) == RATION_OK;
            int count = 0;
            for (int i = 0; pool != NULL && i < 2000; i++) {
                objects[count] = (char *)ration_object_pool_allocate(pool);
                count += objects[count] != NULL;
                done = done && count == i + 1;
            }
            if (pool != NULL && !done) {
                ck_assert_int_eq(ration_object_pool_status(pool), RATION_NO_MEMORY);
            }
            rn_blocks_fail_after(0, false);
            while (count > 0) {
                count -= 1;
                ration_object_pool_free(pool, objects[count]);
            }
            ration_object_pool_close(pool);
            close_place(&here);
            ck_assert_int_lt(n, 100);
        }
    }
}
END_TEST

#ifndef RATION_CHECKED
START_TEST(test_object_pool__counts_a_foreign_object)
{
    place here = open_place(INT64_MAX);
    ration_object_pool *pool = open_pool(&here, 48, 16);
    ration_object_pool *other = open_pool(&here, 48, 16);
    for (int i = 0; i < 1000; i++) {
        take(pool); /* one in a block of 64 KiB: the first are in the pools' own */
    }
    int64_t faults = rn_faults();
    ration_object_pool_free(other, take(pool));
    ck_assert_int_eq(rn_faults() - faults, 1);
    ration_object_pool_close(other);
    ration_object_pool_close(pool);
    rn_slot_close(here.slot);
    fixture_clear(&here.world);
}
END_TEST
#endif

/* ------------------------------------------------------------------------------------ contracts */

#ifdef RATION_CHECKED

static WORLD_NOINLINE char *allocate_here(ration_object_pool *pool)
{
    return (char *)ration_object_pool_allocate(pool);
}

static void write_behind(place *here)
{
    ration_object_pool *pool = open_pool(here, 40, 8);
    volatile char *object = allocate_here(pool);
    object[40] = 1;
    ration_object_pool_free(pool, (char *)object);
}

static void write_before(place *here)
{
    ration_object_pool *pool = open_pool(here, 40, 8);
    volatile char *object = allocate_here(pool);
    object[-1] = 1;
    ration_object_pool_free(pool, (char *)object);
}

static void write_behind_and_close(place *here)
{
    ration_object_pool *pool = open_pool(here, 41, 1);
    volatile char *object = allocate_here(pool);
    object[41] = 1;
    ration_object_pool_close(pool);
}

static void write_after_free(place *here)
{
    ration_object_pool *pool = open_pool(here, 40, 8);
    volatile char *object = allocate_here(pool);
    ration_object_pool_free(pool, (char *)object);
    object[0] = 1;
    ration_object_pool_close(pool);
}

static void free_twice(place *here)
{
    ration_object_pool *pool = open_pool(here, 40, 8);
    char *object = allocate_here(pool);
    ration_object_pool_free(pool, object);
    ration_object_pool_free(pool, object);
}

static void free_block_twice(place *here)
{
    ration_object_pool *pool = open_pool(here, 40, 8);
    ration_resource *resource = ration_object_pool_resource(pool);
    ration_block block = {.memory = allocate_here(pool)};
    ck_assert_int_eq(ration_resource_allocate(resource, 40, 8, &block), RATION_OK);
    ration_resource_deallocate(resource, block, 8);
    ration_resource_deallocate(resource, block, 8);
}

static void free_elsewhere(place *here)
{
    ration_object_pool *pool = open_pool(here, 40, 8);
    ration_object_pool *other = open_pool(here, 40, 8);
    for (int i = 0; i < 1000; i++) {
        (void)allocate_here(pool);
    }
    ration_object_pool_free(other, allocate_here(pool));
}

static void free_what_is_none(place *here)
{
    static uint64_t memory[8];
    ration_object_pool_free(open_pool(here, 40, 8), &memory[4]);
}

static void leak(place *here)
{
    ration_object_pool *pool = open_pool(here, 40, 8);
    (void)allocate_here(pool);
    ration_object_pool_free(pool, allocate_here(pool));
    int64_t faults = rn_faults();
    ration_object_pool_close(pool);
    _exit(rn_faults() - faults == 1 ? 1 : 0); /* reported, and does not abort */
}

START_TEST(test_object_pool__contracts_are_reported)
{
    expect_report(write_behind, "overflow", "allocate_here");
    expect_report(write_before, "underflow", "allocate_here");
    expect_report(write_behind_and_close, "overflow", "allocate_here");
    expect_report(write_after_free, "after", "allocate_here");
    expect_report(free_twice, "double free", "allocate_here");
    expect_report(free_block_twice, "double free", "free_block_twice");
    expect_report(free_elsewhere, "foreign free", "free_elsewhere");
    expect_report(free_what_is_none, "foreign free", "free_what_is_none");
    expect_report(leak, "leak", "allocate_here");
}
END_TEST

#endif

int main(void)
{
    Suite *suite = suite_create("object_pool");
    TCase *tests = tcase_create("object_pool");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, test_object_pool__gives_objects_of_every_size);
    tcase_add_test(tests, test_object_pool__wastes_little);
    tcase_add_test(tests, test_object_pool__emptied_blocks_are_given_back);
    tcase_add_test(tests, test_object_pool__refuses);
    tcase_add_test(tests, test_object_pool__random_frees);
    tcase_add_test(tests, test_object_pool__is_a_resource_of_one_size);
    tcase_add_test(tests, test_object_pool__survives_every_fault);
#ifdef RATION_CHECKED
    tcase_add_test(tests, test_object_pool__contracts_are_reported);
#else
    tcase_add_test(tests, test_object_pool__counts_a_foreign_object);
#endif
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
