// Comparisons: boolean tensors, without history. Shapes broadcast; dtypes must agree.
#pragma once
#include "fathom/tensor/tensor.h"

namespace fathom {

Tensor operator==(const Tensor& a, const Tensor& b);
Tensor operator!=(const Tensor& a, const Tensor& b);
Tensor operator<(const Tensor& a, const Tensor& b);
Tensor operator<=(const Tensor& a, const Tensor& b);
Tensor operator>(const Tensor& a, const Tensor& b);
Tensor operator>=(const Tensor& a, const Tensor& b);
Tensor operator==(const Tensor& x, double c);
Tensor operator!=(const Tensor& x, double c);
Tensor operator<(const Tensor& x, double c);
Tensor operator<=(const Tensor& x, double c);
Tensor operator>(const Tensor& x, double c);
Tensor operator>=(const Tensor& x, double c);
inline Tensor operator==(double c, const Tensor& x) { return operator==(x, c); }
inline Tensor operator!=(double c, const Tensor& x) { return operator!=(x, c); }
inline Tensor operator<(double c, const Tensor& x) { return x > c; }
inline Tensor operator<=(double c, const Tensor& x) { return x >= c; }
inline Tensor operator>(double c, const Tensor& x) { return x < c; }
inline Tensor operator>=(double c, const Tensor& x) { return x <= c; }
Tensor operator!(const Tensor& x);                    // of a boolean tensor
Tensor operator&&(const Tensor& a, const Tensor& b);  // elementwise; both are evaluated
Tensor operator||(const Tensor& a, const Tensor& b);
Tensor any(const Tensor& x, const Axes& axes = {}, bool keepdim = false);  // whether some element is true (not zero)
Tensor all(const Tensor& x, const Axes& axes = {}, bool keepdim = false);
Tensor isnan(const Tensor& x);
Tensor isfinite(const Tensor& x);
// |a - b| <= atol + rtol |b| everywhere; a NaN is close to nothing unless equal_nan.
bool allclose(const Tensor& a, const Tensor& b, double rtol = 1e-5, double atol = 1e-8, bool equal_nan = false);
// c ? a : b on each element; a and b of one dtype. The derivative of the part not taken is zero, even where it is NaN;
// an infinite slope before it makes a NaN of that zero: not where(x > 0, log(x), 0), but with log(where(x > 0, x, 1)).
Tensor where(const Tensor& c, const Tensor& a, const Tensor& b);
Tensor where(const Tensor& c, const Tensor& a, double b);
Tensor where(const Tensor& c, double a, const Tensor& b);
Tensor where(const Tensor& c, double a, double b, Dtype dtype = f32);

}  // namespace fathom
