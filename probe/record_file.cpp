#include "fathom/probe/record_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>  // strerror
#include <filesystem>
#include <functional>  // hash

#include "fathom/io/write_file.h"
#include "fathom/tensor/error.h"

namespace fathom::probe {

std::string record_at(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored) ? (std::filesystem::path(path) / "record.jsonl").string() : path;
}

RecordFile::RecordFile(const std::string& folder, const std::string& run) : run_(run) {
  io::make_folder("Recorder", folder);
  path_ = record_at(folder);
  file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file_ < 0) fail();
  if (!lock_name(F_WRLCK)) {
    ::close(file_);
    throw Error("Recorder: another is recording a run \"" + run_ + "\" in " + path_ +
                "; give this one another .name or .out");
  }
  off_t end = ::lseek(file_, 0, SEEK_END);
  const off_t size = end;
  for (char c; end > 0 && ::pread(file_, &c, 1, end - 1) == 1 && c != '\n';) --end;
  if (end != size && ::ftruncate(file_, end) != 0) fail();
}

RecordFile::~RecordFile() {
  if (file_ >= 0) ::close(file_);
}

void RecordFile::append(std::string_view lines) {
  const off_t before = ::lseek(file_, 0, SEEK_END);
  const size_t size = lines.size();
  while (!lines.empty()) {
    const ssize_t n = ::write(file_, lines.data(), lines.size());
    if (n > 0) lines.remove_prefix(size_t(n));
    if (n >= 0 || errno == EINTR) continue;
    const int why = errno;  // half a line would make the rest unreadable; unless another recorder has written since
    if (const off_t ours = before + off_t(size - lines.size()); ::lseek(file_, 0, SEEK_END) == ours)
      if (::ftruncate(file_, before) != 0) errno = why;
    errno = why;
    fail();
  }
}

// A name is a byte far beyond the file's end; the system lets go of it when the process dies. False: it is taken.
bool RecordFile::lock_name(short type) {
  struct flock byte = {};
  byte.l_type = type, byte.l_whence = SEEK_SET, byte.l_len = 1;
  byte.l_start = (off_t(1) << 40) + off_t(std::hash<std::string>()(run_) >> 24);
  return ::fcntl(file_, F_OFD_SETLK, &byte) == 0 || (errno != EAGAIN && errno != EACCES);  // some systems have no locks
}
void RecordFile::release_name() { lock_name(F_UNLCK); }

void RecordFile::fail() const { throw Error("Recorder: cannot write " + path_ + ": " + std::strerror(errno)); }

}  // namespace fathom::probe
