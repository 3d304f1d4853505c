#include "fathom/nn/size.h"

#include <cmath>
#include <sstream>
#include <string>

#include "fathom/tensor/error.h"

namespace fathom::nn {

int64_t checked_size(const char* module, const char* argument, int64_t size, int64_t least) {
  if (size < least)
    throw Error(std::string(module) + ": " + argument + " must be at least " + std::to_string(least) + ", got " +
                std::to_string(size));
  return size;
}

double checked_eps(const char* module, double eps) {
  if (eps >= 0 && std::isfinite(eps)) return eps;
  std::ostringstream message;
  message << module << ": eps must be finite and at least 0, got " << eps;
  throw Error(message.str());
}

}  // namespace fathom::nn
