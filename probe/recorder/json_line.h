// One JSON object, a line of a record, added to a text at the price of its digits. Internal to the recorder.
#pragma once
#include <charconv>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

namespace fathom::probe {

class JsonLine {
 public:
  JsonLine(std::string& text, std::string_view type) : text_(text += '{') { add("type", type); }
  ~JsonLine() { text_ += "}\n"; }
  JsonLine(const JsonLine&) = delete;
  JsonLine& operator=(const JsonLine&) = delete;

  void add(std::string_view name, double x) { key(name), number(x); }
  void measure(std::string_view name, double x) {  // in the digits of a float, where it is one
    const double size = std::abs(x);
    if (size < 1e30 && (size > 1e-30 || size == 0)) key(name), digits(float(x));
    else add(name, x);
  }
  // Logarithms to 7 places: as exact as a float is.
  void add_log10(std::string_view name, double x) { key(name), places(std::log10(x)); }
  void add_log10_ratio(std::string_view name, double x, double y) { key(name), places(std::log10(x) - std::log10(y)); }
  void add_log10(std::string_view name, const std::vector<double>& list) {
    key(name), text_ += '[';
    for (size_t i = 0; i < list.size(); ++i) text_ += i ? "," : "", places(std::log10(list[i]));
    text_ += ']';
  }
  void add(std::string_view name, int64_t x) { key(name), digits(x); }
  void add(std::string_view name, uint64_t x) { key(name), digits(x); }
  void add(std::string_view name, bool x) { key(name), text_ += x ? "true" : "false"; }
  void add(std::string_view name, std::string_view x) { key(name), quoted(x); }
  void add(std::string_view name, const char* x) { add(name, std::string_view(x)); }
  void add(std::string_view name, const std::string& x) { add(name, std::string_view(x)); }
  template <class T>  // of numbers, strings, or lists of them
  void add(std::string_view name, const std::vector<T>& list) {
    key(name), value(list);
  }
  void add_text(std::string_view name, std::string_view x) {  // under any name
    if (comma_) text_ += ',';
    comma_ = true;
    quoted(name), text_ += ':', quoted(x);
  }
  // f() adds to an object under this name; of a list, f(each) adds to an object of its own.
  template <class F>
  void object(std::string_view name, F f) {
    key(name), text_ += '{', comma_ = false;
    f();
    text_ += '}', comma_ = true;
  }
  template <class List, class F>
  void objects(std::string_view name, const List& list, F f) {
    key(name), text_ += '[', comma_ = false;
    for (const auto& each : list) {
      text_ += comma_ ? ",{" : "{", comma_ = false;
      f(each);
      text_ += '}', comma_ = true;
    }
    text_ += ']', comma_ = true;
  }

 private:
  void key(std::string_view name) {
    text_ += comma_ ? ",\"" : "\"";
    text_ += name, text_ += "\":";
    comma_ = true;
  }
  template <class Number>
  void digits(Number x) {
    char buffer[32];
    text_.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, x).ptr);
  }
  void number(double x) {  // JSON's numbers know no infinity and no NaN
    if (std::isfinite(x)) digits(x);
    else text_ += std::isnan(x) ? "\"NaN\"" : x > 0 ? "\"Infinity\"" : "\"-Infinity\"";
  }
  void places(double x) {  // several times as fast as the shortest digits of a double
    constexpr int64_t one = 10'000'000;
    if (!(std::abs(x) < 1e6)) return number(x);
    const int64_t n = std::llround(std::abs(x) * double(one));
    if (x < 0) text_ += '-';
    digits(n / one);
    const size_t point = text_.size();
    digits(one + n % one);
    text_[point] = '.';
  }
  void quoted(std::string_view x);
  void value(double x) { number(x); }
  void value(const std::string& x) { quoted(x); }
  template <class T>
  void value(const std::vector<T>& list) {
    text_ += '[';
    for (size_t i = 0; i < list.size(); ++i) text_ += i ? "," : "", value(list[i]);
    text_ += ']';
  }

  std::string& text_;
  bool comma_ = false;
};

}  // namespace fathom::probe
