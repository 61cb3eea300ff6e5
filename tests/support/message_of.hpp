// Looking into the messages of exceptions, in the same words for both versions of Catch2.
#pragma once

#include <exception>
#include <initializer_list>
#include <string>

namespace lenskit::tests {

/// What the exception of the given type that `run` throws says; "nothing thrown" if there is none.
template <class Exception = std::exception, class Run>
std::string message_of(Run&& run) {
  try {
    run();
  } catch (const Exception& error) {
    return error.what();
  }
  return "nothing thrown";
}

/// Whether `text` contains all of the parts.
inline bool mentions(const std::string& text, std::initializer_list<std::string> parts) {
  for (const auto& part : parts) {
    if (text.find(part) == std::string::npos) return false;
  }
  return true;
}

}  // namespace lenskit::tests
