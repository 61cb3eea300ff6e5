#include <lenskit/sharing_mode.hpp>

#include <support/catch.hpp>

#include <stdexcept>
#include <thread>

using lenskit::in_share_context;
using lenskit::sharing_mode;

TEST_CASE("the share context is off outside of sharing mode") { CHECK_FALSE(in_share_context()); }

TEST_CASE("the share context is on for as long as a sharing mode lives") {
  {
    const sharing_mode sharing;
    CHECK(in_share_context());
  }
  CHECK_FALSE(in_share_context());
}

TEST_CASE("sharing modes nest") {
  const sharing_mode outer;
  {
    const sharing_mode inner;
    CHECK(in_share_context());
  }
  CHECK(in_share_context());
}

TEST_CASE("an exception ends the sharing mode") {
  try {
    const sharing_mode sharing;
    throw std::runtime_error("stop");
  } catch (const std::runtime_error&) {}
  CHECK_FALSE(in_share_context());
}

TEST_CASE("a sharing mode does not reach other threads") {
  const sharing_mode sharing;
  bool seen = true;
  std::thread([&] { seen = in_share_context(); }).join();
  CHECK_FALSE(seen);
}
