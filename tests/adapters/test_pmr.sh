#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# adapters/pmr.hpp: containers of the standard library over every kind of resource, the pools of
# std::pmr as a resource, refusals as std::bad_alloc, and nothing left afterwards.
. tests/support.sh
# The compiler that made the library, for the sanitizers' sake: gcc -> g++, clang-14 -> clang++-14.
cc=${CC:-gcc}
case $cc in
*clang*) cxx=${cc/clang/clang++} ;;
*) cxx=${cc/gcc/g++} ;;
esac
library=$(dirname "$RATION")/libration.a
if ! printf '#include <memory_resource>\nint main() {}' |
    $cxx -std=c++17 -x c++ -o "$scratch/a.out" - 2>/dev/null; then
    echo "skipped: no C++17 compiler"
    exit 77
fi
# A library with a sanitizer in it needs the same one in the program.
flags=()
if nm "$library" 2>/dev/null | grep -q ' U __asan_init'; then
    flags=(-fsanitize=address,undefined)
elif nm "$library" 2>/dev/null | grep -q ' U __tsan_init'; then
    flags=(-fsanitize=thread)
fi

cat >"$scratch/containers.cc" <<'C'
#include <ration/pmr.hpp>

#include <cstdio>
#include <cstdlib>
#include <list>
#include <map>
#include <string>
#include <vector>

static int checks;
static void check(bool holds, const char *text, int line)
{
    checks += 1;
    if (!holds) {
        std::printf("line %d: %s\n", line, text);
        std::exit(1);
    }
}
#define CHECK(x) check((x), #x, __LINE__)

static ration_slot *slot;
static ration_pool *pool;

static int64_t charged()
{
    ration_pool_figures figures;
    ration_pool_read(pool, &figures);
    return figures.charged_bytes;
}

/* What a program does with containers; all is gone when it returns, or throws. */
static std::size_t fill(std::pmr::memory_resource *memory, int rows)
{
    std::pmr::vector<std::pmr::string> names(memory);
    std::pmr::map<int, std::pmr::vector<int>> groups(memory);
    for (int i = 0; i < rows; i++) {
        names.emplace_back("a name that is too long to lie in the string itself");
        groups[i % 17].push_back(i);
    }
    std::size_t sum = 0;
    for (const auto &group : groups) {
        for (int value : group.second) {
            sum += static_cast<std::size_t>(value) + names[static_cast<std::size_t>(value)].size();
        }
    }
    return sum;
}

/* The same over what the standard library puts between: chunks of its own pools and buffers. */
static void fill_between(std::pmr::memory_resource *memory, std::size_t sum)
{
    {
        std::pmr::unsynchronized_pool_resource pools(memory);
        CHECK(fill(&pools, 1000) == sum);
    }
    std::pmr::monotonic_buffer_resource buffer(memory);
    CHECK(fill(&buffer, 1000) == sum);
}

static void over(ration_resource *resource, std::size_t sum)
{
    ration::memory_resource memory(resource);
    CHECK(memory.resource() == resource);
    CHECK(fill(&memory, 1000) == sum);
    fill_between(&memory, sum);
    void *aligned = static_cast<std::pmr::memory_resource &>(memory).allocate(100, 64);
    CHECK(reinterpret_cast<std::uintptr_t>(aligned) % 64 == 0);
    static_cast<std::pmr::memory_resource &>(memory).deallocate(aligned, 100, 64);
    int64_t before = charged();
    bool refused = false;
    try {
        (void)fill(&memory, 1 << 20);
    } catch (const ration::refused &error) {
        refused = true;
        CHECK(error.status() == RATION_QUERY_LIMIT);
        CHECK(std::string(error.what()) == ration_status_sentence(RATION_QUERY_LIMIT));
    } catch (const std::bad_alloc &) {
        CHECK(!"a refusal knows its status");
    }
    CHECK(refused);
    (void)before;
}

static void equality(ration_resource *one, ration_resource *other)
{
    ration::memory_resource first(one), same(one), different(other);
    std::pmr::memory_resource &a = first, &b = same, &c = different;
    CHECK(a == a);
    CHECK(a == b);
    CHECK(a != c);
    CHECK(a != *std::pmr::new_delete_resource());
}

/* The other way: whatever allocates for the library, counted and charged. */
static void under()
{
    std::pmr::unsynchronized_pool_resource pools;
    ration::resource_of resource(&pools), same(&pools);
    ration::resource_of other(std::pmr::new_delete_resource(), true);
    ration_resource_info info;
    ration_resource_read(resource, &info);
    CHECK(!info.thread_safe && std::string(info.kind) == "pmr");
    ration_resource_read(other.get(), &info);
    CHECK(info.thread_safe);
    CHECK(ration_resource_is_equal(resource, same));
    CHECK(!ration_resource_is_equal(resource, other));
    ration_charging *charging = nullptr;
    CHECK(ration_charging_open(resource, slot, "pools", &charging) == RATION_OK);
    ration_resource *counted = ration_charging_resource(charging);
    int64_t before = charged();
    ration_block block = {nullptr, 0};
    CHECK(ration_resource_allocate(counted, 0, 1, &block) == RATION_OK);
    CHECK(ration_resource_reallocate(counted, &block, 1000, 1) == RATION_OK);
    CHECK(charged() == before + 1000);
    ration_resource_deallocate(counted, block, 1);
    CHECK(charged() == before);
    {
        ration::memory_resource memory(counted); /* and round: pmr over charging over pmr */
        CHECK(fill(&memory, 100) > 0);
    }
    CHECK(charged() == before);
    ration_charging_close(charging);

    ration::resource_of never(std::pmr::null_memory_resource());
    CHECK(ration_resource_allocate(never, 1, 1, &block) == RATION_NO_MEMORY);
    CHECK(ration_charging_open(never, slot, nullptr, &charging) == RATION_OK);
    CHECK(ration_resource_allocate(ration_charging_resource(charging), 1, 1, &block) ==
          RATION_NO_MEMORY);
    CHECK(charged() == before);
    ration_charging_close(charging);
}

/* Nodes of one size come from an object pool; larger ones are refused as what they are. */
static void nodes()
{
    ration_object_pool *objects = nullptr;
    CHECK(ration_object_pool_open(slot, 64, 16, "nodes", &objects) == RATION_OK);
    {
        ration::memory_resource memory(ration_object_pool_resource(objects));
        std::pmr::list<long> list(&memory);
        for (long i = 0; i < 5000; i++) {
            list.push_back(i);
        }
        std::pmr::map<int, int> map(&memory);
        for (int i = 0; i < 5000; i++) {
            map[i * 7919 % 5000] = i;
        }
        list.remove_if([](long value) { return value % 3 != 0; });
        CHECK(list.size() == 1667 && map.size() == 5000);
        try {
            std::pmr::vector<int> wide(1000, &memory);
            CHECK(!"an object pool has no block of 4000 bytes");
        } catch (const ration::refused &error) {
            CHECK(error.status() == RATION_INVALID_ARGUMENT);
        }
    }
    ration_object_pool_close(objects);
}

int main()
{
    ration_limits limits;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = int64_t{1} << 30;
    limits.query_limit_bytes = 16 << 20;
    ration_governor *governor;
    ration_query *query;
    CHECK(ration_governor_open(&limits, &governor, nullptr) == RATION_OK);
    CHECK(ration_query_open(governor, nullptr, &query, nullptr) == RATION_OK);
    CHECK(ration_query_slot(query, &slot) == RATION_OK);
    pool = ration_query_pool(query);
    std::size_t sum = fill(std::pmr::new_delete_resource(), 1000);

    ration_context *context;
    ration_context_kind kinds[] = {RATION_CONTEXT_SET, RATION_CONTEXT_BUMP,
                                   RATION_CONTEXT_GENERATION};
    for (ration_context_kind kind : kinds) {
        CHECK(ration_context_create(nullptr, slot, kind, "containers", &context) == RATION_OK);
        over(ration_context_resource(context), sum);
        ration_context_delete(context);
        CHECK(charged() == 0);
    }
    ration_frame *frame;
    CHECK(ration_frame_open(slot, "containers", &frame) == RATION_OK);
    over(ration_frame_resource(frame), sum);
    ration_frame_close(frame);
    CHECK(charged() == 0);
    ration_charging *charging;
    CHECK(ration_charging_open(ration_heap_resource(), slot, "containers", &charging) == RATION_OK);
    over(ration_charging_resource(charging), sum);
    equality(ration_charging_resource(charging), ration_heap_resource());
    CHECK(charged() == 0);
    ration_charging_close(charging);
    {
        ration::memory_resource pages(ration_slot_blocks(slot));
        std::pmr::unsynchronized_pool_resource pools(&pages);
        CHECK(fill(&pools, 1000) == sum);
    }
    CHECK(charged() == 0);
    under();
    nodes();
    CHECK(charged() == 0);
    ration_query_close(query);
    ration_governor_close(governor);
    std::printf("checked %d\n", checks > 50 ? 1 : 0);
    return 0;
}
C
mkdir -p "$scratch/ration"
cp adapters/pmr.hpp "$scratch/ration/"

begin "containers compile against the installed layout, with every warning"
run $cxx "${flags[@]}" -std=c++17 -O1 -Wall -Wextra -Wshadow -Wconversion -Werror -pedantic-errors \
    -Iinclude -I"$scratch" -o "$scratch/containers" "$scratch/containers.cc" "$library" \
    $(pkg-config --libs yaml-0.1) -pthread -lm
expect_code 0

begin "containers over every resource, resources over std::pmr, refusals, nothing left"
run "$scratch/containers"
expect_code 0
expect_out "checked 1"

begin "the header compiles without RTTI"
run $cxx -std=c++17 -fno-rtti -Wall -Wextra -Werror -Iinclude -I"$scratch" -fsyntax-only \
    -x c++ adapters/pmr.hpp
expect_code 0
finish
