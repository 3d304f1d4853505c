// The Jacobian dy/dx as a linear operator, read off what was recorded between x and y; nothing is executed again.
//   1. It keeps the nodes of the tape between x and y: both tensors may go, backward() of that stretch must come later.
//   2. Along the batch axis the Jacobian is block-diagonal: one block a sample, and every product works on all blocks
//      at once. That no sample reaches another is tested once, with a random cotangent on the first and on the last
//      sample, and with NaN, which factors that are 0 today do not stop. Where they do (BatchNorm in training), or x
//      and y share no batch axis, it is one whole Jacobian: `coupled`.
//   3. Where one linear layer and elementwise ops lie between, the numbers of the Jacobian's factors are known, and
//      products are made of them, without the tape. Where it is the layer alone, all samples have one Jacobian, and
//      singular values are found once.
//   4. Nothing is recorded, and the default random numbers are left alone.
#pragma once
#include <optional>

#include "fathom/probe/estimate.h"
#include "fathom/tensor/random.h"

namespace fathom {
struct Node;
class Slice;
}  // namespace fathom

namespace fathom::probe {

enum class Samples {
  tested,       // for independence, when the Jacobian is made
  independent,  // known not to reach each other; not tested
  coupled       // one Jacobian of the whole batch
};

struct JacobianOptions {
  int64_t batch_axis = 0;  // of x and of y; -1: there is none. A rank-1 x has none
  Samples samples = Samples::tested;
  int64_t leading = 0;  // of the samples, from the first on, only so many; 0: all. Not where they reach each other
  uint64_t seed = 0;    // of the directions drawn here
};

enum class SigmaMethod {
  chosen,   // power from a start, else lanczos
  lanczos,  // Golub-Kahan-Lanczos bidiagonalisation: for a small gap
  power
};
struct SigmaOptions {
  int64_t iterations = 200;  // at most; each is one product with J and one with its transpose
  double tolerance = 1e-4;  // done when each sample's error, estimated from its residual r, is at most this part of its
                            // sigma: by r for power; by min(r, r^2 / gap), the gap to the second value, for lanczos
  Tensor start = {};        // directions of x's shape; undefined: random. A `direction` from before is a warm start
  bool unit_start = false;  // each sample's part of it is of norm 1, as that of a `direction` is: not looked at again
  SigmaMethod method = SigmaMethod::chosen;
  bool upper = true;                // find an upper bound
  double chance = chance_of_error;  // that it does not hold, at most
  double noise = 1e-3;  // so much of a random direction is added to a start: the upper bound lives on it. Needs another
                        // `seed` than the start came from; 0: none, and only the bound by the Frobenius norm is left
};

struct FrobeniusOptions {
  int64_t exact_below = 32;  // exact, if no formula is, when the smaller side of a sample's Jacobian is at most this
  int64_t probes = 16;       // else estimated from so many random directions
  bool squared = false;      // of the squared norm instead
  Tensor sigma_upper = {};   // (batch): upper bounds of the largest singular values, which narrow the interval; for its
                             // confidence to hold, theirs should be 1 - 5e-7: see SigmaOptions::chance
};

struct SpectrumOptions {
  int64_t exact_below = 512;  // all values when the smaller side of a sample's Jacobian is at most this
  int64_t top = 8;            // else so many
  int64_t iterations = 0;     // of Golub-Kahan-Lanczos for those; 0: 3 top + 16
};

class Jacobian {
 public:
  // Throws Error when y or x is not on the tape, y does not depend on x, the batch axis is out of range, or backward()
  // has consumed what lies between.
  Jacobian(const Tensor& y, const Tensor& x, JacobianOptions options = {});
  Jacobian(Node* y, Node* x, JacobianOptions options = {});
  explicit Jacobian(Slice slice, JacobianOptions options = {});  // of its y by its first x
  ~Jacobian();
  Jacobian(Jacobian&&) noexcept;
  Jacobian& operator=(Jacobian&&) noexcept;

  bool coupled() const { return coupled_; }  // one Jacobian, though there is a batch
  // Whether the test said so for all numbers that the same ops may meet: it has found none that are not finite, and no
  // way that lets nothing through.
  bool certain() const { return certain_; }
  bool batched() const { return axis_ >= 0; }        // one Jacobian a sample
  int64_t batch() const { return batch_; }           // 1 where there is none
  int64_t inputs() const { return inputs_; }         // of one sample
  int64_t outputs() const { return outputs_; }       // of one sample
  const Shape& x_shape() const { return x_shape_; }  // of a direction: x's, with the leading samples alone
  const Shape& y_shape() const { return y_shape_; }

  // J v, of y's shape, for v of x's; J^T u the other way.
  Tensor apply(const Tensor& v) const;
  Tensor apply_transposed(const Tensor& u) const;

  // The numbers, from min(outputs, inputs) products: (batch, outputs, inputs), without a batch (outputs, inputs); of
  // y's dtype.
  Tensor matrix() const;
  // f64 (batch, min(outputs, inputs)), without a batch (min): descending, by SVD of the matrix, exact to the rounding
  // of its dtype. NaN where the matrix is not finite.
  Tensor singular_values() const;
  // The largest over the smallest of them: f64 (batch) or rank 0; infinite where the smallest is 0.
  Tensor condition() const;
  // The largest one, each sample for itself. Upper bounds come from a random start, which with probability 1 - 1e-6 has
  // a part along the wanted direction (Hochstenbach, "Probabilistic upper bounds for the matrix two-norm", 2013), or
  // from the Frobenius norm where that is known exactly.
  Sigma sigma_max(const SigmaOptions& options = {}) const;
  // The root of the sum of squares. Exact by formula for a linear layer between elementwise ops; estimated:
  // E |J^T u|^2 over random directions u (Hutchinson 1990).
  Estimate frobenius(const FrobeniusOptions& options = {}) const;
  Spectrum spectrum(const SpectrumOptions& options = {}) const;

 private:
  // J = diag(after) W diag(before) for each row of numbers along the last axis: what lies between x and y is one linear
  // layer, or none, and elementwise ops. An undefined factor is 1.
  struct Factors : pool::Pooled {
    Tensor after, before;
    Node* layer;  // null: none
    Tensor weight() const;
    Tensor times(const Tensor& v, bool transposed, bool with_after = true) const;
  };
  Owned<Factors> find_factors() const;                           // null: not known
  const Factors* factors() const;                                // the same, found once
  std::optional<pool::vector<double>> norms_by_formula() const;  // Frobenius norms
  Tensor matrix_of_factors() const;
  Sigma sigma_of_first(const SigmaOptions& options) const;
  Sigma sigma_of_diagonal(const Tensor& diagonal) const;
  struct Round;
  Round round_of(const Tensor& v) const;
  Sigma sigma_by_power(const SigmaOptions& options) const;
  Sigma sigma_by_lanczos(const SigmaOptions& options) const;
  void bound_by_frobenius(Sigma& sigma) const;
  Estimate frobenius_by_probes(const FrobeniusOptions& options) const;
  void spectrum_by_svd(Spectrum& result) const;
  void spectrum_by_lanczos(const SpectrumOptions& options, Spectrum& result) const;
  // Where a power iteration starts, each sample's direction of norm 1; `part` is how much of it is random.
  Tensor start_of(const SigmaOptions& options, double& part) const;
  friend class Lanczos;

  bool some_sample_reaches_another();
  Shape per_sample(std::initializer_list<int64_t> sizes) const;  // with the batch before them, where there is one
  // Whether the samples have one Jacobian: one linear layer is all there is. Then the first is asked, a batch of one
  // that lives no longer than this, and the answer repeated.
  bool same_for_all() const;
  struct First {};
  Jacobian(const Jacobian& all, First);
  Tensor for_each_sample(const Tensor& one, int axis = 0) const;
  Tensor leading_of(const Tensor& all) const;
  Tensor with_the_rest(const Tensor& leading, const Shape& all) const;  // zeros

  Owned<Slice> slice_;
  Shape y_shape_, x_shape_;
  Dtype y_dtype_, x_dtype_;
  int axis_ = -1;
  bool coupled_ = false, certain_ = false;
  int64_t batch_ = 1, inputs_ = 0, outputs_ = 0;
  mutable Rng rng_;
  mutable bool factors_sought_ = false;
  mutable Owned<Factors> factors_;
};

}  // namespace fathom::probe
