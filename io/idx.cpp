#include "fathom/io/idx.h"

#include <zlib.h>

#include <algorithm>
#include <bit>  // bit_cast
#include <filesystem>
#include <memory>

namespace fathom::io {

namespace {

// Deflate makes of a byte at most 1,032: a file cannot hold more than this many times its own size.
constexpr uint64_t largest_ratio = 1032;

class File {
 public:
  explicit File(const std::string& path) : path_(path) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (!std::filesystem::exists(status)) fail("there is no such file");
    if (!std::filesystem::is_regular_file(status)) fail("not a file");
    bytes_ = std::filesystem::file_size(path, error);
    file_.reset(gzopen(path.c_str(), "rb"));
    if (error || !file_) fail("cannot be read");
  }

  // The next n bytes. Requires: n < 2^31.
  void read(unsigned char* to, size_t n, const char* what) {
    const int got = gzread(file_.get(), to, unsigned(n));
    check();
    read_ += uint64_t(std::max(got, 0));
    if (got < 0 || size_t(got) < n)
      fail("ends within " + std::string(what) + ": needs " + std::to_string(needed_) + " bytes, has " +
           std::to_string(read_));
  }
  void expect(uint64_t bytes) { needed_ = bytes; }  // of the whole
  void expect_end() {
    unsigned char more;
    const int got = gzread(file_.get(), &more, 1);
    check();  // gzip's own checksum too, which comes last
    if (got != 0) fail("is longer than its header says: needs " + std::to_string(needed_) + " bytes, has more");
  }
  uint64_t can_hold() const { return gzdirect(file_.get()) ? bytes_ : bytes_ * largest_ratio; }

  [[noreturn]] void fail(const std::string& rule) const { throw Error("idx: " + path_ + ": " + rule); }

 private:
  void check() const {
    int code = Z_OK;
    const char* text = gzerror(file_.get(), &code);
    if (code == Z_BUF_ERROR) fail("the gzip data end early, after " + std::to_string(read_) + " bytes");
    if (code != Z_OK && code != Z_STREAM_END) fail("damaged gzip data: " + std::string(text));
  }

  struct Close {
    void operator()(gzFile_s* file) const { gzclose(file); }
  };
  std::string path_;
  std::unique_ptr<gzFile_s, Close> file_;
  uint64_t bytes_ = 0, read_ = 0, needed_ = 4;
};

template <class Bits>
Bits big_endian(const unsigned char* at) {
  Bits bits = 0;
  for (size_t i = 0; i < sizeof(Bits); ++i) bits = Bits(bits << 8 | at[i]);
  return bits;
}

// f(as, bytes) with the bytes a number of this type takes and a function that reads one.
template <class F>
void with_type(const File& file, int type, F f) {
  switch (type) {
    case 0x08:
      return f([](const unsigned char* at) { return *at; }, 1);
    case 0x09:
      return f([](const unsigned char* at) { return int8_t(*at); }, 1);
    case 0x0B:
      return f([](const unsigned char* at) { return int16_t(big_endian<uint16_t>(at)); }, 2);
    case 0x0C:
      return f([](const unsigned char* at) { return int32_t(big_endian<uint32_t>(at)); }, 4);
    case 0x0D:
      return f([](const unsigned char* at) { return std::bit_cast<float>(big_endian<uint32_t>(at)); }, 4);
    case 0x0E:
      return f([](const unsigned char* at) { return std::bit_cast<double>(big_endian<uint64_t>(at)); }, 8);
    default:
      file.fail("type " + std::to_string(type) + "; IDX has 8, 9, 11, 12, 13 and 14");
  }
}

Shape read_shape(File& file, int rank) {
  Shape shape;
  for (int d = 0; d < rank; ++d) {
    unsigned char size[4];
    file.read(size, 4, "the sizes");
    shape.push_back(big_endian<uint32_t>(size));
  }
  try {
    checked_bytes(shape, f64);
  } catch (const Error& error) {
    file.fail(error.what());
  }
  return shape;
}

// number(at) is the one that begins there and takes `width` bytes.
template <class T, class Number>
void read_numbers(File& file, Number number, size_t width, T* to, int64_t n) {
  constexpr int64_t chunk = 8192;
  unsigned char bytes[chunk * 8];
  for (int64_t begin = 0; begin < n; begin += chunk) {
    const int64_t count = std::min(chunk, n - begin);
    file.read(bytes, size_t(count) * width, "the numbers");
    for (int64_t i = 0; i < count; ++i) to[begin + i] = T(number(bytes + size_t(i) * width));
  }
}

}  // namespace

Tensor read_idx(const std::string& path, Dtype dtype) {
  File file(path);
  unsigned char magic[4];
  file.read(magic, 4, "the magic number");
  if (magic[0] || magic[1])
    file.fail("no IDX file: begins with bytes " + std::to_string(magic[0]) + " " + std::to_string(magic[1]) +
              ", not 0 0");
  const int type = magic[2], rank = magic[3];
  if (rank < 1 || rank > 4) file.fail("rank " + std::to_string(rank) + "; must be 1 to 4");
  if (type >= 0x0D && dtype == i64) file.fail("holds floating numbers, asked for i64");
  if (dtype == boolean) file.fail("cannot be read as boolean");

  Tensor x;
  with_type(file, type, [&](auto number, size_t width) {
    const uint64_t header = 4 + 4 * uint64_t(rank);
    file.expect(header);
    const Shape shape = read_shape(file, rank);
    const uint64_t needed = header + uint64_t(shape.numel()) * width;
    if (needed > file.can_hold())
      file.fail("shape " + to_string(shape) + " needs " + std::to_string(needed) + " bytes, the file holds at most " +
                std::to_string(file.can_hold()));
    file.expect(needed);
    x = Tensor(shape, dtype);
    visit_number("idx", dtype, [&]<class T>(T) { read_numbers(file, number, width, x.data<T>(), x.numel()); });
    file.expect_end();
  });
  return x;
}

}  // namespace fathom::io
