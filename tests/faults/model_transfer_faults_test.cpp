// Handing a stored model from a child to its parent: failure S9.
#include <lenskit/detail/os/descriptor.hpp>
#include <lenskit/error.hpp>
#include <lenskit/persist.hpp>

#include <support/catch.hpp>
#include <support/file_tree.hpp>
#include <support/handle_channel.hpp>
#include <support/in_child.hpp>
#include <support/message_of.hpp>
#include <support/shared_model.hpp>
#include <support/syscall_faults.hpp>

#include <sys/mman.h>

#include <span>
#include <vector>

namespace d = lenskit::detail;
using lenskit::persist;
using lenskit::persist_error;
using lenskit::persist_method;
using lenskit::persisted_model;
using lenskit::tests::fault_at;
using lenskit::tests::file_tree;
using lenskit::tests::files_in;
using lenskit::tests::handle_channel;
using lenskit::tests::holds_in_child;
using lenskit::tests::kill_this_process;
using lenskit::tests::make;
using lenskit::tests::mentions;
using lenskit::tests::message_of;
using lenskit::tests::model;
using lenskit::tests::survives;

TEST_CASE("S9: a transferred model has exactly one owner, the receiver") {
  const auto method = GENERATE(persist_method::shm, persist_method::file);
  const file_tree tree;
  handle_channel channel;
  const bool child = holds_in_child([&] {
    const lenskit::persist_options options = method == persist_method::file
                                                 ? lenskit::persist_options{.dir = tree.root()}
                                                 : lenskit::persist_options{.method = method};
    auto stored = persist(make(1000), options);
    const bool sent = channel.send(stored.transfer());
    return sent && !stored.is_owner() && stored.get() == make(1000);
  });
  CHECK(child);
  channel.close_sender();
  auto received = channel.receive<persisted_model<model>>();
  REQUIRE(received);
  CHECK(received->is_owner());
  CHECK(received->method() == method);
  CHECK(received->get() == make(1000));
  CHECK(files_in(tree.root()) == (method == persist_method::file ? 1 : 0));
  received->close();
  CHECK(files_in(tree.root()) == 0);
}

TEST_CASE("S9: a child that is killed at any call of a transfer leaves a complete owned model or nothing") {
  const auto method = GENERATE(persist_method::shm, persist_method::file);
  const file_tree tree;
  int lost = 0, owned = 0;
  for (int call = 1; owned == 0 && call < 200; ++call) {
    handle_channel channel;
    (void)survives([&] {
      const fault_at fault(call, kill_this_process);
      auto stored = method == persist_method::file ? persist(make(1000), {.dir = tree.root()})
                                                   : persist(make(1000), {.method = method});
      (void)channel.send(stored.transfer());
      kill_this_process();
    });
    channel.close_sender();
    if (auto received = channel.receive<persisted_model<model>>()) {
      REQUIRE(received->is_owner());
      REQUIRE(received->get() == make(1000));
      ++owned;
    } else {
      ++lost;
    }
    persist(1, {.dir = tree.root()}).close();
    REQUIRE(files_in(tree.root()) == 0);
  }
  CHECK(lost > 3);
  CHECK(owned == 1);
}

TEST_CASE("S9: a second adoption, a second transfer and a channel without descriptors are refused") {
  auto stored = persist(make(10));
  d::writer plain;
  CHECK(mentions(message_of<persist_error>([&] { d::encode(plain, stored); }), {"run_sp"}));
  CHECK(stored.is_owner());
  d::writer out;
  out.carry_descriptors(true);
  d::encode(out, stored.transfer());
  CHECK_THROWS_AS(stored.transfer(), persist_error);
  auto attached = out.take_attachments();
  const std::span<const std::byte> bytes(out.data(), out.size());
  const auto adopt = [&] {
    d::reader in(bytes, attached);
    return d::decode<persisted_model<model>>(in);
  };
  const auto first = adopt();
  CHECK(first.is_owner());
  CHECK_THROWS_AS(adopt(), persist_error);
}

TEST_CASE("S9: memory that its sender could still change is not taken over") {
  d::writer out;
  out.carry_descriptors(true);
  d::encode(out, persist(make(10)));
  std::vector<d::descriptor> attached;
  attached.emplace_back(::memfd_create("lenskit-forged", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  d::reader in(std::span<const std::byte>(out.data(), out.size()), attached);
  CHECK(mentions(message_of<persist_error>([&] { (void)d::decode<persisted_model<model>>(in); }), {"not sealed"}));
}

TEST_CASE("S9: a model that was loaded and whose bytes are gone can still be transferred") {
  auto stored = persist(std::vector<int>(1000, 5));
  (void)stored.get();
  handle_channel channel;
  REQUIRE(channel.send(stored.transfer()));
  const auto received = channel.receive<persisted_model<std::vector<int>>>();
  REQUIRE(received);
  CHECK(received->is_owner());
  CHECK(received->get() == std::vector<int>(1000, 5));
}

TEST_CASE("S9: an inherited model crosses by value, if it can") {
  const auto value = make(10);
  const auto stored = persist(value, {.method = persist_method::inherit});
  handle_channel channel;
  REQUIRE(channel.send(stored));
  const auto received = channel.receive<persisted_model<model>>();
  REQUIRE(received);
  CHECK(received->method() == persist_method::inherit);
  CHECK(received->is_owner());
  CHECK(received->get() == value);
}
