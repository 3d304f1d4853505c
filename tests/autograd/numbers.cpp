// Ops of a tensor and a number, on either side.
#include <cmath>

#include "fathom/autograd/create.h"
#include "fathom/autograd/grad.h"
#include "fathom/autograd/ops.h"
#include "tests/support.h"

using namespace fathom;

TEST_CASE("numbers in the place of tensors") {
  const Tensor x = tensor({-1.0, 2.0, 5.0}, {.dtype = f64, .requires_grad = true});
  using List = std::vector<double>;
  CHECK(maximum(x, 3).to_vector() == List{3, 3, 5});
  CHECK(maximum(3, x).to_vector() == List{3, 3, 5});
  CHECK(minimum(x, 3).to_vector() == List{-1, 2, 3});
  CHECK(grad(sum(minimum(3.0, x)), x).to_vector() == List{1, 1, 0});
  CHECK(pow(2.0, x).to_vector() == List{0.5, 4, 32});
  CHECK(allclose(grad(sum(pow(2.0, x)), x), pow(2.0, x) * std::log(2.0)));
  CHECK((2.0 == x).to_vector() == List{0, 1, 0});
  CHECK((2.0 != x).to_vector() == List{1, 0, 1});
  CHECK((0.0 < x).to_vector() == List{0, 1, 1});
  CHECK((2.0 >= x).to_vector() == List{1, 1, 0});
  CHECK(where(x > 0, 1.5, -1.5, f64).to_vector() == List{-1.5, 1.5, 1.5});
  CHECK(where(x > 0, 1, 0).dtype() == f32);
  CHECK(maximum(tensor({1, 5}), 3).dtype() == i64);
  CHECK_THROWS_AS(maximum(tensor({1, 5}), 2.5), Error);
}
