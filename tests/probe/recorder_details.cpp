// What a recorder measures at the steps of details: singular values, products, outputs, attention.
#include <cmath>

#include "fathom/autograd/ops.h"
#include "fathom/probe/jacobian.h"
#include "fathom/probe/recorder.h"
#include "tests/probe/recorder_support.h"
#include "tests/support.h"

using probe::Recorder;

TEST_CASE("Recorder: details are the singular values, with bounds, and the products over the sites") {
  const Folder folder;
  manual_seed(2);
  nn::Sequential net = tanh_layers(3);
  const Tensor x = inputs(1);
  {
    Recorder recorder(net, {.every = 1, .details_every = 2, .out = folder, .sites = "*"});
    for (int step = 0; step < 2; ++step) {
      recorder.backward(mean(square(net(x))));
      net.zero_grad();
      CHECK(recorder.last()[0].has_details == (step == 0));
      if (step) continue;
      const Tensor x0 = x.detach().requires_grad_(), x1 = net[0](x0);
      const auto values = probe::Jacobian(x1, x0).singular_values().to_vector();
      const auto& m = recorder.last()[0];
      REQUIRE(m.spectrum.size() == 5);
      for (size_t k = 0; k < 5; ++k) CHECK(m.spectrum[k] == doctest::Approx(values[k]).epsilon(1e-9));
      CHECK(m.upper >= values[0] * (1 - 1e-12));
      CHECK(m.condition == doctest::Approx(values[0] / values[4]));
      CHECK((m.effective_rank > 1 && m.effective_rank <= 5));
    }
  }
  const auto run = folder.run();
  CHECK(run.no_chain.empty());
  const Tensor x0 = x.detach().requires_grad_(), y = net(x0);
  const double whole = probe::Jacobian(y, x0).singular_values().to_vector()[0];
  const auto& first = run.layers.frames[0].rows[0].second;
  CHECK(first[probe::record::product] == doctest::Approx(std::log10(whole)).epsilon(1e-6));
  CHECK(run.spectra.size() == 1);
  CHECK(run.layers.frames[1].rows[0].second[probe::record::condition] == probe::record::missing);
  REQUIRE(run.ending.has_value());
  REQUIRE(run.ending->costs.count("Jacobians"));
  for (const auto& cost : run.ending->costs) CHECK_MESSAGE(cost.second >= 0, cost.first);
}

TEST_CASE("Recorder: of singular values that are not all known, no condition; and no estimate of a norm that is") {
  const Folder folder;
  nn::Sequential net(nn::Linear(5, 520, {.dtype = f64}), nn::Linear(520, 520, {.dtype = f64}),
                     nn::Linear(520, 5, {.dtype = f64}), nn::LayerNorm(5, {.dtype = f64}));
  {
    Recorder recorder(net, {.every = 1, .details_every = 2, .out = folder, .probes = 1});
    for (int t = 0; t < 2; ++t) {
      recorder.backward(mean(square(net(inputs(2)))));
      CHECK((recorder.last()[3].frobenius_lower < recorder.last()[3].frobenius_upper) == (t == 1));
    }
  }
  const auto rows = folder.run().layers.frames.at(0).rows;
  namespace record = probe::record;
  CHECK(rows[1].second[record::condition] == record::missing);
  CHECK(rows[1].second[record::sigma_min_active] == record::missing);
  CHECK(rows[1].second[record::stable_rank] != record::missing);
  CHECK(rows[3].second[record::condition] != record::missing);
  CHECK(rows[3].second[record::sigma_min_active] != record::missing);
  CHECK(rows[3].second[record::frobenius] >= rows[3].second[record::sigma_max]);
}

TEST_CASE("Recorder: each estimate has an interval, its confidence and its cost, at steps without details too") {
  const Folder folder;
  manual_seed(4);
  nn::Sequential net(nn::Sequential(nn::Linear(5, 7, {.dtype = f64}), nn::Tanh()), nn::LayerNorm(7, {.dtype = f64}),
                     nn::Linear(7, 3, {.dtype = f64}));
  Recorder recorder(net, {.every = 1, .details_every = 3, .out = folder, .sites = "*", .probes = 2});
  Tensor x = inputs(4);
  for (int step = 0; step < 3; ++step) {
    recorder.backward(mean(square(net(x))));
    Tensor from = x;
    for (size_t l = 0; l < 3; ++l) {
      const auto& m = recorder.last()[l];
      from = from.detach().requires_grad_();
      const Tensor to = net[l](from), values = probe::Jacobian(to, from).singular_values();
      const double sigma = values.amax().item(), frobenius = std::sqrt(square(values).sum(-1).mean().item());
      CHECK(m.sigma_max <= sigma * (1 + 1e-12));
      CHECK(m.upper >= sigma * (1 - 1e-12));
      const bool estimated = l == 1 && step > 0;
      CHECK(m.confidence == (estimated ? 1 - 1e-6 : 1));
      CHECK(m.frobenius_lower <= frobenius * (1 + 1e-12));
      CHECK(m.frobenius_upper >= frobenius * (1 - 1e-12));
      CHECK((m.frobenius_lower < m.frobenius_upper) == estimated);
      CHECK((m.sigma_seconds > 0 && m.frobenius_seconds > 0));
      CHECK((m.details_seconds > 0) == (step == 0));
      from = to;
    }
  }
  recorder.finish();

  for (const auto& line : folder.lines()) {
    if (line["type"] != "layers") continue;
    for (const auto& site : line["sites"]) {
      const bool estimated = site["site"] == "1" && line["step"] > 0;
      CHECK(site["log10"]["sigma_max"] <= site["log10"]["upper"]);
      CHECK(site["confidence"] == (estimated ? 1 - 1e-6 : 1));
      CHECK(site["log10"].contains("frobenius_lower") == estimated);
      CHECK(site["seconds"]["sigma_max"] > 0);
      CHECK(site["seconds"]["frobenius"] > 0);
      CHECK(site["seconds"].contains("details") == (line["step"] == 0));
    }
  }
  namespace record = probe::record;
  const auto run = folder.run();
  for (size_t step = 0; step < 3; ++step)
    for (const auto& [row, values] : run.layers.frames.at(step).rows) {
      CHECK(values[record::upper] >= values[record::sigma_max]);
      CHECK(values[record::seconds] > -9);
      CHECK((values[record::frobenius_upper] != record::missing) == (row == 1 && step > 0));
      CHECK((values[record::product_upper] != record::missing) == (step == 0));
      if (step == 0) CHECK(values[record::product_upper] >= values[record::product]);
    }
}

TEST_CASE("Recorder: with details sigma_max and its bound are the spectrum's, where they are closer") {
  const Folder folder;
  manual_seed(2);
  nn::Sequential net;
  for (int i = 0; i < 2; ++i) net.push_back(nn::Residual(nn::Linear(5, 5, {.dtype = f64})));
  Recorder recorder(net, {.every = 1, .details_every = 2, .out = folder, .sites = "*"});
  for (int step = 0; step < 3;
       ++step) {  // at the last by one step of the power iteration, from where it does not belong
    if (const NoGrad off; step == 2)
      for (Tensor w : net.parameters()) w.copy_(randn(w.shape(), {.dtype = f64}));
    recorder.backward(mean(square(net(inputs(4)))));
    net.zero_grad();
  }
  for (const auto& m : recorder.last()) {
    REQUIRE(m.has_details);
    CHECK(m.upper >= m.sigma_max);
    CHECK(m.upper == doctest::Approx(m.spectrum[0]).epsilon(1e-6));  // all samples have the same
    for (const double sigma : {m.sigma_max, m.sigma_median, m.sigma_least})
      CHECK(sigma == doctest::Approx(m.spectrum[0]).epsilon(1e-6));
  }
}

TEST_CASE("Recorder: sites that are no chain have no product, and the record says why") {
  const Folder folder;
  struct Skip : nn::Module {
    nn::Linear a{5, 5, {.dtype = f64}}, b{5, 5, {.dtype = f64}};
    Tensor forward(Tensor x) override { return b(a(x)) + x; }
    void fields(nn::Fields& f) override { f("a", a), f("b", b); }
  } net;
  {
    Recorder recorder(net, {.every = 1, .details_every = 1, .out = folder, .sites = "net,a,b"});
    recorder.backward(mean(net(inputs(2))));
    CHECK(recorder.last().size() == 3);
  }
  CHECK_FALSE(folder.run().no_chain.empty());
}

TEST_CASE("Recorder: statistics of the outputs") {
  const Folder folder;
  struct Fixed : nn::Module {
    Tensor w = ones({1}, {.dtype = f64, .requires_grad = true});
    Tensor forward(Tensor x) override { return x * w; }
    void fields(nn::Fields& f) override { f("w", w); }
  };
  nn::Sequential net(Fixed{});
  Recorder recorder(net, {.every = 1, .details_every = 1, .out = folder, .sites = "0"});
  const Tensor x = tensor({{1.0, 0, -1, 0.5}, {0.995, 0, 1, -0.5}}, {.dtype = f64});
  recorder.backward(sum(net(x)));
  const auto& m = recorder.last()[0];
  CHECK(m.dead == 0.25);
  CHECK(m.saturated == 0.5);
  CHECK(m.activation_rms == doctest::Approx(norm(x).item() / std::sqrt(8)));
  const Tensor d = x - mean(x);
  CHECK(m.kurtosis == doctest::Approx(mean(square(square(d))).item() / std::pow(mean(square(d)).item(), 2)));
}

TEST_CASE("Recorder: details tell of the attention within a site") {
  const Folder folder;
  manual_seed(4);
  nn::Sequential net(nn::Linear(5, 4, {.dtype = f64}), nn::TransformerBlock(4, 2, {.causal = true, .dtype = f64}));
  Rng rng(1);
  const Tensor x = randn({2, 3, 5}, {.dtype = f64}, rng);
  {
    Recorder recorder(net, {.every = 1, .details_every = 2, .out = folder});
    for (int step = 0; step < 2; ++step) recorder.backward(mean(square(net(x))));
    CHECK(recorder.last()[1].attention.empty());
  }
  auto& block = static_cast<nn::TransformerBlock&>(net[1]);
  const auto heads = probe::attention_statistics(block.self_attn, block.norm1(net[0](x)));
  const auto run = folder.run();
  const auto& rows = run.layers.frames.at(0).rows;
  CHECK(rows.at(0).second[probe::record::attention_entropy] == probe::record::missing);
  CHECK(rows.at(1).second[probe::record::attention_entropy] ==
        doctest::Approx(std::log10((heads[0].entropy + heads[1].entropy) / 2)));
  CHECK(rows.at(1).second[probe::record::logit_variance] ==
        doctest::Approx(std::log10((heads[0].logit_variance + heads[1].logit_variance) / 2)));
  CHECK(run.layers.frames.at(1).rows.at(1).second[probe::record::logit_variance] == probe::record::missing);
}
