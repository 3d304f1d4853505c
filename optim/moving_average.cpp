#include "fathom/optim/moving_average.h"

#include <algorithm>  // min
#include <utility>    // swap

#include "fathom/optim/for_each.h"

namespace fathom::optim {

MovingAverage::MovingAverage(std::vector<Tensor> parameters, MovingAverageOptions options)
    : parameters_(std::move(parameters)), options_(options) {
  if (!(options.decay >= 0 && options.decay < 1))
    throw Error("MovingAverage: decay is in [0, 1), got " + std::to_string(options.decay));
  for (const Tensor& w : parameters_) {
    if (!is_floating(w.dtype())) not_floating("MovingAverage", w.dtype());
    if (!w.is_contiguous())
      throw Error("MovingAverage: a parameter, of shape " + to_string(w.shape()) + ", is not contiguous");
    averages_.push_back(kernel::clone(w));
  }
}

void MovingAverage::update() {
  const double t = double(++updates_);
  const double decay = options_.warmup ? std::min(options_.decay, (1 + t) / (10 + t)) : options_.decay;
  for (size_t i = 0; i < parameters_.size(); ++i)
    visit_floating("MovingAverage", parameters_[i].dtype(), [&]<class T>(T) {
      const T keep = T(decay), rest = T(1 - decay);
      for_each<T>([=](T& average, T w) { average = keep * average + rest * w; }, averages_[i], parameters_[i]);
    });
}

void MovingAverage::swap() {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    visit_floating("MovingAverage", parameters_[i].dtype(), [&]<class T>(T) {
      for_each<T>([](T& average, T& w) { std::swap(average, w); }, averages_[i], parameters_[i]);
    });
    parameters_[i].storage().changed("MovingAverage::swap");
  }
}

std::vector<NamedTensor> MovingAverage::state() const {
  std::vector<NamedTensor> list{{"updates", Tensor({}, i64)}};
  *list[0].tensor.data<int64_t>() = updates_;
  for (const Tensor& average : averages_)
    list.push_back({"average." + std::to_string(list.size() - 1), kernel::clone(average)});
  return list;
}

void MovingAverage::load_state(const std::vector<NamedTensor>& state) {
  const std::vector<NamedTensor> own = this->state();
  if (state.size() != own.size())
    throw Error("MovingAverage::load_state: " + std::to_string(own.size()) + " tensors here, " +
                std::to_string(state.size()) + " in the state");
  for (size_t i = 0; i < own.size(); ++i)
    if (state[i].name != own[i].name || state[i].tensor.shape() != own[i].tensor.shape() ||
        state[i].tensor.dtype() != own[i].tensor.dtype())
      throw Error("MovingAverage::load_state: " + own[i].name + " of shape " + to_string(own[i].tensor.shape()) +
                  " here, " + state[i].name + " of shape " + to_string(state[i].tensor.shape()) + " in the state");
  updates_ = state[0].tensor.item<int64_t>();
  for (size_t i = 1; i < own.size(); ++i) averages_[i - 1] = kernel::clone(state[i].tensor);
}

}  // namespace fathom::optim
