// A file of lines to which whole lines are appended. Internal to the recorder.
#pragma once
#include <string>

namespace fathom::probe {

class RecordFile {
 public:
  // Opens folder/record.jsonl, made where there is none; half a line at its end, as an interrupted program leaves it,
  // is cut off. Throws Error, naming the file and the system's reason, when it cannot be written.
  explicit RecordFile(const std::string& folder);
  ~RecordFile();
  RecordFile(const RecordFile&) = delete;
  RecordFile& operator=(const RecordFile&) = delete;

  // The line and its end, by one write. Throws Error when that fails.
  void append(std::string line);
  const std::string& path() const { return path_; }

 private:
  [[noreturn]] void fail() const;
  std::string path_;
  int file_ = -1;
};

}  // namespace fathom::probe
