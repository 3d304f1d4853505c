// The one exception of the library. Its message names the op or the file, the rule, and the values that broke it.
#pragma once
#include <stdexcept>

#ifdef __FAST_MATH__
#error "fathom: -ffast-math deletes the checks for NaN that the library stands on; compile without it"
#endif

namespace fathom {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace fathom
