#include "fathom/probe/call_stack.h"

#ifdef FATHOM_CALL_STACKS
#include <backtrace.h>

#include <cstring>

#include "fathom/tensor/print.h"

namespace fathom::probe {
namespace {

void ignore_error(void*, const char*, int) {}

backtrace_state* state() {  // it is never freed
  static backtrace_state* const one = backtrace_create_state(nullptr, 1, ignore_error, nullptr);
  return one;
}

// Whether a mangled name is one of namespace fathom or std: _Z, what kind of a name it is, the namespace. _ZThn16_ is
// the way to an override by another base.
bool is_library(const char* mangled) {
  if (std::strncmp(mangled, "_Z", 2) != 0) return false;
  const char* at = mangled + 2;
  if (*at == 'T')
    if (const char* const end = std::strchr(at, '_')) at = end + 1;
  at += std::strspn(at, "ZNKRO");
  return std::strncmp(at, "6fathom", 7) == 0 || std::strncmp(at, "St", 2) == 0;
}

// Or of one of its files, which inlined functions are told by.
bool is_library_file(const char* file) {
  const char* const at = std::strstr(file, "/fathom/");
  if (!at) return false;
  for (const char* folder : {"tensor/", "autograd/", "nn/", "optim/", "probe/", "io/"})
    if (std::strncmp(at + 8, folder, std::strlen(folder)) == 0) return true;
  return false;
}

}  // namespace

CallStack call_stack() {
  CallStack stack;
  const auto add = [](void* to, uintptr_t pc) {
    if (pc != uintptr_t(-1)) static_cast<CallStack*>(to)->push_back(pc);
    return 0;
  };
  backtrace_simple(state(), 1, add, ignore_error, &stack);
  return stack;
}

std::vector<CallSite> call_sites(const CallStack& stack) {
  std::vector<CallSite> sites;
  for (const uintptr_t pc : stack) {
    const size_t before = sites.size();
    // Several times for what was inlined.
    const auto add = [](void* to, uintptr_t, const char* file, int line, const char* function) {
      if (function)
        static_cast<std::vector<CallSite>*>(to)->push_back(
            {readable(function), file ? file : "", line, is_library(function) || (file && is_library_file(file))});
      return 0;
    };
    backtrace_pcinfo(state(), pc, add, ignore_error, &sites);
    if (sites.size() > before) {  // some have no mangled name here: the symbol has
      bool in_library = false;
      const auto ask = [](void* to, uintptr_t, const char* symbol, uintptr_t, uintptr_t) {
        if (symbol) *static_cast<bool*>(to) = is_library(symbol);
      };
      backtrace_syminfo(state(), pc, ask, ignore_error, &in_library);
      for (size_t i = before; i < sites.size(); ++i) sites[i].in_library |= in_library;
      continue;
    }
    const auto add_symbol = [](void* to, uintptr_t, const char* symbol, uintptr_t, uintptr_t) {
      if (symbol) static_cast<std::vector<CallSite>*>(to)->push_back({readable(symbol), "", 0, is_library(symbol)});
    };
    backtrace_syminfo(state(), pc, add_symbol, ignore_error, &sites);
  }
  return sites;
}

}  // namespace fathom::probe

#else

namespace fathom::probe {

CallStack call_stack() { return {}; }
std::vector<CallSite> call_sites(const CallStack&) { return {}; }

}  // namespace fathom::probe
#endif
