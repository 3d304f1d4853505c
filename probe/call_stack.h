// Where the program is: its functions, from the innermost on.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace fathom::probe {

struct CallSite {
  std::string function;  // "" where the program holds no symbols
  std::string file;      // "" for what was compiled without -g
  int line = 0;
  bool in_library = false;  // Fathom's own, or the standard library's
};

// Addresses of code: cheap to take.
using CallStack = std::vector<uintptr_t>;
// Of its caller; empty where the compiler brings no libbacktrace.
CallStack call_stack();
// Reads the program's symbols, the first time: slow.
std::vector<CallSite> call_sites(const CallStack& stack);

}  // namespace fathom::probe
