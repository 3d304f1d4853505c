#include "fathom/probe/sites.h"

#include <algorithm>  // min
#include <string_view>

#include "fathom/nn/containers.h"
#include "fathom/tensor/error.h"

namespace fathom::probe {
namespace {

bool fits_one(std::string_view pattern, std::string_view path) {
  if (pattern.empty()) return path.empty();
  if (pattern[0] != '*') return !path.empty() && path[0] == pattern[0] && fits_one(pattern.substr(1), path.substr(1));
  const bool any_path = pattern.substr(0, 2) == "**";
  const std::string_view rest = pattern.substr(any_path ? 2 : 1);
  for (size_t n = 0;; ++n) {
    if (fits_one(rest, path.substr(n))) return true;
    if (n == path.size() || (!any_path && path[n] == '.')) return false;
  }
}

// Whether `path` lies below the module `of`.
bool lies_in(const std::string& path, const std::string& of) {
  return of.empty() ? !path.empty()
                    : path.size() > of.size() && path.compare(0, of.size(), of) == 0 && path[of.size()] == '.';
}

std::vector<nn::NamedModule> children_of(const std::vector<nn::NamedModule>& all, const std::string& of) {
  std::vector<nn::NamedModule> children;
  for (const nn::NamedModule& each : all)
    if (lies_in(each.name, of) && (children.empty() || !lies_in(each.name, children.back().name)))
      children.push_back(each);
  return children;
}

std::vector<nn::NamedModule> opened(const std::vector<nn::NamedModule>& all, const std::string& of) {
  std::vector<nn::NamedModule> sites;
  for (const nn::NamedModule& child : children_of(all, of)) {
    const bool open = dynamic_cast<nn::Sequential*>(child.module) != nullptr;
    const std::vector<nn::NamedModule> inner = open ? opened(all, child.name) : std::vector<nn::NamedModule>();
    if (inner.empty()) sites.push_back(child);
    else sites.insert(sites.end(), inner.begin(), inner.end());
  }
  if (sites.size() == 1)  // a wrapper around one module
    if (std::vector<nn::NamedModule> inner = opened(all, sites[0].name); !inner.empty()) return inner;
  return sites;
}

}  // namespace

bool fits(const std::string& patterns, const std::string& path) {
  for (size_t from = 0; from <= patterns.size();) {
    const size_t comma = std::min(patterns.find(',', from), patterns.size());
    if (fits_one(std::string_view(patterns).substr(from, comma - from), path)) return true;
    from = comma + 1;
  }
  return false;
}

std::vector<nn::NamedModule> sites_of(nn::Module& net, const std::string& patterns) {
  const std::vector<nn::NamedModule> all = net.modules();
  std::vector<nn::NamedModule> sites;
  if (patterns.empty()) sites = opened(all, "");
  else
    for (const nn::NamedModule& each : all)
      if (each.name.empty() ? ("," + patterns + ",").find(",net,") != std::string::npos : fits(patterns, each.name))
        sites.push_back(each);
  if (sites.empty() && patterns.empty()) sites.push_back(all[0]);
  if (sites.empty())
    throw Error("Recorder: no module fits the sites \"" + patterns + "\"; the first of " + std::to_string(all.size()) +
                " modules is " + (all.size() > 1 ? all[1].name : "net"));
  for (nn::NamedModule& site : sites)
    if (site.name.empty()) site.name = "net";
  return sites;
}

}  // namespace fathom::probe
