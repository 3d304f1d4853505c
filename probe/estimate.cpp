#include "fathom/probe/estimate.h"

#include <iomanip>
#include <ostream>

namespace fathom::probe {
namespace {

// A line of headings, then a line for each sample: its number, and its number in each column.
struct Column {
  const char* name;
  const Tensor& numbers;
};
void table(std::ostream& out, std::initializer_list<Column> columns) {
  constexpr int64_t most = 16, width = 14;
  const auto state = out.flags();
  const auto precision = out.precision(5);
  out << "sample";
  int64_t samples = 0;
  for (const Column& c : columns) {
    out << std::setw(width) << c.name;
    samples = c.numbers.numel();
  }
  for (int64_t i = 0; i < std::min(samples, most); ++i) {
    out << '\n' << std::setw(6) << i;
    for (const Column& c : columns) out << std::setw(width) << c.numbers.data<double>()[i];
  }
  if (samples > most) out << "\n   ... " << samples - most << " more";
  out.flags(state);
  out.precision(precision);
}

// How it was found.
void note(std::ostream& out, const char* method, double confidence, double seconds) {
  out << method << ", " << seconds * 1e3 << " ms";
  if (confidence < 1) out << "; bounds hold with probability 1 - " << 1 - confidence;
  out << '\n';
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Sigma& s) {
  out << "largest singular value: " << s.iterations << " iterations, upper bound: " << s.bound << "; ";
  note(out, s.method, s.confidence, s.seconds);
  table(out, {{"at least", s.sigma}, {"residual", s.residual}, {"at most", s.upper}});
  return out;
}

std::ostream& operator<<(std::ostream& out, const Estimate& e) {
  out << "Frobenius norm: ";
  note(out, e.method, e.confidence, e.seconds);
  table(out, {{"value", e.value}, {"std. error", e.standard_error}, {"at least", e.lower}, {"at most", e.upper}});
  return out;
}

std::ostream& operator<<(std::ostream& out, const Spectrum& s) {
  const int64_t count = s.values.shape().back();
  out << (s.complete ? "all " : "the largest ") << count << " singular values: ";
  note(out, s.method, s.confidence, s.seconds);
  const Tensor largest = s.values.select(-1, 0).contiguous();
  if (s.complete)
    table(out, {{"sigma_max", largest},
                {"sigma_min", s.sigma_min},
                {"active rows", s.active_rows},
                {"min, active", s.sigma_min_active},
                {"cond., active", s.condition_active},
                {"stable rank", s.stable_rank},
                {"eff. rank", s.effective_rank}});
  else
    table(out, {{"sigma_max", largest},
                {"the last", s.values.select(-1, count - 1).contiguous()},
                {"Frobenius", s.frobenius},
                {"stable rank", s.stable_rank}});
  return out;
}

}  // namespace fathom::probe
