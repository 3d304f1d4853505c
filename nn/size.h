// The sizes and other numbers that modules are built with.
#pragma once
#include <cstdint>

namespace fathom::nn {

// The size. Throws Error, naming the module, its argument and the size, when it is below `least`.
int64_t checked_size(const char* module, const char* argument, int64_t size, int64_t least = 0);
// The number. Throws Error, naming the module and the number, when it is negative or not finite.
double checked_eps(const char* module, double eps);

}  // namespace fathom::nn
