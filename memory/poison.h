/* SPDX-License-Identifier: Apache-2.0
 *
 * Says what may be touched. Under AddressSanitizer the rest traps; in checked builds valgrind
 * reports it, if the program runs under it, and what was freed reads 0x7f. Nothing in release.
 *
 *     rn_poison    nobody may touch it                        headers in use, free memory
 *     rn_unpoison  may be written; holds nothing worth reading    what is newly handed out
 *     rn_open      may be read: it holds what was written to it   a header or link looked at again
 *     rn_bury      freed: scribbled over, then poisoned
 *
 * rn_unpoison where rn_open is meant shows under valgrind as a decision on uninitialised memory;
 * the other way round hides one.
 */
#ifndef RATION_POISON_H
#define RATION_POISON_H

#include "base/base.h"

#if RN_ASAN
#include <sanitizer/asan_interface.h>
#elif defined(RATION_CHECKED) && defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#define RN_MEMCHECK 1
#endif
#endif

static inline void rn_poison(const void *memory, size_t bytes)
{
    (void)memory;
    (void)bytes;
#if RN_ASAN
    __asan_poison_memory_region(memory, bytes);
#elif defined(RN_MEMCHECK)
    (void)VALGRIND_MAKE_MEM_NOACCESS(memory, bytes);
#endif
}

static inline void rn_unpoison(const void *memory, size_t bytes)
{
    (void)memory;
    (void)bytes;
#if RN_ASAN
    __asan_unpoison_memory_region(memory, bytes);
#elif defined(RN_MEMCHECK)
    (void)VALGRIND_MAKE_MEM_UNDEFINED(memory, bytes);
#endif
}

static inline void rn_open(const void *memory, size_t bytes)
{
    (void)memory;
    (void)bytes;
#if RN_ASAN
    __asan_unpoison_memory_region(memory, bytes);
#elif defined(RN_MEMCHECK)
    (void)VALGRIND_MAKE_MEM_DEFINED(memory, bytes);
#endif
}

static inline void rn_bury(void *memory, size_t bytes)
{
#ifdef RATION_CHECKED
    rn_unpoison(memory, bytes);
    memset(memory, 0x7f, bytes);
#endif
    rn_poison(memory, bytes);
}

/* Does valgrind look? It sees uninitialised reads only in memory nobody has written a pattern to.
 */
static inline bool rn_under_valgrind(void)
{
#ifdef RN_MEMCHECK
    return RUNNING_ON_VALGRIND != 0;
#else
    return false;
#endif
}

#endif
