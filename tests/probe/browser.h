#pragma once
// The report page in a real browser, headless Chromium.

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "fathom/probe/report.h"
#include "tests/folder.h"

namespace browser {

using Folder = TemporaryFolder;

// Writes the record and its page, report.html.
inline void write_page(const Folder& folder, const std::string& record) {
  std::ofstream(folder / "record.jsonl") << record;
  fathom::probe::write_report(folder / "record.jsonl", folder / "report.html");
}

// The document as the browser leaves it, and after it what it logged.
inline std::string browse(const Folder& folder, const std::string& page, int width = 1300) {
  const std::string out = folder / "out.txt", log = folder / "log.txt";
  const std::string command =
      "chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
      "--disable-component-update --disable-sync --enable-logging=stderr --window-size=" +
      std::to_string(width) + ",1000 --virtual-time-budget=20000 --user-data-dir=" + (folder / "profile") +
      " --dump-dom file://" + (folder / page) + " > " + out + " 2> " + log;
  const int status = std::system(command.c_str());
  INFO(text_of(log));
  REQUIRE_MESSAGE(status == 0, "chromium (scripts/setup --test) is needed");
  return text_of(out) + text_of(log);
}

// Opens report.html and runs a driver in it: JavaScript within an asynchronous function, which fills the object `seen`
// and may wait for the page by `await drawn()`. Returns that object.
inline nlohmann::json drive(const Folder& folder, const std::string& driver, int width = 1300) {
  std::string page = text_of(folder / "report.html");
  const size_t policy = page.find("<meta http-equiv=\"Content-Security-Policy\"");
  page.erase(policy, page.find('\n', policy) - policy);  // it would keep the driver out
  page.replace(
      page.rfind("</body>"), 7,
      "<script>\nconst seen = {}, drawn = () => new Promise((then) => setTimeout(then, 100));\n(async () => {" +
          driver + "document.body.append(el('pre', {id: 'seen'}, JSON.stringify(seen)));\n})();</script></body>");
  // Without a screen no frame comes by itself.
  page.insert(page.find("<body>") + 6, "<script>requestAnimationFrame = (f) => setTimeout(f, 16)</script>");
  std::ofstream(folder / "driven.html") << page;
  const std::string document = browse(folder, "driven.html", width);
  CHECK(document.find("Uncaught") == std::string::npos);

  const std::string open = "<pre id=\"seen\">";
  REQUIRE(document.find(open) != std::string::npos);
  const size_t from = document.find(open) + open.size();
  return nlohmann::json::parse(document.substr(from, document.find("</pre>", from) - from));
}

// A record of two nets that has every kind of line.
struct Record {
  int layers = 8, steps = 60, every = 10, stride = 1;
  std::string site = "blocks.";  // before the layer's number

  // sigma_max of a layer at a step.
  static double sigma(int run, int layer, int step) { return (run ? 1.1 : 0.9) + 0.01 * layer + 0.001 * step; }

  std::string text() const {
    using nlohmann::json;
    std::ostringstream lines;
    for (int run = 0; run < 2; ++run) {
      const std::string name = run ? "growing" : "shrinking";
      const auto line = [&](json rest) {
        rest["run"] = name;
        lines << rest.dump() << '\n';
      };
      line({{"type", "run"}, {"schema", 2}, {"net", name}, {"depth", layers}});
      for (int at = 0; at < steps; ++at) {
        const int step = at * stride;
        line({{"type", "step"}, {"step", step}, {"loss", 2.0 / (1 + at)}, {"grad_norm", 0.5}, {"clip", 1}});
        if (at % every) continue;
        json sites = json::array(), norms = json::array();
        for (int layer = 0; layer < layers; ++layer) {
          const double s = sigma(run, layer, at);
          sites.push_back({{"site", site + std::to_string(layer)},
                           {"sigma_max", s},
                           {"sigma_median", s * 0.9},
                           {"sigma_least", s * 0.8},
                           {"gain", s * 0.7},
                           {"grad_in", 0.1},
                           {"frobenius", 4},
                           {"spectrum", {s, s / 2, s / 8}}});
          norms.push_back(0.1 * (layers - layer));
        }
        line({{"type", "layers"}, {"step", step}, {"sites", sites}, {"product", {{"log10_norm", norms}}}});
        line({{"type", "parameters"},
              {"step", step},
              {"rows", {{{"name", "w"}, {"weight_norm", 2}, {"grad_norm", 0.3}, {"update_norm", 0.002}}}}});
        line({{"type", "sharpness"}, {"step", step}, {"sharpness", 3 + at}, {"edge", 200}});
      }
      line({{"type", "alarm"}, {"step", 30}, {"kind", "exploding"}, {"site", site + "5"}, {"message", "too much"}});
      line({{"type", "lyapunov"},
            {"step", (steps - 1) * stride},
            {"site", "rnn"},
            {"exponents", {0.1, -0.3}},
            {"sum", -0.2},
            {"convergence", {{"steps", {1, 2, 3}}, {"exponents", {{0.3, -0.1}, {0.2, -0.2}, {0.1, -0.3}}}}}});
      line({{"type", "end"},
            {"steps", steps},
            {"seconds", 2},
            {"measuring_seconds", 0.2},
            {"costs", {{"sigma_max", 0.1}}}});
    }
    return lines.str();
  }
};

}  // namespace browser
