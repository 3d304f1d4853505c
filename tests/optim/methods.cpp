// What the optimisers promise beyond PyTorch's arithmetic: states, curvature, orthogonal updates, averages, clipping.
#include <algorithm>
#include <cmath>

#include "fathom/autograd/create.h"
#include "fathom/autograd/ops.h"
#include "fathom/optim/optim.h"
#include "fathom/tensor/kernels/lapack.h"
#include "tests/support.h"

using namespace fathom;

namespace {

using List = std::vector<double>;

// Logistic regression by formula: a matrix and a vector to fit.
struct Problem {
  Tensor w, b, x, y;
  Problem() {
    Rng rng(5);
    const auto make = [&](const Shape& shape) {
      Tensor t(shape, f64);
      fill_uniform(t, -1, 1, rng);
      return t;
    };
    w = make({4, 3}), b = make({4, 1}), x = make({3, 20}), y = make({4, 20});
    w.requires_grad_(), b.requires_grad_();
  }
  Tensor loss() const {
    const Tensor z = matmul(w, x) + b;
    return mean(softplus(z) - z * (y * 0.5 + 0.5));
  }
  List numbers() const {
    List all = w.to_vector();
    for (const double e : b.to_vector()) all.push_back(e);
    return all;
  }
};

template <class Optimizer>
void take_step(Optimizer& opt, const Problem& p) {
  const auto closure = [&] {
    opt.zero_grad();
    const Tensor loss = p.loss();
    loss.backward();
    return loss;
  };
  if constexpr (std::is_same_v<Optimizer, optim::LBFGS>) {
    opt.step(closure);
  } else {
    closure();
    opt.step();
  }
}

// A run of ten steps, against one whose optimiser is another one from the fifth on.
template <class Optimizer, class Options>
void check_resumes(Options options, bool only_matrix = false) {
  Problem whole, cut;
  const auto make = [&](const Problem& p) {
    return Optimizer(only_matrix ? std::vector{p.w} : std::vector{p.w, p.b}, options);
  };
  Optimizer a = make(whole), b = make(cut), c = make(cut);
  for (int t = 0; t < 5; ++t) take_step(a, whole), take_step(b, cut);
  b.set_lr(options.lr / 2), a.set_lr(options.lr / 2);
  const optim::State state = b.state();
  for (int t = 0; t < 2; ++t) take_step(b, cut);  // a state is a copy
  cut.w.detach().copy_(whole.w.detach()), cut.b.detach().copy_(whole.b.detach());
  c.load_state(state);
  for (int t = 0; t < 5; ++t) take_step(a, whole), take_step(c, cut);
  CHECK(whole.numbers() == cut.numbers());
  CHECK(c.lr() == options.lr / 2);
}

List singular_values(const Tensor& m) {
  List a = m.to_vector(), values(size_t(std::min(m.size(0), m.size(1))));
  kernel::singular_values(m.size(0), m.size(1), a.data(), values.data());
  return values;
}

}  // namespace

TEST_CASE("states: a run with another optimiser from the middle on is the same bit for bit") {
  check_resumes<optim::SGD, optim::SGDOptions>({.lr = 0.1, .momentum = 0.9, .nesterov = true});
  check_resumes<optim::Adam, optim::AdamOptions>({.lr = 0.01, .amsgrad = true});
  check_resumes<optim::AdamW, optim::AdamWOptions>({.lr = 0.01});
  check_resumes<optim::RMSprop, optim::RMSpropOptions>({.momentum = 0.5, .centered = true});
  check_resumes<optim::RMSprop, optim::RMSpropOptions>({});
  check_resumes<optim::Adagrad, optim::AdagradOptions>({.lr = 0.1, .lr_decay = 0.1});
  check_resumes<optim::Muon, optim::MuonOptions>({}, true);
  check_resumes<optim::LBFGS, optim::LBFGSOptions>({.iterations = 3, .history = 2});
}

TEST_CASE("states: names, and what does not fit") {
  const Problem p;
  optim::Adam opt({p.w, p.b});
  take_step(opt, p);
  optim::State state = opt.state();
  std::vector<std::string> names;
  for (const auto& each : state) names.push_back(each.name);
  CHECK(names == std::vector<std::string>{"method.Adam", "parameter 0.steps", "parameter 0.first", "parameter 0.second",
                                          "parameter 1.steps", "parameter 1.first", "parameter 1.second",
                                          "groups.0.lr"});
  CHECK(state[1].tensor.item<int64_t>() == 1);
  const auto load = [&](const optim::State& from) { return error_of([&] { opt.load_state(from); }); };
  CHECK(load({}) == "load_state: the state has no parameter 0.steps");
  state.push_back({"x", p.w});
  CHECK(load(state) == "load_state: x of the state is not known here");
  state.back() = {"parameter 1.third", ones({4})};
  CHECK(load(state) == "load_state: parameter 1.third is f64 (4, 1) here, f32 (4) in the state");
  state = opt.state();
  state.erase(state.begin() + 3);
  CHECK(load(state) == "load_state: the state has no parameter 0.second");
  CHECK(opt.state().size() == 8);
  optim::SGD plain({p.w, p.b}), heavy({p.w, p.b}, {.momentum = 0.9});
  take_step(plain, p);
  heavy.load_state(plain.state());  // momentum that has not begun
  take_step(heavy, p);
  CHECK(heavy.state().size() == 6);
  state = opt.state();
  state.erase(state.begin());  // as files before had no method
  CHECK(load(state) == "");
  CHECK(error_of([&] { heavy.load_state(state); }) == "load_state: parameter 0.second of the state is not known here");
  optim::RMSprop centered({p.w, p.b}, {.centered = true});
  CHECK(error_of([&] { centered.load_state(state); }) == "load_state: the state has no parameter 0.third");
  optim::Adam named(std::vector<NamedTensor>{{"w", p.w}, {"b", p.b}});
  CHECK(load(named.state()) == "load_state: the state has no parameter 0.steps; its names begin with w.steps");
  optim::LBFGS other({p.w});
  CHECK(error_of([&] { other.load_state(state); }) == "load_state: LBFGS has 6 tensors, the state 7");
}

TEST_CASE("states: another method's is refused, and nothing changed") {
  const Problem p;
  const auto each_method = [&p](auto f) {
    const std::vector list{p.w};
    f(std::string("SGD"), optim::SGD(list));
    f(std::string("Adam"), optim::Adam(list));
    f(std::string("AdamW"), optim::AdamW(list));
    f(std::string("RMSprop"), optim::RMSprop(list));
    f(std::string("Adagrad"), optim::Adagrad(list));
    f(std::string("Muon"), optim::Muon(list));
    f(std::string("LBFGS"), optim::LBFGS(list));
  };
  for (const bool stepped : {false, true})
    each_method([&](const std::string& from, auto giver) {
      if (stepped) take_step(giver, p);
      giver.set_lr(0.125);
      const optim::State state = giver.state();
      each_method([&](const std::string& to, auto taker) {
        INFO(from << " to " << to);
        CHECK(error_of([&] { taker.load_state(state); }) ==
              (from == to ? "" : "load_state: " + to + " here, the state is " + from + "'s"));
        CHECK((taker.lr() == 0.125) == (from == to));
      });
    });
  const Tensor w = ones({2});
  optim::SGD named_method(std::vector<NamedTensor>{{"method", w}});
  CHECK_NOTHROW(named_method.load_state(named_method.state()));
}

TEST_CASE("decay: coupled goes through the method, decoupled past it") {
  const auto once = [](optim::RMSpropOptions o) {
    const Tensor w = from_data(List{2}, {1}, {.requires_grad = true});
    w.set_grad(from_data(List{0}, {1}));
    optim::RMSprop({w}, o).step();
    return w.item();
  };
  CHECK(once({.lr = 0.1, .eps = 0, .weight_decay = 0.5}) == doctest::Approx(2 - 0.1 * 10).epsilon(1e-12));
  CHECK(once({.lr = 0.1, .decoupled_weight_decay = 0.5}) == doctest::Approx(2 * (1 - 0.1 * 0.5)).epsilon(1e-12));
  const Tensor w = from_data(List{2}, {1}, {.requires_grad = true});
  optim::SGD opt({w}, {.lr = 0.1, .momentum = 0.9, .decoupled_weight_decay = 0.5});
  for (int t = 0; t < 3; ++t) w.set_grad(from_data(List{0}, {1})), opt.step();
  CHECK(w.item() == doctest::Approx(2 * std::pow(0.95, 3)).epsilon(1e-12));  // no momentum from it
}

TEST_CASE("LBFGS: Rosenbrock's valley to its end; a quadratic as conjugate gradients would") {
  const Tensor r = from_data(List{-1.2, 1}, {2}, {.requires_grad = true});
  optim::LBFGS opt({r}, {.iterations = 100, .evaluations = 200, .change_tol = 1e-20});
  int calls = 0;
  const auto rosenbrock = [&] {
    ++calls;
    const Tensor loss = square(r[1] - square(r[0])) * 100 + square(1 - r[0]);
    loss.backward();
    return loss;
  };
  CHECK(opt.step(rosenbrock) == doctest::Approx(24.2));
  CHECK(std::abs(r[0].item() - 1) < 1e-6);
  CHECK(std::abs(r[1].item() - 1) < 1e-6);
  CHECK(calls < 60);
  CHECK(opt.step(rosenbrock) < 1e-12);
  // f32 works, too, and the gradient at the end is that of the point where it stands.
  const Tensor x = full({5}, 3, {.requires_grad = true}), scale = tensor({1.0, 2.0, 3.0, 4.0, 5.0});
  optim::LBFGS small({x});
  small.step([&] {
    const Tensor loss = sum(square(x) * scale);
    loss.backward();
    return loss;
  });
  for (const double e : x.to_vector()) CHECK(std::abs(e) < 1e-4);
}

TEST_CASE("LBFGS: Rosenbrock in steps of seven iterations, against libtorch's numbers") {
  const Tensor r = from_data(List{-1.2, 1}, {2}, {.requires_grad = true});
  optim::LBFGS opt({r}, {.iterations = 7, .evaluations = 8});
  const double expected[][3] = {{24.2, -0.997031035168006, 0.975591384674008},
                                {4.02228214897995, -0.256089576896647, 0.0372619816162237},
                                {1.65796264089719, 0.341842360675377, 0.0992582737385005},
                                {0.464140177495506, 0.788703820040347, 0.612268541732505},
                                {0.0542210387134408, 0.976877367481987, 0.952583243637747},
                                {0.000825750050359122, 0.999981421079137, 0.999961965181099}};
  for (const auto& [loss, a, b] : expected) {
    CHECK(opt.step([&] {
      const Tensor y = square(r[1] - square(r[0])) * 100 + square(1 - r[0]);
      y.backward();
      return y;
    }) == doctest::Approx(loss).epsilon(1e-8));
    CHECK(r[0].item() == doctest::Approx(a).epsilon(1e-9));
    CHECK(r[1].item() == doctest::Approx(b).epsilon(1e-9));
  }
}

TEST_CASE("LBFGS: bad input") {
  const Tensor w = from_data(List{1}, {1}, {.requires_grad = true});
  optim::LBFGS opt({w});
  CHECK(error_of([&] {
          opt.step([&] {
            const Tensor loss = sum(w * INFINITY);
            loss.backward();
            return loss;
          });
        }) == "LBFGS: the loss is not finite: inf");
  w.set_grad(from_data(List{1}, {1}));
  optim::Optimizer& base = opt;
  CHECK(error_of([&] { base.step(); }).find("LBFGS: a step needs the loss") == 0);
}

TEST_CASE("Muon: the update is nearly orthogonal, of the gradient's directions") {
  Rng rng(3);
  for (const Shape& shape : {Shape{8, 5}, Shape{5, 8}, Shape{6, 6}}) {
    Tensor g(shape, f64);
    fill_normal(g, 0, 1, rng);
    const Tensor u = optim::orthogonalized(g);
    CHECK(u.shape() == shape);
    for (const double s : singular_values(u)) CHECK(std::abs(s - 1) < 0.35);
    // u^T g is symmetric and positive: u has the singular vectors of g.
    const Tensor product = matmul(transpose(u), g);
    CHECK(allclose(product, transpose(product), 1e-9, 1e-9));
  }
  const Tensor w = zeros({8, 2, 2}, {.dtype = f64, .requires_grad = true});
  Tensor g({8, 2, 2}, f64);
  fill_normal(g, 0, 1, rng);
  w.set_grad(g);
  optim::Muon({w}, {.lr = 0.1}).step();
  const Tensor expected = optim::orthogonalized(g.reshape({8, 4})) * (-0.1 * std::sqrt(2));
  CHECK(allclose(w.detach().reshape({8, 4}), expected, 1e-5, 1e-7));
  const Tensor bias = zeros({8}, {.requires_grad = true});
  bias.set_grad(ones({8}));
  CHECK(error_of([&] { optim::Muon({bias}).step(); }) ==
        "Muon: parameter 0, of shape (8), is no matrix; give it to AdamW");
  const List before = w.to_vector();
  CHECK(error_of([&] {
          optim::Muon({w, bias}).step();
        }) == "Muon: parameter 1, of shape (8), is no matrix; give it to AdamW");
  CHECK(w.to_vector() == before);
  CHECK(error_of([&] { optim::orthogonalized(bias); }) == "orthogonalized: needs a matrix, got (8)");
}

TEST_CASE("MovingAverage: its closed form, swapped in and out, and restored") {
  const Tensor w = from_data(List{1, 1}, {2}, {.requires_grad = true});
  optim::MovingAverage average({w}, {.decay = 0.9});
  const auto run = [&](optim::MovingAverage& a, int from, int to) {
    for (int t = from; t < to; ++t) {
      w.detach().fill_(t + 2);
      a.update();
    }
  };
  run(average, 0, 10);
  double expected = std::pow(0.9, 10);  // d^n w0 + (1 - d) sum_t d^(n-1-t) w_t
  for (int t = 0; t < 10; ++t) expected += 0.1 * std::pow(0.9, 9 - t) * (t + 2);
  CHECK(average.averages()[0].to_vector()[1] == doctest::Approx(expected).epsilon(1e-13));
  average.swap();
  CHECK(w.to_vector()[0] == doctest::Approx(expected).epsilon(1e-13));
  average.swap();
  CHECK(w.to_vector() == List{11, 11});
  optim::MovingAverage other({w}, {.decay = 0.9});
  other.load_state(average.state());
  run(average, 10, 15), run(other, 10, 15);
  CHECK(average.averages()[0].to_vector() == other.averages()[0].to_vector());
  optim::MovingAverage early({w}, {.warmup = true});
  w.detach().fill_(27);
  early.update();  // decay 2/11, from 16
  CHECK(early.averages()[0].to_vector()[0] == doctest::Approx((2.0 * 16 + 9 * 27) / 11).epsilon(1e-13));
  CHECK(error_of([&] { optim::MovingAverage({w}, {.decay = 1}); }).find("MovingAverage: decay is in [0, 1), got 1") ==
        0);
  CHECK(error_of([&] { other.load_state({}); }) == "MovingAverage::load_state: 2 tensors here, 0 in the state");
}

TEST_CASE("clipping: any p, each parameter, and by the size of the weights; all return the norm before") {
  const auto make = [](List g) {
    const Tensor w = from_data(List(g.size(), 2), {int64_t(g.size())}, {.requires_grad = true});
    w.set_grad(from_data(g, {int64_t(g.size())}));
    return w;
  };
  const auto pair = [&] { return std::vector{make({3, -4}), make({12})}; };
  CHECK(optim::grad_norm(pair()) == 13);
  CHECK(optim::grad_norm(pair(), 1) == 19);
  CHECK(optim::grad_norm(pair(), INFINITY) == 12);
  CHECK(optim::grad_norm(pair(), 3) == doctest::Approx(std::cbrt(27 + 64 + 1728)).epsilon(1e-14));
  CHECK(std::isnan(optim::grad_norm(std::vector{make({1, NAN, 2})}, INFINITY)));
  for (const double p : {1.0, 2.0, 3.0, double(INFINITY)}) {
    const auto ws = pair();
    const double before = optim::grad_norm(ws, p);
    CHECK(optim::clip_grad_norm(ws, 1.5, {.p = p}) == before);
    CHECK(optim::grad_norm(ws, p) == doctest::Approx(1.5).epsilon(1e-5));
  }
  const auto each = pair();
  CHECK(optim::clip_grad_norm_each(each, 5.5) == List{5, 12});
  CHECK(each[0].grad().to_vector() == List{3, -4});
  CHECK(each[1].grad().item() == doctest::Approx(5.5).epsilon(1e-6));
  CHECK(optim::clip_grad_value(pair(), 1) == 13);

  // Rows of weights of norm 5 and 0: bounds 0.1 * 5 and 0.1 * 0.5.
  const Tensor w = from_data(List{3, 4, 0, 0, 3, 4}, {3, 2}, {.requires_grad = true});
  w.set_grad(from_data(List{6, 8, 0.3, 0.4, 0.03, 0.04}, {3, 2}));
  const Tensor vector = from_data(List{3, 4}, {2}, {.requires_grad = true});
  vector.set_grad(from_data(List{0, 2}, {2}));
  CHECK(optim::clip_grad_adaptive(std::vector{w, vector}, 0.1, 0.5) ==
        doctest::Approx(std::sqrt(100 + 0.25 + 0.0025 + 4)).epsilon(1e-14));
  const List expected{0.3, 0.4, 0.03, 0.04, 0.03, 0.04};
  for (size_t i = 0; i < 6; ++i) CHECK(w.grad().to_vector()[i] == doctest::Approx(expected[i]).epsilon(1e-13));
  CHECK(vector.grad().to_vector()[1] == doctest::Approx(0.5).epsilon(1e-13));
  CHECK(error_of([&] { optim::clip_grad_adaptive(each, 0); }).find("clip_grad_adaptive: the factor must be pos") == 0);
  CHECK(error_of([&] { optim::clip_grad_norm_each(each, 0); }).find("clip_grad_norm_each: the norm must be pos") == 0);
  CHECK(error_of([&] { optim::grad_norm(each, 0); }).find("grad_norm: p must be positive") == 0);
}
