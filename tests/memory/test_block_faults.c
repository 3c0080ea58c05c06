/* SPDX-License-Identifier: Apache-2.0
 *
 * Every call of the system that pages.c makes fails, the nth time, once and for ever: a status,
 * charges exact, nothing left. And a process whose address space is limited, down to none. */
#include <sys/resource.h>

#include "memory/context.h"
#include "memory/pool.h"
#include "tests/memory/fixture.h"
#include "tests/memory/resident.h"

#define KIB ((int64_t)1024)
#define HELD 120

typedef struct stage {
    fixture world;
    rn_slot *slot;
    struct {
        char *memory;
        int64_t bytes;
    } held[HELD];
    int refused;
} stage;

static void look(stage *self)
{
    int64_t held_bytes = 0;
    for (int i = 0; i < HELD; i++) {
        held_bytes += self->held[i].memory != NULL ? self->held[i].bytes : 0;
    }
    ck_assert(rn_blocks_check(self->world.blocks));
    check_audit(&self->world);
    ck_assert(!RN_GOVERNED || rn_slot_used(self->slot) - self->slot->advance_bytes == held_bytes);
    int64_t kept_bytes = read_pool(self->world.root).retained_bytes;
    ck_assert(!RN_GOVERNED || rn_blocks_mapped(self->world.blocks) == held_bytes + kept_bytes);
}

static void give(stage *self, int i)
{
    char *memory = self->held[i].memory;
    if (memory != NULL) {
        ck_assert_int_eq(memory[0], (char)i);
        ck_assert_int_eq(memory[self->held[i].bytes - 1], (char)i);
        self->held[i].memory = NULL;
        rn_block_release(self->slot, memory, self->held[i].bytes);
    }
}

static void take(stage *self, int i, int64_t bytes)
{
    void *block;
    give(self, i);
    bytes = rn_block_round(bytes);
    ration_status status = rn_block_acquire(self->slot, bytes, &block);
    ck_assert(status == RATION_OK || status == RATION_NO_MEMORY);
    if (status != RATION_OK) {
        self->refused += 1;
        return;
    }
    self->held[i].memory = (char *)block;
    self->held[i].bytes = bytes;
    memset(block, i, (size_t)bytes);
}

static void resize(stage *self, int i, int64_t bytes)
{
    if (self->held[i].memory == NULL) {
        return;
    }
    bytes = rn_block_round(bytes);
    char *moved =
        (char *)rn_block_resize(self->slot, self->held[i].memory, self->held[i].bytes, bytes);
    if (moved == NULL) {
        self->refused += 1;
        return;
    }
    ck_assert_int_eq(moved[RN_MIN(bytes, self->held[i].bytes) - 1], (char)i);
    self->held[i].memory = moved;
    self->held[i].bytes = bytes;
    memset(moved, i, (size_t)bytes);
}

/* Blocks of all sizes, some from an advance, kept, purged, taken again, resized; with `keep` false
 * nothing is kept and fresh ones are made resident. */
static int act(stage *self, bool keep)
{
    rn_blocks_options options = {.retain_ms = keep ? 1000000 : 0, .prefault = !keep};
    *self = (stage){.world = fixture_open(64 * MIB, INT64_MAX, MIB, false)};
    fixture_set_blocks(&self->world, &options);
    self->slot = open_slot(self->world.first);
    for (int round = 0; round < 2; round++) {
        ck_assert_int_eq(rn_slot_prepay(self->slot, round * MIB), RATION_OK);
        for (int i = 0; i < HELD - 4; i++) {
            take(self, i, (8 * KIB) << i % 4);
        }
        take(self, HELD - 1, 100 * KIB);
        take(self, HELD - 2, MIB);
        take(self, HELD - 3, 3 * MIB);
        look(self);
        resize(self, HELD - 1, 300 * KIB);
        resize(self, HELD - 2, 5 * MIB / 2);
        resize(self, HELD - 3, 90 * KIB);
        look(self);
        for (int i = 0; i < HELD; i += 1 + i % 2) {
            give(self, i);
        }
        look(self);
        rn_blocks_purge(self->world.blocks);
        look(self);
    }
    ck_assert_int_eq(rn_slot_prepay(self->slot, 0), RATION_OK);
    for (int i = 0; i < HELD; i++) {
        give(self, i);
    }
    look(self);
    ck_assert_int_eq(rn_slot_used(self->slot), 0);
    rn_slot_close(self->slot);
    rn_blocks_purge(self->world.blocks);
    ck_assert_int_eq(rn_blocks_mapped(self->world.blocks), 0);
    fixture_close(&self->world);
    return self->refused;
}

/* What the system did not take back while it failed it takes now. */
static void offer_again(void)
{
    int64_t page = rn_page_features_get()->page_bytes;
    rn_pages_unmap(rn_pages_map(page), page);
}

/* The others are noticed where a surplus cannot be trimmed, or in checked builds a guard not
 * lifted.
 */
static bool must_refuse(rn_pages_call call)
{
    return call == RN_PAGES_MMAP || call == RN_PAGES_MPROTECT || call == RN_PAGES_MREMAP;
}
static bool may_refuse(rn_pages_call call)
{
#ifdef RATION_CHECKED
    return call < RN_PAGES_CALLS;
#else
    return call != RN_PAGES_MADVISE;
#endif
}

/* _i: the call, and whether it fails for ever. */
START_TEST(test_blocks__system_fails_the_nth_time)
{
    static stage self;
    rn_pages_call call = (rn_pages_call)(_i / 2);
    bool forever = _i % 2 != 0;
    for (int keep = 0; keep < 2; keep++) {
        ck_assert_int_eq(act(&self, keep != 0), 0); /* and the process is warm */
        int64_t before = rn_pages_calls(call);
        ck_assert_int_eq(act(&self, keep != 0), 0);
        int64_t count = rn_pages_calls(call) - before;
        ck_assert_int_gt(count, 0);
        int64_t mapped = mapped_bytes_now();
        int refused = 0;
        /* All of the first calls, then some of them: most of the many are alike. */
        int64_t few = getenv("CK_TIMEOUT_MULTIPLIER") != NULL ? 3 : 40; /* valgrind is slow */
        for (int64_t n = 1; n <= count + 1; n += 1 + n / few) {
            rn_pages_fail_after(call, n, forever);
            int now = act(&self, keep != 0);
            rn_pages_fail_after(call, 0, false);
            refused += now;
            ck_assert(n <= count || now == 0);
            offer_again();
            ck_assert(!rss_is_ours() || mapped_bytes_now() == mapped);
        }
        ck_assert(refused == 0 || may_refuse(call));
        ck_assert(!forever || refused > 0 || !must_refuse(call));
    }
}
END_TEST

/* What a slot was given of contexts and blocks until the first no; all of it goes back. */
static int64_t take_until_refused(stage *self, int64_t bytes)
{
    int64_t got = 0;
    ration_context *context = NULL;
    ration_status status =
        ration_context_create(NULL, &self->slot->hot, RATION_CONTEXT_SET, "limited", &context);
    ck_assert(status == RATION_OK || status == RATION_NO_MEMORY);
    if (status == RATION_OK) {
        for (int i = 0; i < 40000; i++) {
            char *chunk = (char *)ration_context_allocate(context, 3000);
            if (chunk == NULL) {
                ck_assert_int_eq(ration_context_status(context), RATION_NO_MEMORY);
                break;
            }
            chunk[0] = 1;
            got += 3000;
        }
        ration_context_delete(context);
    }
    for (int i = 0; i < HELD; i++) {
        take(self, i, bytes);
        got += self->held[i].memory != NULL ? bytes : 0;
    }
    for (int i = 0; i < HELD; i++) {
        give(self, i);
    }
    return got;
}

/* _i: RLIMIT_AS or RLIMIT_DATA, from what the process has up to 16 MiB more. */
START_TEST(test_blocks__address_space_is_limited)
{
    if (!rss_is_ours()) {
        return; /* sanitizers and valgrind need room for themselves */
    }
    static stage self;
    int resource = _i == 0 ? RLIMIT_AS : RLIMIT_DATA;
    struct rlimit old, small;
    ck_assert_int_eq(getrlimit((__rlimit_resource_t)resource, &old), 0);
    static const int64_t more[] = {0, 4, 16, 64, 200, 400, 1000, 1100, 2100, 4000, 16384};
    for (size_t i = 0; i < RN_COUNT(more); i++) {
        for (int64_t bytes = 8 * KIB; bytes <= 128 * KIB; bytes *= 4) {
            self = (stage){.world = fixture_open(256 * MIB, INT64_MAX, MIB, false)};
            self.slot = open_slot(self.world.first);
            small = old;
            small.rlim_cur = (rlim_t)(mapped_bytes_now() + more[i] * KIB);
            ck_assert_int_eq(setrlimit((__rlimit_resource_t)resource, &small), 0);
            int64_t got = take_until_refused(&self, bytes);
            ck_assert_int_eq(setrlimit((__rlimit_resource_t)resource, &old), 0);
            ck_assert(RN_GOVERNED == 0 || rn_slot_used(self.slot) == 0);
            look(&self);
            ck_assert(resource != RLIMIT_AS || got <= 2 * more[i] * KIB + 2 * MIB);
            ck_assert(more[i] < 4000 || got > 0); /* it is used, if there is something */
            rn_slot_close(self.slot);
            fixture_close(&self.world);
        }
    }
}
END_TEST

/* Less than a whole span is left: smaller ones do. */
START_TEST(test_blocks__smaller_spans_where_space_is_short)
{
    if (!rss_is_ours()) {
        return;
    }
    static stage self;
    struct rlimit old, small;
    self = (stage){.world = fixture_open(256 * MIB, INT64_MAX, MIB, false)};
    self.slot = open_slot(self.world.first);
    ck_assert_int_eq(getrlimit(RLIMIT_AS, &old), 0);
    small = old;
    small.rlim_cur = (rlim_t)(mapped_bytes_now() + 700 * KIB);
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &small), 0);
    for (int i = 0; i < HELD; i++) {
        take(&self, i, 8 * KIB);
    }
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &old), 0);
    look(&self);
    ck_assert_int_ge(HELD - self.refused, 512 / 8);
    for (int i = 0; i < HELD; i++) {
        give(&self, i);
    }
    rn_blocks_purge(self.world.blocks);
    take(&self, 0, 64 * KIB);
    ck_assert_ptr_nonnull(self.held[0].memory);
    give(&self, 0);
    look(&self);
    rn_slot_close(self.slot);
    fixture_close(&self.world);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("faults");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, test_blocks__system_fails_the_nth_time, 0, 2 * RN_PAGES_CALLS);
    tcase_add_loop_test(tests, test_blocks__address_space_is_limited, 0, 2);
    tcase_add_test(tests, test_blocks__smaller_spans_where_space_is_short);
    Suite *suite = suite_create("memory/block faults");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
