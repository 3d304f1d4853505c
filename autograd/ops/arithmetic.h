// Sums and products of tensors and numbers. Shapes broadcast as in NumPy; dtypes must agree, and a number takes the
// tensor's. Throws Error, naming both, when shapes do not broadcast or dtypes differ, and on a fraction with i64.
#pragma once
#include "fathom/tensor/tensor.h"

namespace fathom {

Tensor operator+(Tensor a, Tensor b);
Tensor operator-(Tensor a, Tensor b);
Tensor operator*(Tensor a, Tensor b);
Tensor operator/(Tensor a, Tensor b);  // floating tensors, as all division
Tensor operator+(Tensor x, double c);
Tensor operator-(Tensor x, double c);
Tensor operator*(Tensor x, double c);
Tensor operator/(Tensor x, double c);
Tensor operator+(double c, Tensor x);
Tensor operator-(double c, Tensor x);
Tensor operator*(double c, Tensor x);
Tensor operator/(double c, Tensor x);
Tensor operator-(Tensor x);
Tensor neg(Tensor x);  // -x
Tensor& operator+=(Tensor& x, const Tensor& y);
Tensor& operator-=(Tensor& x, const Tensor& y);
Tensor& operator*=(Tensor& x, const Tensor& y);
Tensor& operator/=(Tensor& x, const Tensor& y);
Tensor& operator+=(Tensor& x, double c);
Tensor& operator-=(Tensor& x, double c);
Tensor& operator*=(Tensor& x, double c);
Tensor& operator/=(Tensor& x, double c);

Tensor maximum(Tensor a, Tensor b);  // where they are equal each takes half of the gradient
Tensor minimum(Tensor a, Tensor b);
Tensor maximum(Tensor x, double c);
Tensor maximum(double c, Tensor x);
Tensor minimum(Tensor x, double c);
Tensor minimum(double c, Tensor x);
Tensor pow(Tensor x, double exponent);  // x^exponent
Tensor pow(double x, Tensor exponent);
Tensor pow(Tensor x, Tensor exponent);            // the exponent's slope needs x >= 0; at 0^0 both are 0
Tensor square(Tensor x);                          // x^2
Tensor reciprocal(Tensor x);                      // 1 / x
Tensor clamp(Tensor x, double low, double high);  // slope 1 within, ends included, 0 outside; Error unless low <= high
Tensor abs(Tensor x);                             // |x|, slope 0 at 0
Tensor sign(Tensor x);                            // -1, 0 or 1; derivative zero

}  // namespace fathom
