/* SPDX-License-Identifier: Apache-2.0
 *
 * Marks memory that nobody may touch: under AddressSanitizer it traps, in checked builds what was
 * freed reads 0x7f. */
#ifndef RATION_POISON_H
#define RATION_POISON_H

#include "base/base.h"

#if defined(__SANITIZE_ADDRESS__)
#define RN_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RN_ASAN 1
#endif
#endif

#ifdef RN_ASAN
#include <sanitizer/asan_interface.h>
#endif

static inline void rn_poison(void *memory, size_t bytes)
{
#ifdef RN_ASAN
    __asan_poison_memory_region(memory, bytes);
#else
    (void)memory;
    (void)bytes;
#endif
}

static inline void rn_unpoison(void *memory, size_t bytes)
{
#ifdef RN_ASAN
    __asan_unpoison_memory_region(memory, bytes);
#else
    (void)memory;
    (void)bytes;
#endif
}

/* Freed: scribbled over in checked builds, then poisoned. */
static inline void rn_bury(void *memory, size_t bytes)
{
#ifdef RATION_CHECKED
    rn_unpoison(memory, bytes);
    memset(memory, 0x7f, bytes);
#endif
    rn_poison(memory, bytes);
}

#endif
