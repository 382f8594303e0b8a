// tool_object.h — ToolObject: a call written as a JSON object, read byte by byte.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "text/json_scanner.h"

namespace nautile {

// {"name": "f", "arguments": {…}}, with "parameters" for "arguments", in any order, other members
// between; arguments may also be a string that holds an object's text, or null for none.
class ToolObject {
 public:
  enum class Told : std::uint8_t {
    more,
    done,   // the object's last byte
    bad,    // no JSON
    unfit,  // JSON, but no call: a name that is no string, arguments of another kind
  };
  // The first byte is '{'.
  Told take(char c);

  const std::string& name() const { return name_; }  // decoded; empty: not known yet
  bool foreign_member() const { return foreign_; }   // one that calls do not have
  enum class Arguments : std::uint8_t { none, open, whole };
  Arguments arguments() const { return arguments_; }
  // Their bytes since the last time.
  std::string take_arguments() { return std::exchange(bytes_, {}); }

 private:
  enum class Member : std::uint8_t { other, name, arguments };
  enum class Reading : std::uint8_t { nothing, string, object };  // of the member's value
  void key_ended();
  bool begin_value(char c);
  bool string_ended();

  JsonScanner scanner_;
  Member member_ = Member::other;
  Reading reading_ = Reading::nothing;
  std::string key_;    // as it stands, with its quotes
  std::string value_;  // the same, of a string
  std::string name_, bytes_;
  Arguments arguments_ = Arguments::none;
  bool foreign_ = false;
};

}  // namespace nautile
