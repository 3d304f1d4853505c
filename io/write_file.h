// Whole files, and the folders that they lie in.
#pragma once
#include <string>
#include <string_view>

namespace fathom::io {

// Writes the file atomically: a reader, or whoever comes after an interruption, finds the old one or the new one,
// whole, and perhaps FILE.partPROCESS.NUMBER beside it, which a write an hour later removes. Throws Error, naming op,
// file and the system's reason; the old file is then as it was.
void write_file(const char* op, const std::string& path, std::string_view bytes);
// Makes the folder, and those above it, unless it is there. Throws Error, naming op, folder and the system's reason.
void make_folder(const char* op, const std::string& folder);

}  // namespace fathom::io
