#include "fathom/tensor/denormals.h"

#include "fathom/tensor/pool.h"

#if defined(__x86_64__)
#include <immintrin.h>  // the control register
#endif

namespace fathom {

namespace {
#if defined(__x86_64__)
constexpr uint64_t flush_bits = 0x8040;  // of MXCSR: flush to zero, denormals are zero
uint64_t control() { return _mm_getcsr(); }
void set_control(uint64_t bits) { _mm_setcsr(unsigned(bits)); }
#elif defined(__aarch64__)
constexpr uint64_t flush_bits = 1 << 24;  // of FPCR: both
uint64_t control() {
  uint64_t bits;
  asm volatile("mrs %0, fpcr" : "=r"(bits));
  return bits;
}
void set_control(uint64_t bits) { asm volatile("msr fpcr, %0" ::"r"(bits)); }
#else
constexpr uint64_t flush_bits = 0;
uint64_t control() { return 0; }
void set_control(uint64_t) {}
#endif
}  // namespace

void flush_denormals(bool on) { set_control(on ? control() | flush_bits : control() & ~flush_bits); }
bool flushes_denormals() { return flush_bits && (control() & flush_bits) == flush_bits; }

KeepDenormals::KeepDenormals() {
  pool::give(pool::take(1), 1);  // the thread's first tensor would switch the flushing on
  before_ = flushes_denormals();
  flush_denormals(false);
}
KeepDenormals::~KeepDenormals() { flush_denormals(before_); }

}  // namespace fathom
