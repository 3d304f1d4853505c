// The sizes of a tensor's axes, up to eight of them; also used for strides and for lists of axes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "fathom/tensor/dtype.h"

namespace fathom {

struct Shape {
  static constexpr int max_rank = 8;
  int rank = 0;
  int64_t sizes[max_rank];

  Shape() = default;
  Shape(std::initializer_list<int64_t> list);
  Shape(const int64_t* list, size_t n);  // Throws Error above rank 8.
  // The same of a vector, an array or a span; std::span itself would cost whoever copies a shape its concepts.
  template <class List>
  requires requires(const List& list) { Shape(list.data(), list.size()); }
  explicit Shape(const List& list) : Shape(list.data(), list.size()) {}
  Shape(const Shape& other) { copy(other.sizes, other.rank); }
  Shape& operator=(const Shape& other) {
    copy(other.sizes, other.rank);
    return *this;
  }

  int64_t operator[](int d) const { return sizes[d]; }
  int64_t& operator[](int d) { return sizes[d]; }
  int64_t back() const { return sizes[rank - 1]; }
  const int64_t* begin() const { return sizes; }
  const int64_t* end() const { return sizes + rank; }
  int64_t numel() const {
    int64_t n = 1;
    for (int d = 0; d < rank; ++d) n *= sizes[d];
    return n;
  }
  void push_back(int64_t size);       // Throws Error above rank 8.
  void insert(int at, int64_t size);  // Throws Error above rank 8.
  void erase(int at);
  bool operator==(const Shape& other) const {
    if (rank != other.rank) return false;
    for (int d = 0; d < rank; ++d)
      if (sizes[d] != other.sizes[d]) return false;
    return true;
  }

 private:
  // One by one, and only those used: a wide move over sizes that were just written waits for them all.
  void copy(const int64_t* list, int n) {
    rank = n;
    for (int d = 0; d < n; ++d) {
      sizes[d] = list[d];
      asm volatile("");  // else the compiler makes one wide move of the loop
    }
  }
};

std::string to_string(const Shape& shape);  // (2, 3)

// The number of bytes of a tensor. Throws Error on a negative size and when the product is more than a tensor can hold.
size_t checked_bytes(const Shape& shape, Dtype dtype);

// The strides, in elements, of a contiguous tensor.
inline Shape row_major(const Shape& shape) {
  Shape strides;
  strides.rank = shape.rank;
  int64_t step = 1;
  for (int d = shape.rank - 1; d >= 0; --d) {
    strides.sizes[d] = step;
    step *= shape.sizes[d];
  }
  return strides;
}
bool is_row_major(const Shape& shape, const Shape& strides);

// Axis d of a tensor of this rank, negative ones counted from the end. Throws Error, naming the op, when out of range.
int axis(const char* op, int64_t d, int rank);

// A list of axes: one, several, or none, which means all.
struct Axes : Shape {
  Axes() = default;
  Axes(int d) : Shape{d} {}
  Axes(int64_t d) : Shape{d} {}
  Axes(std::initializer_list<int64_t> list) : Shape(list) {}
};
// Bit d is set for each axis of the list (all when it is empty). Throws Error on an axis out of range or named twice.
unsigned axis_bits(const char* op, const Axes& axes, int rank);

// The shape both broadcast to, by NumPy's rule. Throws Error naming the op and both shapes.
Shape broadcast(const char* op, const Shape& a, const Shape& b);
// The strides that read x, of this shape and strides, as if it had the shape `to`.
Shape broadcast_strides(const Shape& shape, const Shape& strides, const Shape& to);

}  // namespace fathom
