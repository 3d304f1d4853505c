#include "fathom/tensor/shape.h"

#include <algorithm>

namespace fathom {
namespace {

[[noreturn]] void too_many_axes(size_t rank) {
  throw Error("shape: at most " + std::to_string(Shape::max_rank) + " axes, got " + std::to_string(rank));
}

}  // namespace

Shape::Shape(std::initializer_list<int64_t> list) : Shape(list.begin(), list.size()) {}
Shape::Shape(const int64_t* list, size_t n) {
  if (n > size_t(max_rank)) too_many_axes(n);
  copy(list, int(n));
}

void Shape::push_back(int64_t size) { insert(rank, size); }

void Shape::insert(int at, int64_t size) {
  if (rank == max_rank) too_many_axes(size_t(rank) + 1);
  std::copy_backward(sizes + at, sizes + rank, sizes + rank + 1);
  sizes[at] = size;
  ++rank;
}

void Shape::erase(int at) {
  std::copy(sizes + at + 1, sizes + rank, sizes + at);
  --rank;
}

std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (int d = 0; d < shape.rank; ++d) text += (d ? ", " : "") + std::to_string(shape[d]);
  return text + ")";
}

size_t checked_bytes(const Shape& shape, Dtype dtype) {
  int64_t bytes = int64_t(width(dtype));
  bool empty = false, overflow = false;
  for (int64_t size : shape) {
    if (size < 0) throw Error("shape: a size is negative: " + to_string(shape));
    if (size == 0) empty = true;
    else overflow |= __builtin_mul_overflow(bytes, size, &bytes);
  }
  constexpr int64_t most = int64_t{1} << 48;
  if (overflow || bytes > most)
    throw Error("shape: " + to_string(shape) + " of " + to_string(dtype) + " is more than 2^48 bytes");
  return empty ? 0 : size_t(bytes);
}

bool is_row_major(const Shape& shape, const Shape& strides) {
  int64_t step = 1;
  bool row_major = true;
  for (int d = shape.rank - 1; d >= 0; --d) {
    if (shape[d] == 0) return true;
    row_major &= shape[d] == 1 || strides[d] == step;
    step *= shape[d];
  }
  return row_major;
}

int axis(const char* op, int64_t d, int rank) {
  const int64_t from_start = d < 0 ? d + rank : d;
  if (from_start < 0 || from_start >= rank)
    throw Error(std::string(op) + ": axis " + std::to_string(d) + " of a tensor of rank " + std::to_string(rank));
  return int(from_start);
}

unsigned axis_bits(const char* op, const Axes& axes, int rank) {
  if (axes.rank == 0) return (1u << rank) - 1;
  unsigned bits = 0;
  for (int64_t d : axes) {
    const unsigned bit = 1u << axis(op, d, rank);
    if (bits & bit)
      throw Error(std::string(op) + ": axis " + std::to_string(d) + " is named twice in " + to_string(axes));
    bits |= bit;
  }
  return bits;
}

Shape broadcast(const char* op, const Shape& a, const Shape& b) {
  if (a == b) return a;
  Shape out;
  out.rank = std::max(a.rank, b.rank);
  for (int d = 0; d < out.rank; ++d) {
    const int64_t x = d < out.rank - a.rank ? 1 : a[d - (out.rank - a.rank)];
    const int64_t y = d < out.rank - b.rank ? 1 : b[d - (out.rank - b.rank)];
    if (x != y && x != 1 && y != 1)
      throw Error(std::string(op) + ": shapes do not broadcast: " + to_string(a) + " and " + to_string(b));
    out[d] = x == 1 ? y : x;
  }
  return out;
}

Shape broadcast_strides(const Shape& shape, const Shape& strides, const Shape& to) {
  Shape out;
  out.rank = to.rank;
  const int lead = to.rank - shape.rank;
  for (int d = 0; d < to.rank; ++d) out[d] = d < lead || shape[d - lead] == 1 ? 0 : strides[d - lead];
  return out;
}

}  // namespace fathom
