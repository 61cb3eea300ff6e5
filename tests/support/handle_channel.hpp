// Sends a value with its descriptors from a forked child to its parent, as the channel of run_sp does.
#pragma once

#include <lenskit/detail/os/channel.hpp>
#include <lenskit/detail/wire/codec.hpp>

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace lenskit::tests {

class handle_channel {
 public:
  handle_channel() : ends_(detail::make_packet_connection()) {}

  template <class T>
  bool send(const T& value) {
    detail::writer out;
    out.carry_descriptors(true);
    detail::encode(out, value);
    const auto attached = out.take_attachments();
    std::vector<int> descriptors;
    for (const auto& each : attached) descriptors.push_back(each.get());
    std::array<iovec, 1> parts{iovec{out.data(), out.size()}};
    return detail::send_all(ends_.first.get(), parts, descriptors);
  }
  /// In the parent, after the fork: from here on the end of the child is the end of the connection.
  void close_sender() { ends_.first.reset(); }
  /// Empty if the child ended without sending.
  template <class T>
  std::optional<T> receive() {
    std::vector<std::byte> room(std::size_t{64} << 10);
    std::vector<detail::descriptor> attached;
    const auto got = detail::receive_some(ends_.second.get(), room, detail::blocking::wait, attached);
    if (got.bytes == 0) return std::nullopt;
    detail::reader in(std::span<const std::byte>(room).first(got.bytes), attached);
    return detail::decode<T>(in);
  }

 private:
  detail::descriptor_pair ends_;
};

}  // namespace lenskit::tests
