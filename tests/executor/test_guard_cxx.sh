#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Guards in C++ and under C++ exceptions, through a shared library as a host loads it: a guard
# ends when an exception passes its scope, in a C++ frame and in a C frame compiled with
# -fexceptions; the exported ration_call_* are found without the header's inline functions.
. tests/support.sh
# The compiler that made the library, for the sanitizers' sake: gcc -> g++, clang-14 -> clang++-14.
cc=${CC:-gcc}
case $cc in
*clang*) cxx=${cc/clang/clang++} ;;
*) cxx=${cc/gcc/g++} ;;
esac
library=$(dirname "$RATION")
if ! echo 'int main() {}' | $cxx -x c++ -o "$scratch/a.out" - 2>/dev/null; then
    echo "skipped: no C++ compiler"
    exit 77
fi
# A library with a sanitizer in it needs the same one in the program.
flags=()
if nm "$library/libration.a" 2>/dev/null | grep -q ' U __asan_init'; then
    flags=(-fsanitize=address,undefined)
elif nm "$library/libration.a" 2>/dev/null | grep -q ' U __tsan_init'; then
    flags=(-fsanitize=thread)
fi

cat >"$scratch/frame.c" <<'C'
#include <ration.h>
int hold_and_call(ration_slot *slot, void (*call)(void))
{
    RATION_GUARD(guard, slot, "c frame");
    if (ration_guard_row(&guard, 1000) != RATION_OK) {
        return 1;
    }
    call();
    return 0;
}
C
cat >"$scratch/throw.cc" <<'C'
#include <ration.h>
#include <cstdio>
#include <stdexcept>

extern "C" int hold_and_call(ration_slot *slot, void (*call)());

static int64_t charged(ration_pool *pool)
{
    ration_pool_figures figures;
    ration_pool_read(pool, &figures);
    return figures.charged_bytes;
}

static ration_pool *pool;
static int64_t inside;

static void throw_it()
{
    inside = charged(pool);
    throw std::runtime_error("out");
}

int main()
{
    ration_limits limits;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = 1 << 20;
    ration_governor *governor;
    ration_query *query;
    ration_slot *slot;
    if (ration_governor_open(&limits, &governor, nullptr) != RATION_OK ||
        ration_query_open(governor, nullptr, &query, nullptr) != RATION_OK ||
        ration_query_slot(query, &slot) != RATION_OK) {
        return 1;
    }
    pool = ration_query_pool(query);
    try {
        RATION_GUARD(guard, slot, "c++ frame");
        if (ration_guard_row(&guard, 200) != RATION_OK) {
            return 1;
        }
        return hold_and_call(slot, throw_it);
    } catch (const std::runtime_error &) {
        std::printf("inside %lld, caught %lld\n", (long long)inside, (long long)charged(pool));
    }
    if (ration_call_slot_try_charge(slot, 50) != RATION_OK) {
        return 1;
    }
    ration_call_slot_release(slot, 20);
    ration_guard *guard = static_cast<ration_guard *>(::operator new(ration_call_guard_bytes()));
    ration_guard_begin(guard, slot, "binding");
    if (ration_call_guard_row(guard, 7) != RATION_OK) {
        return 1;
    }
    std::printf("bound %lld\n", (long long)charged(pool));
    ration_guard_end(guard);
    ::operator delete(guard);
    ration_query_close(query);
    ration_governor_close(governor);
    return 0;
}
C

begin "it compiles and links against a shared library that exports what tools/ration.map says"
run $cc "${flags[@]}" -shared -o "$scratch/libration.so" -Wl,--version-script=tools/ration.map \
    -Wl,--whole-archive "$library/libration.a" -Wl,--no-whole-archive \
    $(pkg-config --libs yaml-0.1) -pthread -lm
expect_code 0
run $cc "${flags[@]}" -std=c11 -Wall -Wextra -Werror -Iinclude -fexceptions -O1 -c \
    -o "$scratch/frame.o" "$scratch/frame.c"
expect_code 0
run $cxx "${flags[@]}" -std=c++17 -Wall -Wextra -Werror -Iinclude -O1 -o "$scratch/throw" \
    "$scratch/throw.cc" "$scratch/frame.o" -L"$scratch" -lration -pthread
expect_code 0

begin "an exception ends the guards of all scopes it leaves"
run env LD_LIBRARY_PATH="$scratch" "$scratch/throw"
expect_code 0
expect_out "inside 1200, caught 0"

begin "bindings find the inline functions as ration_call_*"
expect_out "bound 37"
finish
