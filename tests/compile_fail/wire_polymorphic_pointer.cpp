// expect: lenskit: this type cannot travel between processes: it is or contains a class with virtual functions
#include <lenskit/detail/wire/codec.hpp>

#include <memory>

// Sent by its static type, what it points to would be cut off.
struct shape {
  virtual ~shape() = default;
#ifdef CORRECTED
  template <class Archive>
  void serialize(Archive&, unsigned) {}
#endif
};

void send(lenskit::detail::writer& out, const std::unique_ptr<shape>& value) { lenskit::detail::encode(out, value); }
