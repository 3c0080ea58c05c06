/* SPDX-License-Identifier: Apache-2.0
 *
 * How a model looks at what it promises. A promise has a number; a model compiled with PROMISE = n
 * looks at that one alone, so that a mutant can be shown to break the very one that it should. What
 * is printed (pan.c compiled with -DPRINTF) says which fell.
 */
#ifndef PROMISE
#define PROMISE 0
#endif
#define promise(which, name, holds)                                                                \
    if                                                                                             \
    :: (PROMISE != 0 && PROMISE != which) || (holds)                                               \
    :: else -> printf(name); assert(false)                                                         \
    fi
