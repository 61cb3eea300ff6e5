#include <lenskit/detail/os/clock.hpp>
#include <lenskit/detail/os/output.hpp>
#include <lenskit/detail/os/signals.hpp>
#include <lenskit/detail/os/system.hpp>

#include <stdio_ext.h>
#include <time.h>
#include <ext/stdio_filebuf.h>

#include <array>
#include <cstddef>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <streambuf>

// How glibc's own fork and fflush go through the streams that are open. Another C library may lack them.
// NOLINTBEGIN(bugprone-reserved-identifier, readability-identifier-naming)
extern "C" {
void* _IO_iter_begin() noexcept __attribute__((weak));
void* _IO_iter_end() noexcept __attribute__((weak));
void* _IO_iter_next(void*) noexcept __attribute__((weak));
std::FILE* _IO_iter_file(void*) noexcept __attribute__((weak));
void _IO_list_lock() noexcept __attribute__((weak));
void _IO_list_unlock() noexcept __attribute__((weak));
}
// NOLINTEND(bugprone-reserved-identifier, readability-identifier-naming)

namespace lenskit::detail {
namespace {

constexpr std::chrono::milliseconds patience_for_streams{200};
constexpr int for_ever = -1;

// Calls `what` for each of C's streams, which nobody opens or closes if `locked`.
template <class What>
void for_each_stream(bool locked, What&& what) noexcept {
  const bool listed = _IO_iter_begin != nullptr && _IO_list_lock != nullptr;
  if (!listed) {
    for (auto* stream : {stdout, stderr}) what(stream);
    return;
  }
  if (locked) _IO_list_lock();
  for (auto* each = _IO_iter_begin(); each != _IO_iter_end(); each = _IO_iter_next(each)) what(_IO_iter_file(each));
  if (locked) _IO_list_unlock();
}

// Streams in memory and those of the user's own making are what this process says they are.
bool has_output(std::FILE* stream) noexcept { return ::__fpending(stream) > 0 && ::fileno_unlocked(stream) >= 0; }

// Not fflush(nullptr): it waits for whoever holds a stream, such as a thread in getline(stdin), and meanwhile nobody
// can fork.
bool lock_until(std::FILE* stream, steady::time_point deadline) noexcept {
  constexpr timespec pause{0, 1'000'000};
  while (::ftrylockfile(stream) != 0) {
    if (steady::now() >= deadline) return false;
    ::nanosleep(&pause, nullptr);
  }
  return true;
}

bool has_room(int fd, int limit_ms) noexcept {
  pollfd room{fd, POLLOUT, 0};
  for (;;) {
    const int ready = sys::poll(&room, 1, limit_ms);
    if (ready > 0) return true;
    if (ready == 0 || !sys::interrupted()) return false;
  }
}

// C's and C++'s libraries forget what a descriptor that does not block would not take at once.
void write_whole(int fd, const char* text, std::size_t bytes) noexcept {
  while (bytes > 0) {
    const auto written = sys::write(fd, text, bytes);
    if (written < 0 && sys::would_block() && has_room(fd, for_ever)) continue;
    if (written < 0 && sys::interrupted()) continue;
    if (written <= 0) return;
    text += written;
    bytes -= static_cast<std::size_t>(written);
  }
}

void write(std::FILE* stream, int wait_for_room_ms) noexcept {
  const int fd = ::fileno_unlocked(stream);
#ifdef __GLIBC__
  if (wait_for_room_ms == for_ever && (sys::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0) {
    write_whole(fd, stream->_IO_write_base, static_cast<std::size_t>(stream->_IO_write_ptr - stream->_IO_write_base));
    ::__fpurge(stream);
    return;
  }
#endif
  if (has_room(fd, wait_for_room_ms)) ::fflush_unlocked(stream);
}

void write_streams(int wait_for_room_ms) noexcept {
  const auto deadline = steady::now() + patience_for_streams;
  const auto write_one = [&](std::FILE* stream) {
    if (!has_output(stream) || !lock_until(stream, deadline)) return;
    if (has_output(stream)) write(stream, wait_for_room_ms);
    ::funlockfile(stream);
  };
  // Those that most often wait for a reader first: they are never closed, so that nobody has to wait to open a file.
  for (auto* stream : {stdout, stderr}) write_one(stream);
  for_each_stream(true, write_one);
}

// The buffer of a C++ stream, whose pointers only classes made from it may see.
template <class Char>
struct put_area : std::basic_streambuf<Char> {
  using buffer = std::basic_streambuf<Char>;
  static std::ptrdiff_t pending(const buffer& of) noexcept {
    return (of.*(&put_area::pptr))() - (of.*(&put_area::pbase))();
  }
  static const Char* begin(const buffer& of) noexcept { return (of.*(&put_area::pbase))(); }
  static void drop(buffer& of) noexcept { (of.*(&put_area::pbump))(-static_cast<int>(pending(of))); }
};

template <class Char>
bool has_output(const std::basic_ostream<Char>& stream) noexcept {
  return stream.rdbuf() != nullptr && put_area<Char>::pending(*stream.rdbuf()) > 0;
}

// True if it is one that libstdc++ put there, to which bytes go as they are.
bool write_standard_buffer(std::ostream& stream) noexcept {
  auto* own = dynamic_cast<__gnu_cxx::stdio_filebuf<char>*>(stream.rdbuf());
  if (own == nullptr) return false;
  write_whole(own->fd(), put_area<char>::begin(*own), static_cast<std::size_t>(put_area<char>::pending(*own)));
  put_area<char>::drop(*own);
  return true;
}
bool write_standard_buffer(std::wostream&) noexcept { return false; }

template <class Char>
void write(std::basic_ostream<Char>& stream) noexcept try {
  if (has_output(stream) && !write_standard_buffer(stream)) stream.flush();
} catch (...) {  // asked for with exceptions(), by code that prints and not by this
}

// What somebody collects in memory instead is this process's own from the fork on.
template <class Char>
void drop(std::basic_ostream<Char>& stream) noexcept {
  auto* file = dynamic_cast<std::basic_filebuf<Char>*>(stream.rdbuf());
  if (file != nullptr && has_output(stream)) put_area<Char>::drop(*file);
}

template <class What>
void for_each_cpp_stream(What&& what) noexcept {
  for (auto* stream : {&std::cout, &std::cerr, &std::clog}) what(*stream);
  for (auto* stream : {&std::wcout, &std::wcerr, &std::wclog}) what(*stream);
}

// Walking the list takes a lock, since another thread of a task may open a file: a few nanoseconds.
bool output_is_pending() noexcept {
  bool pending = false;
  for_each_stream(true, [&](std::FILE* stream) { pending = pending || has_output(stream); });
  for_each_cpp_stream([&](auto& stream) { pending = pending || has_output(stream); });
  return pending;
}

}  // namespace

void write_output() noexcept {
  if (!output_is_pending()) return;
  const file_limit_shield shield;
  for_each_cpp_stream([](auto& stream) { write(stream); });
  write_streams(for_ever);
}

void write_output_before_fork() noexcept {
  static const std::ios_base::Init streams_exist;  // in a global object that comes before all others, too
  const file_limit_shield shield;
  if (sys::single_threaded() && has_room(sys::standard_output, static_cast<int>(patience_for_streams.count())))
    for_each_cpp_stream([](auto& stream) { write(stream); });
  write_streams(static_cast<int>(patience_for_streams.count()));
}

void drop_inherited_output() noexcept {
  for_each_stream(false, [](std::FILE* stream) {
    if (has_output(stream)) ::__fpurge(stream);
  });
  for_each_cpp_stream([](auto& stream) { drop(stream); });
}

void print_by_lines() noexcept {
  constexpr std::size_t unbuffered = 1;
  if (::__fbufsize(stdout) == unbuffered) return;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
#ifdef __GLIBC__
  // Which otherwise takes note only when the buffer has been full.
  if (::__fpending(stdout) == 0) stdout->_IO_write_end = stdout->_IO_write_base;
#endif
}

void write_last_output() noexcept {
  const file_limit_shield shield;
  for (auto* stream : {&std::cout, &std::clog}) {
    if (has_output(*stream)) write_standard_buffer(*stream);
  }
#ifdef __GLIBC__
  for_each_stream(false, [](std::FILE* stream) {
    const auto* begin = stream->_IO_write_base;
    if (begin == nullptr || begin >= stream->_IO_write_ptr || stream->_IO_write_ptr > stream->_IO_buf_end) return;
    if (stream->_fileno >= 0)
      write_whole(stream->_fileno, begin, static_cast<std::size_t>(stream->_IO_write_ptr - begin));
  });
#endif
}

}  // namespace lenskit::detail
