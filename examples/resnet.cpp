// A small residual convolutional net learns to read digits: three stages at 28, 14 and 7 places a side, each a step
// down and a residual block.
#include <fathom/fathom.h>
#include <fathom/io/write_file.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>

#include "resnet/data.h"
#include "resnet/options.h"

using namespace fathom;
using namespace resnet;

namespace {

// conv(relu(norm(conv(x)))), normed, added to x.
struct Block : nn::Module {
  nn::Conv2d conv1, conv2;
  nn::BatchNorm2d norm1, norm2;

  explicit Block(int64_t n)
      : conv1(n, n, 3, {.padding = 1, .bias = false}),
        conv2(n, n, 3, {.padding = 1, .bias = false}),
        norm1(n),
        norm2(n) {}
  Tensor forward(Tensor x) override { return relu(x + norm2(conv2(relu(norm1(conv1(x)))))); }
  void fields(nn::Fields& f) override {
    f("conv1", conv1);
    f("norm1", norm1);
    f("conv2", conv2);
    f("norm2", norm2);
  }
};

nn::Sequential make_net(int64_t width, int64_t classes) {
  const auto down = [](int64_t in, int64_t out) {
    return nn::Sequential(nn::Conv2d(in, out, 3, {.stride = 2, .padding = 1, .bias = false}), nn::BatchNorm2d(out),
                          nn::ReLU());
  };
  return nn::Sequential(down(1, width), Block(width), down(width, 2 * width), Block(2 * width),
                        nn::AdaptiveAvgPool2d(1), nn::Flatten(), nn::Linear(2 * width, classes));
}

Tensor images(const Tensor& x) { return x.reshape({x.size(0), 1, 28, 28}); }

double accuracy(nn::Module& net, const io::Dataset& data) {
  NoGrad off;
  net.eval();
  double right = 0;
  for (auto [x, y] : io::batches(data, {.size = 500})) right += sum(argmax(net(images(x))) == y).item();
  net.train();
  return right / double(data.size());
}

struct Epoch {
  double loss, accuracy, seconds;
};

int run(const Options& options) {
  if (options.threads) set_threads(options.threads);
  manual_seed(options.seed);
  const io::Split data = load(options.data);
  if (data.train.x.size(1) != 784) throw Error("images of 28 by 28 are needed, got " + to_string(data.train.x.shape()));
  const int64_t size = std::min(options.batch, data.train.size()), steps = options.epochs * (data.train.size() / size);
  nn::Sequential net = make_net(options.width, options.data.empty() ? 5 : 10);
  optim::AdamW opt(net.parameters(), {.lr = options.lr, .weight_decay = options.weight_decay});
  std::optional<probe::Recorder> recorder;
  std::ofstream curve;
  if (!options.out.empty()) {
    io::make_folder("--out", options.out);
    const std::string path = (std::filesystem::path(options.out) / "resnet.csv").string();
    curve.open(path);
    if (!curve) throw Error("cannot write " + path);
    curve << "step,loss\n";
    recorder.emplace(net, probe::RecorderOptions{.every = options.every, .out = options.out, .name = "resnet"});
  }

  const auto start = std::chrono::steady_clock::now();
  std::vector<Epoch> epochs;
  int64_t step = 0;
  for (int64_t epoch = 0; epoch < options.epochs; ++epoch) {
    double total = 0;
    int64_t count = 0;
    for (auto [x, y] : io::batches(data.train, {.size = size, .shuffle = true, .drop_last = true})) {
      opt.set_lr(
          optim::cosine(step++, {.lr = options.lr, .steps = steps, .warmup = std::min<int64_t>(steps / 10, 50)}));
      const Tensor loss = nn::cross_entropy(net(images(x)), y);
      opt.zero_grad();
      if (recorder) recorder->backward(loss);
      else loss.backward();
      opt.step({.clip_norm = 1});
      total += loss.item(), ++count;
      if (curve) curve << step << ',' << loss.item() << '\n';
      if (step % 25 == 0) std::printf("step %lld of %lld: loss %.4f\n", (long long)step, (long long)steps, loss.item());
      std::fflush(stdout);
    }
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    epochs.push_back({total / double(count), accuracy(net, data.test), spent.count()});
  }

  std::printf("\n%8s %12s %10s %10s\n", "epoch", "train loss", "held back", "seconds");
  for (size_t i = 0; i < epochs.size(); ++i)
    std::printf("%8zu %12.4f %8.2f %% %10.1f\n", i + 1, epochs[i].loss, 100 * epochs[i].accuracy, epochs[i].seconds);
  if (recorder) {
    recorder->finish({.accuracy = epochs.back().accuracy});
    const auto page = std::filesystem::path(options.out) / "report.html";
    recorder->report(page.string());
    std::printf("\n%s\n", page.c_str());
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_program("resnet", argc, argv, read_options, run); }
