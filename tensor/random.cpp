// Built with -ffp-contract=off, and nothing here calls the mathematics library: so the numbers are the same everywhere.
#include "fathom/tensor/random.h"

#include <algorithm>
#include <bit>
#include <cmath>  // sqrt, which is exact; isfinite
#include <string>

#include "fathom/tensor/kernels/map.h"
#include "fathom/tensor/parallel.h"

namespace fathom {
namespace {

constexpr uint32_t multipliers[2] = {0xD2511F53, 0xCD9E8D57};
constexpr uint32_t weyl[2] = {0x9E3779B9, 0xBB67AE85};

__extension__ typedef unsigned __int128 Wide;

// Ten rounds over n counters side by side.
template <int n>
struct Blocks {
  uint32_t x[4][n];
  void run(uint32_t key0, uint32_t key1) {
    for (int round = 0; round < 10; ++round, key0 += weyl[0], key1 += weyl[1])
      for (int l = 0; l < n; ++l) {
        const uint64_t p = uint64_t{multipliers[0]} * x[0][l], q = uint64_t{multipliers[1]} * x[2][l];
        x[0][l] = uint32_t(q >> 32) ^ x[1][l] ^ key0;
        x[1][l] = uint32_t(q);
        x[2][l] = uint32_t(p >> 32) ^ x[3][l] ^ key1;
        x[3][l] = uint32_t(p);
      }
  }
};

// The draws first .. first + n - 1 of rng's sequence. A block holds two.
void draws(const Rng& rng, uint64_t first, int64_t n, uint64_t* out) {
  constexpr int lanes = 32;
  Blocks<lanes> b;
  for (uint64_t block = first / 2, skip = first % 2; n > 0; block += lanes, skip = 0) {
    for (int l = 0; l < lanes; ++l) {
      const uint64_t counter = block + uint64_t(l);
      b.x[0][l] = uint32_t(counter);
      b.x[1][l] = uint32_t(counter >> 32);
      b.x[2][l] = uint32_t(rng.stream);
      b.x[3][l] = uint32_t(rng.stream >> 32);
    }
    b.run(uint32_t(rng.seed), uint32_t(rng.seed >> 32));
    uint64_t both[2 * lanes];
    for (int l = 0; l < lanes; ++l) {
      both[2 * l] = uint64_t{b.x[0][l]} << 32 | b.x[1][l];
      both[2 * l + 1] = uint64_t{b.x[2][l]} << 32 | b.x[3][l];
    }
    const int64_t count = std::min<int64_t>(n, 2 * lanes - int64_t(skip));
    std::copy_n(both + skip, count, out);
    out += count, n -= count;
  }
}

// The draws of an Rng one by one, made many at a time.
class Drawing {
 public:
  explicit Drawing(Rng& rng) : rng_(rng) {}
  uint64_t operator()() {
    if (next_ == size) draws(rng_, rng_.position, size, made_), next_ = 0;
    ++rng_.position;
    return made_[next_++];
  }

 private:
  static constexpr int size = 64;
  Rng& rng_;
  uint64_t made_[size];
  int next_ = size;
};

// In 0 .. below - 1: Lemire, "Fast random integer generation in an interval", 2019.
template <class Draw>
uint64_t integer_from(Draw&& draw, uint64_t below) {
  while (true) {
    const Wide product = Wide{draw()} * below;
    const uint64_t rest = uint64_t(product);
    if (rest >= below || rest >= (0 - below) % below) return uint64_t(product >> 64);
  }
}

double to_unit(uint64_t draw) { return double(int64_t(draw >> 11)) * 0x1p-53; }

// The natural logarithm of a normal number: x = 2^e m, m within sqrt(2) of 1, log m = 2 artanh((m - 1) / (m + 1)).
double log_of(double x) {
  const uint64_t bits = std::bit_cast<uint64_t>(x);
  double e = double(int64_t(bits >> 52) - 1023);
  double m = std::bit_cast<double>((bits & 0x000fffffffffffff) | 0x3ff0000000000000);
  if (m > 1.4142135623730951) m *= 0.5, e += 1;
  const double s = (m - 1) / (m + 1), r = s * s;
  double series = 0;
  for (int k = 23; k >= 1; k -= 2) series = series * r + 1 / double(k);
  return e * 0.6931471805599453 + 2 * s * series;
}

template <size_t n>
double polynomial(const double (&coefficients)[n], double x) {
  double y = 0;
  for (double c : coefficients) y = y * x + c;
  return y;
}

// The inverse of the normal distribution: Wichura, Algorithm AS 241 (PPND16), Applied Statistics 37 (1988).
double central(double q) {  // q = p - 1/2, |q| <= 0.425
  constexpr double above[] = {2509.0809287301226727, 33430.575583588128105, 67265.770927008700853,
                              45921.953931549871457, 13731.693765509461125, 1971.5909503065514427,
                              133.14166789178437745, 3.387132872796366608};
  constexpr double below[] = {
      5226.495278852545925,  28729.085735721942674, 39307.89580009271061,  21213.794301586595867,
      5394.1960214247511077, 687.1870074920579083,  42.313330701600911252, 1};
  const double r = 0.180625 - q * q;
  return q * polynomial(above, r) / polynomial(below, r);
}
// Beyond that it is a function of this distance, near up to 5.
double distance(double q) { return std::sqrt(-log_of(0.5 - std::abs(q))); }
double near_tail(double r) {
  constexpr double above[] = {7.7454501427834140764e-4, .0227238449892691845833, .24178072517745061177,
                              1.27045825245236838258,   3.64784832476320460504,  5.7694972214606914055,
                              4.6303378461565452959,    1.42343711074968357734};
  constexpr double below[] = {
      1.05075007164441684324e-9, 5.475938084995344946e-4, .0151986665636164571966, .14810397642748007459,
      .68976733498510000455,     1.6763848301838038494,   2.05319162663775882187,  1};
  return polynomial(above, r - 1.6) / polynomial(below, r - 1.6);
}
double far_tail(double r) {
  constexpr double above[] = {2.01033439929228813265e-7, 2.71155556874348757815e-5, .0012426609473880784386,
                              .026532189526576123093,    .29656057182850489123,     1.7848265399172913358,
                              5.4637849111641143699,     6.6579046435011037772};
  constexpr double below[] = {
      2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4,
      .0148753612908506148525,    .13692988092273580531,    .59983220655588793769,    1};
  return polynomial(above, r - 5) / polynomial(below, r - 5);
}
double tail(double q) {
  const double r = distance(q);
  return std::copysign(r <= 5 ? near_tail(r) : far_tail(r), q);
}
// Half a step from the middle, so that neither 0 nor 1 is asked for: of 2^53 points each with its mirror image.
double centred(uint64_t draw) { return (double(int64_t(draw >> 12)) + 0.5) * 0x1p-52 - 0.5; }
constexpr double edge = 0.425;

constexpr int64_t chunk = 512;

// The normal numbers of n draws, at most a chunk: the tails apart, so that both formulas run in vectors.
void normals_of(const uint64_t* bits, int64_t n, double* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = central(centred(bits[i]));
  double q[chunk], r[chunk], x[chunk];
  int64_t place[chunk], count = 0;
  for (int64_t i = 0; i < n; ++i) {
    q[count] = centred(bits[i]), place[count] = i;
    count += std::abs(q[count]) > edge;
  }
  for (int64_t k = 0; k < count; ++k) r[k] = distance(q[k]);
  for (int64_t k = 0; k < count; ++k) x[k] = near_tail(r[k]);
  for (int64_t k = 0; k < count; ++k) out[place[k]] = std::copysign(r[k] <= 5 ? x[k] : far_tail(r[k]), q[k]);
}

// formula(a chunk of draws, how many, numbers out) for all of x.
template <class F>
void fill_from(const Tensor& x, Rng& rng, F formula) {
  if (!x.is_contiguous()) {
    const Tensor dense(x.shape(), x.dtype());
    fill_from(dense, rng, formula);
    return kernel::copy(dense, x);
  }
  visit(x.dtype(), [&]<class T>(T) {
    T* const to = x.data<T>();
    parallel(x.numel(), kernel::parallel_grain, [&](int64_t begin, int64_t end) {
      uint64_t bits[chunk];
      double numbers[chunk];
      for (; begin < end; begin += chunk) {
        const int64_t n = std::min(chunk, end - begin);
        draws(rng, rng.position + uint64_t(begin), n, bits);
        formula(bits, n, numbers);
        for (int64_t i = 0; i < n; ++i) to[begin + i] = static_cast<T>(numbers[i]);
      }
    });
  });
  rng.position += uint64_t(x.numel());
}

std::string range(double a, double b) { return std::to_string(a) + " and " + std::to_string(b); }

}  // namespace

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  Blocks<1> b{{{counter[0]}, {counter[1]}, {counter[2]}, {counter[3]}}};
  b.run(key[0], key[1]);
  return {b.x[0][0], b.x[1][0], b.x[2][0], b.x[3][0]};
}

uint64_t Rng::draw() {
  const uint64_t block = position / 2, half = 2 * (position % 2);
  ++position;
  const auto x = philox({uint32_t(block), uint32_t(block >> 32), uint32_t(stream), uint32_t(stream >> 32)},
                        {uint32_t(seed), uint32_t(seed >> 32)});
  return uint64_t{x[half]} << 32 | x[half + 1];
}

double Rng::uniform() { return to_unit(draw()); }

double Rng::normal() {
  const double q = centred(draw());
  return std::abs(q) <= edge ? central(q) : tail(q);
}

uint64_t Rng::integer(uint64_t below) {
  if (below == 0) throw Error("Rng::integer: a number below 0 was asked for");
  return integer_from([&] { return draw(); }, below);
}

Rng& default_rng() {
  static thread_local Rng rng(0, thread_number());
  return rng;
}

void manual_seed(uint64_t seed) { default_rng() = Rng(seed); }

void fill_uniform(const Tensor& x, double lo, double hi, Rng& rng) {
  if (!is_floating(x.dtype())) not_floating("fill_uniform", x.dtype());
  if (!std::isfinite(lo) || !std::isfinite(hi) || lo > hi)
    throw Error("fill_uniform: needs finite bounds in order, got " + range(lo, hi));
  // Rounding must not reach hi.
  const double most = x.dtype() == f32 ? double(std::nextafter(float(hi), float(lo))) : std::nextafter(hi, lo);
  fill_from(x, rng, [=, width = hi - lo](const uint64_t* bits, int64_t n, double* out) {
    for (int64_t i = 0; i < n; ++i) out[i] = lo + width * to_unit(bits[i]);
    for (int64_t i = 0; i < n; ++i) out[i] = out[i] < most ? out[i] : most;
  });
  x.storage().changed("fill_uniform");
}

void fill_normal(const Tensor& x, double mean, double deviation, Rng& rng) {
  if (!is_floating(x.dtype())) not_floating("fill_normal", x.dtype());
  if (!std::isfinite(mean) || !std::isfinite(deviation) || deviation < 0)
    throw Error("fill_normal: needs a finite mean and a deviation of at least 0, got " + range(mean, deviation));
  fill_from(x, rng, [=](const uint64_t* bits, int64_t n, double* out) {
    normals_of(bits, n, out);
    for (int64_t i = 0; i < n; ++i) out[i] = mean + deviation * out[i];
  });
  x.storage().changed("fill_normal");
}

void fill_integers(const Tensor& x, int64_t lo, int64_t hi, Rng& rng) {
  if (x.dtype() == boolean) not_a_number("fill_integers");
  if (lo >= hi) throw Error("fill_integers: no number from " + std::to_string(lo) + " to below " + std::to_string(hi));
  const Tensor dense = x.is_contiguous() ? x : Tensor(x.shape(), x.dtype());
  visit_number("fill_integers", x.dtype(), [&]<class T>(T) {
    T* const to = dense.data<T>();
    Drawing draw(rng);
    for (int64_t i = 0; i < x.numel(); ++i)
      to[i] = T(int64_t(uint64_t(lo) + integer_from(draw, uint64_t(hi) - uint64_t(lo))));
  });
  if (!dense.is_same(x)) kernel::copy(dense, x);
  x.storage().changed("fill_integers");
}

void fill_bernoulli(const Tensor& x, double p, Rng& rng) {
  if (!(p >= 0 && p <= 1)) throw Error("fill_bernoulli: needs a probability, got " + std::to_string(p));
  fill_from(x, rng, [=](const uint64_t* bits, int64_t n, double* out) {
    for (int64_t i = 0; i < n; ++i) out[i] = to_unit(bits[i]) < p ? 1 : 0;
  });
  x.storage().changed("fill_bernoulli");
}

Tensor permutation(int64_t n, Rng& rng) {
  Tensor out({n}, i64);
  int64_t* const x = out.data<int64_t>();
  Drawing draw(rng);
  for (int64_t i = 0; i < n; ++i) {  // the inside-out form of Fisher & Yates
    const int64_t j = int64_t(integer_from(draw, uint64_t(i) + 1));
    x[i] = x[j];
    x[j] = i;
  }
  return out;
}

}  // namespace fathom
