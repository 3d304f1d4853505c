// Where Fathom differs from libtorch on purpose, each with the reason; the program `agreement` checks that they do.
//
// What no row can say:
//   Errors instead of NaN or of a silent conversion: mean, amax and argmax over an empty axis; var of fewer numbers
//   than the correction needs; i64 with floats, fractions with i64; labels below 0, of which libtorch ignores -100
//   without being told to.
//   Masks: a boolean one is true where a query may attend; libtorch's attn_mask is true where it may not.
//   Layouts and defaults: attention takes the batch first; argmax and softmax take the last axis; a TransformerBlock is
//   pre-norm with GELU, four times as wide within, without dropout; LBFGS always searches along its direction, and its
//   own vectors are double, so that f32 runs part.
//   Schedules: libtorch's StepLR is a step later than PyTorch's, which step_decay is.
//
// Without a counterpart in libtorch 1.13, so tested by properties alone: positions, residual forms, flows,
// parametrisations, Muon, moving averages, clipping of each parameter and adaptive, the other schedules and
// initialisers. Dropout and multinomial draw other numbers; tests/ has their distributions. The RMSNorm module is the
// op rms_norm.
#include <cmath>  // INFINITY, NAN

#include "fathom/autograd/create.h"
#include "fathom/autograd/ops.h"
#include "fathom/nn/losses.h"
#include "tests/agreement/cases.h"

using namespace fathom;

namespace agreement {

const std::vector<Case> differences = {
    {"attention of a query that may attend to no key: zeros, since a padded row must not spoil a batch; libtorch: NaN",
     {{{2, 3}}, {{4, 3}}, {{4, 2}}},
     OURS(scaled_dot_product_attention(x[0], x[1], x[2], {.mask = zeros({4}, {.dtype = boolean})})),
     TORCH(torch::matmul(torch::softmax(torch::matmul(x[0], x[1].t()) - INFINITY, -1), x[2]))},
    {"logsumexp of nothing but -infinity: gradients of 0, as of weights that vanish; libtorch: NaN",
     {{{2, 3}}},
     OURS(logsumexp(x[0] - INFINITY, 1)),
     TORCH(torch::logsumexp(x[0] - INFINITY, 1)),
     false},
    {"norm at 0: second derivatives of 0, as the first; libtorch: NaN",
     {{{2, 3}}},
     OURS(norm(x[0] * 0, 2, 1)),
     TORCH(torch::norm(x[0] * 0, 2, 1))},
    {"sign of a NaN: NaN, since what is broken must stay visible; libtorch: 0",
     {{{2, 3}}},
     OURS(sign(x[0] * NAN)),
     TORCH(torch::sign(x[0] * NAN)),
     false},
    {"maximum of a number and a NaN: both gradients are NaN, for the same reason; libtorch: the number takes all",
     {{{2, 3}}, {{2, 3}}},
     OURS(maximum(x[0] * NAN, x[1])),
     TORCH(torch::maximum(x[0] * NAN, x[1])),
     false},
    {"pow of tensors at 0^0: second derivatives of 0, as the first; libtorch: NaN",
     {{{2, 3}}, {{2, 3}}},
     OURS(pow(x[0] * 0, x[1] * 0)),
     TORCH(torch::pow(x[0] * 0, x[1] * 0))},
    {"kl_div at q = 0: q log q has a slope of 0 there; libtorch: NaN",
     {{{2, 3}}, {{2, 3}}},
     OURS(nn::kl_div(x[0], x[1] * 0)),
     TORCH(torch::kl_div(x[0], x[1] * 0, at::Reduction::Sum) / 2),
     false},
    {"cross_entropy of ignored rows alone: 0, since a batch of padding must not spoil a run; libtorch: NaN",
     {{{2, 3}}, {{2}, 0, 0, 1}},
     OURS(cross_entropy(x[0], x[1], {.ignore_index = 0})),
     TORCH(torch::cross_entropy_loss(x[0], x[1], {}, at::Reduction::Mean, 0)),
     false},
    {"relu where a slope of infinity comes back: NaN, as the chain rule has none; libtorch: 0",
     {{{2, 3}}},
     OURS(sqrt(relu(x[0]))),
     TORCH(torch::sqrt(torch::relu(x[0]))),
     false},
    {"kl_div of more axes than two: the mean over all rows, as of cross_entropy; libtorch: over the first axis",
     {{{2, 3, 4}}, {{2, 3, 4}, 0.1, 1}},
     OURS(nn::kl_div(x[0], x[1])),
     TORCH(torch::nn::functional::kl_div(x[0], x[1],
                                         torch::nn::functional::KLDivFuncOptions().reduction(torch::kBatchMean)))},
};

}  // namespace agreement
