#include <charconv>
#include <cmath>

#include "fathom/io/npy.h"
#include "fathom/io/write_file.h"
#include "fathom/probe/record.h"
#include "fathom/tensor/kernels/map.h"

namespace fathom::probe::record {
namespace {

std::string cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + '"';
}
std::string cell(double value) {
  char digits[40];
  return {digits, std::to_chars(digits, digits + sizeof digits, value, std::chars_format::general, 17).ptr};
}
std::string cell(std::optional<double> value) { return value ? cell(*value) : ""; }

// Of what goes over many layers a double may not hold the number: its logarithm is written.
bool as_logarithm(size_t quantity) {
  return quantity == gradient_left || quantity == product || quantity == product_upper || quantity == product_bound;
}
std::string exported_name(size_t quantity) {
  return (as_logarithm(quantity) ? "log10_" : "") + std::string(quantity_names[quantity]);
}
double exported(size_t quantity, double log) { return as_logarithm(quantity) ? log : std::pow(10, log); }

std::string rows_of(const Record& record, Board Run::*board) {
  std::array<bool, quantities> measured{};
  for (const Run& run : record.runs)
    for (const Frame& frame : (run.*board).frames)
      for (const auto& [row, values] : frame.rows)
        for (size_t q = 0; q < quantities; ++q) measured[q] |= values[q] != missing;
  std::string text = "run,step,name";
  for (size_t q = 0; q < quantities; ++q)
    if (measured[q]) text += ',' + exported_name(q);
  text += '\n';
  for (const Run& run : record.runs)
    for (const Frame& frame : (run.*board).frames)
      for (const auto& [row, values] : frame.rows) {
        text += cell(run.name) + ',' + std::to_string(frame.step) + ',' + cell((run.*board).label(row));
        for (size_t q = 0; q < quantities; ++q)
          if (measured[q]) text += ',' + (values[q] == missing ? "" : cell(exported(q, values[q])));
        text += '\n';
      }
  return text;
}

void write_board(const Board& board, const std::string& start) {
  const int64_t frames = int64_t(board.frames.size()), rows = int64_t(board.rows.size());
  if (!frames) return;
  const Tensor steps({frames}, i64);
  for (int64_t f = 0; f < frames; ++f) steps.data<int64_t>()[f] = board.frames[size_t(f)].step;
  io::write_npy(start + "_steps.npy", steps);
  std::vector<int64_t> place(board.rows.size());
  for (size_t i = 0; i < board.order.size(); ++i) place[size_t(board.order[i])] = int64_t(i);
  for (size_t q = 0; q < quantities; ++q) {
    const Tensor values = kernel::full({frames, rows}, NAN, f64);
    bool any = false;
    for (int64_t f = 0; f < frames; ++f)
      for (const auto& [row, logs] : board.frames[size_t(f)].rows)
        if (logs[q] != missing) {
          values.data<double>()[f * rows + place[size_t(row)]] = exported(q, logs[q]);
          any = true;
        }
    if (any) io::write_npy(start + "_" + exported_name(q) + ".npy", values);
  }
}

}  // namespace

void write_csv(const Record& record, const std::string& folder) {
  io::make_folder("record", folder);
  std::string steps = "run,step,loss,grad_norm,clipped\n";
  for (const Run& run : record.runs)
    for (const Point& p : run.points)
      steps += cell(run.name) + ',' + std::to_string(p.step) + ',' + cell(p.loss) + ',' + cell(p.grad_norm) + ',' +
               (p.clipped ? "1\n" : "0\n");
  io::write_file("record", folder + "/steps.csv", steps);
  io::write_file("record", folder + "/layers.csv", rows_of(record, &Run::layers));
  io::write_file("record", folder + "/parameters.csv", rows_of(record, &Run::parameters));
}

void write_npy(const Record& record, const std::string& folder) {
  io::make_folder("record", folder);
  for (size_t i = 0; i < record.runs.size(); ++i) {
    write_board(record.runs[i].layers, folder + "/" + std::to_string(i) + "_layers");
    write_board(record.runs[i].parameters, folder + "/" + std::to_string(i) + "_parameters");
  }
}

}  // namespace fathom::probe::record
