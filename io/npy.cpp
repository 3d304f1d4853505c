#include "fathom/io/npy.h"

#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>

#include "fathom/io/binary_file.h"
#include "fathom/io/write_file.h"
#include "fathom/tensor/kernels/map.h"

namespace fathom::io {
namespace {

constexpr std::string_view magic = "\x93NUMPY";
constexpr size_t longest_header = 10000;  // NumPy's own limit

struct Header {
  std::string descr;
  bool fortran_order = false;
  Shape shape;
};

// The dictionary of a header: the three keys in any order, each once.
class Parser {
 public:
  Parser(std::string_view text, const std::string& path) : text_(text), path_(path) {}

  Header header() {
    std::optional<std::string> descr;
    std::optional<bool> fortran_order;
    std::optional<Shape> shape;
    expect('{');
    while (!next_is('}')) {
      const std::string key = quoted();
      expect(':');
      if (key == "descr" && !descr) descr = type();
      else if (key == "fortran_order" && !fortran_order) fortran_order = truth();
      else if (key == "shape" && !shape) shape = sizes();
      else fail("unknown or repeated key '" + key + "'");
      if (!next_is(',') && peek() != '}') fail("expected , or }");
    }
    if (peek()) fail("more after the dictionary");
    if (!descr || !fortran_order || !shape) fail("needs the keys descr, fortran_order and shape");
    return {*descr, *fortran_order, *shape};
  }

 private:
  [[noreturn]] void fail(const std::string& rule) const { throw Error("npy: " + path_ + ": header: " + rule); }
  char peek() {
    while (at_ < text_.size() && std::strchr(" \n\t\r", text_[at_])) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool next_is(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!next_is(c)) fail(std::string("expected ") + c);
  }
  std::string quoted() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') fail("expected a string");
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) fail("a string without an end");
    const std::string_view inside = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return std::string(inside);
  }
  std::string type() {
    if (peek() == '[') fail("structured numbers are not read");
    return quoted();
  }
  bool truth() {
    peek();
    for (const std::string_view word : {"True", "False"})
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return word == "True";
      }
    fail("fortran_order is neither True nor False");
  }
  Shape sizes() {
    Shape shape;
    expect('(');
    while (!next_is(')')) {
      peek();
      uint64_t size = 0;
      const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), size);
      if (error != std::errc() || size > largest_size) fail("a size is no whole number from 0 to 2^48 - 1");
      if (shape.rank == Shape::max_rank) fail("more than 8 axes");
      shape.push_back(int64_t(size));
      at_ = size_t(end - text_.data());
      if (!next_is(',') && peek() != ')') fail("expected , or )");
    }
    return shape;
  }

  std::string_view text_;
  const std::string& path_;
  size_t at_ = 0;
};

Header read_header(BinaryFile& file, const std::string& path) {
  char start[8];
  file.read(start, sizeof(start), "the magic number");
  if (std::string_view(start, magic.size()) != magic) file.fail("no npy file: does not begin with \\x93NUMPY");
  const int major = start[6], minor = start[7];
  if (major < 1 || major > 3 || minor != 0)
    file.fail("version " + std::to_string(major) + "." + std::to_string(minor) + "; read are 1.0, 2.0 and 3.0");
  unsigned char length[4] = {};
  file.read(length, major == 1 ? 2 : 4, "the header's length");
  const uint64_t n = length[0] | length[1] << 8 | length[2] << 16 | uint64_t(length[3]) << 24;
  if (n > longest_header) file.fail("a header of " + std::to_string(n) + " bytes; at most 10000 are read");
  std::string text(n, ' ');
  file.read(text.data(), n, "the header");
  return Parser(text, path).header();
}

// f(T{}, Out{}) with the type of the file's numbers and the element type they become.
template <class F>
Tensor with_type(const BinaryFile& file, const std::string& descr, F f) {
  if (descr == "<f4") return f(float{}, float{});
  if (descr == "<f8") return f(double{}, double{});
  if (descr == "<i8") return f(int64_t{}, int64_t{});
  if (descr == "<i4") return f(int32_t{}, int64_t{});
  if (descr == "<u4") return f(uint32_t{}, int64_t{});
  if (descr == "<u8") return f(uint64_t{}, int64_t{});
  if (descr == "|u1") return f(uint8_t{}, int64_t{});
  if (descr == "|b1") return f(uint8_t{}, bool{});
  file.fail("numbers of type '" + descr + "'; read are <f4 <f8 <i4 <i8 <u4 <u8 |u1 |b1");
}

}  // namespace

Tensor read_npy(const std::string& path) {
  BinaryFile file("npy", path);
  const Header header = read_header(file, path);
  return with_type(file, header.descr, [&]<class T, class Out>(T, Out) {
    const uint64_t needed = file.bytes_of(header.shape, sizeof(T));
    if (file.left() != needed)
      file.fail("shape " + to_string(header.shape) + " of " + header.descr + " needs " + std::to_string(needed) +
                " bytes after the header, the file has " + std::to_string(file.left()));
    if (!header.fortran_order) return file.numbers<T, Out>(header.shape);
    Shape reversed = header.shape, strides = header.shape;
    for (int d = 0; d < reversed.rank; ++d) reversed[d] = header.shape[reversed.rank - 1 - d];
    const Tensor x = file.numbers<T, Out>(reversed);
    for (int d = 0; d < strides.rank; ++d) strides[d] = x.strides()[strides.rank - 1 - d];
    return kernel::clone(x.view(header.shape, strides));
  });
}

void write_npy(const std::string& path, const Tensor& x) {
  const Tensor dense = x.is_contiguous() ? x : kernel::clone(x);
  const char* descr = x.dtype() == f32 ? "<f4" : x.dtype() == f64 ? "<f8" : x.dtype() == i64 ? "<i8" : "|b1";
  std::string sizes;
  for (const int64_t size : x.shape()) sizes += (sizes.empty() ? "" : ", ") + std::to_string(size);
  if (x.dim() == 1) sizes += ',';
  std::string header = std::string("{'descr': '") + descr + "', 'fortran_order': False, 'shape': (" + sizes + "), }";
  header.append(63 - (magic.size() + 4 + header.size()) % 64, ' ') += '\n';  // the numbers begin at a multiple of 64
  std::string bytes(magic);
  bytes += {'\1', '\0', char(header.size() & 255), char(header.size() >> 8)};
  bytes += header;
  visit(x.dtype(), [&]<class T>(T) {
    bytes.append(reinterpret_cast<const char*>(dense.data<T>()), size_t(x.numel()) * sizeof(T));
  });
  write_file("npy", path, bytes);
}

}  // namespace fathom::io
