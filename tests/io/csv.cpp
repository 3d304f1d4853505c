#include "fathom/io/csv.h"

#include <clocale>
#include <cmath>

#include "tests/io/folder.h"
#include "tests/support.h"

using namespace fathom;

namespace {

using Numbers = std::vector<double>;

struct Csv : Folder {
  io::Table read(const std::string& text, io::CsvOptions options = {}) const {
    return io::read_csv(write("x.csv", text), options);
  }
  std::string message(const std::string& text, io::CsvOptions options = {}) const {
    const std::string whole = error_of([&] { read(text, options); }), start = "read_csv: " + *this / "x.csv" + ": ";
    return whole.starts_with(start) ? whole.substr(start.size()) : "without its file: " + whole;
  }
};

}  // namespace

TEST_CASE("csv: names and numbers") {
  const Csv csv;
  const io::Table table = csv.read("a,b,c\n1,-2.5,3e2\n4,5,-0.25\n");
  CHECK(table.names == std::vector<std::string>{"a", "b", "c"});
  CHECK((table.numbers.shape() == Shape{2, 3} && table.numbers.dtype() == f32));
  CHECK(table.numbers.to_vector() == Numbers{1, -2.5, 300, 4, 5, -0.25});
  CHECK(csv.read("0.1\n0.2", {.header = false, .dtype = f64}).numbers.to_vector() == Numbers{0.1, 0.2});
  const io::Table whole =
      csv.read("9007199254740993;-9223372036854775808\n", {.separator = ';', .header = false, .dtype = i64});
  CHECK(whole.numbers.data<int64_t>()[0] == 9007199254740993);
  CHECK(whole.numbers.data<int64_t>()[1] == INT64_MIN);
  const Tensor special = csv.read("nan,inf,-inf,1e-300,-0\n", {.header = false}).numbers;
  CHECK((std::isnan(special.to_vector()[0]) && std::signbit(special.data<float>()[4])));
  special.data<float>()[0] = 0;
  CHECK(special.to_vector() == Numbers{0, INFINITY, -INFINITY, 0, 0});
}

TEST_CASE("csv: what programs put around numbers") {
  const Csv csv;
  const io::Table table =
      csv.read("\xef\xbb\xbf\"width, in m\" , \"a \"\"b\"\"\"\r\n 1\t,\"2\"\r\n3 , \"4\" \r\n\r\n\n");
  CHECK(table.names == std::vector<std::string>{"width, in m", "a \"b\""});
  CHECK(table.numbers.to_vector() == Numbers{1, 2, 3, 4});
  CHECK(csv.read("1\t2\n3\t4", {.separator = '\t', .header = false}).numbers.to_vector() == Numbers{1, 2, 3, 4});
  CHECK(csv.read("").numbers.shape() == Shape{0, 0});
  CHECK((csv.read("a,b").numbers.shape() == Shape{0, 2} && csv.read("a,b\n").names.size() == 2));
}

TEST_CASE("csv: a first line of numbers alone is no header unless it is said to be one") {
  const Csv csv;
  const std::string asks = "line 1: names of columns or a row? It is all numbers: say .header = true or false";
  for (const std::string line : {"1,2", "2019", "\"1\",2", "nan,-inf", "1e400,0.5"})
    CHECK(csv.message(line + "\n") == asks);
  CHECK(csv.message("1.5,2\n3,4\n", {.dtype = i64}) == asks);
  const io::Table years = csv.read("2019,2020\n1,2\n", {.header = true});
  CHECK((years.names == std::vector<std::string>{"2019", "2020"} && years.numbers.to_vector() == Numbers{1, 2}));
  CHECK(csv.read("2019,2020\n1,2\n", {.header = false}).numbers.to_vector() == Numbers{2019, 2020, 1, 2});
  CHECK(csv.read("year,2020\n1,2\n").names == std::vector<std::string>{"year", "2020"});
  CHECK(csv.read("1,\n1,2\n").names == std::vector<std::string>{"1", ""});
  CHECK(csv.message("a,b\n1,2\n", {.header = false}) == "line 1, column 1: 'a' is no number");
}

TEST_CASE("csv: a comma locale changes nothing") {
  const Csv csv;
  const char* const before = std::setlocale(LC_NUMERIC, nullptr);
  const std::string kept = before;
  for (const char* name : {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE"}) std::setlocale(LC_NUMERIC, name);
  CHECK(csv.read("1.5,2", {.header = false}).numbers.to_vector() == Numbers{1.5, 2});
  std::setlocale(LC_NUMERIC, kept.c_str());
}

TEST_CASE("csv: errors tell the line and the column") {
  const Csv csv;
  CHECK(csv.message("a,b\n1,2\n3,x\n") == "line 3, column 2: 'x' is no number");
  for (const char* cell : {"3;14", "", "+1", "0x1", "1 2", "1.5.2", "1e", "--1"})
    CHECK(csv.message(std::string("a\n") + cell + "\n1\n") ==
          "line 2, column 1: '" + std::string(cell) + "' is no number");
  CHECK(csv.message("1,5\n2\n", {.header = false}) == "line 2: 1 cells, the first line has 2");
  CHECK(csv.message("a,b\n3,1,4\n") == "line 2: 3 cells, the first line has 2");
  CHECK(csv.message("a,b\n1,2\n\n3,4\n") == "line 3: 1 cells, the first line has 2");
  CHECK(csv.message("1e39", {.header = false}) == "line 1, column 1: 1e39 is beyond the range of f32");
  CHECK(csv.message("1e400", {.header = false, .dtype = f64}) == "line 1, column 1: 1e400 is beyond the range of f64");
  CHECK(csv.message("9223372036854775808", {.header = false, .dtype = i64}) ==
        "line 1, column 1: 9223372036854775808 is beyond the range of i64");
  CHECK(csv.message("1.5", {.header = false, .dtype = i64}) == "line 1, column 1: '1.5' is no number");
  CHECK(csv.message("\"a\n1\n") == "line 1, column 1: a quote without an end");
  CHECK(csv.message("a,\"b\"c\n") == "line 1, column 2: more after a quoted cell");
  CHECK(csv.message(std::string("a\n1\0\n", 5)) == "line 2: has a zero byte");
  CHECK(csv.message("a\n" + std::string((1 << 20) + 1, '1')) == "line 2: longer than 1 MiB");
  CHECK(error_of([&] { csv.read("1", {.dtype = boolean}); }).starts_with("read_csv: "));
  CHECK(error_of([&] { io::read_csv(csv / "absent"); }).ends_with("absent: No such file or directory"));
}
