#include "fathom/tensor/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "fathom/tensor/denormals.h"
#include "fathom/tensor/error.h"
#include "fathom/tensor/pool.h"

#if defined(__x86_64__)
#include <immintrin.h>  // pause
#endif

namespace fathom {
namespace {

constexpr int most_threads = 256;

// Lives on the caller's stack. Who has time takes the next piece, half of its share of what is left, so that all end
// together also where a core is slow or late.
struct Job {
  FunctionRef<void(int64_t, int64_t)> f;
  int64_t n, grain, sharers;
  bool flush = flushes_denormals();
  std::atomic<int64_t> next = 0;
  std::mutex failing = {};
  std::exception_ptr error = {};
  int64_t failed_at = 0;

  int64_t end_of_piece(int64_t begin) const {
    const int64_t grains = (n - begin + grain - 1) / grain;
    return std::min(n, begin + grain * ((grains + 2 * sharers - 1) / (2 * sharers)));
  }
  void work() {
    int64_t begin = next, end;
    while (true) {
      do {
        if (begin >= n) return;
        end = end_of_piece(begin);
      } while (!next.compare_exchange_weak(begin, end));
      try {
        f(begin, end);
      } catch (...) {
        const std::lock_guard lock(failing);
        if (!error || begin < failed_at) error = std::current_exception(), failed_at = begin;
      }
      begin = end;
    }
  }
};

// All of this is trivially destructible: who comes after the end of the program's own objects still finds it.
constinit std::atomic<int> wanted_threads = 0;    // 0: as many as the machine has cores
constinit std::mutex in_use;                      // held by the caller whose job the workers do
constinit std::atomic<uint32_t> jobs_so_far = 0;  // a change wakes the workers
constinit std::atomic<Job*> current_job = nullptr;
constinit std::atomic<int> inside = 0;  // workers that may hold current_job
constinit std::atomic<bool> stopping = false;
constinit std::atomic<bool> ended = false;
constinit thread_local bool in_a_piece = false;

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

// Spins for tens of microseconds, giving way to other programs, before it sleeps: the next op of a training step comes
// within that time, and a wake-up costs as much.
void wait_for_change(uint32_t seen) {
  for (int round = 0; round < 64; ++round) {
    for (int i = 0; i < 16; ++i) {
      if (jobs_so_far.load(std::memory_order_acquire) != seen) return;
      pause();
    }
    std::this_thread::yield();
  }
  jobs_so_far.wait(seen, std::memory_order_acquire);
}

void serve(uint32_t seen) {
  in_a_piece = true;
  pool::give(pool::take(1), 1);  // a later first request would change the denormal mode within a job
  while (true) {
    wait_for_change(seen);
    seen = jobs_so_far.load();
    if (stopping) return;
    // In this order: the caller takes current_job back first and reads `inside` then.
    ++inside;
    if (Job* job = current_job.load()) {
      flush_denormals(job->flush);
      job->work();
    }
    --inside;
  }
}

struct Workers {
  std::vector<std::thread> list;

  void start(int n) {  // Requires: in_use is held.
    while (int(list.size()) < n) {
      try {
        list.emplace_back(serve, jobs_so_far.load());
      } catch (const std::system_error&) {  // the system gives no more threads; those there are do the work
        return;
      }
    }
  }
  void stop() {
    stopping = true;
    ++jobs_so_far;
    jobs_so_far.notify_all();
    for (std::thread& worker : list) worker.join();
    list.clear();
    stopping = false;
  }
  ~Workers() {
    ended = true;
    if (!in_a_piece) stop();
    else
      for (std::thread& worker : list) worker.detach();  // exit() was called from within an op
  }
};

Workers& workers() {
  static Workers all;
  return all;
}

}  // namespace

void set_threads(int n) {
  if (n < 1 || n > most_threads)
    throw Error("set_threads: from 1 to " + std::to_string(most_threads) + " threads, got " + std::to_string(n));
  if (in_a_piece) throw Error("set_threads: called from within an op, with " + std::to_string(n) + " threads");
  const std::lock_guard lock(in_use);
  if (!ended && n != wanted_threads) workers().stop();
  wanted_threads = n;
}

int threads() {
  if (const int n = wanted_threads.load(std::memory_order_relaxed)) return n;
  int none = 0;
  wanted_threads.compare_exchange_strong(none, std::clamp(int(std::thread::hardware_concurrency()), 1, most_threads));
  return wanted_threads;
}

void parallel_for(int64_t n, int64_t grain, FunctionRef<void(int64_t begin, int64_t end)> f) {
  if (n <= 0) return;
  const int64_t helpers = threads() - 1;
  if (helpers == 0 || n <= grain || in_a_piece || ended || !in_use.try_lock()) return f(0, n);
  const std::lock_guard lock(in_use, std::adopt_lock);
  workers().start(int(helpers));
  Job job{.f = f, .n = n, .grain = grain, .sharers = helpers + 1};
  current_job = &job;
  ++jobs_so_far;
  jobs_so_far.notify_all();
  in_a_piece = true;
  job.work();
  in_a_piece = false;
  current_job = nullptr;
  for (int i = 0; inside != 0; ++i) i < 1000 ? pause() : std::this_thread::yield();
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace fathom
