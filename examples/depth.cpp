// The main job: networks of growing depth, plain and stabilised, train on one task while the Jacobian of every layer is
// measured. The table at the end and OUT/report.html show why some learn and some do not.
#include <fathom/fathom.h>
#include <fathom/io/write_file.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>

#include "depth/data.h"
#include "depth/nets.h"
#include "depth/options.h"
#include "depth/progress.h"
#include "depth/table.h"

using namespace fathom;
using namespace depth;

namespace {

// The first Ctrl-C ends the run after its step, with table and report; the second ends it at once.
volatile std::sig_atomic_t interrupted = 0;
void interrupt(int signal) {
  interrupted = signal;
  std::signal(signal, SIG_DFL);
}

double accuracy(Net& net, const io::Dataset& data) {
  NoGrad off;
  double right = 0;
  for (auto [x, y] : io::batches(data, {.size = 500})) right += sum(argmax(net(x)) == y).item();
  return right / double(data.size());
}

std::vector<probe::Fact> described(const Options& options, const std::string& net, int64_t depth) {
  const auto text = [](double value) {
    char digits[32];
    std::snprintf(digits, sizeof digits, "%g", value);
    return std::string(digits);
  };
  return {{"net", net},
          {"depth", std::to_string(depth)},
          {"seed", std::to_string(options.seed)},
          {"width", std::to_string(options.width)},
          {"batch", std::to_string(options.batch)},
          {"lr", text(options.lr)},
          {"clip", text(options.clip)},
          {"weight decay", text(options.weight_decay)},
          {"data", options.data.empty() ? "spirals" : options.data}};
}

Row train(const Options& options, const io::Split& data, const std::string& kind, int64_t layers) {
  const std::string name = kind + " " + std::to_string(layers);
  manual_seed(options.seed);
  Net net(kind, layers, data.train.x.size(1), options.width, 10);
  optim::AdamW opt(net.named_parameters(), {.lr = options.lr, .weight_decay = options.weight_decay});
  const int64_t details_every = options.every * std::max<int64_t>(1, options.steps / 2 / options.every);
  probe::Recorder recorder(net, {.every = options.every,
                                 .details_every = details_every,
                                 .parameters_every = details_every,
                                 .out = options.out,
                                 .name = name,
                                 .sites = "blocks.*",
                                 .samples = 16,
                                 .info = described(options, kind, layers),
                                 .grad_norm = false});
  std::vector<double> losses;
  try {
    Progress progress(name, options.steps);
    const int64_t size = std::min(options.batch, data.train.size());
    while (recorder.steps() < options.steps && !interrupted)
      for (auto [x, y] : io::batches(data.train, {.size = size, .shuffle = true, .drop_last = true})) {
        Tensor loss = nn::cross_entropy(net(x), y);
        opt.zero_grad();
        recorder.backward(loss);
        recorder.step(opt.step({.clip_norm = options.clip, .measure_norm = true}));
        losses.push_back(loss.item());
        progress.step(recorder.steps(), recorder);
        if (recorder.steps() == options.steps || interrupted) break;
      }
  } catch (const Error& error) {
    throw Error(name + ", step " + std::to_string(losses.size()) + ": " + error.what());
  }

  Row row{.net = kind, .depth = layers};
  row.ms = 1e3 * recorder.seconds() / double(losses.size());
  row.measuring = recorder.measuring_seconds() / recorder.seconds();
  const size_t last = std::min<size_t>(losses.size(), 20);
  for (size_t i = losses.size() - last; i < losses.size(); ++i) row.loss += losses[i] / double(last);
  row.accuracy = accuracy(net, data.test);
  summarise(recorder.last(), row);
  recorder.finish({.accuracy = row.accuracy, .loss = row.loss});
  return row;
}

// Makes the folder; a record that is there from an earlier run steps aside and is kept.
std::filesystem::path make_place(const std::filesystem::path& out) {
  io::make_folder("--out", out);
  std::error_code error;
  const auto record = out / "record.jsonl";
  if (std::filesystem::exists(record, error)) {
    auto aside = record;
    for (int i = 1; std::filesystem::exists(aside, error); ++i)
      aside = out / ("record-" + std::to_string(i) + ".jsonl");
    std::filesystem::rename(record, aside, error);
    if (error) throw Error("cannot rename " + record.string() + ": " + error.message());
  }
  return record;
}

int run(const Options& options) {
  if (options.threads) set_threads(options.threads);
  const io::Split data = load(options.data);
  const auto record = make_place(options.out);
  std::signal(SIGINT, interrupt);
  std::signal(SIGTERM, interrupt);
  std::signal(SIGPIPE, SIG_IGN);  // the record and the report matter more than a reader that went away

  std::vector<Row> rows;
  std::string failures, no_page;                       // a net that fails does not keep the others from being trained
  const auto attempt = [](auto part) -> std::string {  // why it failed
    try {
      part();
      return {};
    } catch (const std::exception& error) {
      return error.what();
    }
  };
  const auto note = [&failures](const std::string& why) {
    if (!why.empty()) failures += (failures.empty() ? "" : "; ") + why;
  };
  const auto page = std::filesystem::path(options.out) / "report.html";
  for (const std::string& net : options.nets)
    for (int64_t layers : options.depths) {
      if (interrupted) break;
      note(attempt([&] { rows.push_back(train(options, data, net, layers)); }));
      // After each net, so that it can be looked at while the next is trained.
      if (std::error_code ignored; std::filesystem::file_size(record, ignored) > 0 && !ignored)
        no_page = attempt([&] { probe::write_report(record.string(), page.string()); });
    }
  if (!rows.empty()) print_table(rows);
  if (std::filesystem::exists(record) && no_page.empty()) std::printf("\n%s\n%s\n", record.c_str(), page.c_str());
  note(no_page);
  if (!failures.empty()) throw Error(failures);
  return interrupted ? 128 + interrupted : 0;
}

}  // namespace

int main(int argc, char** argv) { return run_program("depth", argc, argv, read_options, run); }
