#include "fathom/io/batches.h"

#include <algorithm>
#include <numeric>

#include "tests/support.h"

using namespace fathom;

namespace {

// Row i is (10 i, 10 i + 1), its label i.
io::Dataset numbered(int64_t n) {
  io::Dataset data{Tensor({n, 2}, f32), Tensor({n}, i64)};
  for (int64_t i = 0; i < n; ++i) {
    data.x.data<float>()[2 * i] = float(10 * i);
    data.x.data<float>()[2 * i + 1] = float(10 * i + 1);
    data.y.data<int64_t>()[i] = i;
  }
  return data;
}

std::vector<int64_t> order(const io::Batches& batches) {
  std::vector<int64_t> all;
  for (auto [x, y] : batches) {
    const auto rows = x.to_vector<int64_t>(), labels = y.to_vector<int64_t>();
    for (size_t i = 0; i < labels.size(); ++i) {
      CHECK(rows[2 * i] == 10 * labels[i]);
      CHECK(rows[2 * i + 1] == 10 * labels[i] + 1);
      all.push_back(labels[i]);
    }
  }
  return all;
}

}  // namespace

TEST_CASE("batches: every row once, in order, the last batch smaller or dropped") {
  std::vector<int64_t> sizes;
  for (auto [x, y] : io::batches(numbered(10), {.size = 4})) sizes.push_back(x.size(0));
  CHECK(sizes == std::vector<int64_t>{4, 4, 2});
  std::vector<int64_t> all(10);
  std::iota(all.begin(), all.end(), 0);
  CHECK(order(io::batches(numbered(10), {.size = 4})) == all);
  CHECK(order(io::batches(numbered(10), {.size = 4, .drop_last = true})).size() == 8);
  CHECK(io::batches(numbered(10), {.size = 4, .drop_last = true}).size() == 2);
  CHECK(io::batches(numbered(0)).size() == 0);
  CHECK(order(io::batches(numbered(10), {.size = 100})) == all);
}

TEST_CASE("batches: shuffled anew for each loop, the same from the same generator") {
  Rng rng(3), same(3);
  auto first = order(io::batches(numbered(50), {.size = 8, .shuffle = true, .rng = &rng}));
  CHECK(first == order(io::batches(numbered(50), {.size = 8, .shuffle = true, .rng = &same})));
  CHECK(first != order(io::batches(numbered(50), {.size = 8, .shuffle = true, .rng = &rng})));
  std::sort(first.begin(), first.end());
  std::vector<int64_t> all(50);
  std::iota(all.begin(), all.end(), 0);
  CHECK(first == all);
}

TEST_CASE("gather_rows: from a strided tensor, of any rank and dtype") {
  const Tensor x = numbered(6).x.view({2, 3}, {1, 2});  // transposed
  const Tensor index = numbered(2).y.view({1}, {1}, 1);
  CHECK(io::gather_rows(x, index).to_vector<int64_t>() == std::vector<int64_t>{1, 11, 21});
  CHECK(io::gather_rows(numbered(3).y, index).to_vector<int64_t>() == std::vector<int64_t>{1});
}

TEST_CASE("batches: bad input") {
  const io::Dataset data{numbered(4).x, numbered(5).y};
  CHECK(error_of([&] { io::batches(data); }) == "batches: x has 4 rows, y has 5");
  CHECK(error_of([&] { io::batches(numbered(4), {.size = 0}); }) == "batches: size must be at least 1, is 0");
  CHECK(error_of([&] { io::gather_rows(numbered(4).x, numbered(5).y); }) == "gather_rows: index 4 of 4 rows");
  CHECK(error_of([&] { io::gather_rows(numbered(4).x, numbered(4).x); }) ==
        "gather_rows: index must have rank 1, has shape (4, 2)");
}
