// Which modules of a network are watched. Internal to the recorder.
#pragma once
#include <string>
#include <vector>

#include "fathom/nn/module.h"

namespace fathom::probe {

// Whether a path such as "blocks.0.linear" fits a pattern: * stands for any name, ** for any path. Several patterns are
// parted by commas.
bool fits(const std::string& patterns, const std::string& path);

// The modules that fit; without a pattern the children of the network, each Sequential among them replaced by its own.
// The network itself is called "net", which no * stands for. Throws Error when there is none.
std::vector<nn::NamedModule> sites_of(nn::Module& net, const std::string& patterns);

}  // namespace fathom::probe
