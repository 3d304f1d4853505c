// The exponential moving average of weights along a run (Polyak & Juditsky 1992): often better than the last ones.
//
//   optim::MovingAverage average(net.parameters(), {.decay = 0.999});
//   ... opt.step(); average.update(); ...
//   average.swap();  // the net computes with the averages; again, and it trains on
#pragma once
#include <vector>

#include "fathom/tensor/named_tensor.h"

namespace fathom::optim {

struct MovingAverageOptions {
  double decay = 0.999;
  // Averages all weights so far alike while they are few: the decay is at most (1 + t) / (10 + t) at update t.
  bool warmup = false;
};
class MovingAverage {
 public:
  // Begins with copies of the weights. Throws Error on a decay outside [0, 1), or a parameter that is not contiguous.
  explicit MovingAverage(std::vector<Tensor> parameters, MovingAverageOptions options = {});

  void update();  // average = decay * average + (1 - decay) * weight
  void swap();    // exchanges the numbers of the averages and the weights
  const std::vector<Tensor>& averages() const { return averages_; }

  // updates, i64 (), and average.0, average.1, ..., as copies.
  std::vector<NamedTensor> state() const;
  // Throws Error, before any change, when names, shapes or dtypes differ.
  void load_state(const std::vector<NamedTensor>& state);

 private:
  std::vector<Tensor> parameters_, averages_;
  MovingAverageOptions options_;
  int64_t updates_ = 0;
};

}  // namespace fathom::optim
