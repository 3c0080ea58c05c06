/* SPDX-License-Identifier: Apache-2.0
 *
 * Pages: reserved address space and mappings of their own, and what the kernel can do for either.
 *
 * Invariants
 * 1. Whatever the system refuses, pages that were given up are gone when the call returns. munmap
 *    fails where a mapping would have to be split and there are vm.max_map_count of them; madvise
 *    fails on locked pages before Linux 5.18 and under filters. Each stands in for the other, and a
 *    fresh mapping laid over the old one for both. Only when all three fail are pages left, which
 *    is a fault.
 * 2. A reserved page is resident only once it was touched. Transparent huge pages and the
 *    multi-size ones make 16 KiB .. 2 MiB resident at one touch, and khugepaged fills holes with
 *    zeroed pages (max_ptes_none), so that vacant blocks come back: both would be resident without
 *    being charged. Reserved space is therefore advised against them, whatever the machine's mode
 *    is, because an administrator can change it at any time. Mappings of their own are charged
 *    whole; those of 2 MiB or more are aligned and advised for huge pages, which makes their first
 *    touch several times cheaper, also in mode madvise. The advice keeps the kernel from merging
 *    them with other mappings, so no huge page reaches over an end.
 * 3. A feature that is missing costs one failed call when the process first asks, or none.
 *
 * Overcommit. In modes 0 and 1 reserved and committed address space of spans is not accounted
 * (MAP_NORESERVE); mappings of their own are, so that one that cannot be had is refused here and
 * does not end in a kill. In mode 2 everything writable is accounted until it is unmapped: vacant
 * blocks count against CommitLimit, and a commit may be refused. RLIMIT_AS counts what is reserved,
 * RLIMIT_DATA what is committed. A process under mlockall(MCL_FUTURE) has all that is committed
 * resident at once; that is not charged.
 *
 * Rejected: MADV_FREE, which is faster where pages are wanted back, but leaves them resident until
 * the machine runs short: RSS is then above what is charged. Rejected: MREMAP_FIXED onto an
 * aligned place, which would keep huge pages whole over a move: after a refusal nobody knows
 * whether the place is still ours.
 */
#include "memory/pages.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/heap.h"

/* Of kernels that are newer than the headers. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

#define ACCESSIBLE (PROT_READ | PROT_WRITE)
#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS)
#define STUCK_MAX 64

/* ------------------------------------------------------------------------------------- features */

static rn_page_features features;
static pthread_once_t features_once = PTHREAD_ONCE_INIT;

static void probe_features(void)
{
    features.page_bytes = (int64_t)getpagesize();
    features.huge = rn_probe_huge("");
    /* madvise(2): of no bytes it answers whether it knows the advice. */
    features.populate = madvise(NULL, 0, MADV_POPULATE_WRITE) == 0;
    features.huge_advice = madvise(NULL, 0, MADV_NOHUGEPAGE) == 0;
    features.guards = madvise(NULL, 0, MADV_GUARD_INSTALL) == 0;
    size_t bytes = (size_t)features.page_bytes;
    void *page = mmap(NULL, bytes, PROT_NONE, ANONYMOUS, -1, 0);
    if (page != MAP_FAILED) {
        features.names = prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, page, bytes, "ration probe") == 0;
        (void)munmap(page, bytes);
    }
}

const rn_page_features *rn_page_features_get(void)
{
    (void)pthread_once(&features_once, probe_features);
    return &features;
}

/* ------------------------------------------------------------------------------------ the calls */

static rn_failure failures[RN_PAGES_CALLS];
static int64_t calls[RN_PAGES_CALLS]; /* atomic */

void rn_pages_fail_after(rn_pages_call call, int64_t n, bool forever)
{
    rn_failure_arm(&failures[call], n, forever);
}

int64_t rn_pages_calls(rn_pages_call call)
{
    return rn_load(&calls[call]);
}

/* Counts the call. Has it to fail? */
static bool refused(rn_pages_call call)
{
    (void)rn_fetch_add(&calls[call], 1);
    return rn_failure_due(&failures[call]);
}

static void *map(void *hint, int64_t bytes, int protection, int flags)
{
    if (refused(RN_PAGES_MMAP)) {
        return NULL;
    }
    void *pages = mmap(hint, (size_t)bytes, protection, ANONYMOUS | flags, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

static bool unmap(void *pages, int64_t bytes)
{
    return !refused(RN_PAGES_MUNMAP) && munmap(pages, (size_t)bytes) == 0;
}

static bool protect(void *pages, int64_t bytes, int protection)
{
    return !refused(RN_PAGES_MPROTECT) && mprotect(pages, (size_t)bytes, protection) == 0;
}

static bool advise(void *pages, int64_t bytes, int advice)
{
    return !refused(RN_PAGES_MADVISE) && madvise(pages, (size_t)bytes, advice) == 0;
}

static void *move(void *pages, int64_t old_bytes, int64_t new_bytes, int flags)
{
    if (refused(RN_PAGES_MREMAP)) {
        return NULL;
    }
    void *moved = mremap(pages, (size_t)old_bytes, (size_t)new_bytes, flags);
    return moved == MAP_FAILED ? NULL : moved;
}

/* -------------------------------------------------------------- address space that is not taken */

static struct {
    pthread_mutex_t lock; /* only ever tried: the child of a fork may inherit it locked */
    int64_t count;        /* atomic, so that nobody tries in vain */
    struct {
        void *pages;
        int64_t bytes;
    } ranges[STUCK_MAX];
} stuck = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void keep_stuck(void *pages, int64_t bytes)
{
    if (pthread_mutex_trylock(&stuck.lock) != 0) {
        return;
    }
    int64_t count = rn_load(&stuck.count);
    if (count < STUCK_MAX) {
        stuck.ranges[count].pages = pages;
        stuck.ranges[count].bytes = bytes;
        rn_store(&stuck.count, count + 1);
    }
    (void)pthread_mutex_unlock(&stuck.lock);
}

static void retry_stuck(void)
{
    if (RN_LIKELY(rn_load(&stuck.count) == 0) || pthread_mutex_trylock(&stuck.lock) != 0) {
        return;
    }
    int64_t count = rn_load(&stuck.count);
    while (count > 0 && unmap(stuck.ranges[count - 1].pages, stuck.ranges[count - 1].bytes)) {
        count -= 1;
    }
    rn_store(&stuck.count, count);
    (void)pthread_mutex_unlock(&stuck.lock);
}

/* -------------------------------------------------------------------------------- address space */

void rn_pages_keep_small(void *pages, int64_t bytes)
{
    if (rn_page_features_get()->huge_advice) {
        (void)advise(pages, bytes, MADV_NOHUGEPAGE);
    }
}

bool rn_pages_decommit(void *pages, int64_t bytes)
{
    if (advise(pages, bytes, MADV_DONTNEED) || advise(pages, bytes, MADV_DONTNEED_LOCKED)) {
        return true;
    }
    if (map(pages, bytes, ACCESSIBLE, MAP_NORESERVE | MAP_FIXED) == NULL) {
        return false;
    }
    rn_pages_keep_small(pages, bytes);
    return true;
}

bool rn_pages_unreserve(void *pages, int64_t bytes)
{
    if (unmap(pages, bytes)) {
        return true;
    }
    (void)rn_never(!rn_pages_decommit(pages, bytes));
    return false;
}

/* The same for what nobody would know of afterwards. */
static bool give_up(void *pages, int64_t bytes)
{
    bool gone = rn_pages_unreserve(pages, bytes);
    if (!gone) {
        keep_stuck(pages, bytes);
    }
    return gone;
}

/* More than is wanted, so that an aligned part is in it; the rest goes back. */
static void *map_and_trim(int64_t bytes, int64_t align, int protection, int flags)
{
    int64_t whole = rn_add(bytes, align - rn_page_features_get()->page_bytes);
    char *base = (char *)map(NULL, whole, protection, flags);
    if (base == NULL) {
        return NULL;
    }
    int64_t before = rn_round_up((int64_t)(intptr_t)base, align) - (int64_t)(intptr_t)base;
    char *pages = base + before;
    int64_t behind = whole - before - bytes;
    if (before > 0 && !unmap(base, before)) {
        (void)give_up(base, whole);
        return NULL;
    }
    if (behind > 0 && !unmap(pages + bytes, behind)) {
        (void)give_up(pages, bytes + behind);
        return NULL;
    }
    return pages;
}

/* Mappings are laid side by side, downwards: the one behind an aligned one is aligned as a rule,
 * and where it is not, the place a little below is free. */
static void *map_aligned(int64_t bytes, int64_t align, int protection, int flags)
{
    char *pages = (char *)map(NULL, bytes, protection, flags);
    int64_t beyond = (int64_t)((uintptr_t)pages % (uintptr_t)align);
    if (beyond == 0) {
        return pages;
    }
    char *below = pages - beyond;
    if (!give_up(pages, bytes)) {
        below -= rn_round_up(bytes, align);
    }
    pages = (char *)map(below, bytes, protection, flags);
    if ((uintptr_t)pages % (uintptr_t)align == 0) {
        return pages;
    }
    (void)give_up(pages, bytes);
    return map_and_trim(bytes, align, protection, flags);
}

void *rn_pages_reserve(int64_t bytes, int64_t align)
{
    void *pages = map_aligned(bytes, align, PROT_NONE, MAP_NORESERVE);
    if (pages != NULL) {
        rn_pages_keep_small(pages, bytes);
    }
    return pages;
}

bool rn_pages_commit(void *pages, int64_t bytes)
{
    return protect(pages, bytes, ACCESSIBLE);
}

void rn_pages_populate(void *pages, int64_t bytes)
{
    const rn_page_features *known = rn_page_features_get();
    if (known->populate) {
        (void)advise(pages, bytes, MADV_POPULATE_WRITE);
        return;
    }
    for (int64_t at = 0; at < bytes; at += known->page_bytes) {
        *((volatile char *)pages + at) = 0;
    }
}

/* ------------------------------------------------------------------------ mappings of their own */

/* Smaller ones hold nothing that is not charged either; only where the machine gives huge pages
 * unasked would one reach into a neighbour, and stay when either goes. */
static void choose_page_size(void *pages, int64_t bytes)
{
    if (bytes < RN_HUGE_PAGE_BYTES) {
        if (rn_page_features_get()->huge == RN_HUGE_ALWAYS) {
            rn_pages_keep_small(pages, bytes);
        }
    } else if (rn_page_features_get()->huge_advice) {
        (void)advise(pages, bytes, MADV_HUGEPAGE);
    }
}

void *rn_pages_map(int64_t bytes)
{
    bool large = bytes >= RN_HUGE_PAGE_BYTES && rn_page_features_get()->huge_advice;
    void *pages = large ? map_aligned(bytes, RN_HUGE_PAGE_BYTES, ACCESSIBLE, 0) : NULL;
    if (pages == NULL) { /* the surplus may be what does not fit */
        pages = map(NULL, bytes, ACCESSIBLE, 0);
    }
    if (pages != NULL) {
        choose_page_size(pages, bytes);
    }
    return pages;
}

void rn_pages_unmap(void *pages, int64_t bytes)
{
    if (give_up(pages, bytes)) {
        retry_stuck();
    }
}

void *rn_pages_resize(void *pages, int64_t old_bytes, int64_t new_bytes)
{
    void *moved = move(pages, old_bytes, new_bytes, new_bytes > old_bytes ? MREMAP_MAYMOVE : 0);
    if (moved != NULL && (old_bytes < RN_HUGE_PAGE_BYTES) != (new_bytes < RN_HUGE_PAGE_BYTES)) {
        choose_page_size(moved, new_bytes);
    }
    return moved;
}

/* ----------------------------------------------------------------------------- guards and names */

void rn_pages_guard(void *page)
{
    const rn_page_features *known = rn_page_features_get();
    if (!known->guards || !advise(page, known->page_bytes, MADV_GUARD_INSTALL)) {
        (void)protect(page, known->page_bytes, PROT_NONE);
    }
}

bool rn_pages_unguard(void *page)
{
    const rn_page_features *known = rn_page_features_get();
    return (!known->guards || advise(page, known->page_bytes, MADV_GUARD_REMOVE)) &&
           protect(page, known->page_bytes, ACCESSIBLE);
}

void rn_pages_name(void *pages, int64_t bytes, const char *name)
{
    if (rn_page_features_get()->names) {
        (void)prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, pages, (size_t)bytes, name);
    }
}

/* --------------------------------------------------------------------- memory of many processes */

void *rn_pages_map_shared(int descriptor, int64_t bytes, int64_t own_bytes)
{
    int64_t own = rn_round_up(own_bytes, rn_page_features_get()->page_bytes);
    int64_t whole = own + bytes;
    char *base = (char *)map(NULL, whole, ACCESSIBLE, 0);
    if (base == NULL) {
        return NULL;
    }
    if (refused(RN_PAGES_MMAP) ||
        mmap(base + own, (size_t)bytes, ACCESSIBLE, MAP_SHARED | MAP_FIXED, descriptor, 0) ==
            MAP_FAILED ||
        !advise(base, whole, MADV_DONTFORK)) {
        rn_pages_unmap(base, whole);
        return NULL;
    }
    return base + own;
}

void rn_pages_unmap_shared(void *shared, int64_t bytes, int64_t own_bytes)
{
    int64_t own = rn_round_up(own_bytes, rn_page_features_get()->page_bytes);
    rn_pages_unmap((char *)shared - own, own + bytes);
}
