/* SPDX-License-Identifier: Apache-2.0
 *
 * The hash table: every payload is found under its hash and nowhere else, whatever the hashes look
 * like; it grows a block at a time, within its bound. */
#include "base/hash.h"
#include "storage/hash_table.h"
#include "tests/storage/fixture.h"

/* How hashes come: each is a way to make partitions fill unevenly. */
typedef enum hash_source {
    UNIFORM,     /* as rn_hash_* gives them */
    FEW,         /* 50 different ones */
    ONE,         /* all equal */
    LOW_BITS,    /* 0, 1, 2: no two differ in the bits a partition splits by */
    HIGH_BITS,   /* differ only in the bits that choose a partition */
    MOSTLY_LEFT, /* each bit from the top is 0 with 15/16 */
    SOURCES
} hash_source;

/* The hash that the table's own mixing turns into `kept`. */
static uint64_t unmix(uint64_t kept)
{
    uint64_t inverse = 1; /* of the factor, by Newton's iteration */
    for (int i = 0; i < 6; i++) {
        inverse *= 2 - UINT64_C(0xdcb22ca68cb134ed) * inverse;
    }
    return (kept ^ kept >> 32) * inverse;
}

/* Equal, or the one pair that the table does not tell apart. */
static bool is_same(uint64_t a, uint64_t b)
{
    return a == b || (a == 0 && b == unmix(1)) || (b == 0 && a == unmix(1));
}

static uint64_t next_hash(hash_source source, uint64_t *seed, uint64_t number)
{
    uint64_t hash = 0;
    switch (source) {
    case UNIFORM:
        return rn_random(seed);
    case FEW:
        return rn_hash_word(RN_HASH_SEED, rn_random_below(seed, 50));
    case ONE:
        return 0x123456789abcdef;
    case LOW_BITS:
        return unmix(number);
    case HIGH_BITS:
        return unmix(number << 44);
    default:
        for (int bit = 0; bit < 64; bit++) {
            hash = hash << 1 | (rn_random_below(seed, 16) == 0);
        }
        return unmix(hash);
    }
}

static void check_table(const rn_hash_table *table)
{
    char text[128];
    ck_assert_msg(rn_hash_table_check(table, text, sizeof text), "%s", text);
}

static int64_t count_found(const rn_hash_table *table, uint64_t hash, const uint64_t *hashes)
{
    uint64_t position = 0, payload = 0;
    int64_t count = 0;
    for (; rn_hash_table_find(table, hash, &position, &payload); count++) {
        ck_assert(is_same(hashes[payload], hash));
    }
    return count;
}

/* Inserts `total` hashes in batches under a settle, and asserts that no batch draws more than its
 * bound. */
static void fill_within_bound(fixture *fix, rn_hash_table *table, const uint64_t *hashes,
                              uint32_t total, uint64_t *seed, int64_t *out_over)
{
    int64_t over = 0;
    for (uint32_t at = 0; at < total;) {
        uint32_t count = 1 + (uint32_t)rn_random_below(seed, 1024);
        count = RN_MIN(count, total - at);
        int64_t drawn = fixture_drawn(fix);
        int64_t bound = rn_hash_table_bound(table, hashes + at, count);
        ck_assert_int_eq(rn_slot_prepay(fix->slot, bound), RATION_OK);
        for (uint32_t i = 0; i < count; i++) {
            ck_assert_int_eq(rn_hash_table_insert(table, hashes[at + i], at + i), RATION_OK);
        }
        ck_assert_int_eq(rn_slot_used(fix->slot), drawn + bound);
        over = RN_MAX(over, bound - (fixture_drawn(fix) - drawn));
        at += count;
    }
    *out_over = over;
}

static int compare_words(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, 8);
    memcpy(&y, b, 8);
    return (x > y) - (x < y);
}

static void fill_and_find(hash_source source, uint32_t total)
{
    uint64_t seed = sample_seed("hashes");
    uint64_t *hashes = calloc(total, 8), *sorted = calloc(total, 8);
    unsigned char *seen = calloc(total, 1);
    ck_assert(hashes != NULL && sorted != NULL && seen != NULL);
    for (uint32_t i = 0; i < total; i++) {
        hashes[i] = next_hash(source, &seed, i);
    }
    memcpy(sorted, hashes, (size_t)total * 8);
    qsort(sorted, total, 8, compare_words);
    fixture fix;
    rn_hash_table *table = NULL;
    int64_t over = 0;
    fixture_open(&fix, INT64_MAX);
    ck_assert_int_eq(rn_hash_table_open(fix.context, &fix.slot->hot, "table", &table), RATION_OK);
    fill_within_bound(&fix, table, hashes, total, &seed, &over);
    if (source == UNIFORM) {
        ck_assert_int_le(over, 2 * RN_BLOCK_BYTES);
    }
    ck_assert_int_eq(rn_hash_table_count(table), total);
    check_table(table);
    for (uint32_t start = 0; start < total;) {
        uint32_t end = start + 1;
        while (end < total && sorted[end] == sorted[start]) {
            end++;
        }
        int64_t expected = (int64_t)(end - start);
        if (sorted[start] == 0 || sorted[start] == unmix(1)) {
            expected = 0;
            for (uint32_t i = 0; i < total; i++) {
                expected += is_same(sorted[i], 0);
            }
        }
        ck_assert_int_eq(count_found(table, sorted[start], hashes), expected);
        start = end;
    }
    for (int i = 0; i < 2000; i++) {
        uint64_t absent = next_hash(source == ONE ? FEW : source, &seed, total + (uint64_t)i);
        if (bsearch(&absent, sorted, total, 8, compare_words) == NULL) {
            ck_assert_int_eq(count_found(table, absent, hashes), 0);
        }
    }
    uint64_t position = 0, payload = 0, walked = 0;
    for (; rn_hash_table_each(table, &position, &payload); walked++) {
        ck_assert_uint_eq(seen[payload], 0);
        seen[payload] = 1;
    }
    ck_assert_uint_eq(walked, total);
    rn_hash_table_close(table);
    fixture_close(&fix);
    free(hashes);
    free(sorted);
    free(seen);
}

START_TEST(test_hash_table__uniform_hashes)
{
    fill_and_find(UNIFORM, 400000);
}
END_TEST

START_TEST(test_hash_table__repeated_hashes)
{
    fill_and_find(FEW, 30000);
    fill_and_find(ONE, 10000);
}
END_TEST

START_TEST(test_hash_table__hashes_that_do_not_spread)
{
    fill_and_find(LOW_BITS, 9000);
    fill_and_find(HIGH_BITS, 9000);
    fill_and_find(MOSTLY_LEFT, 50000);
}
END_TEST

START_TEST(test_hash_table__hash_zero_is_kept)
{
    fixture fix;
    rn_hash_table *table = NULL;
    uint64_t position = 0, payload = 0;
    fixture_open(&fix, INT64_MAX);
    ck_assert_int_eq(rn_hash_table_open(fix.context, &fix.slot->hot, "table", &table), RATION_OK);
    ck_assert(!rn_hash_table_find(table, 0, &position, &payload));
    ck_assert(!rn_hash_table_each(table, &position, &payload));
    ck_assert_int_eq(rn_hash_table_insert(table, 0, 0), RATION_OK);
    rn_hash_table_prefetch(table, 0);
    ck_assert(rn_hash_table_find(table, 0, &position, &payload) && payload == 0);
    ck_assert(!rn_hash_table_find(table, 0, &position, &payload));
    rn_hash_table_close(table);
    fixture_close(&fix);
}
END_TEST

/* Ten entries cost 8 KiB; n entries of uniform hashes cost at most 16/0.75 x 2 bytes each. */
START_TEST(test_hash_table__grows_a_block_at_a_time)
{
    fixture fix;
    rn_hash_table *table = NULL;
    uint64_t seed = 1;
    fixture_open(&fix, INT64_MAX);
    int64_t before = fixture_drawn(&fix), largest = 0;
    ck_assert_int_eq(rn_hash_table_open(fix.context, &fix.slot->hot, "table", &table), RATION_OK);
    for (int64_t i = 0; i < 300000; i++) {
        int64_t drawn = fixture_drawn(&fix);
        ck_assert_int_eq(rn_hash_table_insert(table, rn_random(&seed), 0), RATION_OK);
        largest = RN_MAX(largest, fixture_drawn(&fix) - drawn);
        if (i == 10 || i == 170) {
            ck_assert_int_eq(fixture_drawn(&fix) - before, 8192);
        } else if (i % 50000 == 49999) {
            ck_assert_int_lt(fixture_drawn(&fix) - before, (i + 1) * 40 + 128 * 1024);
        }
    }
    ck_assert_int_le(largest, 2 * RN_BLOCK_BYTES); /* a partition, and a leaf of the directory */
    check_table(table);
    rn_hash_table_reset(table);
    ck_assert_int_eq(fixture_drawn(&fix) - before, 8192);
    ck_assert_int_eq(rn_hash_table_count(table), 0);
    check_table(table);
    ck_assert_int_eq(rn_hash_table_insert(table, 7, 7), RATION_OK);
    check_table(table);
    rn_hash_table_close(table);
    fixture_close(&fix);
}
END_TEST

/* Inserts until refused; what was inserted before stays whole and findable. Returns whether all
 * went in. */
static bool insert_until_refused(fixture *fix, hash_source source)
{
    static uint64_t hashes[9000];
    rn_hash_table *table = NULL;
    uint64_t seed = 5;
    ration_status status = rn_hash_table_open(fix->context, &fix->slot->hot, "table", &table);
    if (status != RATION_OK) {
        ck_assert_ptr_null(table);
        return false;
    }
    uint32_t count = 0;
    for (; count < RN_COUNT(hashes); count++) {
        hashes[count] = next_hash(source, &seed, count + 2);
        status = rn_hash_table_insert(table, hashes[count], count);
        if (status != RATION_OK) {
            ck_assert(status == RATION_QUERY_LIMIT || status == RATION_NO_MEMORY);
            break;
        }
    }
    check_table(table);
    ck_assert_int_eq(rn_hash_table_count(table), count);
    for (uint32_t i = 0; i < count; i += 37) {
        ck_assert_int_ge(count_found(table, hashes[i], hashes), 1);
    }
    rn_hash_table_close(table);
    return count == RN_COUNT(hashes);
}

START_TEST(test_hash_table__refusals_at_every_limit_leave_it_whole)
{
    fixture fix;
    for (hash_source source = UNIFORM; source < SOURCES; source++) {
        int refused = 0;
        bool passed = source == ONE; /* one hash: too slow to sweep, and the same code as FEW */
        for (int64_t limit = 8192; !passed; limit += 16 * 1024) {
            fixture_open(&fix, limit);
            passed = insert_until_refused(&fix, source);
            refused += !passed;
            fixture_close(&fix);
        }
        ck_assert(source == ONE || refused > 10);
    }
    for (int ever = 0; ever < 2; ever++) {
        bool passed = false;
        for (int64_t nth = 1; !passed; nth++) {
            fixture_open(&fix, INT64_MAX);
            rn_blocks_fail_after(nth, ever == 1);
            passed = insert_until_refused(&fix, UNIFORM);
            rn_blocks_fail_after(0, false);
            fixture_close(&fix);
        }
    }
}
END_TEST

static int compare_payloads(const void *with, uint64_t a, uint64_t b)
{
    (void)with;
    return (a > b) - (a < b);
}

/* A dense table takes the same hashes within its bound and gives them back in order, equal ones by
 * their payload; so does one with homes. */
static void fill_and_walk(hash_source source, uint32_t total, bool dense)
{
    uint64_t seed = sample_seed("hashes"), word, last_word = 0, payload, last = 0;
    uint64_t *hashes = calloc(total, 8);
    unsigned char *seen = calloc(total, 1);
    ck_assert(hashes != NULL && seen != NULL);
    for (uint32_t i = 0; i < total; i++) {
        hashes[i] = next_hash(source, &seed, i);
    }
    fixture fix;
    rn_hash_table *table = NULL;
    rn_hash_walk walk;
    int64_t over = 0;
    fixture_open(&fix, INT64_MAX);
    ck_assert_int_eq(rn_hash_table_open(fix.context, &fix.slot->hot, "table", &table), RATION_OK);
    int64_t before = fixture_drawn(&fix);
    if (dense) {
        rn_hash_table_make_dense(table);
    }
    fill_within_bound(&fix, table, hashes, total, &seed, &over);
    check_table(table);
    ck_assert(rn_hash_table_is_dense(table) == dense);
    if (source == UNIFORM) { /* dense: no more than twice what the entries take */
        ck_assert_int_lt(fixture_drawn(&fix) - before,
                         (int64_t)total * (dense ? 33 : 44) + 256 * 1024);
    }
    rn_hash_table_order(table, (rn_hash_order){compare_payloads, NULL}, &walk);
    uint32_t walked = 0;
    for (; rn_hash_table_walk(table, &walk, &word, &payload); walked++) {
        ck_assert_uint_eq(word, rn_hash_table_word(hashes[payload]));
        ck_assert(walked == 0 || word > last_word || (word == last_word && payload > last));
        ck_assert_uint_eq(seen[payload], 0);
        seen[payload] = 1;
        last_word = word;
        last = payload;
    }
    ck_assert_uint_eq(walked, total);
    rn_hash_table_reset(table);
    ck_assert(!rn_hash_table_is_dense(table));
    ck_assert_int_eq(rn_hash_table_insert(table, 7, 0), RATION_OK);
    ck_assert_int_eq(count_found(table, 7, &(uint64_t){7}), 1);
    rn_hash_table_close(table);
    fixture_close(&fix);
    free(hashes);
    free(seen);
}

START_TEST(test_hash_table__walks_in_order)
{
    for (int dense = 0; dense < 2; dense++) {
        fill_and_walk(UNIFORM, 40, dense);
        fill_and_walk(UNIFORM, 100000, dense);
        fill_and_walk(FEW, 30000, dense);
        fill_and_walk(ONE, 10000, dense);
        fill_and_walk(LOW_BITS, 9000, dense);
        fill_and_walk(HIGH_BITS, 9000, dense);
        fill_and_walk(MOSTLY_LEFT, 50000, dense);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_hash_table__uniform_hashes,
        test_hash_table__repeated_hashes,
        test_hash_table__hashes_that_do_not_spread,
        test_hash_table__hash_zero_is_kept,
        test_hash_table__grows_a_block_at_a_time,
        test_hash_table__refusals_at_every_limit_leave_it_whole,
        test_hash_table__walks_in_order,
    };
    return support_run("hash_table", tests, RN_COUNT(tests));
}
