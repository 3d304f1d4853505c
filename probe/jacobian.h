// The Jacobian dy/dx as a linear operator, read off what was recorded between x and y; nothing is executed again.
//   1. It keeps the nodes of the tape between x and y: both tensors may go, backward() of that stretch must come later.
//   2. Along the batch axis the Jacobian is block-diagonal: one block a sample, and every product works on all blocks
//   at
//      once. That no sample reaches another is tested once, with a random cotangent on the first and on the last
//      sample. Where they do (BatchNorm in training), or x and y share no batch axis, it is one whole Jacobian:
//      `coupled`.
//   3. Nothing is recorded, and the default random numbers are left alone.
#pragma once
#include "fathom/autograd/slice.h"
#include "fathom/tensor/random.h"

namespace fathom::probe {

enum class Samples {
  tested,       // for independence, when the Jacobian is made
  independent,  // known not to reach each other; not tested
  coupled       // one Jacobian of the whole batch
};

struct JacobianOptions {
  int64_t batch_axis = 0;  // of x and of y; -1: there is none. A rank-1 x has none
  Samples samples = Samples::tested;
  uint64_t seed = 0;  // of the directions drawn here
};

struct SigmaOptions {
  int64_t iterations = 200;  // at most; each is one product with J and one with its transpose
  double tolerance = 1e-4;   // done when each sample's residual is at most this part of its sigma
  Tensor start = {};         // directions of x's shape; undefined: random. A `direction` from before is a warm start
};

// Of each sample: (batch), or rank 0 where there is no batch.
struct Sigma {
  Tensor sigma;      // f64; a lower bound of the largest singular value (but for rounding)
  Tensor residual;   // f64; |J^T u - s v| for s = |J v|, u = J v / s. A singular value lies within it of s, and
                     // sigma^2 = s^2 + residual^2
  Tensor direction;  // of x's shape; each sample's is of norm 1 and finite: the next call's `start`
  int64_t iterations = 0;
};

struct FrobeniusOptions {
  int64_t exact_below = 32;  // exact when the smaller side of a sample's Jacobian is at most this
  int64_t probes = 16;       // else estimated from so many random directions
  bool squared = false;      // of the squared norm instead
};

// Of each sample: (batch) f64, or rank 0 where there is no batch.
struct Estimate {
  Tensor value;
  Tensor standard_error;  // zero when exact; of one probe alone, the bound that holds for any matrix
};

class Jacobian {
 public:
  // Throws Error when y or x is not on the tape, y does not depend on x, the batch axis is out of range, or backward()
  // has consumed what lies between.
  Jacobian(const Tensor& y, const Tensor& x, JacobianOptions options = {});
  Jacobian(Node* y, Node* x, JacobianOptions options = {});

  bool coupled() const { return coupled_; }     // one Jacobian, though there is a batch
  bool batched() const { return axis_ >= 0; }   // one Jacobian a sample
  int64_t batch() const { return batch_; }      // 1 where there is none
  int64_t inputs() const { return inputs_; }    // of one sample
  int64_t outputs() const { return outputs_; }  // of one sample

  // J v, of y's shape, for v of x's; J^T u the other way.
  Tensor apply(const Tensor& v) const;
  Tensor apply_transposed(const Tensor& u) const;

  // The numbers, from min(outputs, inputs) products: (batch, outputs, inputs), without a batch (outputs, inputs); of
  // y's dtype.
  Tensor matrix() const;
  // f64 (batch, min(outputs, inputs)), without a batch (min): descending, by SVD of the matrix in f64. NaN where the
  // matrix is not finite.
  Tensor singular_values() const;
  // The largest over the smallest of them: f64 (batch) or rank 0; infinite where the smallest is 0.
  Tensor condition() const;
  // The largest one, by power iteration on J^T J, each sample for itself.
  Sigma sigma_max(const SigmaOptions& options = {}) const;
  // The root of the sum of squares. Estimated: E |J^T u|^2 over random signs u (Hutchinson 1990).
  Estimate frobenius(const FrobeniusOptions& options = {}) const;

 private:
  bool some_sample_reaches_another();
  Shape per_sample(std::initializer_list<int64_t> sizes) const;  // with the batch before them, where there is one

  Slice slice_;
  Shape y_shape_, x_shape_;
  Dtype y_dtype_, x_dtype_;
  int axis_ = -1;
  bool coupled_ = false;
  int64_t batch_ = 1, inputs_ = 0, outputs_ = 0;
  mutable Rng rng_;
};

}  // namespace fathom::probe
