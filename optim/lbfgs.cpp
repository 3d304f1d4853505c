#include "fathom/optim/lbfgs.h"

#include <algorithm>  // clamp, copy, max, min, minmax
#include <cmath>
#include <numeric>  // inner_product

#include "fathom/optim/observer.h"
#include "fathom/tensor/kernels/map.h"
#include "fathom/tensor/kernels/norm.h"

namespace fathom::optim {

template class Grouped<LBFGSOptions>;
namespace {

using Vector = std::vector<double>;

double dot(const Vector& a, const Vector& b) { return std::inner_product(a.begin(), a.end(), b.begin(), 0.0); }
double largest(const Vector& x) {
  double most = 0;
  for (const double e : x) most = std::isnan(most) || std::abs(e) <= most ? most : std::abs(e);  // a NaN stays
  return most;
}
void add_scaled(double c, const Vector& x, Vector& to) {
  for (size_t i = 0; i < x.size(); ++i) to[i] += c * x[i];
}

// Where the cubic through two points with their slopes is least, within the bounds (Nocedal & Wright, 3.59).
template <class Point>
double least_of_cubic(const Point* a, const Point* b, double low, double high) {
  if (a->length > b->length) std::swap(a, b);
  const double d1 = a->slope + b->slope - 3 * (a->loss - b->loss) / (a->length - b->length);
  const double square = d1 * d1 - a->slope * b->slope;
  if (!(square >= 0)) return (low + high) / 2;
  const double d2 = std::sqrt(square);
  const double at = b->length - (b->length - a->length) * ((b->slope + d2 - d1) / (b->slope - a->slope + 2 * d2));
  return std::isfinite(at) ? std::clamp(at, low, high) : (low + high) / 2;
}

// Looks for a length with sufficient decrease and a slope flat enough (the strong Wolfe conditions).
template <class Point, class Evaluate>
class LineSearch {
 public:
  // at(length) is the point there. An element of the move changes by `reach` as the length does by 1; less than
  // `least_change` is none.
  LineSearch(const Point& from, Evaluate at, double reach, double least_change)
      : from_(from), at_(at), reach_(reach), least_change_(least_change) {}

  Point run(double length) {  // growing until the two last points enclose one
    Point before = from_, now = at_(length);
    for (; tries_ < most; ++tries_) {
      const bool falls = !too_high(now) && !(tries_ > 1 && now.loss >= before.loss);
      if (falls && is_flat(now)) return now;
      if (!falls || now.slope >= 0) return close_in(std::move(before), std::move(now));
      const double least = now.length + 0.01 * (now.length - before.length);
      const double next = least_of_cubic(&before, &now, least, now.length * 10);
      before = std::move(now);
      now = at_(next);
    }
    return close_in(from_, std::move(now));
  }

 private:
  static constexpr double c1 = 1e-4, c2 = 0.9;
  static constexpr int most = 25;
  bool too_high(const Point& p) const { return !(p.loss <= from_.loss + c1 * p.length * from_.slope); }
  bool is_flat(const Point& p) const { return std::abs(p.slope) <= -c2 * from_.slope; }

  Point close_in(Point low, Point high) {  // low has the lesser loss
    if (!(low.loss <= high.loss)) std::swap(low, high);
    for (; tries_ < most; ++tries_) {
      if (std::abs(high.length - low.length) * reach_ < least_change_) break;
      Point p = at_(length_between(low, high));
      if (too_high(p) || p.loss >= low.loss) {
        high = std::move(p);
        if (high.loss < low.loss) std::swap(low, high);
        continue;
      }
      if (is_flat(p)) return p;
      if (p.slope * (high.length - low.length) >= 0) high = std::move(low);
      low = std::move(p);
    }
    return low;
  }
  // Where the cubic is least, but twice near an end: a tenth of the width away from it.
  double length_between(const Point& low, const Point& high) {
    const auto [left, right] = std::minmax({low.length, high.length});
    const double next = least_of_cubic(&low, &high, left, right), tenth = 0.1 * (right - left);
    const bool near_end = std::min(right - next, next - left) < tenth;
    if (near_end && (stuck_ || next >= right || next <= left)) {
      stuck_ = false;
      return std::abs(next - right) < std::abs(next - left) ? right - tenth : left + tenth;
    }
    stuck_ = near_end;
    return next;
  }

  const Point& from_;
  Evaluate at_;
  double reach_, least_change_;
  int tries_ = 0;
  bool stuck_ = false;
};

}  // namespace

void LBFGS::update(Parameter&, const Tensor&, double) {
  throw Error("LBFGS: a step needs the loss: opt.step([&] { ...; loss.backward(); return loss; })");
}

size_t LBFGS::count() const {
  size_t n = 0;
  for (const Parameter& p : parameters_) n += size_t(p.w.numel());
  return n;
}

// Of all parameters, one after the other.
LBFGS::Vector LBFGS::numbers(bool of_gradients) const {
  Vector all;
  all.reserve(count());
  for (const Parameter& p : parameters_) {
    const Tensor x = of_gradients ? p.w.grad() : p.w;
    if (!x.defined()) all.resize(all.size() + size_t(p.w.numel()));
    else
      for (const double e : x.to_vector()) all.push_back(e);
  }
  return all;
}

void LBFGS::remember(Vector move, Vector change) {
  const double product = dot(change, move);
  if (!(product > 1e-10)) return;  // else the matrix would not stay positive
  if (moves_.size() >= groups[0].history) moves_.erase(moves_.begin()), changes_.erase(changes_.begin());
  curvature_ = product / dot(change, change);
  moves_.push_back(std::move(move));
  changes_.push_back(std::move(change));
}

// Minus the inverse Hessian's estimate times the gradient, by the two loops of algorithm 7.4.
void LBFGS::set_direction(const Vector& gradient) {
  Vector& d = direction_;
  d.assign(gradient.size(), 0);
  add_scaled(-1, gradient, d);
  Vector alpha(moves_.size());
  for (size_t i = moves_.size(); i-- > 0;) {
    alpha[i] = dot(moves_[i], d) / dot(changes_[i], moves_[i]);
    add_scaled(-alpha[i], changes_[i], d);
  }
  for (double& e : d) e *= curvature_;
  for (size_t i = 0; i < moves_.size(); ++i)
    add_scaled(alpha[i] - dot(changes_[i], d) / dot(changes_[i], moves_[i]), moves_[i], d);
}

void LBFGS::tell_observer(const Vector& before, const Vector& gradient) const {
  if (!norms_are_wanted()) return;
  const Vector after = numbers(false);
  std::vector<StepNorms> norms;
  Vector change = after;
  add_scaled(-1, before, change);
  int64_t at = 0;
  for (const Parameter& p : parameters_) {
    const auto norm = [&](const Vector& x) { return kernel::norm(x.data() + at, p.w.numel()); };
    if (p.w.grad().defined()) norms.push_back({p.w, norm(before), norm(gradient), norm(change)});
    at += p.w.numel();
  }
  tell_norms(norms);
}

// The direction from here, its slope, and the length to try first.
void LBFGS::begin_iteration(Point& now) {
  if (iterations_++ == 0) {
    curvature_ = 1;
  } else {
    Vector move(now.gradient.size()), change = now.gradient;
    add_scaled(length_, direction_, move);
    add_scaled(-1, gradient_, change);
    remember(std::move(move), std::move(change));
  }
  set_direction(now.gradient);
  now.length = 0, now.slope = dot(now.gradient, direction_);
  gradient_ = now.gradient, loss_ = now.loss, length_ = groups[0].lr;
  double sum = 0;
  for (const double g : now.gradient) sum += std::abs(g);
  if (iterations_ == 1) length_ *= std::min(1.0, 1 / sum);
}

void LBFGS::go_to(const Vector& x, double length) const {
  size_t i = 0;
  for (const Parameter& p : parameters_) {
    visit_floating("step", p.w.dtype(), [&]<class T>(T) {
      T* w = p.w.data<T>();
      for (int64_t k = 0; k < p.w.numel(); ++k, ++i) w[k] = T(x[i] + length * direction_[i]);
    });
    p.w.storage().changed("step");
  }
}

double LBFGS::step(FunctionRef<Tensor()> loss) {
  if (groups.size() != 1) throw Error("LBFGS: one group of parameters, got " + std::to_string(groups.size()));
  check_parameters();
  const LBFGSOptions& o = groups[0];
  int64_t evaluations = 0;
  const auto evaluate = [&] {
    zero_grad();
    ++evaluations;
    const double value = loss().item();
    return Point{0, value, 0, numbers(true)};
  };
  const Vector before = numbers(false);
  const Point first = evaluate();
  if (!std::isfinite(first.loss)) throw Error("LBFGS: the loss is not finite: " + std::to_string(first.loss));
  if (!std::isfinite(largest(first.gradient))) throw Error("LBFGS: the gradient is not finite");
  Vector x = before;
  Point now = first;
  const auto evaluate_at = [&](double length) {
    go_to(x, length);
    Point p = evaluate();
    p.length = length, p.slope = dot(p.gradient, direction_);
    return p;
  };
  for (int64_t k = 0; k < o.iterations && largest(now.gradient) > o.gradient_tol; ++k) {
    begin_iteration(now);
    if (now.slope > -o.change_tol) break;
    const double reach = largest(direction_);
    now = LineSearch(now, evaluate_at, reach, o.change_tol).run(length_);
    length_ = now.length;
    go_to(x, length_);
    add_scaled(length_, direction_, x);
    if (evaluations >= o.evaluations || reach * std::abs(length_) <= o.change_tol ||
        std::abs(now.loss - loss_) < o.change_tol)
      break;
  }
  tell_observer(before, first.gradient);
  return first.loss;
}

State LBFGS::remembered() const {
  const auto pack = [](const Vector& from, const Shape& shape) {
    const Tensor x(shape, f64);
    std::copy(from.begin(), from.end(), x.data<double>());
    return x;
  };
  const auto joined = [&](const std::vector<Vector>& list) {
    Vector all;
    for (const Vector& each : list) all.insert(all.end(), each.begin(), each.end());
    return pack(all, {int64_t(list.size()), int64_t(count())});
  };
  return {{"numbers", pack({length_, curvature_, loss_, double(iterations_)}, {4})},
          {"direction", pack(direction_, {int64_t(direction_.size())})},
          {"gradient", pack(gradient_, {int64_t(gradient_.size())})},
          {"moves", joined(moves_)},
          {"changes", joined(changes_)},
          {"groups.0.lr", pack({groups[0].lr}, {})}};
}

void LBFGS::restore(const State& state) {
  const char* const names[] = {"numbers", "direction", "gradient", "moves", "changes", "groups.0.lr"};
  if (state.size() != std::size(names))
    throw Error("load_state: LBFGS has 6 tensors, the state " + std::to_string(state.size()));
  std::vector<Vector> list;
  const size_t n = count(), pairs = state[3].tensor.dim() == 2 ? size_t(state[3].tensor.size(0)) : 0;
  for (size_t i = 0; i < state.size(); ++i) {
    if (state[i].name != names[i]) throw Error("load_state: " + state[i].name + " where LBFGS has " + names[i]);
    list.push_back(state[i].tensor.to_vector());
    const size_t size = list[i].size(), fits[] = {4, n, n, n * pairs, n * pairs, 1};
    if (size != fits[i] && !((i == 1 || i == 2) && size == 0))
      throw Error("load_state: " + state[i].name + " has " + std::to_string(size) + " numbers, not " +
                  std::to_string(fits[i]));
  }
  const auto rows = [&](const Vector& all) {
    std::vector<Vector> split;
    for (size_t k = 0; k < pairs; ++k)
      split.emplace_back(all.begin() + int64_t(k * n), all.begin() + int64_t((k + 1) * n));
    return split;
  };
  length_ = list[0][0], curvature_ = list[0][1], loss_ = list[0][2], iterations_ = int64_t(list[0][3]);
  direction_ = list[1], gradient_ = list[2], moves_ = rows(list[3]), changes_ = rows(list[4]);
  groups[0].lr = list[5][0];
}

}  // namespace fathom::optim
