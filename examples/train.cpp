// The page of code in the README, as a program: train [FOLDER], with the files of MNIST in it.
#include <fathom/fathom.h>

#include <iostream>

using namespace fathom;

struct Net : nn::Module {
  nn::Linear in{784, 256};
  nn::LayerNorm norm{256};
  nn::Linear out{256, 10};

  Tensor forward(Tensor x) override { return out(tanh(norm(in(std::move(x))))); }
  void fields(nn::Fields& f) override {
    f("in", in);
    f("norm", norm);
    f("out", out);
  }
};

double accuracy(Net& net, const io::Dataset& data) {
  NoGrad off;
  double right = 0;
  for (auto [x, y] : io::batches(data, {.size = 500})) right += sum(argmax(net(x)) == y).item();
  return right / double(data.size());
}

int main(int argc, char** argv) try {
  if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
    std::cerr << "usage: train [FOLDER], with the files of MNIST; without, data/mnist\n";
    return 2;
  }
  manual_seed(0);
  const auto data = io::mnist(argc > 1 ? argv[1] : "data/mnist");
  Net net;
  optim::AdamW opt(net.parameters(), {.lr = 1e-3, .weight_decay = 0.01});
  probe::Recorder recorder(net, {.every = 10, .out = "run"});
  for (int epoch = 0; epoch < 3; ++epoch) {
    for (auto [x, y] : io::batches(data.train, {.size = 128, .shuffle = true})) {
      Tensor loss = nn::cross_entropy(net(x), y);
      opt.zero_grad();
      recorder.backward(loss);  // loss.backward(), with the measurements that are due at this step
      opt.step({.clip_norm = 1.0});
    }
    std::cout << "epoch " << epoch << ": " << 100 * accuracy(net, data.test) << " % of the test images right\n";
  }
  recorder.finish({.accuracy = accuracy(net, data.test)});
  recorder.report("run/report.html");
  std::cout << "run/report.html shows the Jacobians of its layers\n";
} catch (const Error& error) {
  std::cerr << "train: " << error.what() << '\n';
  return 1;
}
