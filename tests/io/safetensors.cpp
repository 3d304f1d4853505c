#include "fathom/io/safetensors.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "fathom/autograd/create.h"
#include "fathom/autograd/ops.h"
#include "fathom/nn/nn.h"
#include "fathom/optim/optim.h"
#include "tests/io/folder.h"
#include "tests/support.h"

using namespace fathom;

namespace {

using Numbers = std::vector<double>;

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

template <class T>
std::string bytes_of(std::initializer_list<T> numbers) {
  return {reinterpret_cast<const char*>(numbers.begin()), numbers.size() * sizeof(T)};
}
std::string with_header(const std::string& header, const std::string& data) {
  return bytes_of<uint64_t>({header.size()}) + header + data;
}
std::string tensor_text(const std::string& type, const std::string& shape, const std::string& offsets) {
  return R"({"dtype":")" + type + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}
std::string list(std::initializer_list<size_t> numbers) {
  std::string text = "[";
  for (const size_t each : numbers) text.append(text.size() > 1 ? "," : "").append(std::to_string(each));
  return text += ']';
}
std::string object(const std::string& name, const std::string& value) {
  std::string text = "{\"";
  return text.append(name).append("\":").append(value).append("}");
}
std::string one(const std::string& type, const std::string& shape, const std::string& data) {
  return with_header(object("x", tensor_text(type, shape, list({0, data.size()}))), data);
}

bool same_bits(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) return false;
  const Tensor x = a.contiguous(), y = b.contiguous();
  return visit(x.dtype(), [&]<class T>(T) {
    return !x.numel() || !std::memcmp(x.data<T>(), y.data<T>(), size_t(x.numel()) * sizeof(T));
  });
}
bool same_bits(const State& a, const State& b) {
  bool same = a.size() == b.size();
  for (size_t i = 0; same && i < a.size(); ++i) same = a[i].name == b[i].name && same_bits(a[i].tensor, b[i].tensor);
  return same;
}

State some_tensors() {
  manual_seed(3);
  return {{"net.count", tensor({1, -2, 3})},
          {"net.bias", zeros({0, 4}, {.dtype = f64})},
          {"net.weight", randn({5, 3}, {.dtype = f64}).transpose()},
          {"net.scale", tensor(2.5)},
          {"\"w\u00e4ge\"/..\\", randn({1, 2, 1, 2, 1, 2, 1, 3})},
          {"net.mask", tensor({true, false, true})}};
}

}  // namespace

TEST_CASE("safetensors: what is written is read, by type and name") {
  const Folder folder;
  const std::string path = folder / "x";
  State written = some_tensors();
  written[4].tensor.data<float>()[1] = NAN;
  io::write_safetensors(path, written);
  const State read = io::read_safetensors(path);
  const size_t order[] = {0, 1, 2, 4, 3, 5};
  REQUIRE(read.size() == std::size(order));
  for (size_t i = 0; i < read.size(); ++i) {
    CHECK(read[i].name == written[order[i]].name);
    CHECK(same_bits(read[i].tensor, written[order[i]].tensor));
  }
  CHECK(read[2].tensor.is_contiguous());
  io::write_safetensors(path, read);  // onto the file just read
  CHECK(same_bits(io::read_safetensors(path), read));
  io::write_safetensors(path, {});
  CHECK(io::read_safetensors(path).empty());
}

TEST_CASE("safetensors: the bytes of a file") {
  const Folder folder;
  io::write_safetensors(folder / "x", {{"b", tensor({1.0, -2.0})}, {"a", tensor({7})}});
  const std::string file = folder.text("x");
  uint64_t length;
  std::memcpy(&length, file.data(), 8);
  CHECK(length % 8 == 0);
  std::string header = file.substr(8, length);
  header.erase(header.find_last_not_of(' ') + 1);
  const std::string key = "\"fathom.crc32\":\"";
  header.replace(header.find(key) + key.size(), 8, "CHECKSUM");
  CHECK(
      header ==
      R"({"__metadata__":{"fathom.crc32":"CHECKSUM","format":"pt"},)"
      R"("a":{"data_offsets":[0,8],"dtype":"I64","shape":[1]},"b":{"data_offsets":[8,16],"dtype":"F32","shape":[2]}})");
  CHECK(file.substr(8 + length) == bytes_of<int64_t>({7}) + bytes_of<float>({1, -2}));
}

TEST_CASE("safetensors: files of others: any order, spaces, metadata, other types") {
  const Folder folder;
  const auto read = [&](const std::string& file) { return io::read_safetensors(folder.write("x", file)); };
  const State tensors = read(with_header(" \n{\"second\" : " + tensor_text("F64", "[ 1 , 1 ]", "[4, 12]") +
                                             ", \"__metadata__\": {\"format\": \"np\", \"crc32\": \"0\"}, \"empty\": " +
                                             tensor_text("F32", "[3,0]", "[4,4]") +
                                             ",\"first\": " + tensor_text("F32", "[]", "[0,4]") + "} \t\n",
                                         bytes_of<float>({5}) + bytes_of<double>({6})));
  REQUIRE(tensors.size() == 3);
  CHECK((tensors[0].name == "first" && tensors[0].tensor.dim() == 0 && tensors[0].tensor.item() == 5));
  CHECK((tensors[1].name == "empty" && tensors[1].tensor.shape() == Shape{3, 0}));
  CHECK((tensors[2].name == "second" && tensors[2].tensor.shape() == Shape{1, 1} && tensors[2].tensor.dtype() == f64));

  const auto numbers = [&](const std::string& type, const std::string& data, size_t width, Dtype dtype) {
    const Tensor x = read(one(type, list({data.size() / width}), data))[0].tensor;
    CHECK(x.dtype() == dtype);
    return x.to_vector();
  };
  CHECK(numbers("I32", bytes_of<int32_t>({-7, 7}), 4, i64) == Numbers{-7, 7});
  CHECK(numbers("I16", bytes_of<int16_t>({-32768, 1}), 2, i64) == Numbers{-32768, 1});
  CHECK(numbers("I8", "\x80\x01", 1, i64) == Numbers{-128, 1});
  CHECK(numbers("U8", "\xff\x01", 1, i64) == Numbers{255, 1});
  CHECK(numbers("U16", "\xff\xff", 2, i64) == Numbers{65535});
  CHECK(numbers("U32", "\xff\xff\xff\xff", 4, i64) == Numbers{4294967295});
  CHECK(numbers("U64", bytes_of<uint64_t>({9}), 8, i64) == Numbers{9});
  CHECK(numbers("BOOL", std::string("\1\0", 2), 1, boolean) == Numbers{1, 0});
  CHECK(numbers("BF16", bytes_of<uint16_t>({0x3fc0, 0xc000, 0x7f80}), 2, f32) == Numbers{1.5, -2, INFINITY});
  // 1, -2, the largest, the smallest normal one, the smallest, infinity.
  CHECK(numbers("F16", bytes_of<uint16_t>({0x3c00, 0xc000, 0x7bff, 0x0400, 0x8001, 0xfc00}), 2, f32) ==
        Numbers{1, -2, 65504, std::ldexp(1, -14), -std::ldexp(1, -24), -INFINITY});
  CHECK(std::isnan(numbers("F16", bytes_of<uint16_t>({0x7e00}), 2, f32)[0]));
  CHECK(numbers("I8", std::string(20000, '\2'), 1, i64) == Numbers(20000, 2));  // more than a block
}

TEST_CASE("safetensors: a file cut anywhere, or longer, is an error that names it") {
  const Folder folder;
  const std::string path = folder / "x";
  io::write_safetensors(path, some_tensors());
  const std::string longer = folder.write("longer", folder.text("x") + "a");
  CHECK(has(error_of([&] { io::read_safetensors(longer); }), longer + ": the header describes"));
  for (size_t n = std::filesystem::file_size(path); n-- > 0;) {
    std::filesystem::resize_file(path, n);
    const std::string message = error_of([&] { io::read_safetensors(path); });
    if (!has(message, path)) FAIL("cut at ", n, ": ", message);
  }
}

TEST_CASE("safetensors: no bit can change without an error, but in what is not read") {
  const Folder folder;
  const std::string path = folder / "x";
  io::write_safetensors(path, some_tensors());
  const State expected = io::read_safetensors(path);
  const std::string bytes = folder.text("x");
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  const auto put = [&](size_t at, char byte) { file.seekp(std::streamoff(at)).put(byte).flush(); };
  int harmless = 0;
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    put(bit / 8, char(bytes[bit / 8] ^ 1 << bit % 8));
    State read;
    const bool refused = !error_of([&] { read = io::read_safetensors(path); }).empty();
    if (!refused) ++harmless;
    if (!refused && !same_bits(read, expected)) FAIL("bit ", bit, " of ", 8 * bytes.size());
    put(bit / 8, bytes[bit / 8]);
  }
  CHECK(same_bits(io::read_safetensors(path), expected));
  CHECK(harmless < 8 * 12);  // the name of the checksum
}

TEST_CASE("safetensors: what is no such file, or none that is read") {
  const Folder folder;
  const auto message = [&](const std::string& file) {
    return error_of([&] { io::read_safetensors(folder.write("x", file)); });
  };
  const auto header = [&](const std::string& text) { return message(with_header(text, "")); };
  const auto entry = [&](const std::string& type, const std::string& shape, const std::string& offsets) {
    return header(object("x", tensor_text(type, shape, offsets)));
  };
  CHECK(has(message(bytes_of<uint64_t>({~uint64_t{0}}) + "{}"), "a header of 18446744073709551615 bytes; at most"));
  CHECK(has(message(bytes_of<uint64_t>({100'000'001}) + "{}"), "at most 100000000 are read"));
  CHECK(has(message(bytes_of<uint64_t>({3}) + "{}"), "a header of 3 bytes, the file has 2"));
  for (const char* text : {"", "  ", "[]", "\xef\xbb\xbf{}", "\"{}\""})
    CHECK(has(header(text), "does not begin with {"));
  for (const char* text : {"{", "{}}", "{} x", "{\"x\"}", "{\"\xff\":0}", "{\"x\":{\"shape\":[01]}}"})
    CHECK(has(header(text), "header: no JSON at byte "));
  CHECK(has(header(object("x", std::string(1'000'000, '['))), R"(header: "x": a list)"));
  CHECK(has(header(R"({"x":{"shape":)" + std::string(1'000'000, '[')), R"(header: "x.shape": a list)"));
  CHECK(has(header(R"({"x":{"dtype":{"a":1}}})"), R"("x.dtype": an object)"));
  CHECK(has(header(R"({"x":5})"), R"("x": a number)"));
  CHECK(has(header(R"({"x":"5"})"), R"("x": a string)"));
  CHECK(has(header(R"({"x":null})"), R"("x": null)"));
  CHECK(has(header(R"({"x":{"dtype":true}})"), R"("x.dtype": a truth value)"));
  CHECK(has(header(R"({"x":{"dtype":["F32"]}})"), R"("x.dtype": a list)"));
  CHECK(has(header(R"({"x":{"shape":["1"]}})"), R"("x.shape": a string)"));
  CHECK(has(header(R"({"x":{"shape":3}})"), R"("x.shape": a number)"));
  CHECK(has(header(R"({"__metadata__":{"a":1}})"), R"("__metadata__.a": a number)"));
  CHECK(has(header(R"({"__metadata__":{"a":["b"]}})"), R"("__metadata__.a": a list)"));
  CHECK(has(header(R"({"x":{"colour":"red"}})"), R"("x.colour": an unknown key)"));
  CHECK(has(header(R"({"x":{"dtype":"F32","shape":[]}})"), R"("x": needs the keys dtype, shape and data_offsets)"));
  const std::string empty = tensor_text("F32", "[0]", "[0,0]");
  CHECK(has(header(R"({"x":)" + empty + R"(,"x":)" + empty + "}"), R"(duplicate key "x")"));
  CHECK(has(header(R"({"x":{"dtype":"F32","dtype":"F32"}})"), R"(duplicate key "dtype")"));
  CHECK(has(header(R"({"__metadata__":{"a":"","a":""}})"), R"(duplicate key "a")"));
  for (const std::string& name : {std::string(), std::string("a\\u0000b"), std::string("\\n"), std::string(513, 'n')})
    CHECK(has(header(object(name, empty)), "a name is empty, longer than 512 bytes, or has control"));
  CHECK(header(object(std::string(512, 'n'), empty)).empty());

  for (const char* shape : {"[-1]", "[-0]"})
    CHECK(has(entry("F32", shape, "[0,0]"), R"("x.shape": a negative number)"));
  for (const char* shape : {"[1.0]", "[1e2]", "[18446744073709551616]"})
    CHECK(has(entry("F32", shape, "[0,0]"), R"("x.shape": a number that is not whole, or beyond 2^64)"));
  CHECK(has(entry("F32", "[true]", "[0,0]"), R"("x.shape": a truth value)"));
  CHECK(has(entry("F32", "[281474976710656]", "[0,0]"), R"("x.shape": a size above 2^48 - 1)"));
  CHECK(has(entry("F32", "[1,1,1,1,1,1,1,1,1]", "[0,0]"), R"("x.shape": more than 8 axes)"));
  CHECK(has(entry("F32", "[281474976710655,281474976710655]", "[0,0]"), "more than"));
  for (const char* offsets : {"[]", "[0]", "[1,0]"})
    CHECK(has(entry("F32", "[0]", offsets), R"("x.data_offsets": not a beginning and an end)"));
  CHECK(has(entry("F32", "[0]", "[0,0,0]"), R"("x.data_offsets": more than two numbers)"));
  for (const char* type : {"F8_E4M3", "F4", "C64", "f32", ""})
    CHECK(has(entry(type, "[0]", "[0,0]"), "numbers of type '"));
  CHECK(has(entry("F32", "[2]", "[0,4]"), R"("x" of shape (2) and type F32 needs 8 bytes, it has 4)"));
  CHECK(has(entry("F32", "[1000000]", "[0,4000000]"), "the header describes 4000000 bytes of data, the file has 0"));
  CHECK(has(entry("F32", "[1]", "[4,8]"), R"("x" begins at byte 4 of the data, what is before it ends at 0)"));
  const auto two = [&](const std::string& a, const std::string& b) {
    return message(
        with_header(R"({"a":)" + tensor_text("F32", "[2]", a) + R"(,"b":)" + tensor_text("F32", "[2]", b) + "}",
                    std::string(20, '\0')));
  };
  CHECK(has(two("[0,8]", "[4,12]"), R"("b" begins at byte 4 of the data, what is before it ends at 8)"));
  CHECK(has(two("[0,8]", "[0,8]"), R"("b" begins at byte 0)"));
  CHECK(has(two("[0,8]", "[12,20]"), R"("b" begins at byte 12)"));
  CHECK(has(two("[0,8]", "[8,16]"), "the header describes 16 bytes of data, the file has 20"));
  CHECK(has(message(one("U64", "[]", std::string(8, '\xff'))), "does not fit i64"));
  CHECK(has(message(one("BOOL", "[1]", "\2")), "neither 0 nor 1"));
  CHECK(has(error_of([&] { io::read_safetensors(folder / "absent"); }), "absent: there is no such file"));
  CHECK(has(error_of([&] { io::read_safetensors(folder.path.string()); }), "not a file"));
}

TEST_CASE("safetensors: what cannot be written is told, and the old file stays") {
  const Folder folder;
  const std::string path = folder / "x";
  const Tensor x = tensor({1.0});
  io::write_safetensors(path, {{"x", x}});
  const std::string before = folder.text("x");
  const auto message = [&](const State& tensors) { return error_of([&] { io::write_safetensors(path, tensors); }); };
  CHECK(has(message({{"", x}}), path + ": a name is empty"));
  CHECK(has(message({{"a\nb", x}}), "control characters"));
  CHECK(has(message({{std::string(513, 'n'), x}}), "longer than 512 bytes"));
  CHECK(has(message({{"__metadata__", x}}), "__metadata__ is no name for a tensor"));
  CHECK(has(message({{"\xff", x}}), "a name is not UTF-8"));
  CHECK(has(message({{"x", x}, {"x", x}}), "x is given twice"));
  CHECK(has(message({{"x", x}, {"y", Tensor()}}), "y is undefined"));
  CHECK(folder.text("x") == before);
  CHECK(
      has(error_of([&] { io::write_safetensors(folder / "none/x", {}); }), "none/x: cannot be written: No such file"));
}

TEST_CASE("safetensors: training goes on from files as if it had not stopped") {
  const Folder folder;
  struct Net : nn::Module {
    nn::Linear in{4, 8}, out{8, 1};
    nn::BatchNorm1d norm{8};
    nn::Dropout dropout{0.2};
    Tensor forward(Tensor x) override { return out(dropout(tanh(norm(in(std::move(x)))))); }
    void fields(nn::Fields& f) override {
      f("in", in);
      f("out", out);
      f("norm", norm);
      f("dropout", dropout);
    }
  };
  const auto train = [](Net& net, optim::Optimizer& opt, int steps) {
    for (int i = 0; i < steps; ++i) {
      const Tensor x = randn({16, 4});
      opt.zero_grad();
      mse_loss(net(x), sin(sum(x, {1}, true))).backward();
      opt.step({.clip_norm = 1});
    }
  };
  manual_seed(1);
  Net net;
  optim::AdamW opt(net.named_parameters(), {.lr = 1e-2});
  train(net, opt, 5);
  io::write_safetensors(folder / "net", net.state());
  io::write_safetensors(folder / "opt", opt.state());
  const Rng then = default_rng();
  train(net, opt, 5);

  Net again;
  optim::AdamW opt_again(again.named_parameters(), {.lr = 1});
  again.load_state(io::read_safetensors(folder / "net"));
  opt_again.load_state(io::read_safetensors(folder / "opt"));
  default_rng() = then;
  train(again, opt_again, 5);
  CHECK(same_bits(again.state(), net.state()));
  CHECK(same_bits(opt_again.state(), opt.state()));
}
