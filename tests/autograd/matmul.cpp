#include "fathom/autograd/ops/matmul.h"

#include "fathom/autograd/check_grads.h"
#include "fathom/autograd/create.h"
#include "fathom/autograd/ops.h"
#include "fathom/autograd/recording.h"
#include "fathom/tensor/parallel.h"
#include "tests/autograd/tensors.h"
#include "tests/support.h"

using namespace fathom;

namespace {

// The product of (m, k) and (k, n) by the definition.
Tensor by_definition(const Tensor& a, const Tensor& b) {
  const auto x = a.to_vector(), y = b.to_vector();
  const int64_t m = a.size(0), k = a.size(1), n = b.size(1);
  Tensor out({m, n}, f64);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double s = 0;
      for (int64_t p = 0; p < k; ++p) s += x[size_t(i * k + p)] * y[size_t(p * n + j)];
      out.data<double>()[i * n + j] = s;
    }
  return out;
}

}  // namespace

TEST_CASE("matmul: matrices, however they lie in memory") {
  const Tensor a = normal({5, 7}, 1), b = normal({7, 4}, 2), expected = by_definition(a, b);
  CHECK(close(matmul(a, b), expected));
  CHECK(close(a.matmul(b), expected));
  const Tensor a_t = transpose(a).clone(), b_t = transpose(b).clone();
  CHECK(close(matmul(transpose(a_t), b), expected));
  CHECK(close(matmul(a, transpose(b_t)), expected));
  CHECK(close(matmul(transpose(a_t), transpose(b_t)), expected));
  // every other column; every other row; a part of a wider matrix; one row repeated
  const Tensor wide = normal({10, 14}, 3), cut = slice(wide, 1, 0, 14, 2), part = slice(wide, 1, 3, 10);
  CHECK(close(matmul(cut, b), by_definition(cut.clone(), b)));
  CHECK(close(matmul(slice(part, 0, 0, 10, 2), b), by_definition(slice(part, 0, 0, 10, 2).clone(), b)));
  const Tensor row = expand(normal({1, 7}, 4), {5, 7}), column = expand(normal({7, 1}, 5), {7, 4});
  CHECK(close(matmul(row, b), by_definition(row.clone(), b)));
  CHECK(close(matmul(a, column), by_definition(a, column.clone())));
}

TEST_CASE("matmul: vectors and batches that broadcast") {
  const Tensor m = normal({3, 4}, 1), v = normal({4}, 2), u = normal({3}, 3);
  CHECK(close(matmul(m, v), matmul(m, v.reshape({4, 1})).reshape({3})));
  CHECK(close(matmul(u, m), matmul(u.reshape({1, 3}), m).reshape({4})));
  CHECK(matmul(v, v).shape() == Shape{});
  CHECK(matmul(v, v).item() == doctest::Approx(sum(v * v).item()));

  const Tensor a = normal({2, 1, 3, 4}, 4), b = normal({5, 4, 2}, 5), y = matmul(a, b);
  CHECK(y.shape() == Shape{2, 5, 3, 2});
  for (int64_t i = 0; i < 2; ++i)
    for (int64_t j = 0; j < 5; ++j) CHECK(close(y[i][j], by_definition(a[i][0], b[j])));
  CHECK(close(matmul(a, b[1])[1][0], by_definition(a[1][0], b[1])));
}

TEST_CASE("matmul: empty sizes") {
  CHECK(matmul(zeros({0, 3}), zeros({3, 2})).shape() == Shape{0, 2});
  CHECK(matmul(zeros({2, 0, 3}), zeros({3, 2})).shape() == Shape{2, 0, 2});
  CHECK(matmul(ones({2, 0}), ones({0, 3})).to_vector() == std::vector<double>(6, 0));
  CHECK(matmul(zeros({0, 2, 3}), zeros({0, 3, 4})).shape() == Shape{0, 2, 4});
  CHECK(linear(zeros({0, 3}), zeros({2, 3}), zeros({2})).shape() == Shape{0, 2});
  Tensor w = ones({2, 3}, {.requires_grad = true});
  linear(zeros({0, 3}), w).sum().backward();
  CHECK(w.grad().to_vector() == std::vector<double>(6, 0));
}

TEST_CASE("matmul: derivatives") {
  const auto product = [](std::span<const Tensor> x) { return matmul(x[0], x[1]); };
  CHECK_NOTHROW(check_grads(product, {normal({3, 4}, 1), normal({4, 2}, 2)}));
  CHECK_NOTHROW(check_grads(product, {normal({4}, 1), normal({4}, 2)}));
  CHECK_NOTHROW(check_grads(product, {normal({3, 4}, 1), normal({4}, 2)}));
  CHECK_NOTHROW(check_grads(product, {normal({4}, 1), normal({2, 4, 3}, 2)}));
  CHECK_NOTHROW(check_grads(product, {normal({2, 1, 3, 4}, 1), normal({3, 4, 2}, 2)}));
  CHECK_NOTHROW(check_grads(product, {normal({2, 3, 4}, 1), normal({4, 2}, 2)}));
  CHECK_NOTHROW(check_grads([](auto x) { return matmul(transpose(x[0]), x[0]); }, {normal({3, 4}, 1)}));
}

TEST_CASE("linear: x W^T + b and its derivatives") {
  const Tensor x = normal({2, 3, 4}, 1), w = normal({5, 4}, 2), b = normal({5}, 3);
  CHECK(close(linear(x, w, b), matmul(x, transpose(w)) + b));
  CHECK(close(linear(x, w), matmul(x, transpose(w))));
  CHECK(close(linear(x[0][0], w, b), matmul(w, x[0][0]) + b));
  CHECK(close(linear(transpose(x, 0, 1), w, b), matmul(transpose(x, 0, 1), transpose(w)) + b));
  const auto f = [](std::span<const Tensor> in) { return linear(in[0], in[1], in[2]); };
  CHECK_NOTHROW(check_grads(f, {x, w, b}));
  CHECK_NOTHROW(check_grads(f, {x[0][0], w, b}));
  CHECK_NOTHROW(check_grads([](auto in) { return linear(in[0], in[1]); }, {x[0], w}));
  CHECK_NOTHROW(check_grads([&](auto in) { return linear(tanh(linear(in[0], w, b)), transpose(w)); }, {x[0]}));
}

TEST_CASE("einsum") {
  const Tensor a = normal({2, 3, 4}, 1), b = normal({2, 4, 5}, 2), m = normal({3, 3}, 3), v = normal({3}, 4);
  CHECK(close(einsum("bij,bjk->bik", {a, b}), matmul(a, b)));
  CHECK(close(einsum("bij,bjk", {a, b}), matmul(a, b)) == false);  // without "->", b is summed over
  CHECK(close(einsum("bij,bjk", {a, b}), sum(matmul(a, b), 0)));
  CHECK(close(einsum("bij,bjk->kbi", {a, b}), permute(matmul(a, b), {2, 0, 1})));
  CHECK(close(einsum("ii->", {m}), sum(diagonal(m))));
  CHECK(close(einsum("ii->i", {m}), diagonal(m)));
  CHECK(close(einsum("i,j->ij", {v, v}), unsqueeze(v, 1) * v));
  CHECK(close(einsum("i,i->i", {v, v}), v * v));
  CHECK(close(einsum("ij -> ji", {m}), transpose(m)));
  CHECK(close(einsum("i,ij,j->", {v, m, v}), matmul(v, matmul(m, v))));
  CHECK(close(einsum("bij,kk->b", {a, m}), sum(a, {1, 2}) * sum(diagonal(m))));
  CHECK_NOTHROW(check_grads([](auto x) { return einsum("bij,bjk,kk->ib", x); }, {a, b, normal({5, 5}, 5)}));

  CHECK(error_of([&] { einsum("ij,jk->ik", {a}); }) == "einsum: the formula has 2 operands, given 1: ij,jk->ik");
  CHECK(error_of([&] { einsum("ij->ji", {a}); }) == "einsum: ranks differ: ij and (2, 3, 4)");
  CHECK(error_of([&] { einsum("bij,bik->b", {a, b}); }) == "einsum: sizes of i differ: 3 and 4");
  CHECK(error_of([&] { einsum("i->k", {v}); }) == "einsum: no operand has the output's index k: i->k");
  CHECK(error_of([&] { einsum("i->ii", {v}); }) == "einsum: the output names i twice: i->ii");
  CHECK(error_of([&] { einsum("...i->i", {v}); }) == "einsum: '.' is no index: ...i->i");
}

TEST_CASE("matmul: bad input") {
  CHECK(error_of([] {
          matmul(zeros({32, 64}), zeros({128, 10}));
        }) == "matmul: inner sizes differ: (32, 64) and (128, 10)");
  CHECK(error_of([] { matmul(zeros({3}), zeros({4})); }) == "matmul: inner sizes differ: (3) and (4)");
  CHECK(error_of([] { matmul(zeros({}), zeros({4})); }) == "matmul: a number is no matrix: () and (4)");
  CHECK(error_of([] { matmul(zeros({2, 3, 4}), zeros({3, 4, 5})); }).find("(2)") != std::string::npos);
  CHECK(error_of([] { matmul(zeros({2, 3}), zeros({3, 2}, {.dtype = f64})); }).starts_with("matmul: "));
  CHECK(error_of([] {
          matmul(tensor({1, 2}), tensor({1, 2}));
        }) == "matmul: needs a floating tensor, got i64; convert with .to(f32)");
  CHECK(error_of([] {
          linear(zeros({2, 3}), zeros({5, 4}));
        }) == "linear: x has shape (2, 3), its last axis must be the 4 inputs of the weight (5, 4)");
  CHECK(error_of([] {
          linear(zeros({2, 4}), zeros({5, 4}), zeros({4}));
        }) == "linear: weight and bias differ: (5, 4) and (4)");
  CHECK(error_of([] { linear(zeros({2, 4}), zeros({4})); }) == "linear: the weight is no matrix: (2, 4) and (4)");
}

TEST_CASE("matmul: one thread and two give the same bits") {
  const Tensor a = normal({6, 130, 70}, 1, f32), b = normal({6, 70, 90}, 2, f32);
  const Tensor x = normal({300, 200}, 3, f32), w = normal({170, 200}, 4, f32), bias = normal({170}, 5, f32);
  const int before = threads();
  set_threads(1);
  const auto y = matmul(a, b).to_vector(), z = linear(x, w, bias).to_vector();
  set_threads(2);
  CHECK(matmul(a, b).to_vector() == y);
  CHECK(linear(x, w, bias).to_vector() == z);
  set_threads(before);
}
