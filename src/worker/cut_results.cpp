#include <lenskit/detail/wire/exception.hpp>
#include <lenskit/detail/wire/message.hpp>
#include <lenskit/detail/wire/reader.hpp>
#include <lenskit/detail/wire/writer.hpp>
#include <lenskit/detail/worker/cut_results.hpp>
#include <lenskit/error.hpp>

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <exception>

namespace lenskit::detail {

void fail_cut_results(frame& message) {
  const auto head = reader(message.payload.bytes()).get<results_head>("a results message");
  const auto bytes = message.payload.size() + message.missing;
  const auto why = std::make_exception_ptr(serialization_error(
      head.count == 1 ? fmt::format("cannot receive a result of {} bytes: there is no memory for it", bytes)
                      : fmt::format("cannot receive {} results of {} bytes together: there is no memory for them",
                                    head.count, bytes)));
  writer failures;
  failures.put(head);
  for (std::uint32_t i = 0; i < head.count; ++i) {
    failures.put(run_head{.count = 1, .kind = run_kind::failure});
    encode_exception(failures, why);
  }
  message.payload = byte_buffer(failures.size());
  std::memcpy(message.payload.data(), failures.data(), failures.size());
  message.attached.clear();
  message.missing = 0;
}

}  // namespace lenskit::detail
