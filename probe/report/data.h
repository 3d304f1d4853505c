#pragma once
// What the page is given to draw. Internal to the report.

#include <string>
#include <vector>

#include "fathom/probe/record.h"

namespace fathom::probe::report {

// JSON that is safe within a <script> element. Long runs are thinned so that a page stays near 1 MB.
std::string page_data(const std::vector<record::Run>& runs, const std::string& name, const std::string& note);

}  // namespace fathom::probe::report
