#include "text/grammar_number.h"

#include <algorithm>
#include <compare>
#include <string>

#include "text/char_dfa.h"

namespace nautile {
namespace {

constexpr std::size_t kIntegerDigits = 18;  // without a bound
constexpr std::size_t kExactDigits = 15;    // that doubles tell apart

using Wide = Decimal::Wide;

std::string digits_of(Wide value) {
  std::string text;
  do {
    text.insert(text.begin(), static_cast<char>('0' + static_cast<int>(value % 10)));
    value /= 10;
  } while (value > 0);
  return text;
}

// How the digits read so far compare with a bound's, and what that says when there are no more.
std::int8_t compare_next(std::int8_t so_far, const std::string& bound, std::size_t at, char digit) {
  if (so_far != 0) return so_far;
  const char other = at < bound.size() ? bound[at] : '0';
  return static_cast<std::int8_t>(digit < other ? -1 : digit > other ? 1 : 0);
}
std::int8_t compare_length(std::int8_t so_far, std::size_t count, std::size_t bound) {
  return count < bound ? std::int8_t{-1} : count > bound ? std::int8_t{1} : so_far;
}

// Magnitudes from low to high that are multiples.
CharDfa integers_between(const std::string& low, const std::string& high, std::uint64_t multiple) {
  struct State {
    std::uint8_t count = 0;
    std::int8_t versus_low = 0, versus_high = 0;
    bool zero = false;  // "0": nothing follows
    std::uint64_t rest = 0;
    auto operator<=>(const State&) const = default;
  };
  const auto step = [&](const State& s, char digit) -> std::optional<State> {
    if (s.zero || s.count >= high.size()) return std::nullopt;
    State next;
    next.count = static_cast<std::uint8_t>(s.count + 1);
    next.zero = s.count == 0 && digit == '0';
    next.versus_low = compare_next(s.versus_low, low, s.count, digit);
    if (next.count > low.size()) next.versus_low = 1;
    next.versus_high = compare_next(s.versus_high, high, s.count, digit);
    next.rest = (s.rest * 10 + static_cast<std::uint64_t>(digit - '0')) % multiple;
    return next;
  };
  const auto accepts = [&](const State& s) {
    return s.count > 0 && s.rest == 0 && compare_length(s.versus_low, s.count, low.size()) >= 0 &&
           compare_length(s.versus_high, s.count, high.size()) <= 0;
  };
  return CharDfa::explore(State{}, "0123456789", step, accepts,
                          multiple > 1 ? "multipleOf" : "the bounds of an integer");
}

// Magnitudes between two bounds; no high: no end.
CharDfa decimals_between(const NumberBound& low, const std::optional<NumberBound>& high) {
  enum class Phase : std::uint8_t { start, zero, whole, point, fraction };
  struct State {
    Phase phase = Phase::start;
    std::uint16_t count = 0;  // of digits in this phase
    std::int8_t versus_low = 0, versus_high = 0;
    std::uint8_t significant = 0;
    auto operator<=>(const State&) const = default;
  };
  const Decimal none;
  const Decimal& upper = high ? high->value : none;
  const std::size_t most_whole =
      high ? upper.whole.size() : std::max(kExactDigits, low.value.whole.size());
  const std::size_t most_fraction =
      std::max({kExactDigits, low.value.fraction.size(), upper.fraction.size()});

  const auto whole_done = [&](State& s) {
    s.versus_low = compare_length(s.versus_low, s.count, low.value.whole.size());
    s.versus_high =
        high ? compare_length(s.versus_high, s.count, upper.whole.size()) : std::int8_t{-1};
    s.count = 0;
  };
  const auto step = [&](const State& s, char c) -> std::optional<State> {
    State next = s;
    if (c == '.') {
      if (s.phase != Phase::whole && s.phase != Phase::zero) return std::nullopt;
      whole_done(next);
      next.phase = Phase::point;
      return next;
    }
    if (s.phase == Phase::zero) return std::nullopt;
    const bool in_whole = s.phase == Phase::start || s.phase == Phase::whole;
    if (s.count >= (in_whole ? most_whole : most_fraction)) return std::nullopt;
    if (s.significant > 0 || c != '0') {
      if (s.significant >= kExactDigits && !(in_whole && c == '0')) return std::nullopt;
      if (s.significant < kExactDigits) ++next.significant;
    }
    const std::string& low_digits = in_whole ? low.value.whole : low.value.fraction;
    const std::string& high_digits = in_whole ? upper.whole : upper.fraction;
    next.versus_low = compare_next(s.versus_low, low_digits, s.count, c);
    if (high) next.versus_high = compare_next(s.versus_high, high_digits, s.count, c);
    ++next.count;
    next.phase = !in_whole                             ? Phase::fraction
                 : s.phase == Phase::start && c == '0' ? Phase::zero
                                                       : Phase::whole;
    return next;
  };
  const auto accepts = [&](State s) {
    if (s.phase == Phase::start || s.phase == Phase::point) return false;
    if (s.phase != Phase::fraction) whole_done(s);
    // What the bound has beyond these digits is not zero.
    if (s.versus_low == 0 && s.count < low.value.fraction.size()) s.versus_low = -1;
    if (s.versus_high == 0 && s.count < upper.fraction.size()) s.versus_high = -1;
    return s.versus_low >= (low.exclusive ? 1 : 0) &&
           (!high || s.versus_high <= (high->exclusive ? -1 : 0));
  };
  return CharDfa::explore(State{}, "0123456789.", step, accepts, "the bounds of a number");
}

ExprId add_dfa(GrammarRules& rules, const CharDfa& dfa) {
  return dfa.add_to(rules, [&](const CharSet& set) { return rules.chars(set); });
}

}  // namespace

void NumberRange::at_least(const NumberBound& bound) {
  if (!low || bound.value > low->value || (bound.value == low->value && bound.exclusive)) {
    low = bound;
  }
}

void NumberRange::at_most(const NumberBound& bound) {
  if (!high || bound.value < high->value || (bound.value == high->value && bound.exclusive)) {
    high = bound;
  }
}

bool NumberRange::holds(const Decimal& value) const {
  if (low && (value < low->value || (low->exclusive && value == low->value))) return false;
  return !high || value < high->value || (!high->exclusive && value == high->value);
}

ExprId bounded_integer(GrammarRules& rules, const NumberRange& range, std::uint64_t multiple) {
  Wide most = 1;
  for (std::size_t i = 0; i < kIntegerDigits; ++i) most *= 10;
  --most;
  Wide low = -most, high = most;
  if (range.low) {
    low = range.low->value.ceiling();
    if (range.low->exclusive && range.low->value.is_integer()) ++low;
    high = std::max(high, low);
  }
  if (range.high) {
    high = range.high->value.floor();
    if (range.high->exclusive && range.high->value.is_integer()) --high;
    if (!range.low) low = std::min(low, high);
  }
  std::vector<ExprId> ways;
  if (high >= 0 && low <= high) {
    const CharDfa dfa =
        integers_between(digits_of(std::max<Wide>(low, 0)), digits_of(high), multiple);
    ways.push_back(add_dfa(rules, dfa));
  }
  if (low < 0 && low <= high) {
    const CharDfa dfa =
        integers_between(digits_of(-std::min<Wide>(high, -1)), digits_of(-low), multiple);
    ways.push_back(rules.seq({rules.literal("-"), add_dfa(rules, dfa)}));
  }
  return rules.alt(ways);
}

ExprId bounded_number(GrammarRules& rules, const NumberRange& range) {
  std::vector<ExprId> ways;
  const auto side = [&](const std::optional<NumberBound>& low,
                        const std::optional<NumberBound>& high, const char* sign) {
    // From zero on, if the lower bound is below it.
    NumberBound from;
    if (low && !low->value.negative) from = *low;
    if (high && (high->value.negative || high->value < from.value)) return;
    ways.push_back(rules.seq({rules.literal(sign), add_dfa(rules, decimals_between(from, high))}));
  };
  side(range.low, range.high, "");
  std::optional<NumberBound> low, high;
  if (range.high) low = NumberBound{range.high->value.negated(), range.high->exclusive};
  if (range.low) high = NumberBound{range.low->value.negated(), range.low->exclusive};
  if (!range.low || range.low->value.negative) side(low, high, "-");
  for (const auto& bound : {range.low, range.high}) {
    if (!bound || bound->exclusive || bound->value.significant_digits() <= kExactDigits) continue;
    if (!range.holds(bound->value)) continue;
    const Decimal& value = bound->value;
    ways.push_back(rules.literal((value.negative ? "-" : "") + value.whole +
                                 (value.fraction.empty() ? "" : "." + value.fraction)));
  }
  return rules.alt(ways);
}

}  // namespace nautile
