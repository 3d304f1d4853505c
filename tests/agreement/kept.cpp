// Fathom against the numbers that libtorch 1.13.1 gave, kept in values/.
#include <doctest/doctest.h>

#include "tests/agreement/kept.h"

using namespace agreement;

namespace {

template <class List, class F>
void check(const char* file, const List& cases, F ours_of) {
  const auto kept = read_kept(std::string(AGREEMENT_VALUES) + "/" + file);
  for (const auto& c : cases) {
    INFO(std::string(c.name));
    const auto found = kept.find(c.name);
    REQUIRE(found != kept.end());
    std::string where;
    const double far = difference(ours_of(c), found->second, where);
    INFO(where);
    CHECK(far < 1e-10);
  }
  CHECK(kept.size() == cases.size());
}

}  // namespace

TEST_CASE("agreement: every op's value, gradients and double gradients") {
  check("ops.txt", ops, [](const Case& c) { return ours(c, fathom::f64); });
}
TEST_CASE("agreement: the ops of layers and losses") {
  check("layers.txt", layers, [](const Case& c) { return ours(c, fathom::f64); });
}
TEST_CASE("agreement: every module's output and gradients") {
  check("modules.txt", modules, [](const Run& run) { return run.ours(fathom::f64); });
}
TEST_CASE("agreement: every optimiser over 1,000 steps, clipping") {
  check("optimisers.txt", optimisers, [](const Run& run) { return run.ours(fathom::f64); });
}
