// Tables of numbers in text: a row a line, its cells separated by commas.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "fathom/tensor/tensor.h"

namespace fathom::io {

struct CsvOptions {
  char separator = ',';
  std::optional<bool> header = {};  // the first line names the columns; must be said where it is all numbers
  Dtype dtype = f32;                // f32, f64 or i64
};

struct Table {
  std::vector<std::string> names;  // of the columns; none without a header
  Tensor numbers;                  // (rows, columns)
};

// The table in a file. Cells may be within quotes and spaces, lines may end in CR LF, empty lines at the end do not
// count; nan and inf are numbers where the dtype is floating. The locale does not matter.
// Throws Error, naming the file, the line and the column, on a cell that is no number or beyond the dtype's range, on a
// line with more or fewer cells than the first or of more than 1 MiB, and on a zero byte; on a first line of numbers
// alone unless the options say whether it is a header; when the file cannot be read; on another dtype.
Table read_csv(const std::string& path, CsvOptions options = {});

}  // namespace fathom::io
