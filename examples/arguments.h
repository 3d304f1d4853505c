// What the command lines of the examples share.
#pragma once
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>

// A program's options, each with its default in --help and checked before the program begins.
class Arguments {
 public:
  Arguments(const std::string& name, const std::string& what) : app_(what, name) {}

  template <class T>
  CLI::Option* option(const char* name, T& value, const char* what) {
    return app_.add_option(name, value, what)->capture_default_str();
  }
  // Integers within [low, high].
  template <class T>
  CLI::Option* whole(const char* name, T& value, const char* what, int64_t low = 1, int64_t high = 1000000000) {
    return option(name, value, what)->check(CLI::Range(low, high).description(""));
  }
  // A number within [low, high], which NaN is not.
  CLI::Option* number(const char* name, double& value, const char* what, double low = 0, double high = 1e3) {
    const auto wrong = [=](const std::string& text) -> std::string {
      double number = NAN;
      if (CLI::detail::lexical_cast(text, number) && number >= low && number <= high) return {};
      char message[128];
      std::snprintf(message, sizeof message, "%.40s is not a number from %g to %g", text.c_str(), low, high);
      return message;
    };
    return option(name, value, what)->check(wrong);
  }
  void threads(int& value) {
    whole("--threads", value, "threads to use; without, as many as the machine has cores", 1, 256)->default_str("");
  }
  void seed(uint64_t& value, const char* of) { whole("--seed", value, of, 0, 1000000000000000000); }

  // What is wrong with the options together; nothing: "".
  void together(std::function<std::string()> wrong) {
    app_.final_callback([wrong] {
      if (const std::string why = wrong(); !why.empty()) throw CLI::ValidationError(why);
    });
  }

  // Returns -1 to go on, else what the program is to exit with: 0 after --help, 2 after one line on stderr that says
  // which argument is wrong.
  int parse(int argc, char** argv) {
    try {
      app_.parse(argc, argv);
      return -1;
    } catch (const CLI::CallForHelp& help) {
      return app_.exit(help);
    } catch (const CLI::ParseError& error) {
      std::string line = error.what();
      for (char& c : line)
        if (c == '\n') c = ' ';
      const std::string name = app_.get_name();
      std::fprintf(stderr, "%s: %s (%s --help lists the options)\n", name.c_str(), line.c_str(), name.c_str());
      return 2;
    }
  }

 private:
  CLI::App app_;
};

// A program's main: reads its options (see Arguments::parse) and runs; an error is one line on stderr, and exit 1.
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
