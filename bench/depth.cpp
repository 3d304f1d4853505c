// What a layer costs in nets of growing depth: linear and tanh of width 64, a batch of 32, Adam. Prints a Markdown
// table. Every measurement runs in a process of its own, on one thread.
//   depth [LAYERS...]
#include <malloc.h>  // malloc_trim
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "fathom/autograd/backward.h"
#include "fathom/autograd/checkpoint.h"
#include "fathom/autograd/create.h"
#include "fathom/nn/nn.h"
#include "fathom/optim/optim.h"
#include "fathom/tensor/parallel.h"
#include "fathom/tensor/pool.h"

using namespace fathom;

namespace {

struct Cost {
  double step_us;
  double memory_kib;  // of the whole, above that of a process with a net of one layer
  double tape_kib;    // of it what is more than parameters, gradients and the optimiser's state
};

// A line of /proc/self/status, such as VmRSS (resident memory) or VmHWM (its peak), in KiB.
double status(const std::string& name) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with(name + ":")) return std::atof(line.c_str() + name.size() + 1);
  return NAN;
}
void forget_peak() { std::ofstream("/proc/self/clear_refs") << 5; }

// In KiB, after all that is free was given back.
double resident() {
  pool::release();
  malloc_trim(0);
  return status("VmRSS");
}

double microseconds_of(const auto& step) {
  const auto begin = std::chrono::steady_clock::now();
  step();
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
}

nn::Sequential net_of(int layers) {
  nn::Sequential net;
  for (int i = 0; i < layers; ++i) {
    net.push_back(nn::Linear(64, 64));
    net.push_back(nn::Tanh());
  }
  return net;
}

// With checkpoints, only the values between sqrt(layers) segments are kept, the others computed again.
class Training {
 public:
  Training(int layers, bool checkpoints)
      : net_(net_of(layers)),
        opt_(net_.parameters()),
        checkpoints_(checkpoints),
        segment_(2 * size_t(checkpoints ? std::lround(std::sqrt(layers)) : layers)) {}

  // Adds to the gradients there are.
  void backward() { nn::cross_entropy(forward(), labels_).backward(); }
  void step() {
    opt_.zero_grad();
    backward();
    opt_.step({.clip_norm = 1});
  }

 private:
  Tensor forward() {
    Tensor h = x_;
    for (size_t begin = 0; begin < net_.size(); begin += segment_) {
      const auto part = [this, begin, end = std::min(begin + segment_, net_.size())](Tensor y) {
        for (size_t i = begin; i < end; ++i) y = net_[i](std::move(y));
        return y;
      };
      h = checkpoints_ ? checkpoint(part, h) : part(std::move(h));
    }
    return h;
  }

  nn::Sequential net_;
  optim::Adam opt_;
  bool checkpoints_;
  size_t segment_;
  Tensor x_ = randn({32, 64}), labels_ = randint(0, 10, {32});
};

Cost measure(int layers, bool checkpoints) {
  set_threads(1);
  Training(1, checkpoints).step();  // the program itself is in memory now
  const double empty = resident();
  Training training(layers, checkpoints);
  training.step();
  const double lasting = resident();
  forget_peak();
  training.backward();
  const double tape = status("VmHWM") - lasting;

  std::vector<double> times;
  double total = 0;
  while (times.size() < 9 || (total < 1e6 && times.size() < 10000))
    total += times.emplace_back(microseconds_of([&] { training.step(); }));
  const auto median = times.begin() + std::ptrdiff_t(times.size() / 2);
  std::nth_element(times.begin(), median, times.end());
  return {*median, status("VmHWM") - empty, tape};
}

Cost in_a_process(int layers, bool checkpoints) {
  int ends[2];
  if (pipe(ends) != 0) return {};
  const pid_t child = fork();
  if (child == 0) {
    const Cost cost = measure(layers, checkpoints);
    _exit(write(ends[1], &cost, sizeof(cost)) != sizeof(cost));
  }
  close(ends[1]);
  Cost cost{NAN, NAN, NAN};
  if (child < 0 || read(ends[0], &cost, sizeof(cost)) != sizeof(cost)) std::fprintf(stderr, "depth: no result\n");
  close(ends[0]);
  if (child > 0) waitpid(child, nullptr, 0);
  return cost;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<int> depths;
  for (int i = 1; i < argc; ++i) depths.push_back(std::atoi(argv[i]));
  if (depths.empty()) depths = {16, 64, 256, 1024, 4096};
  if (std::any_of(depths.begin(), depths.end(), [](int layers) { return layers < 1; })) {
    std::fprintf(stderr, "usage: depth [LAYERS...], each at least 1\n");
    return 2;
  }
  std::puts(
      "| layers | step, ms | a layer, us | memory, MiB | a layer, KiB | tape, MiB | checkpointed: step, ms | tape, MiB "
      "|\n"
      "|---|---|---|---|---|---|---|---|");
  for (int layers : depths) {
    const Cost whole = in_a_process(layers, false), parts = in_a_process(layers, true);
    std::printf("| %d | %.2f | %.2f | %.1f | %.1f | %.2f | %.2f | %.2f |\n", layers, whole.step_us / 1e3,
                whole.step_us / layers, whole.memory_kib / 1024, whole.memory_kib / layers, whole.tape_kib / 1024,
                parts.step_us / 1e3, parts.tape_kib / 1024);
    std::fflush(stdout);
  }
}
