#include "fathom/tensor/pool.h"

#include <cstdlib>
#include <string>

#include "fathom/tensor/denormals.h"
#include "fathom/tensor/error.h"

namespace fathom::pool {
namespace {

constinit thread_local int64_t requests = 0;

// Its destructor runs when the thread ends; everything else of the pool is trivially destructible, so that tensors
// that die after it (global ones, thread_local ones) still find a working pool.
struct End {
  ~End() {
    release();
#ifndef __SANITIZE_ADDRESS__
    closed = true;
#endif
  }
};

void set_up_thread() {
  static constinit thread_local bool done = false;
  if (std::exchange(done, true)) return;
  flush_denormals(true);
  static thread_local End end;
  (void)end;
}

}  // namespace

void* take_from_system(size_t bytes) {
  set_up_thread();
  ++requests;
  if (void* block = std::aligned_alloc(line, bytes ? bytes : line)) return block;
  release();  // blocks of other sizes
  if (void* block = std::aligned_alloc(line, bytes ? bytes : line)) return block;
  throw Error("out of memory: " + std::to_string(bytes) + " bytes asked for");
}

void give_to_system(void* block) { std::free(block); }

void release() {
  for (Block*& head : free_blocks)
    while (head) std::free(std::exchange(head, head->next));
}

int64_t system_requests() { return requests; }

}  // namespace fathom::pool
