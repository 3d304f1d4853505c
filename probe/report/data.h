#pragma once
// What the page is given to draw. Internal to the report.

#include <string>
#include <vector>

#include "fathom/probe/report/record.h"

namespace fathom::probe::report {

// JSON that is safe within a <script> element. Long runs are thinned so that a page stays near 1 MB.
std::string page_data(const std::vector<Run>& runs, const std::string& record);

}  // namespace fathom::probe::report
