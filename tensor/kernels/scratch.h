// Numbers for the time of a call, from the pool.
#pragma once
#include <cstdint>

#include "fathom/tensor/pool.h"

namespace fathom::kernel {

template <class T>
class Scratch {
 public:
  explicit Scratch(int64_t n) : bytes_(size_t(n) * sizeof(T)), data_(static_cast<T*>(pool::take(bytes_))) {}
  ~Scratch() { pool::give(data_, bytes_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T* data() { return data_; }

 private:
  size_t bytes_;
  T* data_;
};

}  // namespace fathom::kernel
