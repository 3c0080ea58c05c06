/* SPDX-License-Identifier: Apache-2.0
 *
 * Pages: what is resident when, what traps, and what is left when the system refuses. */
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/memory/fixture.h"
#include "tests/memory/resident.h"

static int64_t page;

static void setup(void)
{
    page = rn_page_features_get()->page_bytes;
}

static char *reserve(int64_t bytes, int64_t align)
{
    char *pages = (char *)rn_pages_reserve(bytes, align);
    ck_assert_ptr_nonnull(pages);
    ck_assert_uint_eq((uintptr_t)pages % (uintptr_t)align, 0);
    return pages;
}

static char *commit(int64_t bytes)
{
    char *pages = reserve(bytes, page);
    ck_assert(rn_pages_commit(pages, bytes));
    return pages;
}

static void unreserve(char *pages, int64_t bytes)
{
    ck_assert(rn_pages_unreserve(pages, bytes));
    ck_assert(!is_mapped(pages, bytes));
}

START_TEST(test_page_features__are_those_of_the_machine)
{
    const rn_page_features *known = rn_page_features_get();
    ck_assert_int_eq(known->page_bytes, sysconf(_SC_PAGESIZE));
    ck_assert_ptr_eq(rn_page_features_get(), known);
    ck_assert_int_eq(known->huge, rn_probe_huge(""));
    ck_assert(known->huge == RN_HUGE_ABSENT || known->huge_advice);
}
END_TEST

START_TEST(test_probe__mode_of_huge_pages_is_the_word_in_brackets)
{
    static const struct {
        const char *text;
        rn_huge_mode mode;
    } cases[] = {{"[always] madvise never\n", RN_HUGE_ALWAYS},
                 {"always [madvise] never\n", RN_HUGE_MADVISE},
                 {"always madvise [never]\n", RN_HUGE_NEVER},
                 {"always madvise never\n", RN_HUGE_ABSENT},
                 {"", RN_HUGE_ABSENT}};
    char root[] = "/tmp/ration-pages-XXXXXX";
    char path[256];
    ck_assert_ptr_nonnull(mkdtemp(root));
    ck_assert_int_eq(rn_probe_huge(root), RN_HUGE_ABSENT);
    static const char *const parts[] = {"/sys", "/kernel", "/mm", "/transparent_hugepage"};
    size_t length = (size_t)snprintf(path, sizeof(path), "%s", root);
    for (size_t i = 0; i < RN_COUNT(parts); i++) {
        length += (size_t)snprintf(path + length, sizeof(path) - length, "%s", parts[i]);
        ck_assert_int_eq(mkdir(path, 0700), 0);
    }
    (void)snprintf(path + length, sizeof(path) - length, "/enabled");
    for (size_t i = 0; i < RN_COUNT(cases); i++) {
        FILE *file = fopen(path, "w");
        ck_assert_ptr_nonnull(file);
        ck_assert_int_ge(fputs(cases[i].text, file), 0);
        ck_assert_int_eq(fclose(file), 0);
        ck_assert_int_eq(rn_probe_huge(root), cases[i].mode);
    }
    for (char *end = path + strlen(path); strlen(path) >= strlen(root); *end = '\0') {
        ck_assert_int_eq(remove(path), 0);
        end = strrchr(path, '/');
    }
}
END_TEST

START_TEST(test_pages__are_aligned_and_hold_nothing)
{
    for (int64_t align = page; align <= 4 * MIB; align *= 2) {
        for (int64_t bytes = page; bytes <= 2 * MIB; bytes *= 4) {
            int64_t before = mapped_bytes_now();
            char *pages = reserve(bytes, align);
            ck_assert_int_eq(resident_bytes_of(pages, bytes), 0);
            ck_assert(!rss_is_ours() || mapped_bytes_now() - before == bytes); /* no surplus left */
            unreserve(pages, bytes);
        }
    }
}
END_TEST

START_TEST(test_pages__trap_until_committed)
{
    (void)signal(SIGSEGV, SIG_DFL); /* sanitizers have their own */
    char *pages = reserve(2 * page, page);
    ck_assert(rn_pages_commit(pages, page));
    pages[page - 1] = 1;
    *(volatile char *)(pages + page) = 1;
}
END_TEST

START_TEST(test_pages__are_resident_when_touched_and_no_others)
{
    char *pages = commit(MIB);
    ck_assert_int_eq(resident_bytes_of(pages, MIB), 0);
    pages[5 * page] = 1;
    ck_assert_int_eq(resident_bytes_of(pages, MIB), page);
    memset(pages, 1, (size_t)MIB);
    ck_assert(rn_pages_decommit(pages + 64 * page, 64 * page));
    ck_assert_int_eq(resident_bytes_of(pages + 64 * page, 64 * page), 0);
    ck_assert_int_eq(resident_bytes_of(pages, MIB), MIB - 64 * page);
    ck_assert_int_eq(pages[100 * page], 0); /* there again, and fresh */
    ck_assert_int_eq(pages[63 * page], 1);
    unreserve(pages, MIB);
}
END_TEST

START_TEST(test_pages__populate_makes_all_resident)
{
    char *pages = commit(MIB);
    rn_pages_populate(pages, 32 * page);
    ck_assert_int_eq(resident_bytes_of(pages, MIB), 32 * page);
    unreserve(pages, MIB);
}
END_TEST

START_TEST(test_pages__commit_refused_leaves_them_reserved)
{
    char *pages = reserve(MIB, page);
    rn_pages_fail_after(RN_PAGES_MPROTECT, 1, false);
    ck_assert(!rn_pages_commit(pages, MIB));
    ck_assert(rn_pages_commit(pages, MIB));
    unreserve(pages, MIB);
}
END_TEST

/* Each way of losing pages stands in for the one before. */
START_TEST(test_pages__go_whatever_is_refused)
{
    char *pages = commit(MIB);
    memset(pages, 1, (size_t)MIB);
    rn_pages_fail_after(RN_PAGES_MADVISE, 1, true);
    ck_assert(rn_pages_decommit(pages, MIB / 2));
    ck_assert_int_eq(resident_bytes_of(pages, MIB), MIB / 2);
    ck_assert_int_eq(pages[0], 0);
    pages[0] = 1;
    rn_pages_fail_after(RN_PAGES_MUNMAP, 1, true);
    ck_assert(!rn_pages_unreserve(pages, MIB));
    ck_assert_int_eq(resident_bytes_of(pages, MIB), 0);
    rn_pages_fail_after(RN_PAGES_MADVISE, 0, false);
    rn_pages_fail_after(RN_PAGES_MUNMAP, 0, false);
    unreserve(pages, MIB);
    ck_assert_int_eq(rn_faults(), 0);
}
END_TEST

START_TEST(test_pages__space_that_was_not_taken_back_is_offered_again)
{
    char *ranges[3];
    rn_pages_fail_after(RN_PAGES_MUNMAP, 1, true);
    for (int i = 0; i < 3; i++) {
        ranges[i] = (char *)rn_pages_map(MIB);
        memset(ranges[i], 1, (size_t)MIB);
        rn_pages_unmap(ranges[i], MIB);
        ck_assert_int_eq(resident_bytes_of(ranges[i], MIB), 0);
    }
    rn_pages_fail_after(RN_PAGES_MUNMAP, 0, false);
    rn_pages_unmap(rn_pages_map(page), page);
    for (int i = 0; i < 3; i++) {
        ck_assert(!is_mapped(ranges[i], MIB));
    }
}
END_TEST

START_TEST(test_pages__trimming_that_fails_leaves_nothing)
{
    for (int n = 1; n <= 4; n++) {
        char *odd = (char *)rn_pages_map(page); /* so that the next one is not aligned by chance */
        int64_t before = mapped_bytes_now();
        rn_pages_fail_after(RN_PAGES_MUNMAP, n, false);
        void *pages = rn_pages_reserve(MIB, 4 * MIB);
        rn_pages_fail_after(RN_PAGES_MUNMAP, 0, false);
        if (pages != NULL) {
            rn_pages_unmap(pages, MIB);
        }
        rn_pages_unmap(rn_pages_map(page), page);
        ck_assert(!rss_is_ours() || mapped_bytes_now() == before);
        rn_pages_unmap(odd, page);
    }
}
END_TEST

static void fill(char *pages, int64_t from, int64_t to)
{
    for (int64_t at = from; at < to; at += page) {
        pages[at] = (char)(at / page % 100 + 1);
    }
}

static void expect_filled(const char *pages, int64_t bytes)
{
    for (int64_t at = 0; at < bytes; at += page) {
        ck_assert_int_eq(pages[at], (char)(at / page % 100 + 1));
    }
}

START_TEST(test_pages__resize_keeps_what_is_in_them)
{
    int64_t bytes = 20 * page;
    char *pages = (char *)rn_pages_map(bytes);
    fill(pages, 0, bytes);
    static const int64_t sizes[] = {100, 700, 513, 1500, 512, 511, 20, 3000};
    for (size_t i = 0; i < RN_COUNT(sizes); i++) {
        int64_t larger = sizes[i] * page;
        char *blocker = (char *)rn_pages_map(page); /* often in the way of growing in place */
        char *moved = (char *)rn_pages_resize(pages, bytes, larger);
        ck_assert_ptr_nonnull(moved);
        expect_filled(moved, RN_MIN(bytes, larger));
        fill(moved, RN_MIN(bytes, larger), larger);
        pages = moved;
        bytes = larger;
        rn_pages_unmap(blocker, page);
    }
    rn_pages_fail_after(RN_PAGES_MREMAP, 1, false);
    ck_assert_ptr_null(rn_pages_resize(pages, bytes, 2 * bytes));
    expect_filled(pages, bytes);
    rn_pages_unmap(pages, bytes);
    ck_assert(!is_mapped(pages, bytes));
}
END_TEST

START_TEST(test_pages__large_mappings_lie_as_huge_pages_do)
{
    for (int64_t bytes = RN_HUGE_PAGE_BYTES; bytes < 8 * MIB; bytes += 700 * page) {
        char *odd = (char *)rn_pages_map(3 * page);
        char *pages = (char *)rn_pages_map(bytes);
        if (rn_page_features_get()->huge_advice) {
            ck_assert_uint_eq((uintptr_t)pages % (uintptr_t)RN_HUGE_PAGE_BYTES, 0);
        }
        memset(pages, 1, (size_t)bytes);
        ck_assert_int_eq(resident_bytes_of(pages, bytes), rn_round_up(bytes, page));
        rn_pages_unmap(pages, bytes);
        rn_pages_unmap(odd, 3 * page);
    }
}
END_TEST

/* Does /proc/self/smaps show the flag for the mapping of this address? */
static bool has_flag(const void *address, const char *flag)
{
    char line[512], word[8];
    bool inside = false, found = false;
    (void)snprintf(word, sizeof(word), " %s ", flag);
    FILE *file = fopen("/proc/self/smaps", "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        unsigned long long from, to;
        if (sscanf(line, "%llx-%llx ", &from, &to) == 2) {
            inside = from <= (uintptr_t)address && (uintptr_t)address < to;
        } else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
            found = found || strstr(line, word) != NULL;
        }
    }
    ck_assert_int_eq(fclose(file), 0);
    return found;
}

START_TEST(test_pages__advice_follows_the_size)
{
    const rn_page_features *known = rn_page_features_get();
    if (!known->huge_advice || getenv("CK_TIMEOUT_MULTIPLIER") != NULL) {
        return; /* valgrind lays maps of its own */
    }
    char *reserved = reserve(MIB, page);
    ck_assert(has_flag(reserved, "nh"));
    unreserve(reserved, MIB);
    char *pages = (char *)rn_pages_map(MIB);
    ck_assert(!has_flag(pages, "hg"));
    ck_assert(has_flag(pages, "nh") == (known->huge == RN_HUGE_ALWAYS));
    pages = (char *)rn_pages_resize(pages, MIB, 5 * MIB);
    ck_assert(has_flag(pages, "hg"));
    rn_pages_unmap(pages, 5 * MIB);
    pages = (char *)rn_pages_map(3 * MIB);
    ck_assert(has_flag(pages, "hg"));
    rn_pages_unmap(pages, 3 * MIB);
}
END_TEST

/* _i: whether the guard is a mapping of its own. */
START_TEST(test_pages__guard_traps)
{
    (void)signal(SIGSEGV, SIG_DFL);
    char *pages = (char *)rn_pages_map(2 * page);
    memset(pages, 1, (size_t)(2 * page));
    rn_pages_fail_after(RN_PAGES_MADVISE, _i, true);
    rn_pages_guard(pages + page);
    pages[page - 1] = 2;
    *(volatile char *)(pages + page) = 1;
}
END_TEST

START_TEST(test_pages__guard_is_lifted)
{
    for (int refused = 0; refused < 2; refused++) {
        char *pages = (char *)rn_pages_map(2 * page);
        pages[page] = 1;
        rn_pages_fail_after(RN_PAGES_MADVISE, refused, true);
        rn_pages_guard(pages + page);
        ck_assert_int_eq(resident_bytes_of(pages, 2 * page), refused != 0 ? page : 0);
        rn_pages_fail_after(RN_PAGES_MADVISE, 0, false);
        rn_pages_fail_after(RN_PAGES_MPROTECT, 1, false);
        ck_assert(!rn_pages_unguard(pages + page));
        ck_assert(rn_pages_unguard(pages + page));
        pages[page] = 2;
        rn_pages_unmap(pages, 2 * page);
    }
}
END_TEST

START_TEST(test_pages__shared_with_own_in_front)
{
    for (int n = 0; n <= 2; n++) {
        int64_t before = mapped_bytes_now();
        FILE *file = tmpfile();
        ck_assert_ptr_nonnull(file);
        ck_assert_int_eq(ftruncate(fileno(file), 2 * page), 0);
        rn_pages_fail_after(RN_PAGES_MMAP, n, false);
        char *shared = (char *)rn_pages_map_shared(fileno(file), 2 * page, 100);
        ck_assert((shared == NULL) == (n > 0));
        if (shared != NULL) {
            shared[2 * page - 1] = 7;
            shared[-1] = 1;
            char read = 0;
            ck_assert_int_eq(pread(fileno(file), &read, 1, 2 * page - 1), 1);
            ck_assert_int_eq(read, 7);
            rn_pages_unmap_shared(shared, 2 * page, 100);
        }
        ck_assert_int_eq(fclose(file), 0);
        ck_assert(!rss_is_ours() || mapped_bytes_now() <= before + 64 * page);
    }
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("pages");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_test(tests, test_page_features__are_those_of_the_machine);
    tcase_add_test(tests, test_probe__mode_of_huge_pages_is_the_word_in_brackets);
    tcase_add_test(tests, test_pages__are_aligned_and_hold_nothing);
    tcase_add_test(tests, test_pages__are_resident_when_touched_and_no_others);
    tcase_add_test(tests, test_pages__populate_makes_all_resident);
    tcase_add_test(tests, test_pages__commit_refused_leaves_them_reserved);
    tcase_add_test(tests, test_pages__go_whatever_is_refused);
    tcase_add_test(tests, test_pages__space_that_was_not_taken_back_is_offered_again);
    tcase_add_test(tests, test_pages__trimming_that_fails_leaves_nothing);
    tcase_add_test(tests, test_pages__resize_keeps_what_is_in_them);
    tcase_add_test(tests, test_pages__large_mappings_lie_as_huge_pages_do);
    tcase_add_test(tests, test_pages__advice_follows_the_size);
    tcase_add_test(tests, test_pages__guard_is_lifted);
    tcase_add_test(tests, test_pages__shared_with_own_in_front);
    tcase_add_test_raise_signal(tests, test_pages__trap_until_committed, SIGSEGV);
    tcase_add_loop_test_raise_signal(tests, test_pages__guard_traps, SIGSEGV, 0, 2);
    Suite *suite = suite_create("memory/pages");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
