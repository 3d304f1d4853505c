// A dataset in batches:  for (auto [x, y] : io::batches(data, {.size = 128, .shuffle = true})) ...
#pragma once
#include "fathom/io/dataset.h"
#include "fathom/tensor/random.h"

namespace fathom::io {

struct BatchOptions {
  int64_t size = 32;
  bool shuffle = false;    // in an order drawn when the batches are made: anew in every epoch's loop
  bool drop_last = false;  // a last batch that is smaller
  Rng* rng = nullptr;      // draws the order; the thread's default when null
};

// What a loop runs over: once through the data. It holds the tensors of the dataset, not copies.
class Batches {
 public:
  // Throws Error when size < 1 or x and y differ in their number of rows.
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
  Iterator begin() const { return {*this, 0}; }
  Iterator end() const { return {*this, size()}; }
  int64_t size() const;  // how many batches
  Dataset batch(int64_t i) const;

 private:
  Dataset data_;
  BatchOptions options_;
  Tensor order_;  // i64 (rows)
};

Batches batches(const Dataset& data, BatchOptions options = {});

}  // namespace fathom::io
