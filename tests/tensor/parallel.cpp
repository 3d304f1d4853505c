#include "fathom/tensor/parallel.h"

#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

#include "fathom/tensor/denormals.h"
#include "fathom/tensor/pool.h"
#include "tests/support.h"

using namespace fathom;

namespace {

struct Threads {
  int before = threads();
  explicit Threads(int n) { set_threads(n); }
  ~Threads() { set_threads(before); }
};

}  // namespace

TEST_CASE("parallel: each element is visited once, whatever the number of threads") {
  for (int n_threads : {1, 2, 3, 8, 64}) {
    const Threads scope(n_threads);
    for (int64_t n : {0, 1, 63, 64, 65, 1000, 12345}) {
      std::vector<int> visits(size_t(n), 0);
      parallel(n, 64, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) ++visits[size_t(i)];
      });
      CHECK(std::accumulate(visits.begin(), visits.end(), 0) == n);
      CHECK(visits == std::vector<int>(size_t(n), 1));
    }
  }
}

TEST_CASE("parallel: pieces begin and end at multiples of the grain") {
  const Threads scope(4);
  std::atomic<bool> good = true;
  parallel_for(10007, 100, [&](int64_t begin, int64_t end) {
    if (begin % 100 || (end % 100 && end != 10007) || begin >= end) good = false;
  });
  CHECK(good);
}

TEST_CASE("parallel: the first piece's exception arrives, and the workers go on working") {
  for (int n_threads : {1, 2, 4}) {
    const Threads scope(n_threads);
    for (int repeat = 0; repeat < 50; ++repeat) {
      const std::string message = error_of([] {
        parallel_for(1000, 1, [](int64_t begin, int64_t end) {
          for (; begin < end; ++begin)
            if (begin >= 300) throw Error("element " + std::to_string(begin));
        });
      });
      CHECK(message == "element 300");
      std::atomic<int64_t> sum = 0;
      parallel_for(1000, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
      CHECK(sum == 1000);
    }
  }
}

TEST_CASE("parallel: calls from within run on the calling thread") {
  const Threads scope(4);
  std::atomic<int64_t> sum = 0;
  std::atomic<bool> same_thread = true;
  parallel_for(64, 1, [&](int64_t begin, int64_t end) {
    const auto me = std::this_thread::get_id();
    for (; begin < end; ++begin)
      parallel_for(100, 1, [&](int64_t b, int64_t e) {
        if (std::this_thread::get_id() != me) same_thread = false;
        sum += e - b;
      });
  });
  CHECK(sum == 6400);
  CHECK(same_thread);
}

TEST_CASE("parallel: callers on several threads get their own results") {
  const Threads scope(2);
  std::atomic<int64_t> wrong = 0;
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c)
    callers.emplace_back([&] {
      for (int repeat = 0; repeat < 200; ++repeat) {
        std::atomic<int64_t> sum = 0;
        parallel_for(1000, 10, [&](int64_t begin, int64_t end) {
          for (; begin < end; ++begin) sum += begin;
        });
        wrong += sum != 499500;
      }
    });
  for (std::thread& caller : callers) caller.join();
  CHECK(wrong == 0);
}

TEST_CASE("parallel: workers take over the caller's treatment of denormal numbers") {
  const Threads scope(4);
  const bool before = flushes_denormals();
  for (bool flush : {true, false, true}) {
    flush_denormals(flush);
    std::atomic<int> other = 0;
    for (int repeat = 0; repeat < 20; ++repeat)
      parallel_for(1000, 1, [&](int64_t, int64_t) {
        pool::give(pool::take(100), 100);
        other += flushes_denormals() != flush;
      });
    CHECK(other == 0);
  }
  flush_denormals(before);
}

TEST_CASE("parallel: the number of threads") {
  CHECK(threads() >= 1);
  CHECK(error_of([] { set_threads(0); }) == "set_threads: from 1 to 256 threads, got 0");
  CHECK(error_of([] { set_threads(-3); }) == "set_threads: from 1 to 256 threads, got -3");
  CHECK(error_of([] { set_threads(257); }) == "set_threads: from 1 to 256 threads, got 257");
  const Threads scope(3);
  CHECK(threads() == 3);
  CHECK(error_of([] { parallel_for(10, 1, [](int64_t, int64_t) { set_threads(2); }); }) ==
        "set_threads: called from within an op, with 2 threads");
  for (int n = 1; n < 20; ++n) {
    set_threads(n);
    std::atomic<int64_t> sum = 0;
    parallel_for(100, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
    CHECK(sum == 100);
  }
}
