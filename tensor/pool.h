// Memory that comes back. A thread keeps what it frees, by size class, for its own next request.
//   1. Every block is aligned to 64 bytes and as large as its class.
//   2. A size class is empty or warm: the block freed last is handed out first.
//   3. In the steady state of a training loop nothing is asked of the system.
//   4. When a thread ends, what it kept goes back to the system; what it frees later goes there at once.
// Under the address sanitizer the pool steps aside: it would hide a use after free.
#pragma once
#include <bit>  // bit_width
#include <cstddef>
#include <cstdint>
#include <utility>  // exchange
#include <vector>

namespace fathom::pool {

struct Block {
  Block* next;
};
inline constexpr size_t line = 64;
inline constexpr size_t exact = 64;  // up to 64 lines a class for each size; above, eight classes for each power of two
inline constexpr size_t classes = exact + 8 * 40;
inline constinit thread_local Block* free_blocks[classes] = {};

struct SizeClass {
  size_t index, bytes;
};
inline SizeClass size_class(size_t bytes) {
  const size_t lines = (bytes + line - 1) / line;
  if (lines <= exact) return {lines, lines * line};
  const int power = std::bit_width(lines - 1);  // 2^(power-1) < lines <= 2^power
  const size_t base = size_t{1} << (power - 1), step = base / 8;
  const size_t eighth = (lines - base + step - 1) / step;
  return {exact + 8 * (power - 7) + eighth, (base + eighth * step) * line};
}

void* take_from_system(size_t bytes);  // Throws Error when there is no memory. Sets up the thread at its first call.
void give_to_system(void* block);
void release();             // gives what this thread keeps back to the system
int64_t system_requests();  // of this thread, so far

#ifdef __SANITIZE_ADDRESS__
inline void* take(size_t bytes) { return take_from_system(size_class(bytes).bytes); }
inline void give(void* block, size_t) { give_to_system(block); }
#else
inline constinit thread_local bool closed = false;  // this thread has ended its pool

inline void* take(size_t bytes) {
  const SizeClass c = size_class(bytes);
  Block*& head = free_blocks[c.index];
  if (!head) return take_from_system(c.bytes);
  return std::exchange(head, head->next);
}
inline void give(void* block, size_t bytes) {
  if (closed) return give_to_system(block);
  Block*& head = free_blocks[size_class(bytes).index];
  head = new (block) Block{head};
}
#endif

// For standard containers that live inside a training step.
template <class T>
struct Allocator {
  using value_type = T;
  Allocator() = default;
  template <class U>
  Allocator(Allocator<U>) {}
  T* allocate(size_t n) { return static_cast<T*>(take(n * sizeof(T))); }
  void deallocate(T* p, size_t n) { give(p, n * sizeof(T)); }
  bool operator==(const Allocator&) const = default;
};
template <class T>
using vector = std::vector<T, Allocator<T>>;

// Base of what is made with `new` once an op.
struct Pooled {
  static void* operator new(size_t bytes) { return take(bytes); }
  static void operator delete(void* p, size_t bytes) { give(p, bytes); }
};

}  // namespace fathom::pool
