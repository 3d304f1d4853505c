#include "fathom/tensor/pool.h"

#include <cstring>
#include <thread>

#include "fathom/tensor/kernels/map.h"
#include "fathom/tensor/tensor.h"
#include "tests/support.h"

using namespace fathom;

namespace {

const Tensor& global() {
  static const Tensor x = kernel::full({4}, 3, f32);
  return x;
}
Tensor late = kernel::full({4}, 2, f32);  // dies after main

}  // namespace

TEST_CASE("pool: every size has the smallest class that holds it") {
  size_t last = 0;
  for (size_t bytes = 0; bytes < 70000; ++bytes) {
    const pool::SizeClass c = pool::size_class(bytes);
    if (c.bytes < bytes || c.bytes % pool::line || c.index < last || c.index > last + 1) FAIL(bytes);
    if (bytes > 4096 && c.bytes > bytes + bytes / 8 + pool::line) FAIL(bytes);
    last = c.index;
  }
  for (int power = 12; power <= 48; ++power)
    for (size_t bytes : {(size_t{1} << power) - 1, size_t{1} << power, (size_t{1} << power) + 1}) {
      const pool::SizeClass c = pool::size_class(bytes);
      CHECK(c.bytes >= bytes);
      CHECK(c.index < pool::classes);
      CHECK(pool::size_class(c.bytes).index == c.index);
    }
}

TEST_CASE("pool: blocks are aligned, and the one freed last comes back first") {
  for (size_t bytes : {1, 64, 65, 1000, 5000, 100000}) {
    void* a = pool::take(bytes);
    CHECK(reinterpret_cast<uintptr_t>(a) % pool::line == 0);
    std::memset(a, 1, bytes);
    pool::give(a, bytes);
#ifndef __SANITIZE_ADDRESS__
    void* b = pool::take(bytes);
    CHECK(a == b);
    pool::give(b, bytes);
#endif
  }
}

#ifndef __SANITIZE_ADDRESS__
TEST_CASE("pool: a steady loop asks the system for nothing") {
  const auto step = [] {
    Tensor x = kernel::full({32, 64}, 1, f32);
    for (int i = 0; i < 10; ++i) {
      const Tensor y = kernel::map(
          "double", [](auto e) { return e + e; }, x);
      x = kernel::clone(y.view({64, 32}, {1, 64}));
    }
  };
  step();
  const int64_t before = pool::system_requests();
  for (int i = 0; i < 1000; ++i) step();
  CHECK(pool::system_requests() == before);
}

TEST_CASE("pool: no memory is an Error") {
  CHECK(error_of([] { Tensor({int64_t{1} << 48}, boolean); }).find("out of memory: ") == 0);
}
#endif

TEST_CASE("pool: a thousand short threads, and tensors that outlive a thread's pool") {
  const int64_t live = Storage::live;
  for (int i = 0; i < 1000; ++i)
    std::thread([] {
      static thread_local Tensor kept;
      kept = kernel::full({100}, 1, f32);
      const Tensor x = kernel::full({10}, 2, f64);
      if (Storage::live != 2) throw Error("two storages live here");
    }).join();
  CHECK(Storage::live == live);
  CHECK(global().to_vector()[3] == 3);
}

#ifndef __SANITIZE_ADDRESS__
TEST_CASE("pool: release gives back what is kept") {
  pool::release();
  const int64_t before = pool::system_requests();
  pool::give(pool::take(777), 777);
  CHECK(pool::system_requests() == before + 1);
  CHECK(late.numel() == 4);
}
#endif
