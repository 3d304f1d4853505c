// The adding problem (Hochreiter & Schmidhuber, "Long short-term memory", 1997): each step of a sequence gives a number
// in [0, 1) and a mark; two steps are marked, one in each half, and the answer, after the last step, is the sum of
// their numbers. Always to answer 1 has an error of 1/6. To do better the gradient must come from the end to the marks.
#include <fathom/fathom.h>
#include <fathom/io/write_file.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "adding/options.h"

using namespace fathom;
using namespace adding;

namespace {

struct Samples {
  Tensor x, y;  // (steps, batch, 2) and (batch, 1)
};
Samples draw(int64_t steps, int64_t batch, Rng& rng) {
  Samples s{zeros({steps, batch, 2}), zeros({batch, 1})};
  float *x = s.x.data<float>(), *y = s.y.data<float>();
  for (int64_t i = 0; i < steps * batch; ++i) x[2 * i] = float(rng.uniform());
  for (int64_t b = 0; b < batch; ++b)
    for (const auto& [from, to] : {std::pair(int64_t{0}, steps / 2), std::pair(steps / 2, steps)}) {
      const int64_t at = from + int64_t(rng.integer(uint64_t(to - from)));
      x[2 * (at * batch + b) + 1] = 1;
      y[b] += x[2 * (at * batch + b)];
    }
  return s;
}

// A recurrent layer, and a linear map of its last output.
struct Net : nn::Module {
  std::unique_ptr<nn::Recurrent> layer;
  nn::Linear head;

  Net(const std::string& kind, int64_t width) : layer(make(kind, width)), head(width, 1) {}
  Tensor forward(Tensor x) override { return head((*layer)(std::move(x))[-1]); }
  void fields(nn::Fields& f) override {
    f("layer", layer);
    f("head", head);
  }

 private:
  static std::unique_ptr<nn::Recurrent> make(const std::string& kind, int64_t width) {
    if (kind == "lstm") return std::make_unique<nn::LSTM>(2, width, nn::LSTMOptions{.forget_bias = 1});
    if (kind == "gru") return std::make_unique<nn::GRU>(2, width);
    if (kind == "irnn")
      return std::make_unique<nn::RNN>(2, width, nn::RNNOptions{.nonlinearity = Nonlinearity::relu, .identity = true});
    return std::make_unique<nn::RNN>(2, width);
  }
};

struct Run {
  std::string net;
  int64_t length;
  double clip;  // 0: none
  int64_t steps = 0;
  double error = 0;         // the last on the test sequences
  double largest_norm = 0;  // of the gradients, before clipping
  double seconds = 0;
  bool finite = true;
};

double mean_error(Net& net, const Samples& test) {
  const NoGrad off;
  return nn::mse_loss(net(test.x), test.y).item();
}

double rate(const Options& options, const std::string& net) {
  if (options.lr > 0) return options.lr;
  return net == "lstm" || net == "gru" ? 0.01 : 0.001;
}

// Trains until the error on the test sequences is below the target; looks at it every 100 steps.
void train(const Options& options, Run& run, std::FILE* csv) {
  const auto start = std::chrono::steady_clock::now();
  manual_seed(options.seed);
  Rng training(options.seed, 1), testing(options.seed, 2);
  const Samples test = draw(run.length, 1000, testing);
  Net net(run.net, options.width);
  optim::Adam opt(net.parameters(), {.lr = rate(options, run.net)});
  double sum = 0;
  int64_t since = 0;
  for (;;) {
    if (run.steps % 100 == 0 || run.steps == options.steps || !run.finite) {
      run.error = mean_error(net, test);
      std::fprintf(csv, "%s,%lld,%g,%lld,%g,%g\n", run.net.c_str(), static_cast<long long>(run.length), run.clip,
                   static_cast<long long>(run.steps), since ? sum / double(since) : NAN, run.error);
      sum = 0, since = 0;
      if (run.steps % 500 == 0)
        std::fprintf(stderr, "%-4s T %lld, %s: step %5lld of %lld, error %.5f\n", run.net.c_str(),
                     static_cast<long long>(run.length), run.clip ? "clipped" : "not clipped",
                     static_cast<long long>(run.steps), static_cast<long long>(options.steps), run.error);
      if (!run.finite || run.error < options.target || run.steps == options.steps) break;
    }
    const Samples s = draw(run.length, options.batch, training);
    const Tensor loss = nn::mse_loss(net(s.x), s.y);
    opt.zero_grad();
    loss.backward();
    const double norm =
        opt.step({.clip_norm = run.clip, .measure_norm = true, .on_nonfinite = optim::OnNonfinite::skip});
    run.finite = std::isfinite(norm);
    run.largest_norm = std::fmax(run.largest_norm, norm);
    sum += loss.item();
    ++since;
    ++run.steps;
  }
  run.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void print_table(const std::vector<Run>& runs, const Options& options) {
  std::printf("\n%-5s %7s %6s %6s %10s %7s %14s %8s   %s\n", "net", "length", "clip", "lr", "test error", "steps",
              "largest norm", "seconds", "");
  double seconds = 0;
  for (const Run& run : runs) {
    const char* verdict = !run.finite                  ? "the gradient is not finite"
                          : run.error < options.target ? "learned"
                          : run.error > 0.1            ? "not learned"
                                                       : "in between";
    char clip[16] = "none";
    if (run.clip) std::snprintf(clip, sizeof clip, "%g", run.clip);
    std::printf("%-5s %7lld %6s %6g %10.5f %7lld %14.4g %8.1f   %s\n", run.net.c_str(),
                static_cast<long long>(run.length), clip, rate(options, run.net), run.error,
                static_cast<long long>(run.steps), run.largest_norm, run.seconds, verdict);
    seconds += run.seconds;
  }
  std::printf("\nAlways to answer 1 has an error of 1/6 = 0.16667. All runs: %.0f s.\n", seconds);
}

int run(const Options& options) {
  if (options.threads) set_threads(options.threads);
  io::make_folder("--out", options.out);
  const std::string path = (std::filesystem::path(options.out) / "adding.csv").string();
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> csv(std::fopen(path.c_str(), "w"), std::fclose);
  if (!csv) throw Error("cannot write " + path);
  std::fprintf(csv.get(), "net,length,clip,step,training_error,test_error\n");
  std::vector<Run> runs;
  for (const int64_t length : options.lengths)
    for (const std::string& net : options.nets)
      for (const double clip : {0.0, options.clip}) {
        runs.push_back({net, length, clip});
        train(options, runs.back(), csv.get());
        std::fflush(csv.get());
      }
  print_table(runs, options);
  std::printf("%s\n", path.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_program("adding", argc, argv, read_options, run); }
