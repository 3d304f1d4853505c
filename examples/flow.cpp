// A normalizing flow learns a density from points alone: RealNVP (Dinh, Sohl-Dickstein & Bengio 2016) on two moons. The
// true density is known here, by integration along the moons, so the table can say how good the learned one is.
#include <fathom/fathom.h>
#include <fathom/io/write_file.h>
#include <algorithm>  // max_element

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "flow/moons.h"
#include "flow/options.h"
#include "flow/picture.h"

using namespace fathom;
using namespace moons;

namespace {

// The net of a coupling: of one coordinate, the other's scale and shift. It starts as zero, so the flow as the
// identity.
nn::Sequential conditioner(int64_t width) {
  nn::Linear last(width, 2);
  nn::init::zeros(last.weight);
  nn::init::zeros(last.bias);
  return nn::Sequential(nn::Linear(1, width), nn::SiLU(), nn::Linear(width, width), nn::SiLU(), std::move(last));
}

nn::Flow real_nvp(const Options& options) {
  nn::Flow flow;
  for (int64_t i = 0; i < options.couplings; ++i) {
    flow.push_back(nn::ActNorm(2));
    flow.push_back(nn::AffineCoupling(conditioner(options.width), {.swap = i % 2 == 1}));
  }
  return flow;
}

// The mean over the points, in nats.
double negative_log_likelihood(nn::Flow& flow, const Tensor& points) {
  const NoGrad off;
  return -mean(flow.log_prob(points)).item();
}
double largest_difference(const Tensor& a, const Tensor& b) { return amax(abs(a - b)).item(); }

void train(nn::Flow& flow, const Options& options, const Tensor& test, double truth, std::FILE* csv) {
  const auto start = std::chrono::steady_clock::now();
  Rng rng(options.seed, 1);
  optim::Adam opt(flow.parameters(), {.lr = options.lr});
  double sum = 0;
  int64_t since = 0;
  for (int64_t step = 0; step < options.steps; ++step) {
    const Tensor loss = -mean(flow.log_prob(draw(options.batch, options.noise, rng)));
    opt.zero_grad();
    loss.backward();
    opt.set_lr(optim::cosine(step, {.lr = options.lr, .end = options.lr / 100, .steps = options.steps}));
    opt.step({.clip_norm = 10});
    sum += loss.item();
    ++since;
    if ((step + 1) % 100 != 0 && step + 1 != options.steps) continue;
    const double nll = negative_log_likelihood(flow, test);
    std::fprintf(csv, "%lld,%g,%g,%g\n", static_cast<long long>(step + 1), sum / double(since), nll, truth);
    if ((step + 1) % 500 == 0 || step + 1 == options.steps)
      std::fprintf(stderr, "step %5lld of %lld: %.4f nats, %.4f above the truth, %.0f s\n",
                   static_cast<long long>(step + 1), static_cast<long long>(options.steps), nll, nll - truth,
                   std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    sum = 0, since = 0;
  }
}

void draw_picture(nn::Flow& flow, const Options& options, const std::string& path) {
  const NoGrad off;
  const double room = 4 * options.noise;
  const Window window{-1 - room, 2 + room, -0.5 - room, 1 + room, 120, 76};
  const Tensor cells = middles(window);
  const std::vector<double> truth = exp(log_density(cells, options.noise)).to_vector();
  const double darkest = *std::max_element(truth.begin(), truth.end());
  Rng rng(options.seed, 4);
  Picture picture(window, 3);
  picture.density("The true density", truth, darkest);
  picture.density("The flow's density", exp(flow.log_prob(cells)).to_vector(), darkest);
  picture.points("Samples of the flow", flow.sample({2000, 2}, f32, rng));
  picture.write(path);
}

int run(const Options& options) {
  if (options.threads) set_threads(options.threads);
  io::make_folder("--out", options.out);
  const std::string path = (std::filesystem::path(options.out) / "flow.csv").string();
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> csv(std::fopen(path.c_str(), "w"), std::fclose);
  if (!csv) throw Error("cannot write " + path);
  std::fprintf(csv.get(), "step,training_nll,test_nll,true_nll\n");

  const auto start = std::chrono::steady_clock::now();
  manual_seed(options.seed);
  Rng testing(options.seed, 2);
  const Tensor test = draw(10000, options.noise, testing);
  const double truth = -mean(log_density(test, options.noise)).item();
  nn::Flow flow = real_nvp(options);
  train(flow, options, test, truth, csv.get());
  flow.eval();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

  const NoGrad off;
  Rng fresh(options.seed, 3);
  const Tensor points = draw(20000, options.noise, fresh), z = flow(points), back = flow.inverse(z);
  const double nll = negative_log_likelihood(flow, points), best = -mean(log_density(points, options.noise)).item();
  const std::string picture = (std::filesystem::path(options.out) / "flow.svg").string();
  draw_picture(flow, options, picture);

  std::printf("\n%-46s %10s\n", "on 20,000 fresh points", "");
  std::printf("%-46s %10.4f\n", "negative log-likelihood, the flow's (nats)", nll);
  std::printf("%-46s %10.4f\n", "the true density's", best);
  std::printf("%-46s %10.4f\n", "difference", nll - best);
  std::printf("%-46s %10.2g\n", "largest |inverse(forward(x)) - x|", largest_difference(back, points));
  std::printf("%-46s %10lld\n", "training steps", static_cast<long long>(options.steps));
  std::printf("%-46s %10.1f\n", "seconds", seconds);
  std::printf("\n%s\n%s\n", path.c_str(), picture.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_program("flow", argc, argv, read_options, run); }
