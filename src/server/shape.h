// shape.h — Shape: what a field of a request may be. Requests are checked by it, and the OpenAPI
// document is made of it, so that the two cannot differ.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace nautile::server {

using Json = nlohmann::ordered_json;

struct Field;

// A value: cheap to copy, immutable.
class Shape {
 public:
  // Lengths are in bytes of UTF-8 when checked (a schema's are in characters, never more).
  static Shape text(std::size_t least = 0, std::size_t most = kAnyLength);
  static Shape words(std::vector<std::string> words);
  // 3.0 is the integer 3, as in JSON Schema.
  static Shape integer(std::int64_t least, std::int64_t most);
  static Shape number(double least, double most);
  static Shape boolean();
  static Shape list(Shape item, std::size_t least = 0, std::size_t most = kAnyLength);
  // Names that are not listed are let pass.
  static Shape object(std::vector<Field> fields);
  // Names are free.
  static Shape map(Shape value, std::size_t most = kAnyLength);
  static Shape any_object();
  static Shape anything();
  static Shape null();
  // The first alternative whose JSON type it has decides, or, of several, one that fits.
  static Shape either(std::vector<Shape> alternatives);
  // Objects told apart by a member of `tag`: each alternative is an object with that field of one
  // word.
  static Shape tagged(std::string tag, std::vector<Shape> alternatives);
  Shape says(std::string description) const;

  static constexpr std::size_t kAnyLength = static_cast<std::size_t>(-1);

  // Throws ApiError with the path of what is wrong below `path` ("" at the top), what was expected
  // and what found.
  void check(const Json& value, const std::string& path) const;
  // JSON Schema, draft 2020-12.
  Json schema() const;
  // "an integer from 1 to 8".
  std::string expected() const;

  // Of an object: names at its top that are known but have no effect, and names that are not known.
  std::vector<std::string> without_effect(const Json& value) const;
  // Calls back with the path of each number below this, and its shape's least and most.
  struct Range {
    std::string path;  // "stream_options.x"; items of lists are not told
    double least, most;
    bool whole;
  };
  std::vector<Range> ranges() const;

 private:
  enum class Kind : std::uint8_t {
    text,
    words,
    integer,
    number,
    boolean,
    list,
    object,
    map,
    anything,
    null,
    either,
    tagged
  };
  struct Node;
  explicit Shape(std::shared_ptr<const Node> node) : node_(std::move(node)) {}
  static std::shared_ptr<Node> make(Kind kind);
  bool has_type_of(const Json& value) const;
  struct Step;
  void walk(const Json& value, const Step& step) const;
  void walk_object(const Json& value, const Step& step) const;
  void walk_either(const Json& value, const Step& step) const;
  void walk_tagged(const Json& value, const Step& step) const;
  [[noreturn]] void refuse(const Json& value, const Step& step, const char* code) const;
  void collect(const std::string& path, std::vector<Range>& ranges) const;

  std::shared_ptr<const Node> node_;
};

// A member of an object. Where it is not required, null counts as if it were not there.
struct Field {
  enum class Need : std::uint8_t { optional, required };
  enum class Effect : std::uint8_t { some, none };  // none: accepted, and nothing follows
  std::string name;
  Shape shape;
  Need need = Need::optional;
  Effect effect = Effect::some;
};

// A member that is there and not null, or null.
const Json* member(const Json& object, std::string_view name);

// "messages" and 2 -> "messages[2]"; "" and "n" -> "n".
std::string path_join(const std::string& path, std::size_t index);
std::string path_join(const std::string& path, std::string_view name);

}  // namespace nautile::server
