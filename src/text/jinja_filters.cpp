// jinja_filters.cpp — filters of strings and numbers, and the table of all filters.
#include "text/jinja_filters.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>

#include "text/jinja_chars.h"
#include "text/jinja_format.h"
#include "text/jinja_json.h"
#include "text/jinja_methods.h"
#include "text/jinja_ops.h"
#include "text/jinja_text_tools.h"

namespace nautile::jinja {
namespace {

// The filters that apply soft_str first keep Markup and turn everything else into text.
Value soft(Machine& machine, const Value& value) {
  return value.is(Kind::string) ? value : machine.string(to_text(machine, value));
}

Value with_text(Machine& machine, const Value& like, Text text) {
  return machine.string(std::move(text), like.string().markup);
}

template <Text (*Map)(Machine&, const Text&)>
Value mapped(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound none(machine, "filter", arguments, {}, 0);
  const Value text = soft(machine, subject);
  return with_text(machine, text, Map(machine, text.text()));
}

Value filter_trim(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound bound(machine, "trim", arguments, {"chars"}, 0);
  const Value text = soft(machine, subject);
  return with_text(machine, text,
                   strip(machine, text.text(), Strip::both, bound.get(0, Value::none())));
}

// jinja2's own idea of title case: words begin after white space and ( { [ < -.
Value filter_title(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound none(machine, "title", arguments, {}, 0);
  const Value text = soft(machine, subject);
  const Text& source = text.text();
  const auto separates = [](std::uint32_t code) {
    return is_space(code) || code == '-' || code == '(' || code == '{' || code == '[' ||
           code == '<';
  };
  Text out;
  for (std::size_t at = 0; at < source.size();) {
    std::size_t end = at;
    const bool separator = separates(code_point(source.view(), at).code);
    while (end < source.size() && separates(code_point(source.view(), end).code) == separator) {
      end += char_bytes(source.bytes()[end]);
    }
    if (separator) {
      out.append(source, at, end);
    } else {
      const std::size_t first = at + char_bytes(source.bytes()[at]);
      out.append(upper(machine, source.slice(at, first)));
      out.append(lower(machine, source.slice(first, end)));
    }
    at = end;
  }
  return with_text(machine, text, std::move(out));
}

Value filter_string(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound none(machine, "string", arguments, {}, 0);
  return soft(machine, subject);
}

Value filter_safe(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound none(machine, "safe", arguments, {}, 0);
  return machine.string(to_text(machine, subject), true);
}

Value filter_escape(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound none(machine, "escape", arguments, {}, 0);
  return machine.string(escape_html(machine, subject), true);
}

Value filter_forceescape(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound none(machine, "forceescape", arguments, {}, 0);
  return machine.string(escape_html(machine, machine.string(to_text(machine, subject))), true);
}

Value filter_replace(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound bound(machine, "replace", arguments, {"old", "new", "count"}, 2);
  const std::int64_t count = bound.get(2, Value::none()).is(Kind::none) ? -1 : bound.integer(2, -1);
  return machine.string(replace(machine, to_text(machine, subject), to_text(machine, bound[0]),
                                to_text(machine, bound[1]), count));
}

Value filter_format(Machine& machine, const Value& subject, const Arguments& arguments) {
  if (!arguments.positional.empty() && !arguments.named.empty()) {
    machine.fail("format takes positional or named arguments, not both");
  }
  const Value text = soft(machine, subject);
  if (arguments.named.empty())
    return percent_format(machine, text, machine.tuple(arguments.positional));
  DictObject* dict = machine.new_dict();
  for (const auto& [name, value] : arguments.named) machine.put(*dict, machine.string(name), value);
  return percent_format(machine, text, Value::of(Kind::dict, dict));
}

Value filter_indent(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound bound(machine, "indent", arguments, {"width", "first", "blank"}, 0);
  if (!subject.is(Kind::string)) {
    require_defined(machine, subject);
    machine.fail("indent expects a string, found '{}'", type_name(subject));
  }
  Text indention;
  if (bound.has(0) && bound[0].is(Kind::string)) {
    indention = bound[0].text();
  } else {
    const std::int64_t width = std::clamp<std::int64_t>(bound.integer(0, 4), 0, 1 << 20);
    indention = Text(std::string(static_cast<std::size_t>(width), ' '));
  }
  Text source = subject.text();
  source.append("\n", Origin::format);  // so that a text without lines has one
  Text out;
  if (bound.flag(1)) out.append(indention);
  bool first = true;
  for (const Text& line : split_lines(machine, source)) {
    machine.charge(line.size() + indention.size() + 1);
    if (!first) out.append("\n", Origin::format);
    if (!first && (bound.flag(2) || !line.empty())) out.append(indention);
    out.append(line);
    first = false;
  }
  return with_text(machine, subject, std::move(out));
}

Value filter_center(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound bound(machine, "center", arguments, {"width"}, 0);
  const Value text = soft(machine, subject);
  const std::int64_t width = std::min(bound.integer(0, 80), std::int64_t{1} << 40);
  return with_text(machine, text, center(machine, text.text(), width));
}

Value filter_truncate(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound bound(machine, "truncate", arguments, {"length", "killwords", "end", "leeway"}, 0);
  const Text end = bound.has(2) ? bound.text(2) : Text("...");
  const auto end_chars = static_cast<std::int64_t>(count_chars(end.view()));
  const std::int64_t limit = bound.integer(0, 255);
  const std::int64_t leeway = bound.get(3, Value::none()).is(Kind::none) ? 5 : bound.integer(3, 5);
  if (limit < end_chars)
    machine.fail("truncate: expected a length of at least {}, found {}", end_chars, limit);
  if (leeway < 0) machine.fail("truncate: expected a leeway of at least 0, found {}", leeway);
  if (static_cast<std::int64_t>(length(machine, subject)) - leeway <= limit) return subject;
  if (!subject.is(Kind::string)) machine.fail("truncate expects a string");
  Text out =
      substring(machine, subject.string(), 0, static_cast<std::size_t>(limit - end_chars)).text();
  if (!bound.flag(1)) {
    const std::size_t space = out.bytes().rfind(' ');
    if (space != std::string::npos) out = out.slice(0, space);
  }
  out.append(end);
  return machine.string(std::move(out), subject.string().markup);
}

Value filter_wordcount(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound none(machine, "wordcount", arguments, {}, 0);
  const Text text = to_text(machine, subject);
  machine.scan(text.size() * 4);
  std::int64_t words = 0;
  bool inside = false;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = code_point(text.view(), at);
    const bool part = is_alnum(c.code) || c.code == '_';
    words += part && !inside ? 1 : 0;
    inside = part;
    at += c.bytes;
  }
  return Value::of(words);
}

// int("…") and float("…") as Python reads them: white space around, underscores between digits.
std::optional<std::string> clean_number(const Text& text) {
  std::string_view view = text.view();
  while (!view.empty() && is_space(static_cast<unsigned char>(view.front()))) view.remove_prefix(1);
  while (!view.empty() && is_space(static_cast<unsigned char>(view.back()))) view.remove_suffix(1);
  std::string out;
  for (std::size_t i = 0; i < view.size(); ++i) {
    if (view[i] != '_') {
      out += view[i];
      continue;
    }
    const auto alnum = [&](std::size_t j) {
      return j < view.size() && is_alnum(static_cast<unsigned char>(view[j]));
    };
    if (i == 0 || !alnum(i - 1) || !alnum(i + 1)) return std::nullopt;
  }
  if (out.empty() || out.size() > 400) return std::nullopt;
  return out;
}

std::optional<std::int64_t> read_int(Machine& machine, const Text& text, std::int64_t base) {
  std::optional<std::string> clean = clean_number(text);
  if (!clean) return std::nullopt;
  std::string_view view = *clean;
  const bool negative = view.front() == '-';
  if (negative || view.front() == '+') view.remove_prefix(1);
  if (view.size() > 2 && view[0] == '0') {
    const char prefix = static_cast<char>(view[1] | 0x20);
    const int implied = prefix == 'x' ? 16 : prefix == 'o' ? 8 : prefix == 'b' ? 2 : 0;
    if (implied != 0 && (base == implied || base == 0)) {
      base = implied;
      view.remove_prefix(2);
    }
  }
  if (base == 0) base = 10;
  if (base < 2 || base > 36) return std::nullopt;
  std::uint64_t magnitude = 0;
  const auto parsed =
      std::from_chars(view.data(), view.data() + view.size(), magnitude, static_cast<int>(base));
  if (view.empty() || parsed.ptr != view.data() + view.size()) return std::nullopt;
  if (parsed.ec != std::errc() || magnitude > (std::uint64_t{1} << 63) - 1) {
    machine.unsupported("integer {} does not fit in 64 bits", *clean);
  }
  const auto value = static_cast<std::int64_t>(magnitude);
  return negative ? -value : value;
}

std::optional<double> read_real(const Text& text) {
  const std::optional<std::string> clean = clean_number(text);
  if (!clean) return std::nullopt;
  // strtod also reads hexadecimal and "nan(...)", Python does not.
  for (const char c : *clean) {
    if (c == 'x' || c == 'X' || c == '(' || c == 'p') return std::nullopt;
  }
  char* end = nullptr;
  const double value = std::strtod(clean->c_str(), &end);
  return end == clean->c_str() + clean->size() ? std::optional(value) : std::nullopt;
}

std::optional<std::int64_t> real_to_int(Machine& machine, double value) {
  if (std::isnan(value) || std::isinf(value)) return std::nullopt;
  if (std::abs(value) >= 9.2e18) machine.unsupported("integer {} does not fit in 64 bits", value);
  return static_cast<std::int64_t>(value);
}

Value filter_int(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound bound(machine, "int", arguments, {"default", "base"}, 0);
  const Value otherwise = bound.get(0, Value::of(std::int64_t{0}));
  std::optional<std::int64_t> result;
  require_defined(machine, subject);
  if (subject.is_int()) return Value::of(subject.as_int());
  if (subject.is(Kind::real)) {
    if (std::isinf(subject.real)) machine.fail("cannot convert float infinity to integer");
    result = real_to_int(machine, subject.real);
  } else if (subject.is(Kind::string)) {
    result = read_int(machine, subject.text(), bound.integer(1, 10));
    if (!result) {
      const std::optional<double> real = read_real(subject.text());
      if (real) result = real_to_int(machine, *real);
    }
  }
  return result ? Value::of(*result) : otherwise;
}

Value filter_float(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound bound(machine, "float", arguments, {"default"}, 0);
  require_defined(machine, subject);
  if (subject.is_number()) return Value::of(subject.as_real());
  if (subject.is(Kind::string)) {
    const std::optional<double> real = read_real(subject.text());
    if (real) return Value::of(*real);
  }
  return bound.get(0, Value::of(0.0));
}

Value filter_abs(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound none(machine, "abs", arguments, {}, 0);
  if (subject.is(Kind::real)) return Value::of(std::abs(subject.real));
  if (subject.is_int() && subject.as_int() >= 0) return Value::of(subject.as_int());
  return negate(machine, subject);
}

// round(x, n) of a float: correctly rounded decimal, ties to even on the exact binary value.
double round_real(double value, std::int64_t precision) {
  if (std::isnan(value) || std::isinf(value) || precision > 323) return value;
  if (precision < -308) return std::copysign(0.0, value);
  if (precision >= 0) {
    char buffer[800];
    std::snprintf(buffer, sizeof buffer, "%.*f", static_cast<int>(precision), value);
    return std::strtod(buffer, nullptr);
  }
  const double scale = std::pow(10.0, static_cast<double>(-precision));
  return std::nearbyint(value / scale) * scale;
}

std::int64_t round_int(std::int64_t value, std::int64_t precision) {
  if (precision >= 0) return value;
  if (precision < -18) return 0;
  std::int64_t scale = 1;
  for (std::int64_t i = 0; i > precision; --i) scale *= 10;
  const std::int64_t floor = value / scale - (value % scale < 0 ? 1 : 0);
  const std::int64_t rest = value - floor * scale;
  const bool up = rest > scale - rest || (rest == scale - rest && (floor & 1) != 0);
  return (floor + (up ? 1 : 0)) * scale;
}

Value filter_round(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound bound(machine, "round", arguments, {"precision", "method"}, 0);
  const std::string method = bound.has(1) ? to_text(machine, bound[1]).bytes() : "common";
  if (method != "common" && method != "ceil" && method != "floor") {
    machine.fail("round: method must be common, ceil or floor");
  }
  require_defined(machine, subject);
  if (!subject.is_number()) machine.fail("round expects a number, found '{}'", type_name(subject));
  const std::int64_t precision = bound.integer(0, 0);
  if (method == "common") {
    if (subject.is_int()) return Value::of(round_int(subject.as_int(), precision));
    return Value::of(round_real(subject.real, precision));
  }
  const double scale = std::pow(10.0, static_cast<double>(precision));
  const double scaled = subject.as_real() * scale;
  if (std::isnan(scaled) || std::isinf(scaled)) machine.fail("cannot round {}", scaled);
  return Value::of((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

Value filter_default(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound bound(machine, "default", arguments, {"default_value", "boolean"}, 0);
  const bool replaced = subject.is(Kind::undefined) || (bound.flag(1) && !truthy(subject));
  if (!replaced) return subject;
  return bound.has(0) ? bound[0] : machine.string(Text());
}

Value filter_length(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound none(machine, "length", arguments, {}, 0);
  return Value::of(length(machine, subject));
}

Value filter_attr(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound bound(machine, "attr", arguments, {"name"}, 1);
  const std::string& name = bound.text(0).bytes();
  // Unlike `.`, never falls back to an item.
  if (subject.is(Kind::dict)) {
    bool found = false;
    const Value method = find_method(machine, subject, name, found);
    return found ? method : machine.undefined("'dict' object has no attribute '" + name + "'");
  }
  return get_attribute(machine, subject, name);
}

Value filter_tojson(Machine& machine, const Value& subject, const Arguments& arguments) {
  // Hugging Face's filter, which is json.dumps and not jinja2's own, HTML-safe one.
  const Bound bound(machine, "tojson", arguments,
                    {"ensure_ascii", "indent", "separators", "sort_keys"}, 0);
  JsonStyle style;
  style.ascii = bound.flag(0);
  style.sort_keys = bound.flag(3);
  if (bound.has(1) && !bound[1].is(Kind::none)) {
    style.pretty = true;
    style.item_separator = ",";
    if (bound[1].is(Kind::string)) {
      style.indent = bound[1].text().bytes();
    } else {
      style.indent.assign(
          static_cast<std::size_t>(std::clamp<std::int64_t>(bound.integer(1, 0), 0, 1 << 16)), ' ');
    }
  }
  if (bound.has(2) && !bound[2].is(Kind::none)) {
    const std::vector<Value> separators = to_items(machine, bound[2]);
    if (separators.size() != 2 || !separators[0].is(Kind::string) ||
        !separators[1].is(Kind::string)) {
      machine.fail("tojson: separators must be two strings");
    }
    style.item_separator = separators[0].text().bytes();
    style.key_separator = separators[1].text().bytes();
  }
  return machine.string(to_json(machine, subject, style));
}

Value filter_urlencode(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound none(machine, "urlencode", arguments, {}, 0);
  if (subject.is(Kind::dict) || subject.is_sequence())
    machine.unsupported("urlencode of a container");
  const Text text = to_text(machine, subject);
  machine.charge(text.size() * 3);
  Text out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text.bytes()[i];
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte < 0x80 && (is_alnum(byte) ||
                                       std::string_view("_.-~/").find(c) != std::string_view::npos);
    out.append(plain ? std::string(1, c) : fmt::format("%{:02X}", byte), text.origin_at(i));
  }
  return machine.string(std::move(out));
}

Filter scalar_filter(const std::string& name) {
  static const std::map<std::string, Filter, std::less<>> kFilters = {
      {"abs", filter_abs},
      {"attr", filter_attr},
      {"capitalize", mapped<capitalize>},
      {"center", filter_center},
      {"count", filter_length},
      {"d", filter_default},
      {"default", filter_default},
      {"e", filter_escape},
      {"escape", filter_escape},
      {"float", filter_float},
      {"forceescape", filter_forceescape},
      {"format", filter_format},
      {"indent", filter_indent},
      {"int", filter_int},
      {"length", filter_length},
      {"lower", mapped<lower>},
      {"replace", filter_replace},
      {"round", filter_round},
      {"safe", filter_safe},
      {"string", filter_string},
      {"title", filter_title},
      {"tojson", filter_tojson},
      {"trim", filter_trim},
      {"truncate", filter_truncate},
      {"upper", mapped<upper>},
      {"urlencode", filter_urlencode},
      {"wordcount", filter_wordcount},
  };
  const auto it = kFilters.find(name);
  return it == kFilters.end() ? nullptr : it->second;
}

// jinja2 has them; prompts do not use them.
bool is_foreign_filter(const std::string& name) {
  for (const char* foreign :
       {"filesizeformat", "pprint", "random", "striptags", "urlize", "wordwrap", "xmlattr"}) {
    if (name == foreign) return true;
  }
  return false;
}

}  // namespace

bool is_filter(const std::string& name) {
  return scalar_filter(name) != nullptr || sequence_filter(name) != nullptr ||
         is_foreign_filter(name);
}

Value run_filter(Machine& machine, const std::string& name, const Value& subject,
                 const Arguments& arguments) {
  machine.step();
  Filter filter = scalar_filter(name);
  if (filter == nullptr) filter = sequence_filter(name);
  if (filter != nullptr) return filter(machine, subject, arguments);
  if (is_foreign_filter(name)) machine.unsupported("filter '{}'", name);
  machine.fail("no filter named '{}'", name);
}

}  // namespace nautile::jinja
