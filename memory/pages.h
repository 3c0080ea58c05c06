/* SPDX-License-Identifier: Apache-2.0
 *
 * Pages from the operating system; pages.c is the one file that asks for them.
 *
 *     rn_pages_reserve -> rn_pages_commit -> rn_pages_decommit .. -> rn_pages_unreserve
 *     rn_pages_map -> rn_pages_resize .. -> rn_pages_unmap
 *
 * Address space that is reserved holds no pages and counts against nothing but RLIMIT_AS. Committed
 * it may be touched, and holds the pages that were. Decommitted it holds none again, but may still
 * be touched: its bytes are 0.
 *
 * Addresses and amounts are multiples of the page. Nothing here is charged, and no lock is taken
 * that another call holds while it waits for the system; any thread. */
#ifndef RATION_PAGES_H
#define RATION_PAGES_H

#include "memory/machine/probe.h"

#define RN_HUGE_PAGE_BYTES ((int64_t)2 * 1024 * 1024)

/* What the kernel can do for us, found out once. None of it is needed. */
typedef struct rn_page_features {
    int64_t page_bytes;
    bool populate;     /* MADV_POPULATE_WRITE: a range is made resident by one call */
    bool guards;       /* MADV_GUARD_INSTALL: a guard page splits no mapping */
    bool names;        /* PR_SET_VMA_ANON_NAME: mappings are named in /proc/PID/maps */
    bool huge_advice;  /* MADV_HUGEPAGE, MADV_NOHUGEPAGE */
    rn_huge_mode huge; /* what the machine does without advice, when first asked */
} rn_page_features;

/* Of this process. Any thread; the first call asks the kernel. */
const rn_page_features *rn_page_features_get(void);

/* Address space aligned to `align`, a power of two, at least a page. NULL = the system refuses. */
void *rn_pages_reserve(int64_t bytes, int64_t align);
/* Makes reserved pages usable. False: refused, and they are as they were. */
RATION_NODISCARD bool rn_pages_commit(void *pages, int64_t bytes);
/* Makes fresh committed pages resident at once. What the system refuses is left to the first touch.
 */
void rn_pages_populate(void *pages, int64_t bytes);
/* The pages go at once. False: some may still be resident. */
RATION_NODISCARD bool rn_pages_decommit(void *pages, int64_t bytes);
/* The address space goes. False: it is still the caller's (vm.max_map_count), but its pages went.
 */
RATION_NODISCARD bool rn_pages_unreserve(void *pages, int64_t bytes);

/* A mapping of its own, zeroed, aligned to a huge page when it is as large. NULL = refused. */
void *rn_pages_map(int64_t bytes);
/* Cannot fail: address space that the system does not take back is kept in a list, and offered
 * again at later calls. */
void rn_pages_unmap(void *pages, int64_t bytes);
/* Of a mapping of its own; may move it. NULL = refused, and it is as it was. */
void *rn_pages_resize(void *pages, int64_t old_bytes, int64_t new_bytes);

/* From now on touching this page traps; what it held is gone. Best effort. */
void rn_pages_guard(void *page);
/* False: it may still trap. */
RATION_NODISCARD bool rn_pages_unguard(void *page);
/* Best effort, and EINVAL on many kernels. `name` is kept by the kernel. */
void rn_pages_name(void *pages, int64_t bytes, const char *name);
/* Never a page larger than what was touched. Best effort. */
void rn_pages_keep_small(void *pages, int64_t bytes);

/* Maps the first `bytes` of a file for all who do so, with `own_bytes` zeroed bytes directly in
 * front that are this process's alone. The child of a fork has neither. NULL = the system refuses.
 */
void *rn_pages_map_shared(int descriptor, int64_t bytes, int64_t own_bytes);
void rn_pages_unmap_shared(void *shared, int64_t bytes, int64_t own_bytes);

/* Calls of the system that a test can make fail, each counted for itself. Probing is not counted.
 */
typedef enum rn_pages_call {
    RN_PAGES_MMAP,
    RN_PAGES_MUNMAP,
    RN_PAGES_MPROTECT,
    RN_PAGES_MREMAP,
    RN_PAGES_MADVISE,
    RN_PAGES_CALLS
} rn_pages_call;
/* Makes the nth such call from now fail, once or for ever; 0 = off. */
void rn_pages_fail_after(rn_pages_call call, int64_t n, bool forever);
/* How often it was made so far, refusals included. */
int64_t rn_pages_calls(rn_pages_call call);

#endif
