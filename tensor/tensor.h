// Numbers in memory under a shape, and a handle to how they came about.
//   1. A handle is one pointer; copies of it are the same tensor. It stays on the thread that made it.
//   2. A view (reshape, transpose, slice, ...) is another tensor on the same storage.
//   3. Ops take tensors by value where they may reuse them: the buffer of an input that nobody else holds becomes the
//      output's.
#pragma once
#include <vector>

#include "fathom/tensor/dtype.h"
#include "fathom/tensor/pool.h"
#include "fathom/tensor/ref.h"
#include "fathom/tensor/shape.h"

namespace fathom {

// What autograd hangs on a tensor. It dies through a queue, so that a chain of any length is freed within a fixed
// stack.
struct History : pool::Pooled {
  uint32_t refs = 0;
  virtual ~History() = default;

  static void dispose(History* history) {
    history->next_dead_ = std::exchange(dead_, history);
    if (std::exchange(draining_, true)) return;
    while (dead_) delete std::exchange(dead_, dead_->next_dead_);
    draining_ = false;
  }

 private:
  History* next_dead_ = nullptr;
  inline static constinit thread_local History* dead_ = nullptr;
  inline static constinit thread_local bool draining_ = false;
};

// The buffer: this header, then the numbers.
struct alignas(pool::line) Storage {
  uint32_t refs = 0;
  uint32_t kept = 0;                 // of the refs, those that the tape's rules hold
  uint32_t version = 0;              // of this thread's in-place changes, the number of the last one here; 0: none
  uint32_t born = changes;           // the last one anywhere when this was made
  const char* changed_by = nullptr;  // the op that made the last
  size_t bytes;

  explicit Storage(size_t n) : bytes(n) { ++live; }
  ~Storage() { --live; }
  void* data() { return this + 1; }
  void changed(const char* op) {
    version = ++changes;
    changed_by = op;
  }
  static Storage* make(size_t bytes) { return new (pool::take(sizeof(Storage) + bytes)) Storage(bytes); }
  static void dispose(Storage* storage) {
    const size_t bytes = sizeof(Storage) + storage->bytes;
    storage->~Storage();
    pool::give(storage, bytes);
  }

  inline static constinit thread_local int64_t live = 0;      // on this thread, for tests
  inline static constinit thread_local uint32_t changes = 0;  // on this thread, so far
};

// A small number for this thread, for the check of invariant 1.
uint32_t new_thread_number();
inline constinit thread_local uint32_t thread_number_ = 0;
inline uint32_t thread_number() { return thread_number_ ? thread_number_ : thread_number_ = new_thread_number(); }

class Tensor {
 public:
  Tensor() = default;  // undefined
  Tensor(const Tensor&) = default;
  Tensor(Tensor&&) = default;
  Tensor& operator=(const Tensor&) & = default;  // not of a temporary: w[0] = x would leave w as it was
  Tensor& operator=(Tensor&&) & = default;
  // Numbers not yet written. Throws Error, before allocating, when the shape is negative or too large.
  Tensor(const Shape& shape, Dtype dtype) : Tensor(shape, dtype, checked_bytes(shape, dtype)) {}

  bool defined() const { return bool(body_); }
  const Shape& shape() const { return body().shape; }
  const Shape& strides() const { return body().strides; }  // in elements
  int64_t dim() const { return body().shape.rank; }
  int64_t size(int64_t d) const { return shape()[axis("size", d, shape().rank)]; }
  int64_t numel() const { return shape().numel(); }
  Dtype dtype() const { return body().dtype; }
  bool is_contiguous() const { return body().contiguous; }

  // The numbers, in the order of memory. Requires: T is the element type (else Error).
  template <Element T>
  T* data() const {
    if (dtype_of<T> != dtype()) wrong_type(dtype_of<T>);
    return static_cast<T*>(body_->storage->data()) + body_->offset;
  }
  // The one number of a tensor of one element. Throws Error otherwise.
  template <class T = double>
  T item() const {
    return T(number());
  }
  // The numbers in row-major order, converted.
  template <class T = double>
  std::vector<T> to_vector() const;

  // ---- recorded ops; defined beside their free forms in autograd/ops ----
  Tensor to(Dtype dtype) const;  // to i64 towards 0; throws Error on NaN and beyond its range, as copy_ does
  Tensor clone() const;
  Tensor contiguous() const;  // itself where it is so already
  Tensor detach() const;      // a view without history
  Tensor operator[](int64_t i) const;
  Tensor reshape(const Shape& shape) const;  // one size may be -1
  Tensor flatten(int64_t from = 0, int64_t to = -1) const;
  Tensor transpose(int64_t a = -2, int64_t b = -1) const;
  Tensor permute(const Axes& axes) const;
  Tensor squeeze(int64_t d) const;
  Tensor unsqueeze(int64_t d) const;
  Tensor expand(const Shape& shape) const;
  Tensor select(int64_t d, int64_t i) const;
  Tensor slice(int64_t d, int64_t begin, int64_t end, int64_t step = 1) const;
  Tensor sum(const Axes& axes = {}, bool keepdim = false) const;
  Tensor mean(const Axes& axes = {}, bool keepdim = false) const;
  Tensor amax(const Axes& axes = {}, bool keepdim = false) const;
  Tensor amin(const Axes& axes = {}, bool keepdim = false) const;
  Tensor argmax(int64_t d = -1, bool keepdim = false) const;
  Tensor norm() const;
  Tensor matmul(const Tensor& other) const;
  Tensor exp() const;
  Tensor log() const;
  Tensor sqrt() const;
  Tensor square() const;
  Tensor abs() const;
  Tensor pow(double exponent) const;
  Tensor tanh() const;
  Tensor relu() const;
  Tensor sigmoid() const;
  Tensor softmax(int64_t d) const;
  Tensor masked_fill(const Tensor& mask, double value) const;

  // ---- in place; an Error on one expanded; while recording on a leaf that requires grad, a view, what has views ----
  Tensor& add_(const Tensor& other);
  Tensor& sub_(const Tensor& other);
  Tensor& mul_(const Tensor& other);
  Tensor& div_(const Tensor& other);
  Tensor& add_(double c);
  Tensor& sub_(double c);
  Tensor& mul_(double c);
  Tensor& div_(double c);
  Tensor& copy_(const Tensor& other);
  Tensor& fill_(double value);
  Tensor& zero_() { return fill_(0); }

  // ---- differentiation; defined in autograd ----
  bool requires_grad() const;              // it leads to a leaf that wants a gradient
  Tensor& requires_grad_(bool on = true);  // makes a leaf of it, or no longer one
  Tensor grad() const;                     // of a leaf, or after retain_grad(); undefined when there is none
  void set_grad(Tensor g) const;           // undefined to clear it
  void retain_grad() const;                // backward() stores this intermediate's gradient too
  void backward() const;                   // of a scalar; consumes the tape
  void backward(const struct BackwardOptions& options) const;

  // ---- for the library ----
  Tensor view(const Shape& shape, const Shape& strides, int64_t skip = 0) const {  // without history
    Tensor out;
    out.body_ =
        Ref(new Body(dtype(), is_row_major(shape, strides), body_->offset + skip, body_->storage, shape, strides));
    return out;
  }
  Tensor alias() const {  // the same view, without history
    Tensor out;
    out.body_ = Ref(new Body(dtype(), is_contiguous(), body_->offset, body_->storage, shape(), strides()));
    return out;
  }
  bool owned() const { return body_->refs == 1 && body_->storage->refs == 1 && is_contiguous(); }
  bool is_same(const Tensor& other) const { return body_.get() == other.body_.get(); }
  Storage& storage() const { return *body().storage; }
  int64_t offset() const { return body().offset; }
  History* history() const { return body_ ? body_->history.get() : nullptr; }
  void set_history(History* history) const { body_->history = Ref(history); }

 private:
  Tensor(const Shape& shape, Dtype dtype, size_t bytes)
      : body_(new Body(dtype, true, 0, Ref(Storage::make(bytes)), shape, row_major(shape))) {}

  struct Body : pool::Pooled {
    uint32_t refs = 0;
    uint16_t thread = uint16_t(thread_number());  // as short as this, a matrix's body takes two lines of the cache
    Dtype dtype;
    bool contiguous;
    int64_t offset;
    Ref<Storage> storage;
    Ref<History> history;
    Shape shape, strides;
    Body(Dtype t, bool c, int64_t o, Ref<Storage> s, const Shape& sizes, const Shape& steps)
        : dtype(t), contiguous(c), offset(o), storage(std::move(s)), shape(sizes), strides(steps) {}
    static void dispose(Body* body) { delete body; }
  };

  const Body& body() const {
    if (!body_) undefined();
#ifndef NDEBUG
    if (body_->thread != uint16_t(thread_number())) wrong_thread(body_->thread);
#endif
    return *body_;
  }
  double number() const;
  [[noreturn]] static void undefined();
  [[noreturn]] static void wrong_thread(uint32_t maker);
  [[noreturn]] void wrong_type(Dtype asked) const;

  Ref<Body> body_;
};

extern template std::vector<float> Tensor::to_vector() const;
extern template std::vector<double> Tensor::to_vector() const;
extern template std::vector<int64_t> Tensor::to_vector() const;
extern template std::vector<bool> Tensor::to_vector() const;
template <>
int64_t Tensor::item<int64_t>() const;  // exact

}  // namespace fathom
