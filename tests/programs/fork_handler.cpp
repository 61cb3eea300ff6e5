// A library that is asked at forks and then waits for a thread of its own, as some that compute in threads do.
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace {

std::atomic<bool> busy{false};
std::thread worker;

void wait_for_worker() {
  if (worker.joinable()) worker.join();
}

}  // namespace

extern "C" void compute_for_a_while() {
  busy = true;
  worker = std::thread([] {
    while (busy) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  });
  pthread_atfork(wait_for_worker, nullptr, nullptr);
}

extern "C" void stop_computing() { busy = false; }
