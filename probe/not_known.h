// What stands for a number that was not measured.
#pragma once

namespace fathom::probe {

inline constexpr double not_known = __builtin_nan("");  // <limits> for it would be dear in a public header

}  // namespace fathom::probe
