#include "fathom/io/npy.h"

#include <sys/stat.h>

#include <cmath>
#include <cstring>

#include "tests/io/folder.h"
#include "tests/support.h"

using namespace fathom;

namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// A file of version 1 with this dictionary and these bytes behind it.
std::string npy(std::string header, const std::string& numbers, char major = 1) {
  header += '\n';
  std::string file = "\x93NUMPY";
  file += {major, 0, char(header.size() & 255), char(header.size() >> 8)};
  if (major > 1) file += {0, 0};
  return file + header + numbers;
}
std::string dictionary(const std::string& descr, const std::string& shape, const std::string& fortran = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }";
}
template <class T>
std::string bytes_of(std::initializer_list<T> numbers) {
  return {reinterpret_cast<const char*>(numbers.begin()), numbers.size() * sizeof(T)};
}

}  // namespace

TEST_CASE("npy: what is written is read, of every dtype and shape, strided too") {
  const Folder folder;
  const std::string path = folder / "x.npy";
  for (const Dtype dtype : {f32, f64, i64, boolean})
    for (const Shape& shape : {Shape{}, Shape{3}, Shape{2, 3}, Shape{0, 4}, Shape{1, 2, 1, 2, 1, 2, 1, 3}}) {
      Tensor x(shape, dtype);
      visit(dtype, [&]<class T>(T) {
        for (int64_t i = 0; i < x.numel(); ++i) x.data<T>()[i] = T(i % 3 * 0.5);
      });
      io::write_npy(path, x);
      const Tensor y = io::read_npy(path);
      CHECK((y.dtype() == dtype && y.shape() == shape && y.to_vector() == x.to_vector()));
      CHECK((std::filesystem::file_size(path) - size_t(x.numel()) * width(dtype)) % 64 == 0);
    }
  Tensor x({2, 3}, f64);
  for (int i = 0; i < 6; ++i) x.data<double>()[i] = i == 5 ? NAN : i;
  io::write_npy(path, x.view({3, 2}, {1, 3}));
  const Tensor y = io::read_npy(path);
  CHECK(y.shape() == Shape{3, 2});
  CHECK(to_string(y.shape()) == "(3, 2)");
  CHECK((y.data<double>()[1] == 3 && y.data<double>()[4] == 2 && std::isnan(y.data<double>()[5])));
}

TEST_CASE("npy: the bytes are those NumPy writes") {
  const Folder folder;
  Tensor x({2}, f32);
  x.data<float>()[0] = 1, x.data<float>()[1] = -2;
  io::write_npy(folder / "x.npy", x);
  std::string expected = "\x93NUMPY";
  expected += {1, 0, 118, 0};
  expected += "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
  expected.resize(127, ' ');
  CHECK(folder.text("x.npy") == expected + "\n" + bytes_of<float>({1, -2}));
}

TEST_CASE("npy: keys in any order, other types, Fortran's order, versions 2 and 3") {
  const Folder folder;
  const auto read = [&](const std::string& file) { return io::read_npy(folder.write("x", file)); };
  const std::string six = bytes_of<double>({0, 1, 2, 3, 4, 5});
  using Numbers = std::vector<double>;
  CHECK(read(npy(R"({"shape": (2,3), "fortran_order": True, "descr": "<f8"})", six)).to_vector() ==
        Numbers{0, 2, 4, 1, 3, 5});
  for (const char version : {2, 3})
    CHECK(read(npy(dictionary("<f8", "(6,)"), six, version)).to_vector() == Numbers{0, 1, 2, 3, 4, 5});
  CHECK(read(npy(dictionary("<i4", "(2,)"), bytes_of<int32_t>({-7, 7}))).to_vector() == Numbers{-7, 7});
  CHECK(read(npy(dictionary("<u4", "(1,)"), bytes_of<uint32_t>({4000000000}))).to_vector() == Numbers{4e9});
  CHECK(read(npy(dictionary("<u8", "()"), bytes_of<uint64_t>({9}))).item() == 9);
  CHECK(read(npy(dictionary("|u1", "(2,)"), "\x01\xff")).to_vector() == Numbers{1, 255});
  CHECK(read(npy(dictionary("|b1", "(2,)"), std::string("\1\0", 2))).dtype() == boolean);
}

TEST_CASE("npy: a file cut anywhere, or longer, is an error that names it") {
  const Folder folder;
  const std::string whole = npy(dictionary("<f8", "(3,)"), bytes_of<double>({1, 2, 3}));
  for (size_t n = 0; n < whole.size(); ++n) {
    const std::string path = folder.write("cut", whole.substr(0, n));
    const std::string message = error_of([&] { io::read_npy(path); });
    if (!has(message, path)) FAIL("cut at ", n, ": ", message);
  }
  CHECK(has(error_of([&] { io::read_npy(folder.write("x", whole + "a")); }),
            "shape (3) of <f8 needs 24 bytes after the header, the file has 25"));
}

TEST_CASE("npy: what is no npy file, or none that is read") {
  const Folder folder;
  const auto message = [&](const std::string& file) {
    return error_of([&] { io::read_npy(folder.write("x", file)); });
  };
  const auto of = [&](const std::string& descr, const std::string& shape) {
    return message(npy(dictionary(descr, shape), ""));
  };
  CHECK(has(message("\x93NUMPX\1\1  "), "does not begin with"));
  CHECK(has(message(npy(dictionary("<f8", "(0,)"), "", 4)), "version 4.0"));
  for (const char* descr : {">f4", "O", "<U8", "<f2", "<c8"}) CHECK(has(of(descr, "(0,)"), "numbers of type '"));
  CHECK(has(message(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': ()}", "")), "structured"));
  for (const char* size : {"(-1,)", "(1.5,)", "(1e2,)", "(True,)", "(18446744073709551616,)", "(281474976710656,)"})
    CHECK(has(of("<f8", size), "header: "));
  CHECK(has(of("<f8", "(281474976710655,281474976710655)"), "more than"));
  CHECK(has(of("<f8", "(1,1,1,1,1,1,1,1,1)"), "more than 8 axes"));
  CHECK(has(of("<f8", "(1000000,)"), "needs 8000000 bytes after the header, the file has 0"));
  CHECK(has(message(npy("{'descr': '<f8', 'shape': ()}", "")), "needs the keys"));
  CHECK(has(message(npy("{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': ()}", "")), "repeated key"));
  CHECK(has(message(npy(dictionary("<f8", "()") + "x", bytes_of<double>({1}))), "more after the dictionary"));
  CHECK(has(message(npy(dictionary("<u8", "()"), bytes_of<uint64_t>({~uint64_t{0}}))), "does not fit i64"));
  CHECK(has(message(npy(dictionary("|b1", "()"), "\2")), "neither 0 nor 1"));
  std::string long_header = "\x93NUMPY";
  long_header += {2, 0, -1, -1, -1, -1};
  CHECK(has(message(long_header), "a header of 4294967295 bytes; at most 10000"));
  CHECK(has(error_of([&] { io::read_npy(folder / "absent"); }), "absent: there is no such file"));
  CHECK(has(error_of([&] { io::read_npy(folder.path.string()); }), "not a file"));
}

TEST_CASE("npy: a file that cannot be written is told, and the old one stays") {
  const Folder folder;
  const Tensor x({2}, i64);
  x.data<int64_t>()[0] = 1, x.data<int64_t>()[1] = 2;
  CHECK(has(error_of([&] { io::write_npy(folder / "none/x.npy", x); }),
            "none/x.npy: cannot be written: No such file or directory"));
  std::filesystem::create_directories(folder.path / "taken" / "inside");
  CHECK(has(error_of([&] { io::write_npy(folder / "taken", x); }), "taken: cannot be written: "));
  io::write_npy(folder / "x.npy", x);
  io::write_npy(folder / "x.npy", io::read_npy(folder / "x.npy"));
  CHECK(io::read_npy(folder / "x.npy").to_vector() == std::vector<double>{1, 2});
  size_t files = 0;
  for ([[maybe_unused]] const auto& each : std::filesystem::directory_iterator(folder.path)) ++files;
  CHECK(files == 2);
}
