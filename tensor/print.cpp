#include "fathom/tensor/print.h"

#include <cxxabi.h>  // __cxa_demangle

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>  // free
#include <ostream>
#include <type_traits>
#include <vector>

namespace fathom {
namespace {

constexpr int64_t most_elements = 1000, edge = 3;

// How the floating numbers of a tensor are written: with what is needed of four decimals, or all in powers of ten.
struct Style {
  bool powers = false;
  int decimals = 0;

  explicit Style(const std::vector<double>& shown) {
    double least = INFINITY, most = 0;
    for (double e : shown) {
      if (!std::isfinite(e) || e == 0) continue;
      least = std::min(least, std::abs(e));
      most = std::max(most, std::abs(e));
    }
    const bool whole =
        std::all_of(shown.begin(), shown.end(), [](double e) { return !std::isfinite(e) || e == std::floor(e); });
    powers = most >= 1e8 || (!whole && (least < 1e-4 || most / least > 1e5));
    if (powers || whole) return;
    for (double e : shown)
      while (decimals < 4 && std::isfinite(e) && std::abs(e - rounded(e, decimals)) > 1e-6 * std::abs(e)) ++decimals;
  }
  static double rounded(double e, int decimals) {
    const double scale = std::pow(10, decimals);
    return std::round(e * scale) / scale;
  }
  std::string operator()(double e) const {
    if (std::isnan(e)) return "nan";
    if (std::isinf(e)) return e > 0 ? "inf" : "-inf";
    char text[64];
    const auto format = powers ? std::chars_format::scientific : std::chars_format::fixed;
    std::string word(text, std::to_chars(text, text + sizeof text, e, format, powers ? 4 : decimals).ptr);
    return powers || decimals ? word : word + ".";
  }
};

struct Printer {
  const Tensor& x;
  const bool shortened = x.numel() > most_elements;
  std::vector<std::string> words = {};  // of the elements shown, in their order
  size_t width = 0, next = 0;
  std::string text = {};

  // f(i) for the indices shown along an axis of n, gap() where some are left out.
  template <class F, class Gap>
  void along(int64_t n, F f, Gap gap) {
    const bool cut = shortened && n > 2 * edge;
    for (int64_t i = 0; i < n; ++i) {
      if (cut && i == edge) gap(), i = n - edge;
      f(i);
    }
  }
  template <class T>
  void collect(int d, const T* at, std::vector<T>& shown) {
    if (d == x.dim()) return shown.push_back(*at);
    along(
        x.shape()[d], [&](int64_t i) { collect(d + 1, at + i * x.strides()[d], shown); }, [] {});
  }
  void write(int d) {
    if (d == x.dim()) {
      text.append(width - words[next].size(), ' ') += words[next];
      ++next;
      return;
    }
    const bool rows = d + 1 < x.dim();
    std::string between = rows ? "," : ", ";
    if (rows) between.append(size_t(x.dim() - d - 1), '\n').append(size_t(d) + 1, ' ');
    text += '[';
    bool first = true;
    const auto separate = [&] {
      if (!first) text += between;
      first = false;
    };
    along(
        x.shape()[d], [&](int64_t) { separate(), write(d + 1); }, [&] { separate(), text += "..."; });
    text += ']';
  }
  std::string run() {
    visit(x.dtype(), [&]<class T>(T) {
      // std::vector<bool> has no elements to point at.
      using E = std::conditional_t<std::is_same_v<T, bool>, char, T>;
      std::vector<E> shown;
      if (x.numel()) collect(0, reinterpret_cast<const E*>(x.data<T>()), shown);
      if constexpr (std::is_floating_point_v<T>) {
        const Style style(std::vector<double>(shown.begin(), shown.end()));
        for (T e : shown) words.push_back(style(double(e)));
      } else if constexpr (std::is_same_v<T, bool>) {
        for (char e : shown) words.push_back(e ? "true" : "false");
      } else {
        for (int64_t e : shown) words.push_back(std::to_string(e));
      }
    });
    for (const std::string& word : words) width = std::max(width, word.size());
    if (x.numel()) write(0);
    else text = "[]";
    const bool tell_shape = shortened || (x.numel() == 0 && x.shape() != Shape{0});
    const bool tell_dtype = x.dtype() == f64 || (x.numel() == 0 && x.dtype() != f32);
    if (tell_shape || tell_dtype) text += x.dim() > 1 && x.numel() ? "\n" : " ";
    if (tell_shape) text += to_string(x.shape()) + " " + to_string(x.dtype());
    else if (tell_dtype) text += to_string(x.dtype());
    return text;
  }
};

}  // namespace

std::string to_string(const Tensor& x) { return x.defined() ? Printer{x}.run() : "undefined"; }
std::ostream& operator<<(std::ostream& out, const Tensor& x) { return out << to_string(x); }
std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << to_string(shape); }
std::ostream& operator<<(std::ostream& out, Dtype dtype) { return out << to_string(dtype); }

std::string readable(const char* mangled) {
  int status = 0;
  char* const text = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
  const std::string name = status == 0 && text ? text : mangled;
  std::free(text);
  return name;
}

}  // namespace fathom
