// Whether ops are recorded, on this thread.
#pragma once

namespace fathom {

inline constinit thread_local bool recording_ = true;
inline bool recording() { return recording_; }

// A scope in which they are, or are not.
class Recording {
 public:
  explicit Recording(bool on) : before_(recording_) { recording_ = on; }
  ~Recording() { recording_ = before_; }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

 private:
  bool before_;
};

// A scope in which nothing is recorded.
struct NoGrad : Recording {
  NoGrad() : Recording(false) {}
};

}  // namespace fathom
