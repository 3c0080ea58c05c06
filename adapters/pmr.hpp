/* SPDX-License-Identifier: Apache-2.0
 *
 * Ration and std::pmr, both ways. C++17, header only.
 *
 *     ration::memory_resource over{ration_context_resource(context)};
 *     std::pmr::vector<int> rows{&over};                 charged; std::bad_alloc when refused
 *
 *     ration::resource_of under{std::pmr::new_delete_resource()};
 *     ration_charging_open(under, slot, "library", &charging);
 *
 * Neither owns what it stands on, which must outlive it. Threads: as the resource below. Built
 * without RTTI, equality is identity.
 */
#ifndef RATION_PMR_HPP
#define RATION_PMR_HPP

#include <ration_resource.h>

#include <cstddef>
#include <memory_resource>
#include <new>

namespace ration {

/* What memory_resource throws: std::bad_alloc that knows why. */
class refused : public std::bad_alloc {
public:
    explicit refused(ration_status status) noexcept : status_(status) {}
    const char *what() const noexcept override { return ration_status_sentence(status_); }
    ration_status status() const noexcept { return status_; }

private:
    ration_status status_;
};

/* A std::pmr::memory_resource that takes everything from a ration_resource. Throws `refused`. */
class memory_resource final : public std::pmr::memory_resource {
public:
    explicit memory_resource(ration_resource *resource) noexcept : resource_(resource) {}
    ration_resource *resource() const noexcept { return resource_; }

private:
    void *do_allocate(std::size_t bytes, std::size_t align) override
    {
        ration_block block = {nullptr, 0};
        ration_status status = ration_resource_allocate(resource_, bytes, align, &block);
        if (status != RATION_OK) {
            throw refused(status);
        }
        return block.memory;
    }

    void do_deallocate(void *memory, std::size_t bytes, std::size_t align) override
    {
        ration_resource_deallocate(resource_, ration_block{memory, bytes}, align);
    }

    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override
    {
        if (this == &other) {
            return true;
        }
#if defined(__cpp_rtti)
        auto same = dynamic_cast<const memory_resource *>(&other);
        return same != nullptr && ration_resource_is_equal(resource_, same->resource_);
#else
        return false;
#endif
    }

    ration_resource *resource_;
};

/* A ration_resource that takes everything from a std::pmr::memory_resource: what it throws becomes
 * RATION_NO_MEMORY. Equal to every other one over the same memory_resource. `thread_safe` is what
 * it says of itself; std::pmr does not tell. Charged to nobody. */
class resource_of {
public:
    explicit resource_of(std::pmr::memory_resource *upstream, bool thread_safe = false) noexcept
        : resource_{&calls_}, upstream_(upstream), thread_safe_(thread_safe)
    {
    }
    resource_of(const resource_of &) = delete;
    resource_of &operator=(const resource_of &) = delete;
    operator ration_resource *() noexcept { return &resource_; }
    ration_resource *get() noexcept { return &resource_; }

private:
    /* Standard layout: the resource comes first, so a pointer to it is one to this. */
    static const resource_of *self(const ration_resource *resource) noexcept
    {
        return reinterpret_cast<const resource_of *>(resource);
    }

    static ration_status allocate(ration_resource *resource, std::size_t bytes, std::size_t align,
                                  ration_block *out_block) noexcept
    {
        try {
            void *memory = self(resource)->upstream_->allocate(bytes, align);
            *out_block = ration_block{memory, bytes};
            return RATION_OK;
        } catch (...) {
            return RATION_NO_MEMORY;
        }
    }

    static void deallocate(ration_resource *resource, ration_block block,
                           std::size_t align) noexcept
    {
        self(resource)->upstream_->deallocate(block.memory, block.bytes, align);
    }

    static const void *identity(const ration_resource *resource) noexcept
    {
        return self(resource)->upstream_;
    }

    static void info(const ration_resource *resource, ration_resource_info *info) noexcept
    {
        info->name = "std::pmr";
        info->thread_safe = self(resource)->thread_safe_;
    }

    static constexpr ration_resource_calls calls_ = {
        sizeof(ration_resource_calls), "pmr", allocate, deallocate, nullptr, nullptr, identity,
        info};

    ration_resource resource_;
    std::pmr::memory_resource *upstream_;
    bool thread_safe_;
};

} // namespace ration

#endif
