#include "fathom/autograd/check_grads.h"
#include "fathom/autograd/create.h"
#include "fathom/autograd/grad.h"
#include "fathom/autograd/ops.h"
#include "tests/autograd/tensors.h"
#include "tests/support.h"

using namespace fathom;

namespace {

// Values and both first-order rules of two formulas of the same inputs agree.
template <class F, class G>
void check_same(F f, G g, const std::vector<Tensor>& in) {
  std::vector<Tensor> xs, vs;
  for (size_t i = 0; i < in.size(); ++i) {
    xs.push_back(in[i].clone().requires_grad_());
    vs.push_back(normal(in[i].shape(), 100 + i));
  }
  const Tensor a = f(xs), b = g(xs), u = normal(a.shape(), 99);
  const auto close = [](const Tensor& p, const Tensor& q) {
    return p.shape() == q.shape() && allclose(p, q, 1e-11, 1e-11);
  };
  CHECK(close(a.detach(), b.detach()));
  const auto ga = vjp(a, List(xs), u), gb = vjp(b, List(xs), u);
  for (size_t i = 0; i < xs.size(); ++i) CHECK(close(ga[i], gb[i]));
  const Tensor ta = jvp(a, List(xs), vs), tb = jvp(b, List(xs), vs);
  CHECK(close(ta, tb));
  double right = 0;
  for (size_t i = 0; i < xs.size(); ++i) right += sum(ga[i] * vs[i]).item();
  CHECK(sum(u * ta).item() == doctest::Approx(right).epsilon(1e-11));
}

Tensor scaled(const Tensor& xn, const Tensor& w, const Tensor& b) {
  return xn * reshape(w, {w.numel(), 1, 1}) + reshape(b, {b.numel(), 1, 1});
}
Tensor batch_by_ops(List in) {
  const Tensor d = in[0] - mean(in[0], {0, 2, 3}, true);
  return scaled(d / sqrt(mean(d * d, {0, 2, 3}, true) + 1e-5), in[1], in[2]);
}
Tensor group_by_ops(List in) {
  const Tensor x = reshape(in[0], {in[0].size(0), 2, -1}), d = x - mean(x, -1, true);
  return scaled(reshape(d / sqrt(mean(d * d, -1, true) + 1e-5), in[0].shape()), in[1], in[2]);
}

}  // namespace

TEST_CASE("rms_norm: kernels against the composition; derivatives of both orders") {
  check_same([](List in) { return rms_norm(in[0], in[1]); },
             [](List in) { return in[0] / sqrt(mean(square(in[0]), -1, true) + 1e-5) * in[1]; },
             {normal({3, 70, 33}, 1), normal({33}, 2)});
  CHECK_NOTHROW(check_grads([](List in) { return rms_norm(in[0], in[1]); }, {normal({2, 3, 4}, 1), normal({4}, 2)}));
  CHECK_NOTHROW(check_grads([](List in) { return rms_norm(transpose(in[0])); }, {normal({4, 3}, 1)}));
  const Tensor fixed = normal({3, 4}, 3);
  CHECK_NOTHROW(check_grads([&](List in) { return rms_norm(fixed, in[0]); }, {normal({4}, 1)}));
  CHECK(rms_norm(zeros({0, 4})).shape() == Shape{0, 4});
  CHECK(rms_norm(zeros({4, 0})).shape() == Shape{4, 0});
  CHECK(error_of([] {
          rms_norm(zeros({2, 3}), zeros({4}));
        }) == "rms_norm: the weight does not fit the last axis: (4) and (2, 3)");
  CHECK(error_of([] { rms_norm(zeros({})); }) == "rms_norm: needs an axis, got a number");
}

TEST_CASE("batch_norm, group_norm: kernels against the composition") {
  const std::vector<Tensor> in{normal({5, 4, 6, 7}, 1), normal({4}, 2), normal({4}, 3)};
  check_same([](List x) { return batch_norm(x[0], x[1], x[2]); }, batch_by_ops, in);
  check_same([](List x) { return group_norm(x[0], 2, x[1], x[2]); }, group_by_ops, in);
  const ChannelMoments given{normal({4}, 4), square(normal({4}, 5))};
  check_same([&](List x) { return batch_norm(x[0], given, x[1], x[2]); },
             [&](List x) {
               const Tensor mean = reshape(given.mean, {4, 1, 1}), var = reshape(given.var, {4, 1, 1});
               return scaled((x[0] - mean) / sqrt(var + 1e-5), x[1], x[2]);
             },
             in);
}

TEST_CASE("batch_norm, group_norm: derivatives of both orders") {
  const std::vector<Tensor> in{normal({3, 2, 2}, 1), normal({2}, 2), normal({2}, 3)};
  const ChannelMoments given{normal({2}, 4), square(normal({2}, 5))};
  CHECK_NOTHROW(check_grads([](List x) { return batch_norm(x[0], x[1], x[2]); }, in));
  CHECK_NOTHROW(check_grads([&](List x) { return batch_norm(x[0], given, x[1], x[2]); }, in));
  CHECK_NOTHROW(check_grads([](List x) { return group_norm(x[0], 2, x[1], x[2]); },
                            {normal({2, 4, 3}, 1), normal({4}, 2), normal({4}, 3)}));
  const std::vector<Tensor> rows{normal({4, 2}, 1), in[1], in[2]};
  CHECK_NOTHROW(check_grads([](List x) { return batch_norm(x[0], x[1], x[2]); }, rows));
  CHECK_NOTHROW(check_grads([&](List x) { return batch_norm(x[0], given, x[1], x[2]); }, rows));
  CHECK_NOTHROW(check_grads([](List x) { return batch_norm(transpose(x[0])); }, {normal({3, 4, 2}, 1)}));
  CHECK_NOTHROW(check_grads([&](List x) { return batch_norm(in[0], x[0], x[1]); }, {in[1], in[2]}));
}

TEST_CASE("batch_norm, group_norm: moments, edges and bad input") {
  ChannelMoments m;
  batch_norm(tensor({{1.0, 2.0}, {3.0, 6.0}}, {.dtype = f64}), {}, {}, 1e-5, &m);
  CHECK(m.mean.to_vector() == std::vector<double>{2, 4});
  CHECK(m.var.to_vector() == std::vector<double>{1, 4});
  CHECK(batch_norm(zeros({0, 2, 3}), {zeros({2}), ones({2})}, {}, {}).shape() == Shape{0, 2, 3});
  CHECK(group_norm(zeros({0, 2, 3}), 2).shape() == Shape{0, 2, 3});
  CHECK(error_of([] { batch_norm(zeros({0, 2, 3})); }) == "batch_norm: the mean over no elements: (0, 2, 3)");
  CHECK(error_of([] { batch_norm(zeros({3})); }) == "batch_norm: needs x (batch, channels, ...), got (3)");
  CHECK(error_of([] {
          batch_norm(zeros({2, 3}), zeros({2}));
        }) == "batch_norm: the weight does not fit the channels: (2) and (2, 3)");
  CHECK(error_of([] {
          batch_norm(zeros({2, 3}), {zeros({2}), ones({2})}, {}, {});
        }) == "batch_norm: the moments do not fit the channels: (2) and (2, 3)");
  CHECK(error_of([] {
          group_norm(zeros({2, 4, 3}), 3);
        }) == "group_norm: 3 groups do not divide the channels of (2, 4, 3)");
}
