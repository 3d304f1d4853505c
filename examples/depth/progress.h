// How far it is: a bar that stays on its line where stderr is a terminal, a line at every tenth of a net elsewhere.
#pragma once
#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>

namespace depth {

class Progress {
 public:
  Progress(std::string net, int64_t steps) : net_(std::move(net)), steps_(steps), terminal_(isatty(STDERR_FILENO)) {}
  ~Progress() {
    if (terminal_) std::fprintf(stderr, "\r\033[K");
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // After a step, `done` with it. worst: the layer that stretches or squeezes most, empty before it is known.
  void step(int64_t done, double loss, const std::string& worst, double sigma_max) {
    char text[256];
    const int length = std::snprintf(text, sizeof text, "%-14s step %*lld/%lld  loss %.4f", net_.c_str(), digits(),
                                     static_cast<long long>(done), static_cast<long long>(steps_), loss);
    if (!worst.empty())
      std::snprintf(text + length, sizeof text - size_t(length), "  worst layer %.60s: sigma_max %.3g", worst.c_str(),
                    sigma_max);
    if (terminal_) bar(done, text);
    else if (done * 10 / steps_ != (done - 1) * 10 / steps_) std::fprintf(stderr, "%s\n", text);
  }

 private:
  int digits() const { return int(std::to_string(steps_).size()); }

  void bar(int64_t done, const char* text) {
    const auto now = std::chrono::steady_clock::now();
    if (done < steps_ && now - drawn_ < std::chrono::milliseconds(50)) return;
    drawn_ = now;
    constexpr int width = 24;
    std::string bar(width, ' ');
    for (int i = 0; i < int(done * width / steps_); ++i) bar[size_t(i)] = '#';
    winsize window{};
    const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > width + 4;
    const int room = known ? window.ws_col - width - 4 : 100;
    std::fprintf(stderr, "\r[%s] %.*s\033[K", bar.c_str(), room, text);
  }

  std::string net_;
  int64_t steps_;
  bool terminal_;
  std::chrono::steady_clock::time_point drawn_{};
};

}  // namespace depth
