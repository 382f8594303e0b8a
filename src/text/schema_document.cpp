#include "text/schema_document.h"

#include <algorithm>
#include <cctype>
#include <numeric>

#include "base/error.h"
#include "base/json.h"
#include "base/printable.h"
#include "text/schema_format.h"
#include "text/unicode.h"

namespace nautile {
namespace {

constexpr std::uint32_t kMaxCount = GrammarRules::kMaxCount;
constexpr std::uint64_t kMaxMultiple = 1'000'000;
constexpr std::size_t kMaxFitSteps = 2'000'000;
constexpr int kMaxFitDepth = 200;

[[noreturn]] void refuse(const SchemaPlace& place, ErrorKind kind, const std::string& reason) {
  fail(kind, "JSON schema: at \"{}\": {}", printable(place.pointer, 200), reason);
}

// What the value of a keyword has to be.
enum class Form : std::uint8_t {
  annotation,  // anything: not read
  schema,
  schemas,        // an array of them, not empty
  named_schemas,  // an object of them
  type,
  names,   // an array of strings
  values,  // an array
  value,
  count,
  number,
  text,
};

const std::map<std::string, Form, std::less<>>& forms() {
  static const std::map<std::string, Form, std::less<>> kForms = {
      {"title", Form::annotation},
      {"description", Form::annotation},
      {"default", Form::annotation},
      {"examples", Form::annotation},
      {"$schema", Form::annotation},
      {"$id", Form::annotation},
      {"$comment", Form::annotation},
      {"deprecated", Form::annotation},
      {"readOnly", Form::annotation},
      {"writeOnly", Form::annotation},
      {"$defs", Form::named_schemas},
      {"definitions", Form::named_schemas},
      {"$ref", Form::text},
      {"type", Form::type},
      {"enum", Form::values},
      {"const", Form::value},
      {"anyOf", Form::schemas},
      {"allOf", Form::schemas},
      {"properties", Form::named_schemas},
      {"required", Form::names},
      {"additionalProperties", Form::schema},
      {"items", Form::schema},
      {"prefixItems", Form::schemas},
      {"minItems", Form::count},
      {"maxItems", Form::count},
      {"pattern", Form::text},
      {"format", Form::text},
      {"minLength", Form::count},
      {"maxLength", Form::count},
      {"minimum", Form::number},
      {"maximum", Form::number},
      {"exclusiveMinimum", Form::number},
      {"exclusiveMaximum", Form::number},
      {"multipleOf", Form::number},
  };
  return kForms;
}

std::optional<std::uint8_t> type_of(const std::string& name) {
  static const std::map<std::string, std::uint8_t, std::less<>> kTypes = {
      {"null", kTypeNull},
      {"boolean", kTypeBoolean},
      {"object", kTypeObject},
      {"array", kTypeArray},
      {"string", kTypeString},
      {"integer", kTypeInteger},
      {"number", kTypeNumber | kTypeInteger}};
  const auto found = kTypes.find(name);
  return found == kTypes.end() ? std::nullopt : std::optional(found->second);
}

bool all_strings(const SchemaJson& value) {
  return value.is_array() &&
         std::all_of(value.begin(), value.end(), [](const auto& v) { return v.is_string(); });
}

bool is_schema(const SchemaJson& value) {
  return value.is_object() || value.is_boolean();
}

// What is wrong with a keyword's value; empty if nothing.
std::string complaint(Form form, const SchemaJson& value) {
  switch (form) {
    case Form::annotation:
    case Form::value:
      return "";
    case Form::schema:
      return is_schema(value) ? "" : "expected a schema";
    case Form::schemas:
      return value.is_array() && !value.empty() &&
                     std::all_of(value.begin(), value.end(), is_schema)
                 ? ""
                 : "expected schemas in an array that is not empty";
    case Form::named_schemas:
      return value.is_object() && std::all_of(value.begin(), value.end(), is_schema)
                 ? ""
                 : "expected an object of schemas";
    case Form::type: {
      const auto known = [](const SchemaJson& v) {
        return v.is_string() && type_of(v.get<std::string>());
      };
      const bool fine = value.is_array()
                            ? !value.empty() && std::all_of(value.begin(), value.end(), known)
                            : known(value);
      return fine ? "" : "expected a type's name, or several in an array";
    }
    case Form::names:
      return all_strings(value) ? "" : "expected an array of names";
    case Form::values:
      return value.is_array() ? "" : "expected an array of values";
    case Form::count: {
      const bool whole = value.is_number_unsigned() ||
                         (value.is_number_float() && value.get<double>() >= 0 &&
                          value.get<double>() <= kMaxCount && Decimal::of(value).is_integer());
      if (!whole) return "expected a count";
      return value.get<double>() <= kMaxCount
                 ? ""
                 : fmt::format("counts of more than {} are not supported", kMaxCount);
    }
    case Form::number:
      return value.is_number() ? "" : "expected a number";
    case Form::text:
      return value.is_string() ? "" : "expected a string";
  }
  return "";
}

// One step of a JSON pointer, with "~0", "~1" and %XX undone.
std::string unescaped(std::string_view step) {
  std::string text;
  for (std::size_t i = 0; i < step.size(); ++i) {
    const std::string_view rest = step.substr(i);
    if (rest.starts_with("~0") || rest.starts_with("~1")) {
      text += rest[1] == '0' ? '~' : '/';
      ++i;
    } else if (rest[0] == '%' && rest.size() >= 3 &&
               std::isxdigit(static_cast<unsigned char>(rest[1])) &&
               std::isxdigit(static_cast<unsigned char>(rest[2]))) {
      text += static_cast<char>(std::stoi(std::string(rest.substr(1, 2)), nullptr, 16));
      i += 2;
    } else {
      text += step[i];
    }
  }
  return text;
}

}  // namespace

SchemaPlace SchemaPlace::child(std::string_view keyword) const {
  return {&(*json)[std::string(keyword)], fmt::format("{}/{}", pointer, keyword)};
}

SchemaPlace SchemaPlace::child(std::string_view keyword, std::string_view name) const {
  std::string escaped;
  for (const char c : name) escaped += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  const SchemaPlace outer = child(keyword);
  return {&(*outer.json)[std::string(name)], outer.pointer + "/" + escaped};
}

SchemaPlace SchemaPlace::child(std::string_view keyword, std::size_t index) const {
  const SchemaPlace outer = child(keyword);
  return {&(*outer.json)[index], fmt::format("{}/{}", outer.pointer, index)};
}

SchemaDocument::SchemaDocument(std::string_view text)
    : root_(parse_ordered_json(text, "JSON schema", {.bytes = kMaxBytes, .values = 200'000})) {
  if (!is_schema(root_)) {
    fail(ErrorKind::bad_input, "JSON schema: expected an object, found {}", root_.type_name());
  }
}

void SchemaDocument::check(const SchemaPlace& place) {
  if (!place.json->is_object() || !checked_.emplace(place.json, true).second) return;
  for (const auto& [keyword, value] : place.json->items()) {
    const auto form = forms().find(keyword);
    if (form == forms().end()) {
      refuse(place, ErrorKind::unsupported,
             fmt::format("the keyword \"{}\" is not supported", printable(keyword)));
    }
    if (const std::string wrong = complaint(form->second, value); !wrong.empty()) {
      refuse(place.child(keyword), ErrorKind::bad_input, wrong);
    }
  }
  const SchemaJson& schema = *place.json;
  if (const auto format = schema.find("format");
      format != schema.end() && format_pattern(format->get<std::string>()).empty()) {
    refuse(place.child("format"), ErrorKind::unsupported,
           fmt::format("the format \"{}\" is not supported; these are: {}",
                       printable(format->get<std::string>()), known_formats()));
  }
  try {
    NumberRange range;
    narrow(schema, range);
    for (const std::string& pattern : patterns(schema)) regex(pattern);
  } catch (const Error& error) {
    refuse(place, error.kind(), error.message());
  }
  multiple(place, 1);
}

SchemaPlace SchemaDocument::target(const SchemaPlace& place) const {
  const auto& ref = (*place.json)["$ref"].get_ref<const std::string&>();
  const auto missing = [&](ErrorKind kind, const char* why) {
    refuse(place.child("$ref"), kind, fmt::format("\"{}\" {}", printable(ref), why));
  };
  if (!ref.starts_with('#')) missing(ErrorKind::unsupported, "leads out of this schema");
  SchemaPlace at = root();
  if (ref != "#" && !ref.starts_with("#/")) {
    missing(ErrorKind::unsupported, "is no JSON pointer; anchors are not supported");
  }
  for (std::size_t from = 2; from <= ref.size() && ref.size() > 1;) {
    const std::size_t to = std::min(ref.find('/', from), ref.size());
    const std::string step = unescaped(std::string_view(ref).substr(from, to - from));
    const SchemaJson* next = nullptr;
    if (at.json->is_object()) {
      if (const auto member = at.json->find(step); member != at.json->end()) next = &*member;
    } else if (at.json->is_array() && !step.empty() && step.size() < 9 &&
               step.find_first_not_of("0123456789") == step.npos) {
      const auto index = static_cast<std::size_t>(std::stoul(step));
      if (index < at.json->size()) next = &(*at.json)[index];
    }
    if (!next) missing(ErrorKind::bad_input, "leads nowhere");
    at = {next, at.pointer + "/" + std::string(ref.substr(from, to - from))};
    from = to + 1;
  }
  if (!is_schema(*at.json)) missing(ErrorKind::bad_input, "leads to what is no schema");
  return at;
}

std::uint8_t SchemaDocument::types(const SchemaJson& schema) {
  const auto type = schema.find("type");
  if (type == schema.end()) return kTypeAll;
  if (type->is_string()) return *type_of(type->get<std::string>());
  std::uint8_t all = 0;
  for (const auto& name : *type) all |= *type_of(name.get<std::string>());
  return all;
}

std::uint32_t SchemaDocument::count(const SchemaJson& schema, const char* keyword,
                                    std::uint32_t otherwise) {
  const auto found = schema.find(keyword);
  return found == schema.end() ? otherwise : static_cast<std::uint32_t>(found->get<double>());
}

void SchemaDocument::narrow(const SchemaJson& schema, NumberRange& range) {
  for (const auto& [keyword, value] : schema.items()) {
    if (keyword == "minimum") range.at_least({Decimal::of(value), false});
    if (keyword == "exclusiveMinimum") range.at_least({Decimal::of(value), true});
    if (keyword == "maximum") range.at_most({Decimal::of(value), false});
    if (keyword == "exclusiveMaximum") range.at_most({Decimal::of(value), true});
  }
}

std::uint64_t SchemaDocument::multiple(const SchemaPlace& place, std::uint64_t multiple) {
  const auto found = place.json->find("multipleOf");
  if (found == place.json->end()) return multiple;
  const bool small = found->get<double>() > 0 && found->get<double>() <= kMaxMultiple;
  if (!small || !Decimal::of(*found).is_integer()) {
    refuse(place.child("multipleOf"),
           found->get<double>() > 0 ? ErrorKind::unsupported : ErrorKind::bad_input,
           fmt::format("{}: integers from 1 to {} are supported", found->dump(), kMaxMultiple));
  }
  multiple = std::lcm(multiple, static_cast<std::uint64_t>(found->get<double>()));
  if (multiple > kMaxMultiple) {
    refuse(place.child("multipleOf"), ErrorKind::unsupported, "with others it is too large");
  }
  return multiple;
}

const Regex& SchemaDocument::regex(const std::string& pattern) {
  const auto known = regexes_.find(pattern);
  if (known != regexes_.end()) return known->second;
  return regexes_.emplace(pattern, Regex(pattern)).first->second;
}

std::vector<std::string> SchemaDocument::patterns(const SchemaJson& schema) {
  std::vector<std::string> result;
  if (const auto p = schema.find("pattern"); p != schema.end()) result.push_back(*p);
  if (const auto f = schema.find("format"); f != schema.end()) {
    result.emplace_back(format_pattern(f->get<std::string>()));
  }
  return result;
}

bool SchemaDocument::fits(const SchemaJson& value, const SchemaPlace& place, Listed listed) {
  return fits(value, place, 0, listed);
}

bool SchemaDocument::fits(const SchemaJson& value, const SchemaPlace& place, int depth,
                          Listed listed) {
  if (place.json->is_boolean()) return place.json->get<bool>();
  if (depth > kMaxFitDepth || ++steps_ > kMaxFitSteps) {
    refuse(place, ErrorKind::unsupported, "too much work to choose among the values of \"enum\"");
  }
  check(place);
  const SchemaJson& schema = *place.json;
  const auto has = [&](const char* keyword) { return schema.contains(keyword); };
  if (has("$ref") && !fits(value, target(place), depth + 1)) return false;
  if (has("const") && listed == Listed::unknown && schema["const"] != value) return false;
  if (has("enum") && listed == Listed::unknown) {
    const auto& values = schema["enum"];
    steps_ += values.size();
    if (std::find(values.begin(), values.end(), value) == values.end()) return false;
  }
  for (std::size_t i = 0; has("allOf") && i < schema["allOf"].size(); ++i) {
    if (!fits(value, place.child("allOf", i), depth + 1)) return false;
  }
  if (has("anyOf")) {
    bool any = false;
    for (std::size_t i = 0; !any && i < schema["anyOf"].size(); ++i) {
      any = fits(value, place.child("anyOf", i), depth + 1);
    }
    if (!any) return false;
  }
  std::uint8_t type = kTypeNull;
  if (value.is_boolean()) type = kTypeBoolean;
  if (value.is_object()) type = kTypeObject;
  if (value.is_array()) type = kTypeArray;
  if (value.is_string()) type = kTypeString;
  if (value.is_number()) type = Decimal::of(value).is_integer() ? kTypeInteger : kTypeNumber;
  if ((types(schema) & type) == 0) return false;
  if (value.is_number()) {
    NumberRange range;
    narrow(schema, range);
    if (!range.holds(Decimal::of(value))) return false;
    const std::uint64_t step = multiple(place, 1);
    if (step == 1) return true;
    const auto whole = Decimal::of(value).floor();
    return type == kTypeInteger && whole % static_cast<std::int64_t>(step) == 0;
  }
  if (value.is_string()) return fits_string(value.get_ref<const std::string&>(), schema);
  if (value.is_array()) return fits_array(value, place, depth);
  return !value.is_object() || fits_object(value, place, depth);
}

bool SchemaDocument::fits_string(const std::string& value, const SchemaJson& schema) {
  std::uint32_t length = 0;
  for (std::size_t at = 0; at < value.size(); ++length) {
    at += static_cast<std::size_t>(decode_rune(value.data() + at).length);
  }
  if (length < count(schema, "minLength", 0)) return false;
  if (length > count(schema, "maxLength", GrammarRules::kForever)) return false;
  for (const std::string& pattern : patterns(schema)) {
    if (!regex(pattern).dfa(Regex::Match::part).matches(value)) return false;
  }
  return true;
}

bool SchemaDocument::fits_array(const SchemaJson& value, const SchemaPlace& place, int depth) {
  const SchemaJson& schema = *place.json;
  if (value.size() < count(schema, "minItems", 0)) return false;
  if (value.size() > count(schema, "maxItems", GrammarRules::kForever)) return false;
  const std::size_t prefix = schema.contains("prefixItems") ? schema["prefixItems"].size() : 0;
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (i < prefix) {
      if (!fits(value[i], place.child("prefixItems", i), depth + 1)) return false;
    } else if (schema.contains("items")) {
      if (!fits(value[i], place.child("items"), depth + 1)) return false;
    }
  }
  return true;
}

bool SchemaDocument::fits_object(const SchemaJson& value, const SchemaPlace& place, int depth) {
  const SchemaJson& schema = *place.json;
  if (const auto required = schema.find("required"); required != schema.end()) {
    for (const auto& name : *required) {
      if (!value.contains(name.get_ref<const std::string&>())) return false;
    }
  }
  const auto properties = schema.find("properties");
  for (const auto& [name, member] : value.items()) {
    if (properties != schema.end() && properties->contains(name)) {
      if (!fits(member, place.child("properties", name), depth + 1)) return false;
    } else if (schema.contains("additionalProperties")) {
      if (!fits(member, place.child("additionalProperties"), depth + 1)) return false;
    }
  }
  return true;
}

}  // namespace nautile
