// Times training steps and prints a line for each case: its name and the median, in microseconds.
//   program [THREADS] [PART_OF_A_NAME]
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace yardstick {

class Cases {
 public:
  Cases(int argc, char** argv) : threads_(argc > 1 ? std::atoi(argv[1]) : 1), part_(argc > 2 ? argv[2] : "") {}

  int threads() const { return threads_; }

  // Where the case is asked for: calls `make` for a step, and the step for a second, or 20,000 times.
  template <class Make>
  void run(const std::string& name, Make make) const {
    if (name.find(part_) == std::string::npos) return;
    auto step = make();
    for (int i = 0; i < 5; ++i) step();

    std::vector<double> times;
    const auto start = Clock::now();
    while (times.size() < 7 || (microseconds_since(start) < 1e6 && times.size() < 20000)) {
      const auto begin = Clock::now();
      step();
      times.push_back(microseconds_since(begin));
    }
    const auto median = times.begin() + times.size() / 2;
    std::nth_element(times.begin(), median, times.end());
    std::printf("%-36s %12.2f\n", name.c_str(), *median);
    std::fflush(stdout);
  }

 private:
  using Clock = std::chrono::steady_clock;

  static double microseconds_since(Clock::time_point begin) {
    return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
  }

  int threads_;
  std::string part_;
};

}  // namespace yardstick
