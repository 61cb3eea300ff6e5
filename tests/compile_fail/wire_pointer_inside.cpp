// expect: lenskit: this type cannot travel between processes: it is or contains a pointer, reference, iterator or view
#include <lenskit/detail/wire/codec.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct row {
  int number;
#ifdef CORRECTED
  std::string name;
#else
  std::string_view name;
#endif
};

void send(lenskit::detail::writer& out, const std::vector<std::pair<int, row>>& rows) {
  lenskit::detail::encode(out, rows);
}
