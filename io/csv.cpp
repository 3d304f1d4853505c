#include "fathom/io/csv.h"

#include <algorithm>  // all_of, copy, min
#include <charconv>
#include <cmath>
#include <string_view>
#include <type_traits>

#include "fathom/io/text.h"

namespace fathom::io {
namespace {

constexpr size_t longest_line = 1 << 20;

class CsvReader {
 public:
  CsvReader(const std::string& path, const CsvOptions& options)
      : path_(path), separator_(options.separator), text_(read_text(path)), left_(text_) {
    if (left_.starts_with("\xef\xbb\xbf")) left_.remove_prefix(3);
    while (!left_.empty() && std::string_view("\r\n").find(left_.back()) != std::string_view::npos)
      left_.remove_suffix(1);
  }

  // The cells of the next line; false after the last.
  bool next(std::vector<std::string>& cells) {
    if (left_.empty()) return false;
    ++line_;
    std::string_view line = left_.substr(0, left_.find('\n'));
    left_.remove_prefix(std::min(left_.size(), line.size() + 1));
    cells.clear();
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.size() > longest_line) fail("longer than 1 MiB");
    if (line.find('\0') != std::string_view::npos) fail("has a zero byte");
    for (bool more = true; more;) {
      cells.emplace_back();
      more = cell(line, cells);
    }
    if (!columns_) columns_ = cells.size();
    if (cells.size() != columns_)
      fail(std::to_string(cells.size()) + " cells, the first line has " + std::to_string(columns_));
    return true;
  }

  static bool is_number(const std::string& cell) {
    double value;
    return parse(cell, value) != std::errc::invalid_argument;
  }
  template <class T>
  T number(const std::string& cell, size_t column) const {
    std::conditional_t<std::is_floating_point_v<T>, double, T> value{};
    const std::errc error = parse(cell, value);
    if (error == std::errc::invalid_argument) fail("'" + cell + "' is no number", column);
    const T result = T(value);
    if (error != std::errc() || (std::isinf(double(result)) && !std::isinf(double(value))))
      fail(cell + " is beyond the range of " + to_string(dtype_of<T>), column);
    return result;
  }

  size_t columns() const { return columns_; }
  [[noreturn]] void fail(const std::string& why, size_t column = 0) const {
    throw Error("read_csv: " + path_ + ": line " + std::to_string(line_) +
                (column ? ", column " + std::to_string(column) : std::string()) + ": " + why);
  }

 private:
  template <class T>
  static std::errc parse(const std::string& cell, T& value) {
    const char* const end = cell.data() + cell.size();
    const auto [rest, error] = std::from_chars(cell.data(), end, value);
    return rest == end ? error : std::errc::invalid_argument;
  }
  // Takes the line's next cell off it, without the spaces and quotes around it. Whether another follows.
  bool cell(std::string_view& line, std::vector<std::string>& cells) const {
    std::string& text = cells.back();
    const auto skip_spaces = [&] {
      while (!line.empty() && (line[0] == ' ' || line[0] == '\t') && line[0] != separator_) line.remove_prefix(1);
    };
    skip_spaces();
    if (line.starts_with('"')) {
      for (line.remove_prefix(1);; line.remove_prefix(1)) {
        if (line.empty()) fail("a quote without an end", cells.size());
        if (line[0] == '"') {
          line.remove_prefix(1);
          if (!line.starts_with('"')) break;  // two stand for one
        }
        text += line[0];
      }
      skip_spaces();
      if (!line.empty() && line[0] != separator_) fail("more after a quoted cell", cells.size());
    } else {
      text = line.substr(0, line.find(separator_));
      line.remove_prefix(text.size());
      while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.pop_back();
    }
    if (line.empty()) return false;
    line.remove_prefix(1);
    return true;
  }

  const std::string& path_;
  char separator_;
  std::string text_;
  std::string_view left_;
  size_t line_ = 0, columns_ = 0;
};

}  // namespace

Table read_csv(const std::string& path, CsvOptions options) {
  return visit_number("read_csv", options.dtype, [&]<class T>(T) {
    CsvReader reader(path, options);
    Table table;
    std::vector<std::string> cells;
    if (options.header.value_or(true) && reader.next(table.names) && !options.header &&
        std::all_of(table.names.begin(), table.names.end(), CsvReader::is_number))
      reader.fail("names of columns or a row? It is all numbers: say .header = true or false");
    std::vector<T> numbers;
    while (reader.next(cells))
      for (size_t i = 0; i < cells.size(); ++i) numbers.push_back(reader.template number<T>(cells[i], i + 1));
    const int64_t columns = int64_t(reader.columns());
    table.numbers = Tensor({columns ? int64_t(numbers.size()) / columns : 0, columns}, options.dtype);
    std::copy(numbers.begin(), numbers.end(), table.numbers.template data<T>());
    return table;
  });
}

}  // namespace fathom::io
