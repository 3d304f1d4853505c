#include "fathom/io/write_file.h"

#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "tests/io/folder.h"
#include "tests/support.h"

using namespace fathom;

TEST_CASE("write_file: of two threads that write one file at the same time each writes it whole") {
  const Folder folder;
  const std::string path = folder / "file";
  const std::string texts[] = {std::string(300000, 'a'), std::string(300000, 'b')};
  std::string failed[2];
  const auto write = [&](int which) {
    failed[which] = error_of([&] {
      for (int i = 0; i < 1000; ++i) io::write_file("test", path, texts[which]);
    });
  };
  std::thread other(write, 1);
  write(0);
  other.join();
  CHECK(failed[0] == "");
  CHECK(failed[1] == "");
  const std::string read = folder.text("file");
  CHECK((read == texts[0] || read == texts[1]));
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path), {}) == 1);
}

TEST_CASE("write_file: removes what a writer that was killed has left of this file") {
  const Folder folder;
  const pid_t dead = fork();
  if (dead == 0) _exit(0);
  waitpid(dead, nullptr, 0);
  const std::string stale = folder.write("file.part" + std::to_string(dead) + ".3", "x");
  const std::string fresh = folder.write("file.part" + std::to_string(dead) + ".4", "x");
  const std::string kept[] = {folder.write("file.part" + std::to_string(getpid()) + ".1000000", "x"),
                              folder.write("other.part" + std::to_string(dead) + ".3", "x"),
                              folder.write("file.part" + std::to_string(dead), "x"), folder.write("file.parts", "x")};
  for (const auto& each : std::filesystem::directory_iterator(folder.path))
    if (each.path() != fresh)
      std::filesystem::last_write_time(each.path(), each.last_write_time() - std::chrono::hours(2));
  io::write_file("test", folder / "file", "y");
  CHECK(folder.text("file") == "y");
  CHECK(std::filesystem::exists(fresh));
  CHECK(!std::filesystem::exists(stale));
  for (const std::string& path : kept) CHECK(std::filesystem::exists(path));
}

TEST_CASE("make_folder: those above it too, and what stands in its way") {
  const Folder folder;
  const std::string inner = folder / "a/b", file = folder.write("file", "x");
  io::make_folder("test", inner);
  io::make_folder("test", inner);
  CHECK(std::filesystem::is_directory(inner));
  CHECK(error_of([&] { io::make_folder("test", file + "/c"); }) ==
        "test: " + file + "/c: cannot be made: Not a directory");
}
