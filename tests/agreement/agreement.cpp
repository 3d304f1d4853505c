// Compares Fathom with libtorch, case by case, in f64 within 1e-10 and f32 within 1e-5 of a tensor's largest number.
//   agreement               compares; exits with 1 where they differ
//   agreement --write DIR   keeps libtorch's f64 numbers in DIR
#include <cstdio>
#include <cstring>

#include "tests/agreement/kept.h"
#include "tests/agreement/torch.h"

using namespace agreement;

namespace {

Results theirs(const Case& c, fathom::Dtype dtype) {
  TorchList x, wanted;
  for (const Tensor& each : inputs_of(c, dtype)) {
    x.push_back(to_torch(each));
    if (!each.requires_grad()) continue;
    x.back().requires_grad_();
    wanted.push_back(x.back());
  }
  const torch::Tensor y = c.torch(x);
  Results results = {{"y", numbers_of(y)}};
  if (!y.requires_grad()) return results;
  const auto random_like = [&](const torch::Tensor& t, uint64_t seed) {
    return to_torch(random(Shape(t.sizes()), seed, dtype));
  };
  const TorchList gs = torch::autograd::grad({y}, wanted, {random_like(y, 101)}, true, c.smooth, true);
  for (size_t i = 0; i < gs.size(); ++i) results.push_back({numbered("g", i), numbers_of(gs[i])});
  if (!c.smooth) return results;
  torch::Tensor s = torch::zeros({}, y.dtype());
  for (size_t i = 0; i < gs.size(); ++i)
    if (gs[i].defined()) s = s + (gs[i] * random_like(gs[i], 201 + i)).sum();
  TorchList hs(wanted.size());
  if (s.requires_grad()) hs = torch::autograd::grad({s}, wanted, {}, {}, false, true);
  for (size_t i = 0; i < hs.size(); ++i)
    results.push_back({numbered("h", i), numbers_of(hs[i].defined() ? hs[i] : torch::zeros_like(wanted[i]))});
  return results;
}

int failures = 0, compared = 0;
void tell(const char* name, const char* dtype, double far, double most, const std::string& where) {
  ++compared;
  if (far < most) return;
  ++failures;
  std::printf("%s, %s: %s differs by %.3g\n", name, dtype, where.c_str(), far);
}

bool skips_f32(const Case&) { return false; }
bool skips_f32(const Run& run) { return run.only_f64; }

template <class List, class Ours, class Theirs>
void compare(const List& cases, Ours ours_of, Theirs theirs_of) {
  for (const auto& c : cases)
    for (const fathom::Dtype dtype : {fathom::f64, fathom::f32}) {
      if (dtype == fathom::f32 && skips_f32(c)) continue;
      std::string where;
      const double far = difference(ours_of(c, dtype), theirs_of(c, dtype), where);
      tell(c.name, fathom::to_string(dtype), far, dtype == fathom::f64 ? 1e-10 : 1e-5, where);
    }
}

template <class List, class Theirs>
void write(const std::string& path, const List& cases, Theirs theirs_of) {
  std::ofstream file(path);
  file << "# Made by libtorch " << TORCH_VERSION << " through the program `agreement`: case | tensor | numbers\n";
  for (const auto& c : cases) write_kept(file, c.name, theirs_of(c, fathom::f64));
}

}  // namespace

int main(int argc, char** argv) {
  torch::set_num_threads(1);
  const auto ours_of = [](const Case& c, fathom::Dtype dtype) { return ours(c, dtype); };
  const auto run_ours = [](const Run& run, fathom::Dtype dtype) { return run.ours(dtype); };
  const auto run_theirs = [](const Run& run, fathom::Dtype dtype) { return run.torch(dtype); };
  if (argc == 3 && !std::strcmp(argv[1], "--write")) {
    const std::string folder = argv[2];
    write(folder + "/ops.txt", ops, theirs);
    write(folder + "/layers.txt", layers, theirs);
    write(folder + "/modules.txt", modules, run_theirs);
    write(folder + "/optimisers.txt", optimisers, run_theirs);
    return 0;
  }
  compare(ops, ours_of, theirs);
  compare(layers, ours_of, theirs);
  compare(modules, run_ours, run_theirs);
  compare(optimisers, run_ours, run_theirs);
  for (const Run& run : initialisers) {
    std::string where;
    Results a = run.ours(fathom::f64), b = run.torch(fathom::f64);
    for (size_t i = 0; i < a.size(); ++i) a[i].numbers[0] /= b[i].numbers[0], b[i].numbers[0] = 1;
    // The largest of 60,000 normal numbers is itself uncertain.
    if (std::strstr(run.name, "normal") || std::strstr(run.name, "orthogonal")) a.pop_back(), b.pop_back();
    tell(run.name, "f64", difference(a, b, where), 0.02, where);
  }
  for (const Case& c : differences) {
    std::string where;
    if (difference(ours(c, fathom::f64), theirs(c, fathom::f64), where) > 1e-3) continue;
    ++failures;
    std::printf("no longer a difference: %s\n", c.name);
  }
  std::printf("%d comparisons, %d differ\n", compared, failures);
  return failures ? 1 : 0;
}
