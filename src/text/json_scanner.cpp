#include "text/json_scanner.h"

namespace nautile {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

}  // namespace

bool JsonScanner::begin_value(char c) {
  switch (c) {
    case '{':
      open_.push_back('{');
      state_ = State::first_key;
      return true;
    case '[':
      open_.push_back('[');
      state_ = State::first_value;
      return true;
    case '"':
      key_ = false;
      state_ = State::string;
      return true;
    case 't':
    case 'f':
    case 'n':
      rest_ = c == 't' ? "rue" : c == 'f' ? "alse" : "ull";
      state_ = State::literal;
      return true;
    case '-':
      state_ = State::minus;
      return true;
    default:
      if (!is_digit(c)) return false;
      state_ = c == '0' ? State::zero : State::integer;
      return true;
  }
}

bool JsonScanner::number(char c) {
  const bool digit = is_digit(c), e = c == 'e' || c == 'E';
  switch (state_) {
    case State::minus:
      if (!digit) return false;
      state_ = c == '0' ? State::zero : State::integer;
      return true;
    case State::zero:
    case State::integer:
      if (digit) return state_ == State::integer;
      if (c != '.' && !e) return false;
      state_ = e ? State::exponent : State::point;
      return true;
    case State::point:
    case State::fraction:
      if (digit) {
        state_ = State::fraction;
        return true;
      }
      if (!e || state_ == State::point) return false;
      state_ = State::exponent;
      return true;
    case State::exponent:
      if (c == '+' || c == '-') {
        state_ = State::sign;
        return true;
      }
      [[fallthrough]];
    default:  // sign, power
      if (digit) state_ = State::power;
      return digit;
  }
}

JsonScanner::Told JsonScanner::close(char c) {
  if (open_.empty() || open_.back() != (c == '}' ? '{' : '[')) return Told::bad;
  open_.pop_back();
  state_ = open_.empty() ? State::finished : State::after_value;
  return open_.empty() ? Told::done : Told::more;
}

JsonScanner::Told JsonScanner::take(char c) {
  const auto ended = [&] {
    state_ = open_.empty() ? State::finished : State::after_value;
    return open_.empty() ? Told::done : Told::more;
  };
  switch (state_) {
    case State::finished:
      return Told::bad;
    case State::string:
      if (c == '\\') {
        state_ = State::escape;
      } else if (c == '"') {
        if (!key_) return ended();
        state_ = State::colon;
      } else if (static_cast<unsigned char>(c) < 0x20) {
        return Told::bad;
      }
      return Told::more;
    case State::escape:
      if (std::string_view("\"\\/bfnrtu").find(c) == std::string_view::npos) return Told::bad;
      state_ = c == 'u' ? State::hex : State::string;
      left_ = 4;
      return Told::more;
    case State::hex:
      if (!is_hex(c)) return Told::bad;
      if (--left_ == 0) state_ = State::string;
      return Told::more;
    case State::literal:
      if (c != rest_.front()) return Told::bad;
      rest_.remove_prefix(1);
      return rest_.empty() ? ended() : Told::more;
    case State::zero:
    case State::integer:
    case State::fraction:
    case State::power:
      if (number(c)) return Told::more;
      if (open_.empty() || is_digit(c)) return Told::bad;
      break;  // the number has ended; the byte comes after it
    case State::minus:
    case State::point:
    case State::exponent:
    case State::sign:
      return number(c) ? Told::more : Told::bad;
    default:
      break;
  }
  if (is_space(c) && !(open_.empty() && state_ == State::value)) {
    if (state_ == State::zero || state_ == State::integer || state_ == State::fraction ||
        state_ == State::power) {
      state_ = State::after_value;
    }
    return Told::more;
  }
  switch (state_) {
    case State::value:
      return begin_value(c) ? Told::more : Told::bad;
    case State::first_value:
      if (c == ']') return close(c);
      return begin_value(c) ? Told::more : Told::bad;
    case State::first_key:
      if (c == '}') return close(c);
      [[fallthrough]];
    case State::key:
      if (c != '"') return Told::bad;
      key_ = true;
      state_ = State::string;
      return Told::more;
    case State::colon:
      if (c != ':') return Told::bad;
      state_ = State::value;
      return Told::more;
    default:  // after_value, or a number that has just ended
      if (c != ',') return c == '}' || c == ']' ? close(c) : Told::bad;
      state_ = open_.back() == '{' ? State::key : State::value;
      return Told::more;
  }
}

}  // namespace nautile
