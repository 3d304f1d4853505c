#include "fathom/io/text.h"

#include "tests/io/folder.h"
#include "tests/support.h"

using namespace fathom;

TEST_CASE("characters: numbered in order, there and back") {
  const std::string text =
      "b\xc3\xa4"
      "ba\n\xe2\x82\xac\xf0\x9f\x98\x80";  // b ä b a newline euro face
  const io::Characters characters(text);
  CHECK(characters.size() == 6);
  CHECK(characters.encode(text).to_vector<int64_t>() == std::vector<int64_t>{2, 3, 2, 1, 0, 4, 5});
  CHECK(characters.decode(characters.encode(text)) == text);
  CHECK(characters.encode("").numel() == 0);
  CHECK(io::Characters("").size() == 0);
  CHECK(error_of([&] { characters.encode("bc"); }) == "Characters: code 99 is not among the 6 characters");
  CHECK(error_of([&] {
          const Tensor seven({1}, i64);
          *seven.data<int64_t>() = 7;
          characters.decode(seven);
        }) == "Characters: number 7 for 6 characters");
  CHECK(error_of([&] { characters.decode(Tensor({1}, f32)); }) ==
        "Characters: characters are numbered by i64, got f32");
}

TEST_CASE("characters: what is not UTF-8") {
  for (const char* bad :
       {"a\x80", "a\xc3", "a\xc3(", "a\xc0\xaf", "a\xe2\x82", "a\xed\xa0\x80", "a\xf4\x90\x80\x80", "a\xff"})
    CHECK(error_of([&] { io::Characters{std::string_view(bad)}; }) == "Characters: the text is not UTF-8 at byte 1");
}

TEST_CASE("read_text: the bytes of a file, and no file") {
  const Folder folder;
  const std::string text = std::string(200000, 'x') + std::string("\0\n", 2);
  CHECK(io::read_text(folder.write("a.txt", text)) == text);
  CHECK(error_of([&] { io::read_text(folder / "none"); }) ==
        "read_text: " + (folder / "none") + ": No such file or directory");
  CHECK(error_of([&] { io::read_text(folder.path.string()); }).starts_with("read_text: "));
}
