#pragma once
// The report page: one or several runs, as a Recorder wrote them, drawn as one HTML file that needs nothing else:
// no network, no other file, no program but a browser.

#include <string>

namespace fathom::probe {

// Reads the record (JSON Lines; of a folder, its record.jsonl) and writes the page, atomically: a reader sees the old
// page or the new one, whole.
// A last line that is torn, as an interrupted program leaves it, is skipped. Throws Error, which names the file and the
// line, when the record is no record, and when a file cannot be read or written.
// The page stays near 1 MB: of a long run the loss keeps its highs and lows, the layers their most extreme steps.
void write_report(const std::string& record_path, const std::string& page_path);

}  // namespace fathom::probe
