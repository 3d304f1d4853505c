// Products of Jacobians over layers: what a gradient can gain on its way from y = x_L back to each x_l, against what
// the norms of the single layers bound it by, and what it did gain. Numbers are log10, so that nothing leaves the
// number range at any depth.
//   1. One sweep back carries a block of directions of y for each sample, made orthonormal after every layer (QR), and
//      the small factors' product: as many products with a transposed Jacobian a layer as there are columns, for all l.
//   2. Lower bounds hold but for rounding. The upper ones hold for each sample and l with probability 1 - 1e-6 over
//      the random columns (Halko, Martinsson & Tropp 2011, lemma 4.1), whatever the layers.
//   3. The x_l must be a chain: every way from one to the next but one leads through the next. See `chain_break`.
#pragma once
#include <iosfwd>
#include <span>
#include <string>
#include <vector>

#include "fathom/probe/jacobian.h"

namespace fathom::probe {

struct ProductOptions {
  int64_t columns = 4;     // found by a sweep forward: the directions of y that the whole product reaches most
  int64_t probes = 12;     // random directions of y, for the upper bounds
                           // no sweep forward and exact values when y has no more numbers a sample than both together
  int64_t batch_axis = 0;  // see JacobianOptions
  Samples samples = Samples::tested;
  uint64_t seed = 0;
  Tensor cotangent = {};           // of y's shape: of a loss; its gain is measured too
  std::vector<Tensor> sigma = {};  // of each layer, f64 (batch): the largest singular values where they are known;
                                   // else they are measured
};

// f64 (batch, L), without a batch (L): at l of the product J_L ... J_(l+1), that is dy/dx_l.
struct Products {
  Tensor log10_norm;   // its largest singular value: a lower bound, exact where exact
  Tensor log10_upper;  // an upper bound
  Tensor log10_bound;  // the product of the single norms
  Tensor looseness;    // log10_bound - log10_norm
  Tensor log10_gain;   // |dloss/dx_l| / |dloss/dy|; undefined without a cotangent
  bool exact = false, coupled = false;
  double confidence = 1;
  double seconds = 0;
};

// xs = x_0, ..., x_L on the tape. Throws Error when they are fewer than two, not on the tape or no chain.
Products products_along(std::span<const Tensor> xs, const ProductOptions& options = {});
Products products_along(std::span<Node* const> xs, const ProductOptions& options = {});
// Of matrices J_1 (first applied), ..., J_L, each (out, in); those of batch, samples and cotangent are not looked at.
Products products_of(std::span<const Tensor> matrices, const ProductOptions& options = {});

// log10 of all singular values of dy/dx_0, descending: f64 (batch, outputs), without a batch (outputs). The product is
// never multiplied out, so that each is exact relative to itself as far as the single layers are well-conditioned; a
// multiplied-out one loses all below 1e-16 of the largest.
Tensor spectrum_along(std::span<const Tensor> xs, const ProductOptions& options = {});
Tensor spectrum_of(std::span<const Tensor> matrices);

// Why the xs are no chain; empty when they are one.
std::string chain_break(std::span<Node* const> xs);
std::string chain_break(std::span<const Tensor> xs);

std::ostream& operator<<(std::ostream& out, const Products& products);

}  // namespace fathom::probe
