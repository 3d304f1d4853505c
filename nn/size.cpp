#include "fathom/nn/size.h"

#include <string>

#include "fathom/tensor/error.h"

namespace fathom::nn {

int64_t checked_size(const char* module, const char* argument, int64_t size, int64_t least) {
  if (size < least)
    throw Error(std::string(module) + ": " + argument + " must be at least " + std::to_string(least) + ", got " +
                std::to_string(size));
  return size;
}

}  // namespace fathom::nn
