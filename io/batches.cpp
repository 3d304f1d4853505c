#include "fathom/io/batches.h"

#include <algorithm>  // min
#include <numeric>    // iota

namespace fathom::io {

Batches::Batches(Dataset data, BatchOptions options) : data_(std::move(data)), options_(options) {
  if (options.size < 1) throw Error("batches: size must be at least 1, is " + std::to_string(options.size));
  if (data_.x.dim() == 0 || data_.y.dim() == 0) throw Error("batches: x and y need a first axis, the samples");
  const int64_t n = data_.size();
  if (data_.y.size(0) != n)
    throw Error("batches: x has " + std::to_string(n) + " rows, y has " + std::to_string(data_.y.size(0)));
  if (options.first < 0 || options.first > size())
    throw Error("batches: first is batch " + std::to_string(options.first) + " of " + std::to_string(size()));
  if (options.shuffle && options.seed) {
    Rng rng(*options.seed, uint64_t(options.epoch));
    order_ = permutation(n, rng);
  } else if (options.shuffle) {
    order_ = permutation(n, options.rng ? *options.rng : default_rng());
  } else {
    order_ = Tensor({n}, i64);
    std::iota(order_.data<int64_t>(), order_.data<int64_t>() + n, int64_t{0});
  }
}

int64_t Batches::size() const {
  const int64_t n = data_.size(), whole = n / options_.size;
  return whole + (!options_.drop_last && n % options_.size != 0);
}

Dataset Batches::batch(int64_t i) const {
  if (i < 0 || i >= size()) throw Error("batches: batch " + std::to_string(i) + " of " + std::to_string(size()));
  const int64_t begin = i * options_.size, count = std::min(options_.size, data_.size() - begin);
  const Tensor rows = order_.view({count}, {1}, begin);
  return {gather_rows(data_.x, rows), gather_rows(data_.y, rows)};
}

Dataset windows(const Tensor& tokens, WindowOptions o) {
  if (tokens.dim() != 1) throw Error("windows: tokens are (n), got " + to_string(tokens.shape()));
  if (o.length < 1) throw Error("windows: length must be at least 1, is " + std::to_string(o.length));
  if (o.stride < 0) throw Error("windows: stride must not be negative, is " + std::to_string(o.stride));
  const int64_t n = tokens.size(0), stride = o.stride ? o.stride : o.length, step = tokens.strides()[0];
  if (n <= o.length)
    throw Error("windows: " + std::to_string(n) + " tokens for a length of " + std::to_string(o.length) +
                " and the token after it");
  const Shape shape{(n - o.length - 1) / stride + 1, o.length}, strides{stride * step, step};
  return {tokens.view(shape, strides), tokens.view(shape, strides, step)};
}

Batches batches(const Dataset& data, BatchOptions options) { return {data, options}; }

}  // namespace fathom::io
