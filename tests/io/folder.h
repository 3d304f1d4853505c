// What the tests of files share: gzipped IDX files made in a folder.
#pragma once
#include <zlib.h>

#include <string>
#include <vector>

#include "tests/folder.h"

struct Folder : TemporaryFolder {
  std::string gzip(const std::string& name, const std::string& bytes) const {
    const gzFile file = gzopen((*this / name).c_str(), "wb9");
    gzwrite(file, bytes.data(), unsigned(bytes.size()));
    gzclose(file);
    return *this / name;
  }
};

inline std::string big_endian(uint32_t value) {
  return {char(value >> 24), char(value >> 16), char(value >> 8), char(value)};
}
inline std::string idx_header(int type, const std::vector<uint32_t>& sizes) {
  std::string header = {0, 0, char(type), char(sizes.size())};
  for (uint32_t size : sizes) header += big_endian(size);
  return header;
}
inline std::string images(uint32_t n, uint32_t height, uint32_t width) {
  std::string file = idx_header(8, {n, height, width});
  for (uint32_t i = 0; i < n * height * width; ++i) file += char(i * 7 % 256);
  return file;
}
inline std::string labels(uint32_t n) {
  std::string file = idx_header(8, {n});
  for (uint32_t i = 0; i < n; ++i) file += char(i % 10);
  return file;
}
