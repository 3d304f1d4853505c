// The element types a tensor can have, and the one branch on them.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>

#include "fathom/tensor/error.h"

namespace fathom {

enum class Dtype : uint8_t { f32, f64, i64, boolean };
using enum Dtype;

constexpr size_t width(Dtype dtype) { return dtype == f32 ? 4 : dtype == boolean ? 1 : 8; }
constexpr bool is_floating(Dtype dtype) { return dtype == f32 || dtype == f64; }
constexpr const char* to_string(Dtype dtype) {
  return dtype == f32 ? "f32" : dtype == f64 ? "f64" : dtype == i64 ? "i64" : "boolean";
}

template <class T>
concept Element =
    std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, int64_t> || std::same_as<T, bool>;
template <Element T>
constexpr Dtype dtype_of = std::same_as<T, float>    ? f32
                           : std::same_as<T, double> ? f64
                           : std::same_as<T, bool>   ? boolean
                                                     : i64;

// f(T{}) with the element type of dtype.
template <class F>
decltype(auto) visit(Dtype dtype, F&& f) {
  switch (dtype) {
    case f32:
      return f(float{});
    case f64:
      return f(double{});
    case i64:
      return f(int64_t{});
    default:
      return f(bool{});
  }
}
[[noreturn]] inline void not_a_number(const char* op) {
  throw Error(std::string(op) + ": not defined for boolean tensors; convert with .to(i64) or .to(f32)");
}
template <class F>
decltype(auto) visit_number(const char* op, Dtype dtype, F&& f) {
  switch (dtype) {
    case f32:
      return f(float{});
    case f64:
      return f(double{});
    case i64:
      return f(int64_t{});
    default:
      not_a_number(op);
  }
}
[[noreturn]] inline void not_floating(const char* op, Dtype dtype) {
  throw Error(std::string(op) + ": needs a floating tensor, got " + to_string(dtype) + "; convert with .to(f32)");
}
template <class F>
decltype(auto) visit_floating(const char* op, Dtype dtype, F&& f) {
  if (dtype == f32) return f(float{});
  if (dtype == f64) return f(double{});
  not_floating(op, dtype);
}

}  // namespace fathom
