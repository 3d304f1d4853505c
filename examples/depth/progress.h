// How far it is: a bar that stays on its line where stderr is a terminal, a line at every tenth of a net elsewhere.
#pragma once
#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>

#include "fathom/probe/recorder.h"

namespace depth {

class Progress {
 public:
  Progress(std::string net, int64_t steps) : net_(std::move(net)), steps_(steps), terminal_(isatty(STDERR_FILENO)) {}
  ~Progress() {
    if (terminal_) std::fprintf(stderr, "\r\033[K");
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // After a step, `done` with it.
  void step(int64_t done, const fathom::probe::Recorder& recorder) {
    if (terminal_) return bar(done, recorder);
    if (done * 10 / steps_ != (done - 1) * 10 / steps_) std::fprintf(stderr, "%s\n", text(recorder).c_str());
  }

 private:
  std::string text(const fathom::probe::Recorder& recorder) const {
    return net_ + std::string(net_.size() < 14 ? 14 - net_.size() : 0, ' ') + " " + recorder.status();
  }

  void bar(int64_t done, const fathom::probe::Recorder& recorder) {
    const auto now = std::chrono::steady_clock::now();
    if (done < steps_ && now - drawn_ < std::chrono::milliseconds(50)) return;
    drawn_ = now;
    constexpr int width = 24;
    std::string bar(width, ' ');
    for (int i = 0; i < int(done * width / steps_); ++i) bar[size_t(i)] = '#';
    winsize window{};
    const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > width + 4;
    const int room = known ? window.ws_col - width - 4 : 100;
    std::fprintf(stderr, "\r[%s] %.*s\033[K", bar.c_str(), room, text(recorder).c_str());
  }

  std::string net_;
  int64_t steps_;
  bool terminal_;
  std::chrono::steady_clock::time_point drawn_{};
};

}  // namespace depth
