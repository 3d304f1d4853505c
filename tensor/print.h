// Tensors as text.
#pragma once
#include <iosfwd>
#include <string>

#include "fathom/tensor/tensor.h"

namespace fathom {

// The numbers in nested brackets, aligned; above 1,000 elements only the first and last three along each axis. The
// shape follows where the brackets do not show it, the dtype where the numbers do not.
std::string to_string(const Tensor& x);

std::ostream& operator<<(std::ostream& out, const Tensor& x);
std::ostream& operator<<(std::ostream& out, const Shape& shape);
std::ostream& operator<<(std::ostream& out, Dtype dtype);

// The C++ name that the compiler keeps in this form.
std::string readable(const char* mangled);

}  // namespace fathom
