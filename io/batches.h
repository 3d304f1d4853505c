// A dataset in batches:  for (auto [x, y] : io::batches(data, {.size = 128, .shuffle = true})) ...
#pragma once
#include <optional>

#include "fathom/io/dataset.h"
#include "fathom/tensor/random.h"

namespace fathom::io {

struct BatchOptions {
  int64_t size = 32;
  bool shuffle = false;    // in an order drawn when the batches are made: anew in every epoch's loop
  bool drop_last = false;  // a last batch that is smaller
  Rng* rng = nullptr;      // draws the order; the thread's default when null
  // With a seed the order is a function of it and the epoch alone, and nothing else draws: a run that stopped before
  // batch k of epoch e goes on with the same {.seed = ..., .epoch = e, .first = k}.
  std::optional<uint64_t> seed = {};
  int64_t epoch = 0;
  int64_t first = 0;  // the batch that a loop begins with
};

// What a loop runs over: once through the data. It holds the tensors of the dataset, not copies.
class Batches {
 public:
  // Throws Error when size < 1, x and y differ in their number of rows, or first is no batch.
  Batches(Dataset data, BatchOptions options);

  class Iterator {
   public:
    Iterator(const Batches& of, int64_t batch) : of_(&of), batch_(batch) {}
    Dataset operator*() const { return of_->batch(batch_); }
    Iterator& operator++() { return ++batch_, *this; }
    bool operator==(const Iterator& other) const { return batch_ == other.batch_; }

   private:
    const Batches* of_;
    int64_t batch_;
  };
  Iterator begin() const { return {*this, options_.first}; }
  Iterator end() const { return {*this, size()}; }
  int64_t size() const;                           // how many batches, from 0 on
  const Tensor& order() const { return order_; }  // i64 (rows): which rows the batches take, one after the other
  Dataset batch(int64_t i) const;

 private:
  Dataset data_;
  BatchOptions options_;
  Tensor order_;  // i64 (rows)
};

Batches batches(const Dataset& data, BatchOptions options = {});

struct WindowOptions {
  int64_t length = 64;
  int64_t stride = 0;  // from one window's begin to the next; 0: the length, so that they do not overlap
};
// Samples for predicting the next of tokens, (n) of any dtype: x (windows, length), y the same shifted on by one. Views
// of the tokens, not copies: with a stride of 1 every position begins a window.
//   for (auto [x, y] : io::batches(io::windows(tokens, {.length = 64, .stride = 1}), {.size = 12, .shuffle = true}))
// Throws Error when tokens are not of rank 1 or fewer than length + 1, or length < 1, or stride < 0.
Dataset windows(const Tensor& tokens, WindowOptions options = {});

}  // namespace fathom::io
