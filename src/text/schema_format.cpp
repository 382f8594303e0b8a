#include "text/schema_format.h"

#include <map>

namespace nautile {
namespace {

// Years 1000 to 2999; 29 February in leap years.
const std::string kDate =
    "([12]\\d{3}-((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|"
    "02-(0[1-9]|1\\d|2[0-8]))|"
    "([12]\\d(0[48]|[2468][048]|[13579][26])|1200|1600|2000|2400|2800)-02-29)";
const std::string kTime =
    "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,6})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)";
const std::string kByte = "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const std::string kLabel = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
const std::string kAtom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
const std::string kGroup = "[0-9a-fA-F]{1,4}";

// Eight groups, or fewer around one "::".
std::string ipv6() {
  std::string ways = "(" + kGroup + ":){7}" + kGroup + "|::|(" + kGroup + ":){1,7}:";
  for (int before = 0; before <= 6; ++before) {
    const std::string first =
        before == 0 ? ":" : "(" + kGroup + ":){" + std::to_string(before) + "}";
    ways += "|" + first + "(:" + kGroup + "){1," + std::to_string(7 - before) + "}";
  }
  return "(" + ways + ")";
}

const std::map<std::string, std::string, std::less<>>& patterns() {
  static const std::map<std::string, std::string, std::less<>> kPatterns = [] {
    std::map<std::string, std::string, std::less<>> p;
    p["date"] = kDate;
    p["time"] = kTime;
    p["date-time"] = kDate + "T" + kTime;
    p["email"] = kAtom + "(\\." + kAtom + ")*@" + kLabel + "(\\." + kLabel + ")*";
    p["hostname"] = kLabel + "(\\." + kLabel + "){0,7}";
    p["uuid"] = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}";
    p["ipv4"] = kByte + "(\\." + kByte + "){3}";
    p["ipv6"] = ipv6();
    for (auto& [name, pattern] : p) pattern = "^" + pattern + "$";
    return p;
  }();
  return kPatterns;
}

}  // namespace

std::string_view format_pattern(std::string_view format) {
  const auto found = patterns().find(format);
  return found == patterns().end() ? std::string_view() : found->second;
}

std::string known_formats() {
  std::string names;
  for (const auto& [name, pattern] : patterns()) names += (names.empty() ? "" : ", ") + name;
  return names;
}

}  // namespace nautile
