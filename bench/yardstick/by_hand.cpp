// The training steps of bench/train_step written by hand, as one would for this one network: no framework, no tape,
// Eigen's arrays and OpenBLAS's products, one thread. What a framework costs is measured against this.
#include <cblas.h>
#include <immintrin.h>  // _mm_setcsr

#include <Eigen/Dense>
#include <cmath>

#include "measure.h"

namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Row = Eigen::RowVectorXf;

struct Factor {
  const Matrix& matrix;
  bool transposed = false;

  int rows() const { return int(transposed ? matrix.cols() : matrix.rows()); }
  int cols() const { return int(transposed ? matrix.rows() : matrix.cols()); }
  CBLAS_TRANSPOSE op() const { return transposed ? CblasTrans : CblasNoTrans; }
};
Factor transposed(const Matrix& matrix) { return {matrix, true}; }

// into = a b + beta into
void multiply(Factor a, Factor b, Matrix& into, float beta = 0) {
  cblas_sgemm(CblasRowMajor, a.op(), b.op(), a.rows(), b.cols(), a.cols(), 1, a.matrix.data(), int(a.matrix.cols()),
              b.matrix.data(), int(b.matrix.cols()), beta, into.data(), int(into.cols()));
}

// The factor that brings a gradient of this squared norm to norm 1 at most.
float clip_scale(float squared_norm) { return std::min(1.f, 1.f / (std::sqrt(squared_norm) + 1e-6f)); }

constexpr float learning_rate = 1e-3f;

template <class Values>
struct Parameter {
  Values value, grad, first_moment, second_moment;

  explicit Parameter(Values initial)
      : value(std::move(initial)),
        grad(Values::Zero(value.rows(), value.cols())),
        first_moment(grad),
        second_moment(grad) {}

  void sgd(float scale) { value -= learning_rate * scale * grad; }

  // The bias corrections are left out: they are two factors a step.
  void adam(float scale) {
    const auto g = grad.array() * scale;
    first_moment.array() = 0.9f * first_moment.array() + 0.1f * g;
    second_moment.array() = 0.999f * second_moment.array() + 0.001f * g.square();
    value.array() -= learning_rate * first_moment.array() / (second_moment.array().sqrt() + 1e-8f);
  }
};

struct Linear {
  Parameter<Matrix> weight;  // (out, in)
  Parameter<Row> bias;       // (out)

  Linear(int in, int out) : weight(Matrix::Random(out, in) / std::sqrt(float(in))), bias(Row::Zero(out)) {}

  float squared_grad_norm() const { return weight.grad.squaredNorm() + bias.grad.squaredNorm(); }
};

enum class Loss { squares, cross_entropy };
enum class Rule { sgd, adam };

struct MlpOptions {
  int batch, in, width, hidden, out;
  Loss loss = Loss::cross_entropy;
  Rule rule = Rule::adam;
  bool clip = false;
};

// linear, tanh, hidden times (linear, tanh), linear
class Mlp {
 public:
  explicit Mlp(const MlpOptions& o) : options_(o), target_(Matrix::Random(o.batch, o.out)) {
    layers_.emplace_back(o.in, o.width);
    for (int i = 0; i < o.hidden; ++i) layers_.emplace_back(o.width, o.width);
    layers_.emplace_back(o.width, o.out);

    values_.push_back(Matrix::Random(o.batch, o.in));
    for (const Linear& layer : layers_) values_.emplace_back(o.batch, layer.weight.value.rows());
    grads_ = values_;
    for (int i = 0; i < o.batch; ++i) labels_.push_back(i % o.out);
  }

  void operator()() {
    forward();
    loss_gradient();
    const float squared_norm = backward();
    const float scale = options_.clip ? clip_scale(squared_norm) : 1;
    for (Linear& layer : layers_) {
      if (options_.rule == Rule::adam) {
        layer.weight.adam(scale);
        layer.bias.adam(scale);
      } else {
        layer.weight.sgd(scale);
        layer.bias.sgd(scale);
      }
    }
  }

 private:
  bool has_tanh(size_t layer) const { return layer + 1 < layers_.size(); }

  void forward() {
    for (size_t i = 0; i < layers_.size(); ++i) {
      Matrix& y = values_[i + 1];
      multiply({values_[i]}, transposed(layers_[i].weight.value), y);
      y.rowwise() += layers_[i].bias.value;
      if (has_tanh(i)) y = y.array().tanh();
    }
  }

  void loss_gradient() {
    const Matrix& y = values_.back();
    Matrix& dy = grads_.back();
    if (options_.loss == Loss::squares) {
      dy = (y - target_) * (2.f / float(y.size()));
      return;
    }
    for (int i = 0; i < y.rows(); ++i) {  // softmax - one_hot(label)
      dy.row(i) = (y.row(i).array() - y.row(i).maxCoeff()).exp();
      dy.row(i) /= dy.row(i).sum();
      dy(i, labels_[i]) -= 1;
    }
    dy /= float(y.rows());
  }

  // Returns the squared norm of all gradients, where they are to be clipped.
  float backward() {
    float squared_norm = 0;
    for (size_t i = layers_.size(); i-- > 0;) {
      Linear& layer = layers_[i];
      Matrix& dy = grads_[i + 1];
      if (has_tanh(i)) dy.array() *= 1 - values_[i + 1].array().square();
      multiply(transposed(dy), {values_[i]}, layer.weight.grad);
      layer.bias.grad = dy.colwise().sum();
      if (i > 0) multiply({dy}, {layer.weight.value}, grads_[i]);
      if (options_.clip) squared_norm += layer.squared_grad_norm();
    }
    return squared_norm;
  }

  MlpOptions options_;
  std::vector<Linear> layers_;
  std::vector<Matrix> values_, grads_;  // of the input, then after each layer
  Matrix target_;
  std::vector<int> labels_;
};

// h' = tanh(x W^T + h U^T + b) over all steps of a sequence, and a linear head on the last h.
class Rnn {
 public:
  Rnn(int steps, int batch, int in, int width)
      : input_(in, width),
        recurrent_(width, width),
        head_(width, 1),
        xs_(steps, Matrix::Random(batch, in)),
        hs_(steps + 1, Matrix::Zero(batch, width)),
        target_(Matrix::Random(batch, 1)),
        y_(batch, 1),
        dy_(batch, 1),
        dh_(batch, width),
        dz_(batch, width) {}

  void operator()() {
    forward();
    dy_ = (y_ - target_) * (2.f / float(y_.size()));
    backward();
    const float scale =
        clip_scale(input_.squared_grad_norm() + recurrent_.squared_grad_norm() + head_.squared_grad_norm());
    for (Linear* layer : {&input_, &recurrent_, &head_}) {
      layer->weight.sgd(scale);
      layer->bias.sgd(scale);
    }
  }

 private:
  void forward() {
    const Row bias = input_.bias.value + recurrent_.bias.value;
    for (size_t t = 0; t < xs_.size(); ++t) {
      Matrix& h = hs_[t + 1];
      multiply({xs_[t]}, transposed(input_.weight.value), h);
      multiply({hs_[t]}, transposed(recurrent_.weight.value), h, 1);
      h = (h.rowwise() + bias).array().tanh();
    }
    multiply({hs_.back()}, transposed(head_.weight.value), y_);
    y_.rowwise() += head_.bias.value;
  }

  void backward() {
    multiply(transposed(dy_), {hs_.back()}, head_.weight.grad);
    head_.bias.grad = dy_.colwise().sum();
    multiply({dy_}, {head_.weight.value}, dh_);

    input_.weight.grad.setZero();
    recurrent_.weight.grad.setZero();
    recurrent_.bias.grad.setZero();
    for (size_t t = xs_.size(); t-- > 0;) {
      dz_ = dh_.array() * (1 - hs_[t + 1].array().square());
      multiply(transposed(dz_), {xs_[t]}, input_.weight.grad, 1);
      multiply(transposed(dz_), {hs_[t]}, recurrent_.weight.grad, 1);
      recurrent_.bias.grad += dz_.colwise().sum();
      multiply({dz_}, {recurrent_.weight.value}, dh_);
    }
    input_.bias.grad = recurrent_.bias.grad;
  }

  Linear input_, recurrent_, head_;
  std::vector<Matrix> xs_, hs_;
  Matrix target_, y_, dy_, dh_, dz_;
};

}  // namespace

int main(int argc, char** argv) {
  openblas_set_num_threads(1);
  _mm_setcsr(_mm_getcsr() | 0x8040);  // denormals are zero, going in and coming out

  const yardstick::Cases cases(argc, argv);
  cases.run("tiny_mlp_b32_w32_sgd", [] {
    return Mlp({.batch = 32, .in = 2, .width = 32, .hidden = 1, .out = 1, .loss = Loss::squares, .rule = Rule::sgd});
  });
  for (int depth : {4, 16, 64, 256})
    cases.run("deep_mlp_w64_b32_d" + std::to_string(depth) + "_adam",
              [=] { return Mlp({.batch = 32, .in = 64, .width = 64, .hidden = depth, .out = 10, .clip = true}); });
  cases.run("mnist_mlp_784_512_512_10_b128_adamw",
            [] { return Mlp({.batch = 128, .in = 784, .width = 512, .hidden = 1, .out = 10}); });
  for (int width : {64, 256})
    cases.run("rnn_tanh_T100_h" + std::to_string(width) + "_b32_sgd_clip", [=] { return Rnn(100, 32, 2, width); });
}
