#include "fathom/io/idx.h"

#include "tests/io/folder.h"
#include "tests/support.h"

using namespace fathom;

namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("idx: every type, as it is and gzipped") {
  const Folder folder;
  const auto numbers = [&](int type, const std::string& bytes, uint32_t n, Dtype dtype = f64) {
    const std::string file = idx_header(type, {n}) + bytes;
    const auto as_is = io::read_idx(folder.write("x", file), dtype).to_vector();
    CHECK(io::read_idx(folder.gzip("x.gz", file), dtype).to_vector() == as_is);
    return as_is;
  };
  using Numbers = std::vector<double>;
  CHECK(numbers(0x08, "\x01\xff", 2) == Numbers{1, 255});
  CHECK(numbers(0x08, "\x01\xff", 2, i64) == Numbers{1, 255});
  CHECK(numbers(0x08, "\x01\xff", 2, f32) == Numbers{1, 255});
  CHECK(numbers(0x09, "\x01\xff", 2) == Numbers{1, -1});
  CHECK(numbers(0x0B, "\xff\xfe", 1) == Numbers{-2});
  CHECK(numbers(0x0C, big_endian(0x80000000), 1) == Numbers{-2147483648.0});
  CHECK(numbers(0x0D, big_endian(0x3fc00000), 1) == Numbers{1.5});
  CHECK(numbers(0x0E, big_endian(0xc0040000) + big_endian(0), 1) == Numbers{-2.5});
}

TEST_CASE("idx: shapes of rank 1 to 4, also without numbers, and more numbers than one chunk") {
  const Folder folder;
  CHECK(io::read_idx(folder.gzip("x", images(2, 3, 4)), f32).shape() == Shape{2, 3, 4});
  CHECK(io::read_idx(folder.gzip("x", idx_header(8, {0, 28, 28})), f32).shape() == Shape{0, 28, 28});
  CHECK(io::read_idx(folder.gzip("x", idx_header(8, {1, 1, 1, 2}) + "ab"), i64).shape() == Shape{1, 1, 1, 2});
  const auto many = io::read_idx(folder.gzip("x", images(40, 28, 28)), i64).to_vector<int64_t>();
  for (size_t i = 0; i < many.size(); ++i)
    if (many[i] != int64_t(i * 7 % 256)) FAIL("number ", i, " is ", many[i]);
}

TEST_CASE("idx: a file cut anywhere is an error that names it") {
  const Folder folder;
  const std::string whole = images(3, 5, 5);
  for (size_t n = 0; n < whole.size(); ++n) {
    const std::string path = folder.write("cut", whole.substr(0, n));
    const std::string message = error_of([&] { io::read_idx(path, f32); });
    if (!has(message, path) || !has(message, "bytes")) FAIL("cut at ", n, ": ", message);
  }
  folder.gzip("whole.gz", whole);
  const std::string packed = folder.text("whole.gz");
  for (size_t n = 0; n < packed.size(); ++n) {
    const std::string path = folder.write("cut.gz", packed.substr(0, n));
    const std::string message = error_of([&] { io::read_idx(path, f32); });
    if (!has(message, path)) FAIL("gzip cut at ", n, ": ", message);
  }
}

TEST_CASE("idx: a changed byte of the packed numbers is found by the checksum") {
  const Folder folder;
  folder.gzip("x.gz", images(10, 28, 28));
  std::string packed = folder.text("x.gz");
  packed[packed.size() - 6] ^= 1;  // in the checksum itself
  const std::string message = error_of([&] { io::read_idx(folder.write("x.gz", packed), f32); });
  CHECK(has(message, "damaged gzip data"));
}

TEST_CASE("idx: what is no IDX file") {
  const Folder folder;
  const auto message = [&](const std::string& bytes, Dtype dtype = f32) {
    return error_of([&] { io::read_idx(folder.write("x", bytes), dtype); });
  };
  CHECK(has(message("PNG\x03"), "begins with bytes 80 78, not 0 0"));
  CHECK(has(message(idx_header(7, {1}) + "a"), "type 7"));
  CHECK(has(message(idx_header(8, {})), "rank 0; must be 1 to 4"));
  CHECK(has(message(idx_header(8, {1, 1, 1, 1, 1}) + "a"), "rank 5"));
  CHECK(has(message(images(2, 2, 2) + "a"), "longer than its header says: needs 24 bytes"));
  CHECK(has(message(idx_header(0x0D, {0}), i64), "floating numbers, asked for i64"));
  CHECK(has(message(idx_header(8, {0}), boolean), "boolean"));
  CHECK(has(error_of([&] { io::read_idx(folder / "absent", f32); }), "absent: there is no such file"));
  CHECK(has(error_of([&] { io::read_idx(folder.path.string(), f32); }), "not a file"));
}

TEST_CASE("idx: nothing is allocated for numbers that the file cannot hold, nor read beyond those declared") {
  const Folder folder;
  const uint32_t most = 0xffffffff;
  const auto message = [&](const std::string& path) { return error_of([&] { io::read_idx(path, f32); }); };
  CHECK(has(message(folder.write("x", idx_header(8, {most, most, most, most}))), "shape"));
  CHECK(has(message(folder.gzip("x.gz", idx_header(8, {most}))), "the file holds at most"));
  CHECK(has(message(folder.write("x", idx_header(8, {1000}) + "ab")), "needs 1008 bytes, the file holds at most 10"));
  CHECK(has(message(folder.gzip("x.gz", images(1, 2, 2) + std::string(50 << 20, 0))), "longer than its header says"));
}
