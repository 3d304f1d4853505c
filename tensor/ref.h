// Pointers that own. Those of <memory> would cost every file that includes this library a tenth of its compile time.
#pragma once
#include <utility>

namespace fathom {

// A counted reference with a plain counter: a handle stays on the thread that made it.
// Requires: T has `uint32_t refs` and `static void dispose(T*)`.
template <class T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(T* p) : p_(p) {
    if (p_) ++p_->refs;
  }
  Ref(const Ref& other) : Ref(other.p_) {}
  Ref(Ref&& other) noexcept : p_(std::exchange(other.p_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {  // within a template not from {}: clang 14 keeps what it replaces
    std::swap(p_, other.p_);
    return *this;
  }
  ~Ref() {
    if (p_ && --p_->refs == 0) T::dispose(p_);
  }
  T* get() const { return p_; }
  T* operator->() const { return p_; }
  T& operator*() const { return *p_; }
  explicit operator bool() const { return p_ != nullptr; }

 private:
  T* p_ = nullptr;
};

// The one owner of an object made with `new`.
template <class T>
class Owned {
 public:
  Owned() = default;
  explicit Owned(T* p) : p_(p) {}
  Owned(Owned&& other) noexcept : p_(other.release()) {}
  template <class Other>
  requires requires(Other& other, T* p) { p = other.release(); }
  Owned(Other&& other) : p_(other.release()) {}
  Owned& operator=(Owned other) noexcept {
    std::swap(p_, other.p_);
    return *this;
  }
  ~Owned() { delete p_; }
  T* get() const { return p_; }
  T* operator->() const { return p_; }
  T& operator*() const { return *p_; }
  explicit operator bool() const { return p_ != nullptr; }
  T* release() { return std::exchange(p_, nullptr); }

 private:
  T* p_ = nullptr;
};

}  // namespace fathom
