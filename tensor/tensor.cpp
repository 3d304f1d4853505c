#include "fathom/tensor/tensor.h"

#include <atomic>

#include "fathom/tensor/kernels/walk.h"

namespace fathom {

uint32_t new_thread_number() {
  static std::atomic<uint32_t> last = 0;
  return ++last;
}

void Tensor::undefined() {
  throw Error("tensor: it is undefined (made by the default constructor, or an absent gradient)");
}

void Tensor::wrong_thread(uint32_t maker) {
  throw Error("tensor: made on thread " + std::to_string(maker) + ", used on thread " +
              std::to_string(thread_number()) + "; a handle stays on the thread that made it");
}

void Tensor::wrong_type(Dtype asked) const {
  throw Error(std::string("data: asked for ") + to_string(asked) + ", the tensor is " + to_string(dtype()));
}

namespace {

void check_one_element(const Tensor& x) {
  if (x.numel() != 1) throw Error("item: the tensor has shape " + to_string(x.shape()) + ", not one element");
}

}  // namespace

double Tensor::number() const {
  check_one_element(*this);
  return visit(dtype(), [&]<class T>(T) { return double(*data<T>()); });
}

template <>
int64_t Tensor::item<int64_t>() const {
  check_one_element(*this);
  return visit(dtype(), [&]<class T>(T) { return int64_t(*data<T>()); });
}

template <class Out>
std::vector<Out> Tensor::to_vector() const {
  std::vector<Out> out;
  out.reserve(size_t(numel()));
  visit(dtype(), [&]<class T>(T) {
    kernel::each_offset(shape(), strides(), [&, from = data<T>()](int64_t i) { out.push_back(Out(from[i])); });
  });
  return out;
}
template std::vector<float> Tensor::to_vector() const;
template std::vector<double> Tensor::to_vector() const;
template std::vector<int64_t> Tensor::to_vector() const;
template std::vector<bool> Tensor::to_vector() const;

}  // namespace fathom
