// manner.cpp — events as bytes.
#include "server/manner.h"

namespace nautile::server {

std::string dumped(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string event_text(const Json& data) {
  return "data: " + dumped(data) + "\n\n";
}

std::string event_text(std::string_view name, const Json& data) {
  return fmt::format("event: {}\ndata: {}\n\n", name, dumped(data));
}

}  // namespace nautile::server
