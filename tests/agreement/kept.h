// Results as text: a line a tensor, "case | tensor | numbers".
#pragma once
#include <fstream>
#include <map>
#include <sstream>

#include "tests/agreement/cases.h"

namespace agreement {

inline std::map<std::string, Results> read_kept(const std::string& path) {
  std::map<std::string, Results> kept;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const size_t a = line.find(" | "), b = line.find(" | ", a + 3);
    if (line.starts_with("#") || a == std::string::npos || b == std::string::npos) continue;
    Result result{line.substr(a + 3, b - a - 3), {}};
    std::istringstream numbers(line.substr(b + 3));
    for (std::string number; numbers >> number;) result.numbers.push_back(std::stod(number));
    kept[line.substr(0, a)].push_back(std::move(result));
  }
  return kept;
}

inline void write_kept(std::ostream& out, const std::string& name, const Results& results) {
  out.precision(13);
  for (const Result& result : results) {
    out << name << " | " << result.name << " |";
    for (const double number : result.numbers) out << ' ' << number;
    out << '\n';
  }
}

}  // namespace agreement
