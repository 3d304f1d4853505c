#include "fathom/tensor/denormals.h"

#include "fathom/tensor/pool.h"

#if defined(__x86_64__)
#include <immintrin.h>  // the control register
#endif

namespace fathom {

#if defined(__x86_64__)
constexpr unsigned flush_bits = 0x8040;  // flush to zero, denormals are zero
void flush_denormals(bool on) { _mm_setcsr(on ? _mm_getcsr() | flush_bits : _mm_getcsr() & ~flush_bits); }
bool flushes_denormals() { return (_mm_getcsr() & flush_bits) == flush_bits; }
#else
void flush_denormals(bool) {}
bool flushes_denormals() { return false; }
#endif

KeepDenormals::KeepDenormals() {
  pool::give(pool::take(1), 1);  // the thread's first tensor would switch the flushing on
  before_ = flushes_denormals();
  flush_denormals(false);
}
KeepDenormals::~KeepDenormals() { flush_denormals(before_); }

}  // namespace fathom
