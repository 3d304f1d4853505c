#include "fathom/io/write_file.h"

#include <unistd.h>  // getpid

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "fathom/tensor/error.h"

namespace fathom::io {

void write_file(const char* op, const std::string& path, std::string_view bytes) {
  static std::atomic<unsigned> drafts = 0;  // each writer has a draft of its own, in any process and thread
  const std::string draft = path + ".part" + std::to_string(getpid()) + "." + std::to_string(drafts++);
  const auto fail = [&] {
    const std::string reason = std::strerror(errno);
    std::remove(draft.c_str());
    throw Error(std::string(op) + ": " + path + ": cannot be written: " + reason);
  };
  std::FILE* file = std::fopen(draft.c_str(), "wb");
  if (!file) fail();
  const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  const bool closed = std::fclose(file) == 0;
  if (!written || !closed || std::rename(draft.c_str(), path.c_str()) != 0) fail();
}

void make_folder(const char* op, const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw Error(std::string(op) + ": " + folder + ": cannot be made: " + error.message());
}

}  // namespace fathom::io
