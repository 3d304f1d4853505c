#include "fathom/tensor/random.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <thread>
#include <vector>

#include "fathom/tensor/parallel.h"
#include "tests/support.h"

using namespace fathom;

TEST_CASE("philox: the published known answers of Random123") {
  using Block = std::array<uint32_t, 4>;
  const uint32_t ones = 0xffffffff;
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox({ones, ones, ones, ones}, {ones, ones}) == Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("Rng: a draw is a function of seed, stream and position") {
  Rng rng(0);
  CHECK(rng.draw() == 0x6627e8d5e169c58d);
  CHECK(rng.draw() == 0xbc57ac4c9b00dbd8);
  CHECK(rng.position == 2);
  Rng same(7, 3), other_seed(8, 3), other_stream(7, 4);
  for (int i = 0; i < 5; ++i) same.draw();
  const Rng saved = same;
  const uint64_t next = same.draw();
  Rng restored(7, 3);
  restored.position = 5;
  CHECK(restored == saved);
  CHECK(restored.draw() == next);
  CHECK(Rng(7, 3).draw() != other_seed.draw());
  CHECK(Rng(7, 3).draw() != other_stream.draw());
}

TEST_CASE("random: the first numbers of seed 0") {
  Rng rng(0);
  CHECK(rng.uniform() == 0x1.989fa35785a7p-2);
  rng.position = 0;
  CHECK(rng.normal() == -0x1.05f49f2746419p-2);
  rng.position = 0;
  const Tensor x({4}, f64);
  fill_normal(x, 0, 1, rng);
  CHECK(x.to_vector() ==
        std::vector<double>{-0x1.05f49f2746419p-2, 0x1.42a76ea5b0d6ep-1, 0x1.ea308c1ad276fp+0, 0x1.03989d958561cp-1});
  rng.position = 0;
  const Tensor k({6}, i64);
  fill_integers(k, -3, 4, rng);
  CHECK(k.to_vector<int64_t>() == std::vector<int64_t>{-1, 2, 3, 1, -3, -3});
  rng.position = 0;
  CHECK(permutation(6, rng).to_vector<int64_t>() == std::vector<int64_t>{5, 1, 3, 2, 0, 4});
}

TEST_CASE("random: filling gives the numbers that single draws give, for any size, start and number of threads") {
  const int before = threads();
  for (int n_threads : {1, 2, 3}) {
    set_threads(n_threads);
    for (int64_t n : {0, 1, 5, 63, 513, 40001})
      for (uint64_t start : {0, 1, 2, 7}) {
        Rng bulk(11, 2), single(11, 2);
        bulk.position = single.position = start;
        const Tensor x({n}, f64);
        fill_normal(x, 0, 1, bulk);
        bool equal = true;
        for (int64_t i = 0; i < n; ++i) equal &= x.data<double>()[i] == single.normal();
        CHECK(equal);
        CHECK(bulk == single);
      }
  }
  set_threads(before);
}

TEST_CASE("random: f32 numbers are those of f64, rounded; strided tensors get them in row-major order") {
  Rng a(3), b(3), c(3);
  const Tensor x({6, 50}, f64), y({6, 50}, f32), z = Tensor({50, 6}, f64).view({6, 50}, {1, 6});
  fill_normal(x, 1, 2, a);
  fill_normal(y, 1, 2, b);
  fill_normal(z, 1, 2, c);
  CHECK(x.to_vector<float>() == y.to_vector<float>());
  CHECK(x.to_vector() == z.to_vector());
  CHECK(a == c);
}

TEST_CASE("random: moments") {
  Rng rng(1);
  const int64_t n = 1 << 20;
  const double five_sigma = 5 / std::sqrt(double(n));
  const auto mean_of = [&](const Tensor& x, auto f) {
    double total = 0;
    for (double e : x.to_vector()) total += f(e);
    return total / double(n);
  };
  const Tensor x({n}, f64), y({n}, f32);
  fill_normal(x, 0, 1, rng);
  CHECK(std::abs(mean_of(x, [](double e) { return e; })) < five_sigma);
  CHECK(std::abs(mean_of(x, [](double e) { return e * e; }) - 1) < five_sigma * std::sqrt(2));
  CHECK(std::abs(mean_of(x, [](double e) { return e * e * e; })) < five_sigma * std::sqrt(15));
  CHECK(std::abs(mean_of(x, [](double e) { return e * e * e * e; }) - 3) < five_sigma * std::sqrt(96));
  fill_uniform(y, -1, 3, rng);
  CHECK(std::abs(mean_of(y, [](double e) { return e; }) - 1) < five_sigma * 4 / std::sqrt(12));
  CHECK(std::abs(mean_of(y, [](double e) { return (e - 1) * (e - 1); }) - 16.0 / 12) < five_sigma * 1.2);
  const auto uniform = y.to_vector();
  CHECK(*std::min_element(uniform.begin(), uniform.end()) >= -1);
  CHECK(*std::max_element(uniform.begin(), uniform.end()) < 3);
  fill_bernoulli(y, 0.3, rng);
  CHECK(std::abs(mean_of(y, [](double e) { return e; }) - 0.3) < five_sigma * std::sqrt(0.21));
  CHECK(mean_of(y, [](double e) { return e * (1 - e); }) == 0);
  fill_bernoulli(y, 0, rng);
  CHECK(mean_of(y, [](double e) { return e; }) == 0);
  fill_bernoulli(y, 1, rng);
  CHECK(mean_of(y, [](double e) { return e; }) == 1);
}

TEST_CASE("Rng::normal inverts the normal distribution") {
  Rng rng(9);
  double worst = 0;
  for (int i = 0; i < 50000; ++i) {
    const double u = (double(int64_t(Rng(rng).draw() >> 12)) + 0.5) * 0x1p-52, x = rng.normal();
    const double p = std::min(u, 1 - u), back = std::erfc(std::abs(x) / std::sqrt(2.0)) / 2;
    CHECK((x < 0) == (u < 0.5));
    worst = std::max(worst, std::abs(back - p) / (p * (1 + x * x)));
  }
  CHECK(worst < 1e-14);
}

TEST_CASE("random: whole numbers and permutations") {
  Rng rng(4);
  std::vector<int> counts(7);
  for (int i = 0; i < 70000; ++i) ++counts[rng.integer(7)];
  for (int count : counts) CHECK(std::abs(count - 10000) < 500);
  CHECK(rng.integer(1) == 0);
  int high = 0;  // this range rejects a third of all draws
  for (int i = 0; i < 3000; ++i) high += rng.integer(uint64_t{3} << 62) >= uint64_t{1} << 63;
  CHECK(std::abs(high - 1000) < 150);
  const Tensor k({1000}, i64);
  fill_integers(k, std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max(), rng);
  Rng single = rng;  // both consist of single draws, some of which are rejected
  const uint64_t third = uint64_t{3} << 61;
  fill_integers(k, 0, int64_t(third), rng);
  bool equal = true;
  for (int64_t each : k.to_vector<int64_t>()) equal &= uint64_t(each) == single.integer(third);
  CHECK(equal);
  CHECK(rng == single);
  auto order = permutation(1000, rng).to_vector<int64_t>();
  std::vector<int64_t> by_hand(1000);
  for (size_t i = 0; i < 1000; ++i) {
    const size_t j = single.integer(i + 1);
    by_hand[i] = by_hand[j];
    by_hand[j] = int64_t(i);
  }
  CHECK(order == by_hand);
  CHECK(rng == single);
  std::sort(order.begin(), order.end());
  for (int64_t i = 0; i < 1000; ++i) CHECK(order[size_t(i)] == i);
  CHECK(permutation(0, rng).numel() == 0);
}

TEST_CASE("random: the default generator is each thread's own") {
  manual_seed(5);
  const uint64_t first = default_rng().draw();
  CHECK(first == Rng(5).draw());
  std::thread([&] { CHECK(default_rng().draw() != first); }).join();
  manual_seed(5);
  CHECK(default_rng().draw() == first);
}

TEST_CASE("random: bad input") {
  Rng rng(0);
  const Tensor x({2}, f32), k({2}, i64), c({2}, boolean);
  CHECK(error_of([&] { rng.integer(0); }) == "Rng::integer: a number below 0 was asked for");
  CHECK(error_of([&] { fill_uniform(k, 0, 1, rng); }) ==
        "fill_uniform: needs a floating tensor, got i64; convert with .to(f32)");
  CHECK(error_of([&] { fill_uniform(x, 1, 0, rng); }) ==
        "fill_uniform: needs finite bounds in order, got 1.000000 and 0.000000");
  CHECK(error_of([&] { fill_normal(x, 0, -1, rng); }) ==
        "fill_normal: needs a finite mean and a deviation of at least 0, got 0.000000 and -1.000000");
  CHECK(error_of([&] { fill_normal(x, NAN, 1, rng); }) != "");
  CHECK(error_of([&] { fill_integers(k, 3, 3, rng); }) == "fill_integers: no number from 3 to below 3");
  CHECK(error_of([&] { fill_integers(c, 0, 2, rng); }) != "");
  CHECK(error_of([&] { fill_bernoulli(x, 1.5, rng); }) == "fill_bernoulli: needs a probability, got 1.500000");
  CHECK(error_of([&] { permutation(-1, rng); }) != "");
  CHECK(rng.position == 0);
}
