// What an allocator is to a container that travels.
#pragma once

#include <lenskit/detail/wire/fields.hpp>

#include <memory>
#include <memory_resource>
#include <type_traits>

namespace lenskit::detail {

// An allocator does not travel: the container is made with a new one. One that has state of its own stands among the
// parts as this, which cannot travel, so that the container is refused. A polymorphic_allocator is the exception, since
// copies have the default resource as well.
template <class Allocator>
struct stateful_allocator {
  stateful_allocator(const stateful_allocator&) = delete;
};
template <class Allocator>
inline constexpr bool allocator_stays = (std::is_empty_v<Allocator> ||
                                         std::allocator_traits<Allocator>::is_always_equal::value) &&
                                        std::is_default_constructible_v<Allocator>;
template <class T>
inline constexpr bool allocator_stays<std::pmr::polymorphic_allocator<T>> = true;
template <class Allocator>
using allocator_part =
    std::conditional_t<allocator_stays<Allocator>, type_list<>, type_list<stateful_allocator<Allocator>>>;

}  // namespace lenskit::detail
