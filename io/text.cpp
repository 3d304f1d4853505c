#include "fathom/io/text.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>  // strerror
#include <memory>

namespace fathom::io {
namespace {

// f(code) for each character. RFC 3629: no overlong forms, no surrogates, nothing above 10FFFF.
template <class F>
void each_character(std::string_view text, F f) {
  for (size_t i = 0; i < text.size();) {
    const auto byte = [&](size_t k) { return k < text.size() ? static_cast<unsigned char>(text[k]) : 0u; };
    const unsigned first = byte(i);
    const size_t length = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
    char32_t code = length < 2 ? first : first & (0x7fu >> length);
    bool good = length > 0;
    for (size_t k = 1; k < length; ++k) {
      good &= byte(i + k) >> 6 == 2;
      code = code << 6 | (byte(i + k) & 0x3f);
    }
    constexpr char32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (!good || code < least[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
      throw Error("Characters: the text is not UTF-8 at byte " + std::to_string(i));
    f(code);
    i += length;
  }
}

void append(std::string& text, char32_t code) {
  const auto put = [&](char32_t byte) { text += static_cast<char>(static_cast<unsigned char>(byte)); };
  const int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  constexpr char32_t lead[] = {0, 0xc0, 0xe0, 0xf0};
  put(lead[more] | code >> 6 * more);
  for (int k = more; k-- > 0;) put(0x80 | (code >> 6 * k & 0x3f));
}

}  // namespace

std::string read_text(const std::string& path) {
  const auto refuse = [&] { throw Error("read_text: " + path + ": " + std::strerror(errno)); };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) refuse();
  std::string text;
  char block[65536];
  while (const size_t n = std::fread(block, 1, sizeof block, file.get())) text.append(block, n);
  if (std::ferror(file.get())) refuse();
  return text;
}

Characters::Characters(std::string_view text) {
  std::vector<bool> seen;
  each_character(text, [&](char32_t code) {
    if (code >= seen.size()) seen.resize(code + 1);
    seen[code] = true;
  });
  for (size_t code = 0; code < seen.size(); ++code)
    if (seen[code]) codes_.push_back(char32_t(code));
}

Tensor Characters::encode(std::string_view text) const {
  std::vector<int64_t> numbers;
  each_character(text, [&](char32_t code) {
    const auto at = std::lower_bound(codes_.begin(), codes_.end(), code);
    if (at == codes_.end() || *at != code)
      throw Error("Characters: code " + std::to_string(uint32_t(code)) + " is not among the " +
                  std::to_string(codes_.size()) + " characters");
    numbers.push_back(at - codes_.begin());
  });
  const Tensor out({int64_t(numbers.size())}, i64);
  std::copy(numbers.begin(), numbers.end(), out.data<int64_t>());
  return out;
}

std::string Characters::decode(const Tensor& numbers) const {
  if (numbers.dtype() != i64)
    throw Error(std::string("Characters: characters are numbered by i64, got ") + to_string(numbers.dtype()));
  std::string text;
  for (const int64_t i : numbers.to_vector<int64_t>()) {
    if (i < 0 || i >= size())
      throw Error("Characters: number " + std::to_string(i) + " for " + std::to_string(size()) + " characters");
    append(text, codes_[size_t(i)]);
  }
  return text;
}

}  // namespace fathom::io
