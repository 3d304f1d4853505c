#include "fathom/autograd/ops/pooling.h"

#include <algorithm>  // max, min

#include "fathom/autograd/families.h"
#include "fathom/autograd/ops/rows.h"

namespace fathom {
namespace {

struct Range {
  int64_t begin, end;
  double weight;  // of each number in a mean
};
struct Windows {
  std::vector<Range> rows, columns;
  int64_t x_rows, x_columns;
  int64_t x_area() const { return x_rows * x_columns; }
  int64_t area() const { return int64_t(rows.size() * columns.size()); }
  Shape shape(Shape s, bool of_x) const {
    s[s.rank - 2] = of_x ? x_rows : int64_t(rows.size());
    s[s.rank - 1] = of_x ? x_columns : int64_t(columns.size());
    return s;
  }
};

// f(plane of x, plane of y) for each plane, shared among the threads.
template <class F>
void each_plane(const Windows& w, int64_t planes, F f) {
  const int64_t grain = std::max<int64_t>(1, kernel::parallel_grain / std::max<int64_t>(1, w.x_area()));
  parallel(planes, grain, [&](int64_t begin, int64_t end) {
    for (; begin < end; ++begin) f(begin * w.x_area(), begin * w.area());
  });
}
int64_t planes_of(const Tensor& x) {
  int64_t n = 1;
  for (int d = 0; d + 2 < x.dim(); ++d) n *= x.shape()[d];
  return n;
}

// y[i] = x[index[i]] in each plane; its transpose adds g[i] to that place.
Tensor scattered(const Windows& w, const Tensor& g, const Tensor& index);
Tensor gathered(const Windows& w, const Tensor& x, const Tensor& index) {
  return linear_op(
      "pool_gather", x,
      [w, index](const Tensor& from) {
        const Tensor dense = rows::dense(from), y(w.shape(from.shape(), false), from.dtype());
        visit_floating("max_pool2d", y.dtype(), [&]<class T>(T) {
          const int64_t* places = index.data<int64_t>();
          const T* xs = dense.data<T>();
          T* to = y.data<T>();
          each_plane(w, planes_of(y), [&](int64_t in, int64_t out) {
            const int64_t* at = places + out;
            for (int64_t i = 0; i < w.area(); ++i) to[out + i] = xs[in + at[i]];
          });
        });
        return y;
      },
      [w, index](const Tensor& g) { return scattered(w, g, index); });
}
Tensor scattered(const Windows& w, const Tensor& g, const Tensor& index) {
  return linear_op(
      "pool_scatter", g,
      [w, index](const Tensor& from) {
        const Tensor dense = rows::dense(from), x = kernel::full(w.shape(from.shape(), true), 0, from.dtype());
        visit_floating("max_pool2d", x.dtype(), [&]<class T>(T) {
          const int64_t* places = index.data<int64_t>();
          const T* gs = dense.data<T>();
          T* to = x.data<T>();
          each_plane(w, planes_of(x), [&](int64_t in, int64_t out) {
            const int64_t* at = places + out;
            for (int64_t i = 0; i < w.area(); ++i) to[in + at[i]] += gs[out + i];
          });
        });
        return x;
      },
      [w, index](const Tensor& t) { return gathered(w, t, index); });
}

Tensor max_pool(const char* op, const Windows& w, const Tensor& from) {
  const Tensor x = rows::dense(from), y(w.shape(x.shape(), false), x.dtype()), index(y.shape(), i64);
  visit_floating(op, x.dtype(), [&]<class T>(T) {
    const T* xs = x.data<T>();
    T* to = y.data<T>();
    int64_t* places = index.data<int64_t>();
    each_plane(w, planes_of(x), [&](int64_t in, int64_t out) {
      const T* plane = xs + in;
      for (const Range& r : w.rows)
        for (const Range& c : w.columns) {
          int64_t best = r.begin * w.x_columns + c.begin;
          for (int64_t i = r.begin; i < r.end; ++i)
            for (int64_t j = c.begin; j < c.end; ++j) {
              const T next = plane[i * w.x_columns + j];
              if (next > plane[best] || next != next) best = i * w.x_columns + j;
            }
          to[out] = plane[best];
          places[out++] = best;
        }
    });
  });
  return record(op, y,
                wrt(
                    from, [w, index](const Tensor& g) { return scattered(w, g, index); },
                    [w, index](const Tensor& t) { return gathered(w, t, index); }));
}

Tensor average_pool(const char* op, const Windows& w, const Tensor& x);
Tensor spread_over(const char* op, const Windows& w, const Tensor& g) {
  return linear_op(
      "pool_spread", g,
      [=](const Tensor& from) {
        const Tensor dense = rows::dense(from), x = kernel::full(w.shape(from.shape(), true), 0, from.dtype());
        visit_floating(op, x.dtype(), [&]<class T>(T) {
          const T* gs = dense.data<T>();
          T* to = x.data<T>();
          each_plane(w, planes_of(x), [&](int64_t in, int64_t out) {
            T* plane = to + in;
            for (const Range& r : w.rows)
              for (const Range& c : w.columns) {
                const T share = gs[out++] * T(r.weight * c.weight);
                for (int64_t i = r.begin; i < r.end; ++i)
                  for (int64_t j = c.begin; j < c.end; ++j) plane[i * w.x_columns + j] += share;
              }
          });
        });
        return x;
      },
      [=](const Tensor& t) { return average_pool(op, w, t); });
}
Tensor average_pool(const char* op, const Windows& w, const Tensor& x) {
  return linear_op(
      op, x,
      [=](const Tensor& from) {
        const Tensor dense = rows::dense(from), y(w.shape(from.shape(), false), from.dtype());
        visit_floating(op, y.dtype(), [&]<class T>(T) {
          const T* xs = dense.data<T>();
          T* to = y.data<T>();
          each_plane(w, planes_of(y), [&](int64_t in, int64_t out) {
            const T* plane = xs + in;
            for (const Range& r : w.rows)
              for (const Range& c : w.columns) {
                T sum = 0;
                for (int64_t i = r.begin; i < r.end; ++i)
                  for (int64_t j = c.begin; j < c.end; ++j) sum += plane[i * w.x_columns + j];
                to[out++] = sum * T(r.weight * c.weight);
              }
          });
        });
        return y;
      },
      [=](const Tensor& g) { return spread_over(op, w, g); });
}

void check_image(const char* op, const Tensor& x) {
  if (!is_floating(x.dtype())) not_floating(op, x.dtype());
  if (x.dim() < 2) throw Error(std::string(op) + ": needs x (..., rows, columns), got " + to_string(x.shape()));
}

Windows windows(const char* op, const Tensor& x, const PoolForm& form, bool count_padding) {
  check_image(op, x);
  const auto along = [&](int64_t n, int64_t kernel, int64_t stride, int64_t pad) {
    if (kernel < 1 || stride < 0 || pad < 0 || 2 * pad > kernel)
      throw Error(std::string(op) + ": kernel " + to_string(form.kernel) + ", stride " + to_string(form.stride) +
                  ", padding " + to_string(form.padding) +
                  "; the kernel must be at least 1 and the padding at most half of it");
    if (n < 1 || n + 2 * pad < kernel)
      throw Error(std::string(op) + ": the kernel " + to_string(form.kernel) + " is larger than the padded input: " +
                  to_string(x.shape()) + " with padding " + to_string(form.padding));
    std::vector<Range> list;
    if (stride == 0) stride = kernel;
    for (int64_t at = -pad; at + kernel <= n + pad; at += stride) {
      const int64_t begin = std::max<int64_t>(at, 0), end = std::min(at + kernel, n);
      list.push_back({begin, end, 1 / double(count_padding ? kernel : end - begin)});
    }
    return list;
  };
  return {along(x.size(-2), form.kernel.rows, form.stride.rows, form.padding.rows),
          along(x.size(-1), form.kernel.columns, form.stride.columns, form.padding.columns), x.size(-2), x.size(-1)};
}

Windows adaptive(const char* op, const Tensor& x, const Size2d& size) {
  check_image(op, x);
  const auto along = [&](int64_t n, int64_t m) {
    if (n < 1 || m < 1) throw Error(std::string(op) + ": " + to_string(size) + " windows on " + to_string(x.shape()));
    std::vector<Range> list;
    for (int64_t i = 0; i < m; ++i) {
      const int64_t begin = i * n / m, end = ((i + 1) * n + m - 1) / m;
      list.push_back({begin, end, 1 / double(end - begin)});
    }
    return list;
  };
  return {along(x.size(-2), size.rows), along(x.size(-1), size.columns), x.size(-2), x.size(-1)};
}

}  // namespace

Tensor max_pool2d(const Tensor& x, const PoolForm& form) {
  return max_pool("max_pool2d", windows("max_pool2d", x, form, true), x);
}
Tensor avg_pool2d(const Tensor& x, const PoolForm& form, bool count_padding) {
  return average_pool("avg_pool2d", windows("avg_pool2d", x, form, count_padding), x);
}
Tensor adaptive_avg_pool2d(const Tensor& x, Size2d size) {
  return average_pool("adaptive_avg_pool2d", adaptive("adaptive_avg_pool2d", x, size), x);
}
Tensor adaptive_max_pool2d(const Tensor& x, Size2d size) {
  return max_pool("adaptive_max_pool2d", adaptive("adaptive_max_pool2d", x, size), x);
}

}  // namespace fathom
