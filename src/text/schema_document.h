// schema_document.h — a JSON Schema as it was written: its keywords checked, its references
// followed.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/grammar_number.h"
#include "text/regex.h"

namespace nautile {

using SchemaJson = nlohmann::ordered_json;

enum SchemaType : std::uint8_t {
  kTypeNull = 1,
  kTypeBoolean = 2,
  kTypeObject = 4,
  kTypeArray = 8,
  kTypeString = 16,
  kTypeInteger = 32,
  kTypeNumber = 64,  // with kTypeInteger: any number
  kTypeAll = 127,
};

// One place of a document.
struct SchemaPlace {
  const SchemaJson* json = nullptr;
  std::string pointer;  // "#/properties/a"
  SchemaPlace child(std::string_view keyword) const;
  SchemaPlace child(std::string_view keyword, std::string_view name) const;
  SchemaPlace child(std::string_view keyword, std::size_t index) const;
};

// Owns the document. All errors name the place.
class SchemaDocument {
 public:
  static constexpr std::size_t kMaxBytes = std::size_t{1} << 20;

  explicit SchemaDocument(std::string_view text);

  SchemaPlace root() const { return {&root_, "#"}; }
  // Throws Error(bad_input) for what is no schema, Error(unsupported) for a keyword out of the
  // subset. Each place is checked once.
  void check(const SchemaPlace& place);
  // Where $ref of the place leads.
  SchemaPlace target(const SchemaPlace& place) const;
  // Whether a value fits, by the same subset; for choosing among `enum`. `listed`: the place's own
  // enum and const have it.
  enum class Listed : std::uint8_t { unknown, yes };
  bool fits(const SchemaJson& value, const SchemaPlace& place, Listed listed);

  // What the keywords of one place say of strings and numbers (not of what it refers to).
  static std::uint8_t types(const SchemaJson& schema);  // kTypeAll where it says nothing
  static std::uint32_t count(const SchemaJson& schema, const char* keyword,
                             std::uint32_t otherwise);
  static void narrow(const SchemaJson& schema, NumberRange& range);
  // The least common multiple of `multiple` and multipleOf.
  static std::uint64_t multiple(const SchemaPlace& place, std::uint64_t multiple);
  const Regex& regex(const std::string& pattern);
  // `pattern` and what `format` stands for.
  static std::vector<std::string> patterns(const SchemaJson& schema);

 private:
  bool fits(const SchemaJson& value, const SchemaPlace& place, int depth,
            Listed listed = Listed::unknown);
  bool fits_string(const std::string& value, const SchemaJson& schema);
  bool fits_array(const SchemaJson& value, const SchemaPlace& place, int depth);
  bool fits_object(const SchemaJson& value, const SchemaPlace& place, int depth);

  SchemaJson root_;
  std::map<const SchemaJson*, bool> checked_;
  std::map<std::string, Regex> regexes_;
  std::size_t steps_ = 0;
};

}  // namespace nautile
