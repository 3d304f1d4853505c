// What the command lines of the examples share.
#pragma once
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <exception>
#include <string>

// A number within bounds, which NaN is not.
inline CLI::Validator number_from(double low, double high) {
  return CLI::Validator(
      [=](std::string& text) -> std::string {
        double value = NAN;
        if (CLI::detail::lexical_cast(text, value) && value >= low && value <= high) return {};
        char message[128];
        std::snprintf(message, sizeof message, "%.40s is not a number from %g to %g", text.c_str(), low, high);
        return message;
      },
      "");
}

// Returns -1 to go on, else what the program is to exit with: 0 after --help, 2 after one line on stderr that says
// which argument is wrong.
inline int parse_arguments(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
    return -1;
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::string line = error.what();
    for (char& c : line)
      if (c == '\n') c = ' ';
    const std::string name = app.get_name();
    std::fprintf(stderr, "%s: %s (%s --help lists the options)\n", name.c_str(), line.c_str(), name.c_str());
    return 2;
  }
}

// A program's main: reads its options (see parse_arguments) and runs; an error is one line on stderr, and exit 1.
template <class Options>
int run_program(const char* name, int argc, char** argv, int (*read)(int, char**, Options&),
                int (*run)(const Options&)) {
  Options options;
  if (const int code = read(argc, argv, options); code >= 0) return code;
  try {
    return run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", name, error.what());
    return 1;
  }
}
