#include "fathom/io/write_file.h"

#include <signal.h>  // kill
#include <unistd.h>  // getpid

#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "fathom/tensor/error.h"

namespace fathom::io {

namespace {

// Removes the drafts, FILE.partPROCESS.NUMBER, of processes that are no more. One of this hour may be of a process that
// cannot be seen from here: of another machine.
void remove_stale_drafts(const std::string& file) {
  const std::filesystem::path whole(file), folder = whole.parent_path();
  const std::string start = whole.filename().string() + ".part";
  std::error_code ignored;
  std::filesystem::directory_iterator at(folder.empty() ? "." : folder, ignored), end;
  for (; at != end; at.increment(ignored)) {
    const std::string name = at->path().filename().string();
    if (!name.starts_with(start)) continue;
    pid_t process = 0;
    const char *const from = name.data() + start.size(), *const last = name.data() + name.size();
    const auto [rest, error] = std::from_chars(from, last, process);
    if (error != std::errc() || rest == last || *rest != '.' || process <= 0) continue;
    const bool old =
        std::filesystem::file_time_type::clock::now() - at->last_write_time(ignored) > std::chrono::hours(1);
    if (old && ::kill(process, 0) != 0 && errno == ESRCH) std::filesystem::remove(at->path(), ignored);
  }
}

}  // namespace

void write_file(const char* op, const std::string& path, std::string_view bytes) {
  static std::atomic<unsigned> drafts = 0;  // each writer has a draft of its own, in any process and thread
  const std::string draft = path + ".part" + std::to_string(getpid()) + "." + std::to_string(drafts++);
  const auto fail = [&] {
    const std::string reason = std::strerror(errno);
    std::remove(draft.c_str());
    throw Error(std::string(op) + ": " + path + ": cannot be written: " + reason);
  };
  remove_stale_drafts(path);
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
