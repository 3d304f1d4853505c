#include "fathom/autograd/checkpoint.h"

namespace fathom {

pool::vector<Ref<Node>> inputs_of_stretch(Node& y, uint64_t number) {
  pool::vector<Node*> older;
  for (const Node* node = &y; node && node->number > number; node = node->older)
    for (const auto& input : node->inputs)
      if (auto* at = static_cast<Node*>(input.get()); at && at->number <= number) older.push_back(at);
  const Slice slice(&y, older, Slice::Beyond::cut);
  pool::vector<Ref<Node>> out;
  for (size_t i = 0; i < older.size(); ++i) {
    bool again = false;
    for (const auto& have : out) again |= have.get() == older[i];
    if (slice.reaches(i) && !again) out.push_back(share(older[i]));
  }
  return out;
}

}  // namespace fathom
