#include "fathom/io/binary_file.h"

#include <filesystem>

namespace fathom::io {

BinaryFile::BinaryFile(const char* format, const std::string& path) : format_(format), path_(path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) fail("there is no such file");
  if (!std::filesystem::is_regular_file(path, error)) fail("not a file");
  size_ = std::filesystem::file_size(path, error);
  file_.open(path, std::ios::binary);
  if (error || !file_) fail("cannot be read");
}

void BinaryFile::fail(const std::string& rule) const { throw Error(format_ + ": " + path_ + ": " + rule); }

void BinaryFile::read(void* to, size_t n, const char* what) {
  if (n && !file_.read(static_cast<char*>(to), std::streamsize(n))) fail(std::string("ends within ") + what);
  at_ += n;
}

uint64_t BinaryFile::bytes_of(const Shape& shape, size_t width) const {
  try {
    checked_bytes(shape, f64);
  } catch (const Error& e) {
    fail(e.what());
  }
  return uint64_t(shape.numel()) * width;
}

}  // namespace fathom::io
