#include "fathom/io/safetensors.h"

#include <zlib.h>

#include <algorithm>  // copy, copy_if, none_of, sort
#include <bit>        // bit_cast
#include <cmath>
#include <iterator>  // back_inserter
#include <nlohmann/json.hpp>
#include <tuple>  // tie
#include <unordered_set>

#include "fathom/io/binary_file.h"
#include "fathom/io/write_file.h"
#include "fathom/tensor/kernels/map.h"

namespace fathom::io {
namespace {

using nlohmann::json;

constexpr const char* format = "safetensors";
constexpr uint64_t longest_header = 100'000'000;  // the reference's own limit
constexpr const char *metadata = "__metadata__", *checksum_key = "fathom.crc32";
constexpr size_t longest_name = 512, checksum_digits = 8;

// Numbers that files hold and tensors do not.
struct Half {
  uint16_t bits;
  explicit operator float() const {
    const float magnitude = (bits >> 10 & 31) == 31 ? ((bits & 1023) ? NAN : INFINITY)
                            : (bits >> 10 & 31)     ? std::ldexp(float(1024 | (bits & 1023)), (bits >> 10 & 31) - 25)
                                                    : std::ldexp(float(bits & 1023), -24);
    return bits >> 15 ? -magnitude : magnitude;
  }
};
struct BFloat16 {
  uint16_t bits;
  explicit operator float() const { return std::bit_cast<float>(uint32_t(bits) << 16); }
};

// f(T{}, Out{}) with the type of the file's numbers and the element type they become.
template <class F>
auto with_type(const BinaryFile& file, const std::string& dtype, F f) {
  if (dtype == "F32") return f(float{}, float{});
  if (dtype == "F64") return f(double{}, double{});
  if (dtype == "F16") return f(Half{}, float{});
  if (dtype == "BF16") return f(BFloat16{}, float{});
  if (dtype == "I64") return f(int64_t{}, int64_t{});
  if (dtype == "I32") return f(int32_t{}, int64_t{});
  if (dtype == "I16") return f(int16_t{}, int64_t{});
  if (dtype == "I8") return f(int8_t{}, int64_t{});
  if (dtype == "U64") return f(uint64_t{}, int64_t{});
  if (dtype == "U32") return f(uint32_t{}, int64_t{});
  if (dtype == "U16") return f(uint16_t{}, int64_t{});
  if (dtype == "U8") return f(uint8_t{}, int64_t{});
  if (dtype == "BOOL") return f(uint8_t{}, bool{});
  file.fail("numbers of type '" + dtype + "'; read are F64 F32 F16 BF16 I64 I32 I16 I8 U64 U32 U16 U8 BOOL");
}

bool is_name(const std::string& name) {
  return !name.empty() && name.size() <= longest_name && name != metadata &&
         std::none_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}
constexpr const char* name_rule = "a name is empty, longer than 512 bytes, or has control characters";

struct Entry {
  std::string name, dtype;
  Shape shape;
  uint64_t begin = 0, end = 0;
};

// The entries of a header, taken as its JSON goes by: what does not belong there is refused where it stands.
class HeaderReader final : public json::json_sax_t {
 public:
  std::vector<Entry> entries;
  std::string checksum;

  explicit HeaderReader(const BinaryFile& file) : file_(file) {}

  bool start_object(size_t) override {
    if (depth_ == 2 || in_list_) fail("an object");
    known_[depth_++].clear();
    return true;
  }
  bool key(std::string& name) override {
    if (!known_[depth_ - 1].insert(name).second) file_.fail("header: duplicate key " + json(name).dump());
    if (depth_ == 1) {
      if (name != metadata && !is_name(name)) file_.fail(std::string("header: ") + name_rule);
      entry_ = {};
      entry_.name = name;
      key_.clear();
      return true;
    }
    key_ = name;
    if (!in_metadata() && key_ != "dtype" && key_ != "shape" && key_ != "data_offsets") fail("an unknown key");
    return true;
  }
  bool end_object() override {
    if (--depth_ == 0 || in_metadata()) return true;
    key_.clear();
    if (known_[1].size() != 3) fail("needs the keys dtype, shape and data_offsets");
    entries.push_back(std::move(entry_));
    return true;
  }
  bool start_array(size_t) override {
    if (depth_ != 2 || in_metadata() || in_list_ || key_ == "dtype") fail("a list");
    in_list_ = true;
    list_.clear();
    return true;
  }
  bool end_array() override {
    in_list_ = false;
    if (key_ == "shape") {
      for (const uint64_t size : list_) entry_.shape.push_back(int64_t(size));
    } else {
      if (list_.size() != 2 || list_[0] > list_[1]) fail("not a beginning and an end");
      entry_.begin = list_[0], entry_.end = list_[1];
    }
    return true;
  }
  bool string(std::string& text) override {
    if (depth_ != 2 || in_list_ || !(in_metadata() || key_ == "dtype")) fail("a string");
    if (!in_metadata()) entry_.dtype = text;
    else if (key_ == checksum_key) checksum = text;
    return true;
  }
  bool number_unsigned(uint64_t number) override {
    if (!in_list_) fail("a number");
    const bool sizes = key_ == "shape";
    if (sizes && number > largest_size) fail("a size above 2^48 - 1");
    if (list_.size() == (sizes ? size_t(Shape::max_rank) : 2))
      fail(sizes ? "more than 8 axes" : "more than two numbers");
    list_.push_back(number);
    return true;
  }
  bool number_integer(int64_t) override { fail("a negative number"); }
  bool number_float(double, const std::string&) override { fail("a number that is not whole, or beyond 2^64"); }
  bool null() override { fail("null"); }
  bool boolean(bool) override { fail("a truth value"); }
  bool binary(json::binary_t&) override { fail("binary"); }
  bool parse_error(size_t at, const std::string&, const json::exception&) override {
    file_.fail("header: no JSON at byte " + std::to_string(at));
  }

 private:
  bool in_metadata() const { return entry_.name == metadata; }
  [[noreturn]] void fail(const char* what) const {
    std::string where = entry_.name;
    if (!key_.empty()) where.append(".").append(key_);
    file_.fail("header: " + json(where).dump() + ": " + what);
  }

  const BinaryFile& file_;
  int depth_ = 0;
  std::unordered_set<std::string> known_[2];  // the keys of this object, and of the one around it
  Entry entry_;
  std::string key_;
  bool in_list_ = false;
  std::vector<uint64_t> list_;
};

// Throws Error unless the entries, in the order of their data, fill it.
void check_data(const BinaryFile& file, const std::vector<Entry>& entries) {
  uint64_t at = 0;
  for (const Entry& each : entries) {
    const auto refuse = [&](const std::string& why) { file.fail("header: " + json(each.name).dump() + " " + why); };
    if (each.begin != at)
      refuse("begins at byte " + std::to_string(each.begin) + " of the data, what is before it ends at " +
             std::to_string(at));
    const uint64_t needed =
        with_type(file, each.dtype, [&]<class T, class Out>(T, Out) { return file.bytes_of(each.shape, sizeof(T)); });
    if (each.end - each.begin != needed)
      refuse("of shape " + to_string(each.shape) + " and type " + each.dtype + " needs " + std::to_string(needed) +
             " bytes, it has " + std::to_string(each.end - each.begin));
    at = each.end;
  }
  if (at != file.left())
    file.fail("the header describes " + std::to_string(at) + " bytes of data, the file has " +
              std::to_string(file.left()));
}

uint32_t add_to_checksum(uint32_t checksum, const void* bytes, size_t n) {
  return uint32_t(crc32_z(checksum, static_cast<const Bytef*>(bytes), n));
}
uint32_t add_to_checksum(uint32_t checksum, const Tensor& x) {
  return visit(x.dtype(), [&]<class T>(T) {
    return x.numel() ? add_to_checksum(checksum, x.data<T>(), size_t(x.numel()) * sizeof(T)) : checksum;
  });
}
std::string in_digits(uint32_t checksum) {
  std::string text(checksum_digits, '0');
  for (size_t i = checksum_digits; i-- > 0; checksum >>= 4) text[i] = "0123456789abcdef"[checksum & 15];
  return text;
}
const std::string no_digits(checksum_digits, '0');  // the checksum's own while it is made

// Where these digits stand in a header as the checksum, or npos.
size_t find_checksum(const std::string& header, const std::string& digits) {
  std::string text = "\"";
  text.append(checksum_key).append("\":\"");
  const size_t at = header.find(text + digits + '"');
  return at == std::string::npos ? at : at + text.size();
}

struct DtypeName {
  Dtype dtype;
  const char* name;
};
// In the order in which others write them: the widest first.
constexpr DtypeName types[] = {{i64, "I64"}, {f64, "F64"}, {f32, "F32"}, {boolean, "BOOL"}};

}  // namespace

State read_safetensors(const std::string& path) {
  BinaryFile file(format, path);
  uint64_t length;
  file.read(&length, sizeof(length), "the header's length");
  if (length > longest_header)
    file.fail("a header of " + std::to_string(length) + " bytes; at most " + std::to_string(longest_header) +
              " are read");
  if (length > file.left())
    file.fail("a header of " + std::to_string(length) + " bytes, the file has " + std::to_string(file.left()));
  std::string header(length, ' ');
  file.read(header.data(), length, "the header");
  const size_t start = header.find_first_not_of(" \t\r\n");
  if (start == std::string::npos || header[start] != '{') file.fail("header: does not begin with {");
  HeaderReader reader(file);
  json::sax_parse(header, &reader);
  std::vector<Entry>& entries = reader.entries;
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return std::tie(a.begin, a.end) < std::tie(b.begin, b.end); });
  check_data(file, entries);

  State tensors;
  for (const Entry& each : entries)
    tensors.push_back({each.name, with_type(file, each.dtype, [&]<class T, class Out>(T, Out) {
                         return file.numbers<T, Out>(each.shape);
                       })});
  const size_t at = find_checksum(header, reader.checksum);
  if (reader.checksum.size() == checksum_digits && at != std::string::npos) {
    std::copy(no_digits.begin(), no_digits.end(), header.begin() + int64_t(at));
    uint32_t checksum = add_to_checksum(add_to_checksum(0, &length, sizeof(length)), header.data(), header.size());
    for (const NamedTensor& each : tensors) checksum = add_to_checksum(checksum, each.tensor);
    if (in_digits(checksum) != reader.checksum)
      file.fail("damaged: its checksum is " + reader.checksum + ", that of its bytes " + in_digits(checksum));
  }
  return tensors;
}

void write_safetensors(const std::string& path, const State& tensors) {
  const auto refuse = [&](const std::string& why) { throw Error(std::string(format) + ": " + path + ": " + why); };
  std::unordered_set<std::string> known;
  for (const auto& [name, x] : tensors) {
    if (!is_name(name)) refuse(name == metadata ? name + " is no name for a tensor" : name_rule);
    if (!known.insert(name).second) refuse(name + " is given twice");
    if (!x.defined()) refuse(name + " is undefined");
  }
  std::string header = "{", data;
  const auto add = [&](const std::string& name, const json& value) {
    try {
      header.append(header.size() > 1 ? "," : "").append(json(name).dump()).append(":").append(value.dump());
    } catch (const json::exception&) {
      refuse("a name is not UTF-8");
    }
  };
  add(metadata, {{checksum_key, no_digits}, {"format", "pt"}});
  for (const auto& [dtype, type] : types) {
    State sorted;
    std::copy_if(tensors.begin(), tensors.end(), std::back_inserter(sorted),
                 [only = dtype](const NamedTensor& each) { return each.tensor.dtype() == only; });
    std::sort(sorted.begin(), sorted.end(), [](auto& a, auto& b) { return a.name < b.name; });
    for (const auto& [name, tensor] : sorted) {
      const size_t begin = data.size();
      const Tensor x = tensor.is_contiguous() ? tensor : kernel::clone(tensor);
      visit(dtype, [&]<class T>(T) {
        data.append(reinterpret_cast<const char*>(x.data<T>()), size_t(x.numel()) * sizeof(T));
      });
      add(name, {{"data_offsets", {begin, data.size()}},
                 {"dtype", type},
                 {"shape", std::vector<int64_t>(x.shape().begin(), x.shape().end())}});
    }
  }
  header += '}';
  header.append((8 - header.size() % 8) % 8, ' ');  // the numbers begin at a multiple of 8
  const uint64_t length = header.size();
  if (length > longest_header)
    refuse("a header of " + std::to_string(length) + " bytes; at most " + std::to_string(longest_header) + " are read");
  std::string bytes(reinterpret_cast<const char*>(&length), sizeof(length));
  bytes += header;
  bytes += data;
  const std::string digits = in_digits(add_to_checksum(0, bytes.data(), bytes.size()));
  std::copy(digits.begin(), digits.end(), bytes.begin() + int64_t(find_checksum(bytes, no_digits)));
  write_file(format, path, bytes);
}

}  // namespace fathom::io
