#include "fathom/probe/record_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>  // strerror
#include <filesystem>

#include "fathom/io/write_file.h"
#include "fathom/tensor/error.h"

namespace fathom::probe {

RecordFile::RecordFile(const std::string& folder) : path_((std::filesystem::path(folder) / "record.jsonl").string()) {
  io::make_folder("Recorder", folder);
  file_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file_ < 0) fail();
  off_t end = ::lseek(file_, 0, SEEK_END);
  const off_t size = end;
  for (char c; end > 0 && ::pread(file_, &c, 1, end - 1) == 1 && c != '\n';) --end;
  if (end != size && ::ftruncate(file_, end) != 0) fail();
}

RecordFile::~RecordFile() {
  if (file_ >= 0) ::close(file_);
}

void RecordFile::append(std::string_view lines) {
  while (!lines.empty()) {
    const ssize_t n = ::write(file_, lines.data(), lines.size());
    if (n < 0 && errno != EINTR) fail();
    if (n > 0) lines.remove_prefix(size_t(n));
  }
}

void RecordFile::fail() const { throw Error("Recorder: cannot write " + path_ + ": " + std::strerror(errno)); }

}  // namespace fathom::probe
