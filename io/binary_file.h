// A file of numbers, read from its beginning on. Internal to the formats.
#pragma once
#include <algorithm>  // min
#include <bit>        // endian
#include <concepts>
#include <fstream>
#include <string>
#include <vector>

#include "fathom/tensor/tensor.h"

namespace fathom::io {

static_assert(std::endian::native == std::endian::little);

constexpr uint64_t largest_size = (uint64_t{1} << 48) - 1;  // of an axis

class BinaryFile {
 public:
  // Throws Error when it cannot be read. All errors name the format and the file.
  BinaryFile(const char* format, const std::string& path);
  [[noreturn]] void fail(const std::string& rule) const;
  void read(void* to, size_t n, const char* what);  // throws Error when the file ends within
  uint64_t left() const { return size_ - at_; }
  // Of numbers of this width, under a shape that the file gives; throws Error when no tensor can hold them.
  uint64_t bytes_of(const Shape& shape, size_t width) const;

  // The numbers of a tensor, in the file's order; T is what the file holds, Out what becomes of it.
  template <class T, class Out>
  Tensor numbers(const Shape& shape) {
    Tensor x(shape, dtype_of<Out>);
    Out* to = x.data<Out>();
    const int64_t n = x.numel();
    if constexpr (std::same_as<T, Out>) {
      read(to, size_t(n) * sizeof(T), "the numbers");
    } else {
      constexpr int64_t block = 8192;
      std::vector<T> some(size_t(std::min(n, block)));
      for (int64_t begin = 0; begin < n; begin += block) {
        const size_t count = size_t(std::min(block, n - begin));
        read(some.data(), count * sizeof(T), "the numbers");
        for (size_t i = 0; i < count; ++i) to[begin + int64_t(i)] = converted<Out>(some[i]);
      }
    }
    return x;
  }

 private:
  template <class Out, class T>
  Out converted(T number) const {
    if constexpr (std::same_as<Out, bool>) {
      if (number > 1) fail("a boolean is " + std::to_string(number) + ", neither 0 nor 1");
    } else if constexpr (std::same_as<T, uint64_t>) {
      if (number >> 63) fail("a whole number, " + std::to_string(number) + ", does not fit i64");
    }
    return Out(number);
  }

  std::string format_, path_;
  std::ifstream file_;
  uint64_t size_ = 0, at_ = 0;
};

}  // namespace fathom::io
