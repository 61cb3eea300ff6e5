// expect: lenskit: this type cannot travel between processes: make it an aggregate, give it a Boost\.Serialization
// serialize\(\)
#include <lenskit/detail/wire/codec.hpp>

#include <string>

class closed_class {
 public:
  closed_class() = default;
#ifdef CORRECTED
  template <class Archive>
  void serialize(Archive& archive, unsigned) {
    archive& name_;
  }
#endif

 private:
  std::string name_;
};

void send(lenskit::detail::writer& out) { lenskit::detail::encode(out, closed_class()); }
