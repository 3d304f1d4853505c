// Records of a few lines, and the data of the page that is drawn from them.
#pragma once
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "fathom/probe/report.h"
#include "tests/folder.h"

namespace report_support {

using namespace fathom;
using nlohmann::json;

struct Folder : TemporaryFolder {
  std::string write(const std::string& record) const { return TemporaryFolder::write("record.jsonl", record); }
};

// The page's data as a browser's parser would cut it out: up to the first "</script".
inline json data_of(const std::string& page) {
  const std::string open = "<script type=\"application/json\" id=\"data\">";
  const size_t from = page.find(open) + open.size();
  return json::parse(page.substr(from, page.find("</script", from) - from));
}

inline json report_of(const Folder& folder, const std::string& record) {
  probe::write_report(folder.write(record), folder / "report.html");
  return data_of(text_of(folder / "report.html"));
}

inline const std::string run = R"({"type":"run","run":"a","schema":1,"net":"plain","depth":2})"
                               "\n";

inline std::string layers(int step, const std::string& first, const std::string& second) {
  return R"({"type":"layers","run":"a","step":)" + std::to_string(step) +
         R"(,"sites":[{"site":"blocks.0","call":0,"grad_out":1,)" + first +
         R"(},{"site":"blocks.1","call":0,"grad_out":1,)" + second + "}]}\n";
}

inline int count(const std::string& text, const std::string& part) {
  int times = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++times;
  return times;
}

}  // namespace report_support
