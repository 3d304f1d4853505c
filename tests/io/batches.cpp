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

TEST_CASE("batches: with a seed, the order of any epoch and the rest of a stopped one come again") {
  const auto of = [](int64_t epoch, int64_t first = 0) {
    return order(io::batches(numbered(50), {.size = 8, .shuffle = true, .seed = 9, .epoch = epoch, .first = first}));
  };
  const Rng before = default_rng();
  const auto third = of(3);
  CHECK(default_rng() == before);
  CHECK(of(2) != third);
  CHECK(of(3) == third);
  CHECK(of(3, 4) == std::vector<int64_t>(third.begin() + 32, third.end()));
  CHECK(of(3, 7).empty());
  const auto batches = io::batches(numbered(50), {.size = 8, .shuffle = true, .seed = 9, .epoch = 3});
  CHECK(batches.order().to_vector<int64_t>() == third);
  CHECK(error_of([&] { of(3, 8); }) == "batches: first is batch 8 of 7");
}

TEST_CASE("windows: what follows is the label; views, batched like any data") {
  using Numbers = std::vector<int64_t>;
  const Tensor tokens = numbered(9).y;  // 0 .. 8
  const auto apart = io::windows(tokens, {.length = 4});
  CHECK(apart.x.to_vector<int64_t>() == Numbers{0, 1, 2, 3, 4, 5, 6, 7});
  CHECK(apart.y.to_vector<int64_t>() == Numbers{1, 2, 3, 4, 5, 6, 7, 8});
  CHECK(&apart.x.storage() == &tokens.storage());
  const auto every = io::windows(tokens, {.length = 4, .stride = 1});
  CHECK(every.size() == 5);
  for (auto [x, y] : io::batches(every, {.size = 2, .shuffle = true, .drop_last = true, .seed = 1})) {
    CHECK(x.shape() == Shape{2, 4});
    const auto a = x.to_vector<int64_t>(), b = y.to_vector<int64_t>();
    for (size_t i = 0; i < a.size(); ++i) {
      CHECK(a[i] == a[i / 4 * 4] + int64_t(i % 4));
      CHECK(b[i] == a[i] + 1);
    }
  }
  CHECK(io::windows(tokens, {.length = 8}).size() == 1);
  CHECK(io::windows(tokens, {.length = 2, .stride = 3}).y.to_vector<int64_t>() == Numbers{1, 2, 4, 5, 7, 8});
  const Tensor odd = tokens.view({4}, {2}, 1);  // 1, 3, 5, 7
  CHECK(io::windows(odd, {.length = 2, .stride = 1}).y.to_vector<int64_t>() == Numbers{3, 5, 5, 7});
  CHECK(error_of([&] { io::windows(tokens, {.length = 9}); }) ==
        "windows: 9 tokens for a length of 9 and the token after it");
  CHECK(error_of([&] { io::windows(apart.x); }) == "windows: tokens are (n), got (2, 4)");
  CHECK(error_of([&] { io::windows(tokens, {.length = 0}); }) == "windows: length must be at least 1, is 0");
  CHECK(error_of([&] { io::windows(tokens, {.length = 2, .stride = -1}); }) ==
        "windows: stride must not be negative, is -1");
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

TEST_CASE("batches: a size beyond all rows is one batch of all") {
  for (const bool drop_last : {false, true}) {
    const io::Batches all = io::batches(numbered(10), {.size = INT64_MAX, .drop_last = drop_last});
    CHECK(all.size() == (drop_last ? 0 : 1));
    CHECK(order(all).size() == (drop_last ? 0 : 10));
  }
}
