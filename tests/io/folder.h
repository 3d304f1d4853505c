// What the tests of files share: a folder that goes with the test, gzipped IDX files made in it.
#pragma once
#include <unistd.h>  // getpid
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

struct Folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() / ("fathom_io_" + std::to_string(getpid()));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string operator/(const std::string& name) const { return (path / name).string(); }
  std::string plain(const std::string& name, const std::string& bytes) const {
    std::ofstream(*this / name, std::ios::binary) << bytes;
    return *this / name;
  }
  std::string gzip(const std::string& name, const std::string& bytes) const {
    const gzFile file = gzopen((*this / name).c_str(), "wb9");
    gzwrite(file, bytes.data(), unsigned(bytes.size()));
    gzclose(file);
    return *this / name;
  }
  std::string bytes(const std::string& name) const {
    std::ifstream file(*this / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
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
