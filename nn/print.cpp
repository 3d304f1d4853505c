#include "fathom/nn/print.h"

#include <ostream>
#include <typeinfo>
#include <unordered_map>

#include "fathom/tensor/print.h"

namespace fathom::nn {
namespace {

// The name of m's type without the namespaces, and the functions, around it.
std::string kind(const Module& m) {
  std::string name = readable(typeid(m).name());
  const std::string ours = "fathom::nn::";  // in a template's arguments
  for (size_t at; (at = name.find(ours)) != std::string::npos;) name.erase(at, ours.size());
  size_t begin = 0;
  int within = 0;  // brackets
  for (size_t i = 0; i < name.size(); ++i) {
    if (std::string_view("<({[").find(name[i]) != std::string_view::npos) ++within;
    if (std::string_view(">)}]").find(name[i]) != std::string_view::npos) --within;
    if (within == 0 && name.compare(i, 2, "::") == 0) begin = i + 2;
  }
  return name.substr(begin);
}

struct Tree final : Fields {
  struct Line {
    size_t depth;
    std::string text;
  };
  std::vector<Line> lines;
  int64_t parameters = 0;

  explicit Tree(const Module& m) {
    lines.push_back({0, kind(m)});
    const_cast<Module&>(m).fields(*this);
  }

 private:
  struct Open {
    std::string path;
    size_t line;
  };
  std::vector<Open> open_ = {{"", 0}};                   // the modules that a field may belong to, the innermost last
  std::unordered_map<const Shape*, std::string> known_;  // a tensor's shape stands at an address of its own

  // What the innermost of the open modules that it belongs to calls the field of this path.
  std::string name_within(const std::string& path) {
    while (!open_.back().path.empty() && !path.starts_with(open_.back().path + ".")) open_.pop_back();
    return open_.back().path.empty() ? path : path.substr(open_.back().path.size() + 1);
  }
  void on_module(Module& m) override {
    const std::string name = name_within(path(""));
    lines.push_back({open_.size(), name + ": " + kind(m)});
    open_.push_back({path(""), lines.size() - 1});
  }
  void on_tensor(std::string_view name, Tensor& x, bool is_buffer) override {
    const auto [first, is_new] = known_.emplace(&x.shape(), path(name));
    const std::string within = name_within(path(name));
    lines[open_.back().line].text +=
        (is_buffer ? ", buffer " : ", ") + within + " " + to_string(x.shape()) + (is_new ? "" : " = " + first->second);
    if (is_new && !is_buffer) parameters += x.numel();
  }
};

}  // namespace

std::ostream& operator<<(std::ostream& out, const Module& m) {
  const Tree tree(m);
  for (const auto& [depth, text] : tree.lines) out << std::string(2 * depth, ' ') << text << '\n';
  return out << "parameters: " << tree.parameters;
}

}  // namespace fathom::nn
