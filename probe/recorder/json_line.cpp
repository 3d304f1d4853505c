#include "fathom/probe/recorder/json_line.h"

#include <nlohmann/json.hpp>

namespace fathom::probe {

void JsonLine::quoted(std::string_view x) {
  const bool plain = x.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._- #:/") ==
                     std::string_view::npos;
  if (plain) text_ += '"', text_ += x, text_ += '"';
  else text_ += nlohmann::json(x).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace fathom::probe
