// Text as numbers, a number a character.
#pragma once
#include <string>
#include <string_view>

#include "fathom/tensor/tensor.h"

namespace fathom::io {

// The bytes of a file. Throws Error, naming it, when it cannot be read.
std::string read_text(const std::string& path);

// The characters (Unicode's code points) of a text in UTF-8, numbered from 0 in the order of their codes.
class Characters {
 public:
  explicit Characters(std::string_view text);  // Throws Error when it is not UTF-8, saying where.
  int64_t size() const { return int64_t(codes_.size()); }
  // i64 (characters). Throws Error on a character that is not among these, and when the text is not UTF-8.
  Tensor encode(std::string_view text) const;
  // Throws Error when the numbers are not i64 or not within 0 .. size() - 1.
  std::string decode(const Tensor& numbers) const;

 private:
  std::u32string codes_;  // sorted
};

}  // namespace fathom::io
