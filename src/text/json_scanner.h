// json_scanner.h — JsonScanner: whether bytes that come one by one are JSON, and where it ends.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace nautile {

// One value of RFC 8259 that begins with its first byte (no white space before it). Memory is a
// byte for each level; numbers and names are not looked at beyond their syntax, nor is UTF-8.
class JsonScanner {
 public:
  enum class Told : std::uint8_t {
    more,  // the byte belongs to the value, which goes on
    done,  // the byte is the value's last; not said of a number outside of all else
    bad,   // no JSON goes on with this byte; nothing has changed
  };
  Told take(char c);

  std::size_t depth() const { return open_.size(); }  // objects and lists that are open
  // Inside of a string that has begun and not ended; of an object's key.
  bool in_string() const {
    return state_ == State::string || state_ == State::escape || state_ == State::hex;
  }
  bool in_key() const { return in_string() && key_; }
  bool awaits_colon() const { return state_ == State::colon; }  // a key has been read
  bool awaits_value() const { return state_ == State::value; }  // of a member, or a list's next

 private:
  enum class State : std::uint8_t {
    value,        // a value, or white space before it
    first_value,  // the same, or the end of an empty list
    first_key,    // a key, or the end of an empty object
    key,          // a key
    colon,        // ':' after a key
    after_value,  // ',' or the end of what is open
    string,       // inside of one; key_ tells of which
    escape,       // after a backslash
    hex,          // of \u, left_ digits to come
    literal,      // rest_ to come
    minus,        // the first digit
    zero,         // after a leading 0
    integer,      // more digits
    point,        // the first digit of the fraction
    fraction,     // more digits
    exponent,     // a sign or digit
    sign,         // the first digit of the exponent
    power,        // more digits
    finished,
  };
  bool begin_value(char c);
  bool number(char c);  // false: the number ended before the byte, or it is bad
  Told close(char c);

  std::vector<char> open_;  // '{' or '['
  State state_ = State::value;
  bool key_ = false;
  int left_ = 0;
  std::string_view rest_;
};

}  // namespace nautile
