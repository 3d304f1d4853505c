// A file of lines to which whole lines are appended. Internal to the recorder.
#pragma once
#include <string>
#include <string_view>

namespace fathom::probe {

// The record of a folder; a path to anything else is the record's own.
std::string record_at(const std::string& path);

class RecordFile {
 public:
  // Opens folder/record.jsonl, made where there is none; half a line at its end, as an interrupted program leaves it,
  // is cut off. Throws Error, naming the file and the system's reason, when it cannot be written, and when another, in
  // any process, is open there for a run of this name.
  RecordFile(const std::string& folder, const std::string& run);
  ~RecordFile();
  RecordFile(const RecordFile&) = delete;
  RecordFile& operator=(const RecordFile&) = delete;

  // Whole lines, by one write. Throws Error when that fails.
  void append(std::string_view lines);
  void release_name();  // no more lines will come
  const std::string& path() const { return path_; }

 private:
  bool lock_name(short type);
  [[noreturn]] void fail() const;
  std::string path_, run_;
  int file_ = -1;
};

}  // namespace fathom::probe
