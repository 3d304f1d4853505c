// A causal transformer learns to write, character by character: the size and the settings are those of a small GPT-2
// for one processor (4 layers, 4 heads, width 128, context 64). The loss over the whole last tenth of the text, which
// it does not see in training, is in nats a character.
#include <fathom/fathom.h>
#include <fathom/io/write_file.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "char_lm/options.h"

using namespace fathom;
using namespace char_lm;

namespace {

// (batch, steps) of i64 to the logits of each next character, (batch, steps, characters).
struct Net : nn::Module {
  nn::Embedding characters;
  std::unique_ptr<nn::Module> positions;  // null where the attention knows of them
  nn::Transformer body;
  nn::Linear head;

  Net(int64_t count, const Options& o)
      : characters(count, o.width),
        positions(make_positions(o)),
        body(o.width, o.heads, o.layers,
             {.causal = true, .rotary = o.positions == "rotary", .dropout = o.dropout, .bias = false}),
        head(o.width, count, {.bias = false}) {
    head.weight = characters.weight;
    // GPT-2's: normal with deviation 0.02, less at the end of each of the 2 layers branches that add up.
    for (auto& [name, w] : named_parameters()) {
      const bool ends_branch = name.ends_with("out_proj.weight") || name.ends_with("linear2.weight");
      if (w.dim() == 2) nn::init::normal(w, 0, ends_branch ? 0.02 / std::sqrt(2 * double(o.layers)) : 0.02);
    }
  }
  Tensor forward(Tensor x) override {
    x = characters(std::move(x));
    if (positions) x = (*positions)(std::move(x));
    return head(body(std::move(x)));
  }
  void fields(nn::Fields& f) override {
    f("characters", characters);
    f("positions", positions);
    f("body", body);
    f("head", head);
  }

 private:
  static std::unique_ptr<nn::Module> make_positions(const Options& o) {
    if (o.positions == "learned") return std::make_unique<nn::LearnedPositions>(o.context, o.width);
    if (o.positions == "sinusoidal") return std::make_unique<nn::SinusoidalPositions>();
    return nullptr;
  }
};

// The mean loss of each character of the text after its first, each seen once, with what its window holds before it.
double mean_loss(Net& net, const Tensor& text, int64_t context) {
  const NoGrad off;
  net.eval();
  double sum = 0;
  const auto add = [&](const Tensor& x, const Tensor& y) {
    sum += nn::cross_entropy(net(x), y).item() * double(y.numel());
  };
  const int64_t targets = text.numel() - 1, left = targets % context;
  if (targets >= context)
    for (auto [x, y] : io::batches(io::windows(text, {.length = context}), {.size = 64})) add(x, y);
  if (left) {
    const io::Dataset rest = io::windows(text.slice(0, targets - left, targets + 1), {.length = left});
    add(rest.x, rest.y);
  }
  net.train();
  return sum / double(text.numel() - 1);
}

// Writes on after the first character, which is not shown.
std::string sample(Net& net, const io::Characters& characters, const Options& o) {
  const NoGrad off;
  net.eval();
  Rng rng(o.seed, 2);
  Tensor text = zeros({1, 1}, {.dtype = i64});
  for (int64_t i = 0; i < o.sample; ++i) {
    const Tensor seen = text.slice(1, std::max<int64_t>(0, text.size(1) - o.context), text.size(1));
    const Tensor logits = net(seen.contiguous()).select(1, -1);
    text = concat({text, multinomial(softmax(logits / o.temperature), 1, false, rng)}, 1);
  }
  return characters.decode(text.slice(1, 1, text.size(1)).contiguous());
}

// Weights of matrices decay, the others do not.
optim::AdamW optimizer_of(const Net& net, const Options& o) {
  const optim::AdamWOptions decaying{.lr = o.lr, .beta2 = 0.99, .weight_decay = o.weight_decay};
  optim::AdamWOptions other = decaying;
  other.weight_decay = 0;
  std::vector<Tensor> matrices, rest;
  for (const Tensor& w : net.parameters()) (w.dim() >= 2 ? matrices : rest).push_back(w);
  return optim::AdamW({{matrices, decaying}, {rest, other}});
}

struct Clock {
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); }
};

// Returns the last loss over the last tenth.
double train(Net& net, const Tensor& training, const Tensor& validation, const Options& o, std::FILE* csv) {
  optim::AdamW opt = optimizer_of(net, o);
  const io::Dataset all = io::windows(training, {.length = o.context, .stride = 1});
  const optim::CosineOptions schedule{
      .lr = o.lr, .end = o.least_lr, .steps = o.steps, .warmup = std::min(o.warmup, o.steps - 1)};
  Rng rng(o.seed, 1);
  double seconds = 0, sum = 0, norm = 0, loss_there = NAN;
  int64_t since = 0;
  for (int64_t step = 0;; ++step) {
    if (step % o.every == 0 || step == o.steps) {
      loss_there = mean_loss(net, validation, o.context);
      const double loss_here = since ? sum / double(since) : NAN;
      std::fprintf(csv, "%lld,%.6g,%.6g,%.6g,%.6g,%.3f\n", static_cast<long long>(step), loss_here, loss_there,
                   opt.lr(), norm, seconds);
      std::fflush(csv);
      std::fprintf(stderr, "step %5lld of %lld: validation loss %.4f", static_cast<long long>(step),
                   static_cast<long long>(o.steps), loss_there);
      if (since) std::fprintf(stderr, ", training loss %.4f, %.1f s of training", loss_here, seconds);
      std::fprintf(stderr, "\n");
      sum = 0, since = 0;
    }
    if (step == o.steps) break;
    const Clock clock;
    const Tensor starts = randint(0, all.size(), {o.batch}, rng);
    const Tensor loss = nn::cross_entropy(net(io::gather_rows(all.x, starts)), io::gather_rows(all.y, starts));
    opt.zero_grad();
    loss.backward();
    opt.set_lr(optim::cosine(step, schedule));
    norm = opt.step({.clip_norm = o.clip, .measure_norm = true});
    sum += loss.item();
    ++since;
    seconds += clock.seconds();
  }
  std::printf("validation loss %.4f nats a character after %lld steps, %.1f s of training\n", loss_there,
              static_cast<long long>(o.steps), seconds);
  return loss_there;
}

std::string text_of(const Options& o) {
  if (!o.data.empty()) return io::read_text(o.data);
  const std::string here = FATHOM_DOCUMENTATION;
  return io::read_text(here + "/README.md") + io::read_text(here + "/DESIGN.md");
}

int run(const Options& o) {
  if (o.threads) set_threads(o.threads);
  const std::string text = text_of(o);
  const io::Characters characters(text);
  const Tensor numbers = characters.encode(text);
  const int64_t n = numbers.numel(), first = n * 9 / 10;
  const Tensor training = numbers.slice(0, 0, first), validation = numbers.slice(0, first, n);
  if (training.numel() <= o.context || validation.numel() < 2)
    throw Error("the text is too short: " + std::to_string(n) + " characters for a context of " +
                std::to_string(o.context));
  manual_seed(o.seed);
  Net net(characters.size(), o);
  io::make_folder("--out", o.out);
  const std::string path = (std::filesystem::path(o.out) / "char_lm.csv").string();
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> csv(std::fopen(path.c_str(), "w"), std::fclose);
  if (!csv) throw Error("cannot write " + path);
  std::fprintf(csv.get(), "step,training_loss,validation_loss,lr,gradient_norm,seconds\n");

  int64_t parameters = 0;
  for (const Tensor& w : net.parameters()) parameters += w.numel();
  std::fprintf(stderr, "%lld characters of %lld kinds, %lld parameters\n", static_cast<long long>(n),
               static_cast<long long>(characters.size()), static_cast<long long>(parameters));
  train(net, training, validation, o, csv.get());
  std::printf("%s\n\n%s\n", path.c_str(), sample(net, characters, o).c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_program("char_lm", argc, argv, read_options, run); }
