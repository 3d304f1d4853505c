// Whole files.
#pragma once
#include <string>
#include <string_view>

namespace fathom::io {

// Writes the file atomically: a reader, or whoever comes after an interruption, finds the old one or the new one,
// whole. Throws Error, naming op, file and the system's reason; the old file is then as it was.
void write_file(const char* op, const std::string& path, std::string_view bytes);

}  // namespace fathom::io
