// Numbers below the normal range (1.2e-38 in f32) are flushed to zero: the processor handles them in microcode, and a
// vanished gradient would make a step of a deep net 12 times slower. A thread's first tensor switches this on for it.
#pragma once

namespace fathom {

// For this thread, until changed.
void flush_denormals(bool on);
bool flushes_denormals();

// A scope in which they are kept.
class KeepDenormals {
 public:
  KeepDenormals();
  ~KeepDenormals();
  KeepDenormals(const KeepDenormals&) = delete;
  KeepDenormals& operator=(const KeepDenormals&) = delete;

 private:
  bool before_;
};

}  // namespace fathom
