// shape.cpp — one walk that checks, one that writes the schema.
#include "server/shape.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "base/printable.h"
#include "server/api_error.h"

namespace nautile::server {

struct Shape::Node {
  Kind kind = Kind::anything;
  std::size_t least = 0, most = kAnyLength;  // bytes, items or members
  std::int64_t least_whole = 0, most_whole = 0;
  double least_number = 0, most_number = 0;
  std::vector<std::string> words;
  std::vector<Field> fields;
  std::vector<Shape> parts;  // the item; the alternatives
  std::string tag;
  std::string description;
};

// Where a walk is: a name or an index below another place. Its text is made for errors alone.
struct Shape::Step {
  const Step* above = nullptr;
  std::string_view name = {};  // empty: `index` counts, or at the top nothing
  std::size_t index = 0;

  std::string text() const {
    if (above == nullptr) return std::string(name);
    return name.empty() ? path_join(above->text(), index)
                        : path_join(above->text(), printable(name, 60));
  }
};

std::shared_ptr<Shape::Node> Shape::make(Kind kind) {
  auto node = std::make_shared<Node>();
  node->kind = kind;
  return node;
}

Shape Shape::text(std::size_t least, std::size_t most) {
  auto node = make(Kind::text);
  node->least = least;
  node->most = most;
  return Shape(std::move(node));
}

Shape Shape::words(std::vector<std::string> words) {
  auto node = make(Kind::words);
  node->words = std::move(words);
  return Shape(std::move(node));
}

Shape Shape::integer(std::int64_t least, std::int64_t most) {
  auto node = make(Kind::integer);
  node->least_whole = least;
  node->most_whole = most;
  return Shape(std::move(node));
}

Shape Shape::number(double least, double most) {
  auto node = make(Kind::number);
  node->least_number = least;
  node->most_number = most;
  return Shape(std::move(node));
}

Shape Shape::boolean() {
  return Shape(make(Kind::boolean));
}

Shape Shape::list(Shape item, std::size_t least, std::size_t most) {
  auto node = make(Kind::list);
  node->parts = {std::move(item)};
  node->least = least;
  node->most = most;
  return Shape(std::move(node));
}

Shape Shape::object(std::vector<Field> fields) {
  auto node = make(Kind::object);
  node->fields = std::move(fields);
  return Shape(std::move(node));
}

Shape Shape::map(Shape value, std::size_t most) {
  auto node = make(Kind::map);
  node->parts = {std::move(value)};
  node->most = most;
  return Shape(std::move(node));
}

Shape Shape::any_object() {
  return object({});
}

Shape Shape::anything() {
  return Shape(make(Kind::anything));
}

Shape Shape::null() {
  return Shape(make(Kind::null));
}

Shape Shape::either(std::vector<Shape> alternatives) {
  auto node = make(Kind::either);
  node->parts = std::move(alternatives);
  return Shape(std::move(node));
}

Shape Shape::tagged(std::string tag, std::vector<Shape> alternatives) {
  auto node = make(Kind::tagged);
  node->tag = std::move(tag);
  node->parts = std::move(alternatives);
  return Shape(std::move(node));
}

Shape Shape::says(std::string description) const {
  auto node = std::make_shared<Node>(*node_);
  node->description = std::move(description);
  return Shape(std::move(node));
}

const Json* member(const Json& object, std::string_view name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string path_join(const std::string& path, std::size_t index) {
  return fmt::format("{}[{}]", path, index);
}

std::string path_join(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : fmt::format("{}.{}", path, name);
}

namespace {

std::string found_text(const Json& value) {
  switch (value.type()) {
    case Json::value_t::object:
      return "an object";
    case Json::value_t::array:
      return fmt::format("a list of {}", value.size());
    case Json::value_t::null:
      return "null";
    case Json::value_t::string:
      return fmt::format("the string \"{}\"", printable(value.get_ref<const std::string&>(), 60));
    default:
      return printable(value.dump(), 60);
  }
}

bool is_whole(const Json& value) {
  if (value.is_number_integer()) return true;
  if (!value.is_number_float()) return false;
  const double number = value.get<double>();
  return std::isfinite(number) && number == std::floor(number);
}

std::string count_text(std::size_t least, std::size_t most, const char* unit) {
  if (most == Shape::kAnyLength) {
    return least == 0 ? "" : fmt::format(" of at least {} {}", least, unit);
  }
  return least == 0 ? fmt::format(" of at most {} {}", most, unit)
                    : fmt::format(" of {} to {} {}", least, most, unit);
}

}  // namespace

std::string Shape::expected() const {
  const Node& node = *node_;
  switch (node.kind) {
    case Kind::text:
      return "a string" + count_text(node.least, node.most, "bytes");
    case Kind::words:
      if (node.words.size() == 1) return fmt::format("\"{}\"", node.words[0]);
      return fmt::format("one of \"{}\"", fmt::join(node.words, "\", \""));
    case Kind::integer:
      return fmt::format("an integer from {} to {}", node.least_whole, node.most_whole);
    case Kind::number:
      return fmt::format("a number from {:g} to {:g}", node.least_number, node.most_number);
    case Kind::boolean:
      return "true or false";
    case Kind::list:
      return "a list" + count_text(node.least, node.most, "items");
    case Kind::map:
      return "an object" + count_text(0, node.most, "members");
    case Kind::object:
    case Kind::tagged:
      return "an object";
    case Kind::null:
      return "null";
    case Kind::anything:
      return "any value";
    case Kind::either:
      break;
  }
  std::string text;
  for (const Shape& part : node.parts) text += (text.empty() ? "" : " or ") + part.expected();
  return text;
}

bool Shape::has_type_of(const Json& value) const {
  switch (node_->kind) {
    case Kind::text:
    case Kind::words:
      return value.is_string();
    case Kind::integer:
    case Kind::number:
      return value.is_number();
    case Kind::boolean:
      return value.is_boolean();
    case Kind::list:
      return value.is_array();
    case Kind::object:
    case Kind::map:
    case Kind::tagged:
      return value.is_object();
    case Kind::null:
      return value.is_null();
    case Kind::anything:
      return true;
    case Kind::either:
      return std::any_of(node_->parts.begin(), node_->parts.end(),
                         [&](const Shape& part) { return part.has_type_of(value); });
  }
  return false;
}

void Shape::refuse(const Json& value, const Step& step, const char* code) const {
  const std::string path = step.text();
  throw field_error(path, code,
                    fmt::format("{}{}expected {}, found {}", path, path.empty() ? "" : ": ",
                                expected(), found_text(value)));
}

void Shape::check(const Json& value, const std::string& path) const {
  walk(value, {nullptr, path});
}

void Shape::walk(const Json& value, const Step& step) const {
  const Node& node = *node_;
  if (node.kind == Kind::either) return walk_either(value, step);
  if (!has_type_of(value)) refuse(value, step, "invalid_type");
  const auto hold = [&](bool fits) {
    if (!fits) refuse(value, step, "invalid_value");
  };
  switch (node.kind) {
    case Kind::text: {
      const std::size_t size = value.get_ref<const std::string&>().size();
      return hold(size >= node.least && size <= node.most);
    }
    case Kind::words:
      return hold(std::find(node.words.begin(), node.words.end(),
                            value.get_ref<const std::string&>()) != node.words.end());
    case Kind::integer: {
      if (!is_whole(value)) refuse(value, step, "invalid_type");
      // 2^63 and more: no int64 holds them.
      if (value.is_number_unsigned()) {
        hold(value.get<std::uint64_t>() <= static_cast<std::uint64_t>(INT64_MAX));
      }
      if (value.is_number_float()) hold(std::abs(value.get<double>()) < 9e15);
      const auto number = value.get<std::int64_t>();
      return hold(number >= node.least_whole && number <= node.most_whole);
    }
    case Kind::number: {
      const double number = value.get<double>();
      return hold(number >= node.least_number && number <= node.most_number);
    }
    case Kind::list:
      hold(value.size() >= node.least && value.size() <= node.most);
      for (std::size_t i = 0; i < value.size(); ++i) node.parts[0].walk(value[i], {&step, {}, i});
      return;
    case Kind::map:
      hold(value.size() <= node.most);
      for (const auto& [name, item] : value.items()) node.parts[0].walk(item, {&step, name});
      return;
    case Kind::object:
      return walk_object(value, step);
    case Kind::tagged:
      return walk_tagged(value, step);
    default:
      return;
  }
}

namespace {

[[noreturn]] void refuse_absence(const std::string& path, const Shape& shape) {
  throw field_error(path, "missing_required_parameter",
                    fmt::format("{}: expected {}, found nothing", path, shape.expected()));
}

}  // namespace

void Shape::walk_object(const Json& value, const Step& step) const {
  for (const Field& field : node_->fields) {
    const Step below{&step, field.name};
    const auto found = value.find(field.name);
    if (found == value.end()) {
      if (field.need == Field::Need::required) refuse_absence(below.text(), field.shape);
      continue;
    }
    if (found->is_null() && field.need == Field::Need::optional) continue;
    if (field.effect == Field::Effect::some) field.shape.walk(*found, below);
  }
}

void Shape::walk_either(const Json& value, const Step& step) const {
  std::vector<const Shape*> fitting;
  for (const Shape& part : node_->parts) {
    if (part.has_type_of(value)) fitting.push_back(&part);
  }
  if (fitting.empty()) refuse(value, step, "invalid_type");
  std::optional<ApiError> furthest;  // of the alternative that fits the longest
  for (const Shape* part : fitting) {
    try {
      return part->walk(value, step);
    } catch (const ApiError& error) {
      const auto place = [](const ApiError& at) { return std::pair(at.param.size(), at.param); };
      if (!furthest || place(error) > place(*furthest)) furthest = error;
    }
  }
  throw *furthest;
}

void Shape::walk_tagged(const Json& value, const Step& step) const {
  const Step below{&step, node_->tag};
  std::vector<std::string> known;
  const auto found = value.find(node_->tag);
  for (const Shape& part : node_->parts) {
    for (const Field& field : part.node_->fields) {
      if (field.name != node_->tag) continue;
      for (const std::string& word : field.shape.node_->words) {
        if (found != value.end() && *found == word) return part.walk(value, step);
        known.push_back(word);
      }
    }
  }
  const Shape tag = words(known);
  if (found == value.end()) refuse_absence(below.text(), tag);
  tag.walk(*found, below);
}

Json Shape::schema() const {
  const Node& node = *node_;
  Json schema = Json::object();
  if (!node.description.empty()) schema["description"] = node.description;
  const auto alternatives = [&](const char* keyword) {
    schema[keyword] = Json::array();
    for (const Shape& part : node.parts) schema[keyword].push_back(part.schema());
  };
  switch (node.kind) {
    case Kind::text:
      schema["type"] = "string";
      if (node.least > 0) schema["minLength"] = 1;
      if (node.most != kAnyLength) schema["maxLength"] = node.most;
      break;
    case Kind::words:
      schema["type"] = "string";
      schema["enum"] = node.words;
      break;
    case Kind::integer:
      schema["type"] = "integer";
      schema["minimum"] = node.least_whole;
      schema["maximum"] = node.most_whole;
      break;
    case Kind::number:
      schema["type"] = "number";
      schema["minimum"] = node.least_number;
      schema["maximum"] = node.most_number;
      break;
    case Kind::boolean:
      schema["type"] = "boolean";
      break;
    case Kind::null:
      schema["type"] = "null";
      break;
    case Kind::list:
      schema["type"] = "array";
      schema["items"] = node.parts[0].schema();
      if (node.least > 0) schema["minItems"] = node.least;
      if (node.most != kAnyLength) schema["maxItems"] = node.most;
      break;
    case Kind::map:
      schema["type"] = "object";
      schema["additionalProperties"] = node.parts[0].schema();
      if (node.most != kAnyLength) schema["maxProperties"] = node.most;
      break;
    case Kind::object: {
      schema["type"] = "object";
      Json required = Json::array();
      for (const Field& field : node.fields) {
        Json& property = schema["properties"][field.name];
        if (field.effect == Field::Effect::none) {
          property = {{"description", "Accepted; nothing follows from it."}};
        } else if (field.need == Field::Need::required) {
          property = field.shape.schema();
          required.push_back(field.name);
        } else {
          property = either({field.shape, null()}).schema();
        }
      }
      if (!required.empty()) schema["required"] = std::move(required);
      break;
    }
    case Kind::either:
      alternatives("anyOf");
      break;
    case Kind::tagged:
      alternatives("oneOf");
      break;
    case Kind::anything:
      break;
  }
  return schema;
}

std::vector<std::string> Shape::without_effect(const Json& value) const {
  std::vector<std::string> names;
  for (const auto& [name, item] : value.items()) {
    const auto same = [&name = name](const Field& field) { return field.name == name; };
    const auto field = std::find_if(node_->fields.begin(), node_->fields.end(), same);
    if (item.is_null()) continue;
    if (field == node_->fields.end() || field->effect == Field::Effect::none) names.push_back(name);
  }
  return names;
}

void Shape::collect(const std::string& path, std::vector<Range>& ranges) const {
  const Node& node = *node_;
  if (node.kind == Kind::integer) {
    ranges.push_back(
        {path, static_cast<double>(node.least_whole), static_cast<double>(node.most_whole), true});
  } else if (node.kind == Kind::number) {
    ranges.push_back({path, node.least_number, node.most_number, false});
  } else if (node.kind == Kind::object) {
    for (const Field& field : node.fields) {
      if (field.effect == Field::Effect::some) {
        field.shape.collect(path_join(path, field.name), ranges);
      }
    }
  }
}

std::vector<Shape::Range> Shape::ranges() const {
  std::vector<Range> ranges;
  collect("", ranges);
  return ranges;
}

}  // namespace nautile::server
