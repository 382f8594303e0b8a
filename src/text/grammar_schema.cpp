#include "text/grammar_schema.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "text/grammar_json.h"
#include "text/schema_document.h"

namespace nautile {
namespace {

constexpr std::size_t kMaxCombined = 100'000;  // places in all lists together

// A value has to fit several schemas at once where there are allOf, anyOf and $ref; so everything
// here takes a list of places.
class SchemaCompiler {
 public:
  SchemaCompiler(GrammarRules& rules, std::string_view text, JsonSpace space)
      : rules_(rules), json_(rules, space), document_(text) {}

  ExprId compile() { return value({{document_.root()}}); }

 private:
  struct Part {
    SchemaPlace place;
    bool any_of_taken = false;  // one of its anyOf stands in the list
    // The places whose anyOf it was chosen for: to need one of them again would be to say nothing.
    std::vector<const SchemaJson*> chosen_for = {};
  };
  using Parts = std::vector<Part>;

  const SchemaJson* keyword(const Part& part, const char* name) const {
    const auto found = part.place.json->find(name);
    return found == part.place.json->end() ? nullptr : &*found;
  }
  bool has(const Parts& parts, std::initializer_list<const char*> names) const {
    return std::any_of(parts.begin(), parts.end(), [&](const Part& part) {
      return std::any_of(names.begin(), names.end(),
                         [&](const char* name) { return keyword(part, name) != nullptr; });
    });
  }

  // One rule for each set of places, so that recursion ends.
  ExprId value(const Parts& wanted) {
    Parts parts;
    std::vector<const SchemaJson*> path;
    bool possible = true;
    for (const Part& part : wanted) flatten(part, parts, path, possible);
    if (!possible) return GrammarRules::kNever;
    if (parts.empty()) return json_.any_value();
    std::vector<std::pair<const SchemaJson*, bool>> key;
    for (const Part& part : parts) key.emplace_back(part.place.json, part.any_of_taken);
    std::sort(key.begin(), key.end());
    const auto [known, added] = known_.try_emplace(key, RuleId{0});
    if (!added) return rules_.call(known->second);
    if (combined_ += parts.size(); combined_ > kMaxCombined) {
      fail(ErrorKind::unsupported,
           "JSON schema: at \"{}\": anyOf, allOf and $ref combine into too many schemas",
           printable(parts[0].place.pointer, 200));
    }
    const RuleId rule = known->second = rules_.add_rule(parts[0].place.pointer);
    rules_.define(rule, define(parts));
    return rules_.call(rule);
  }

  // Adds a place and all that $ref and allOf join to it.
  void flatten(const Part& part, Parts& parts, std::vector<const SchemaJson*>& path,
               bool& possible) {
    const SchemaPlace& place = part.place;
    if (place.json->is_boolean()) {
      possible = possible && place.json->get<bool>();
      return;
    }
    if (std::find(path.begin(), path.end(), place.json) != path.end()) {
      fail(ErrorKind::bad_input, "JSON schema: at \"{}\": it refers to itself and says nothing",
           printable(place.pointer, 200));
    }
    if (std::find(part.chosen_for.begin(), part.chosen_for.end(), place.json) !=
        part.chosen_for.end()) {
      possible = false;
      return;
    }
    document_.check(place);
    for (Part& other : parts) {
      if (other.place.json != place.json) continue;
      other.any_of_taken = other.any_of_taken || part.any_of_taken;
      return;
    }
    if (place.json->empty()) return;
    parts.push_back(part);
    path.push_back(place.json);
    if (keyword(part, "$ref"))
      flatten({document_.target(place), false, part.chosen_for}, parts, path, possible);
    if (const SchemaJson* all = keyword(part, "allOf")) {
      for (std::size_t i = 0; i < all->size(); ++i) {
        flatten({place.child("allOf", i), false, part.chosen_for}, parts, path, possible);
      }
    }
    path.pop_back();
  }

  ExprId define(const Parts& parts) {
    if (has(parts, {"enum", "const"})) return listed(parts);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const SchemaJson* any = keyword(parts[i], "anyOf");
      if (!any || parts[i].any_of_taken) continue;
      std::vector<ExprId> ways;
      for (std::size_t k = 0; k < any->size(); ++k) {
        Parts with = parts;
        with[i].any_of_taken = true;
        with.push_back({parts[i].place.child("anyOf", k), false, parts[i].chosen_for});
        with.back().chosen_for.push_back(parts[i].place.json);
        ways.push_back(value(with));
      }
      return rules_.alt(ways);
    }
    return of_types(parts, types(parts));
  }

  // Values that all parts list or admit.
  ExprId listed(const Parts& parts) {
    std::vector<SchemaJson> values;
    const auto source = std::find_if(parts.begin(), parts.end(), [&](const Part& part) {
      return keyword(part, "const") || keyword(part, "enum");
    });
    const SchemaJson* one = keyword(*source, "const");
    const SchemaJson* list = keyword(*source, "enum");
    if (list) values.assign(list->begin(), list->end());
    if (one && list) std::erase_if(values, [&](const SchemaJson& v) { return v != *one; });
    if (one && !list) values = {*one};
    std::vector<ExprId> ways;
    for (const SchemaJson& v : values) {
      refuse_large_numbers(v, parts[0].place);
      const bool fits = std::all_of(parts.begin(), parts.end(), [&](const Part& part) {
        return document_.fits(
            v, part.place,
            &part == &*source ? SchemaDocument::Listed::yes : SchemaDocument::Listed::unknown);
      });
      if (fits) ways.push_back(json_.constant(v));
    }
    return rules_.alt(ways);
  }

  void refuse_large_numbers(const SchemaJson& value, const SchemaPlace& place) {
    if (value.is_structured()) {
      for (const SchemaJson& inner : value) refuse_large_numbers(inner, place);
    } else if (value.is_number()) {
      try {
        Decimal::of(value);
      } catch (const Error& error) {
        throw error.with("in \"{}\" of the JSON schema", printable(place.pointer, 200));
      }
    }
  }

  std::uint8_t types(const Parts& parts) const {
    std::uint8_t allowed = kTypeAll;
    bool said = false;
    for (const Part& part : parts) {
      allowed &= SchemaDocument::types(*part.place.json);
      said = said || keyword(part, "type");
    }
    if (said) return allowed;
    std::uint8_t meant = 0;
    if (has(parts, {"properties", "required", "additionalProperties"})) meant |= kTypeObject;
    if (has(parts, {"items", "prefixItems", "minItems", "maxItems"})) meant |= kTypeArray;
    if (has(parts, {"pattern", "format", "minLength", "maxLength"})) meant |= kTypeString;
    if (has(parts, {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})) {
      meant |= kTypeNumber | kTypeInteger;
    }
    return meant == 0 ? allowed : static_cast<std::uint8_t>(allowed & meant);
  }

  ExprId of_types(const Parts& parts, std::uint8_t allowed) {
    std::vector<ExprId> ways;
    if ((allowed & kTypeObject) != 0) ways.push_back(object(parts));
    if ((allowed & kTypeArray) != 0) ways.push_back(array(parts));
    if ((allowed & kTypeString) != 0) ways.push_back(string(parts));
    if ((allowed & kTypeNumber) != 0) {
      ways.push_back(number(parts));
    } else if ((allowed & kTypeInteger) != 0) {
      ways.push_back(integer(parts));
    }
    if ((allowed & kTypeBoolean) != 0) {
      ways.push_back(rules_.literal("true"));
      ways.push_back(rules_.literal("false"));
    }
    if ((allowed & kTypeNull) != 0) ways.push_back(rules_.literal("null"));
    return rules_.alt(ways);
  }

  NumberRange range_of(const Parts& parts) const {
    NumberRange range;
    for (const Part& part : parts) SchemaDocument::narrow(*part.place.json, range);
    return range;
  }

  ExprId integer(const Parts& parts) {
    const NumberRange range = range_of(parts);
    std::uint64_t multiple = 1;
    for (const Part& part : parts) multiple = SchemaDocument::multiple(part.place, multiple);
    if (multiple == 1 && !range.bounded()) return json_.integer();
    return at(parts, [&] { return bounded_integer(rules_, range, multiple); });
  }

  ExprId number(const Parts& parts) {
    if (has(parts, {"multipleOf"})) return integer(parts);
    const NumberRange range = range_of(parts);
    if (!range.bounded()) return json_.number();
    return at(parts, [&] { return bounded_number(rules_, range); });
  }

  // Errors of what is made here name the place.
  template <class Make>
  ExprId at(const Parts& parts, const Make& make) {
    try {
      return make();
    } catch (const Error& error) {
      throw error.with("in \"{}\" of the JSON schema", printable(parts[0].place.pointer, 200));
    }
  }

  ExprId string(const Parts& parts) {
    std::uint32_t min = 0, max = GrammarRules::kForever;
    std::set<std::string> patterns;
    for (const Part& part : parts) {
      const SchemaJson& schema = *part.place.json;
      min = std::max(min, SchemaDocument::count(schema, "minLength", 0));
      max = std::min(max, SchemaDocument::count(schema, "maxLength", GrammarRules::kForever));
      for (std::string& pattern : SchemaDocument::patterns(schema)) patterns.insert(pattern);
    }
    if (min > max) return GrammarRules::kNever;
    if (patterns.empty()) return json_.string(min, max);
    return at(parts, [&] {
      const auto encode = [&](const CharSet& set) { return json_.characters(set); };
      const Regex& first = document_.regex(*patterns.begin());
      if (patterns.size() == 1 && min == 0 && max == GrammarRules::kForever) {
        return json_.quoted(first.add_to(rules_, Regex::Match::part, encode));
      }
      CharDfa dfa = first.dfa(Regex::Match::part);
      for (auto other = std::next(patterns.begin()); other != patterns.end(); ++other) {
        dfa = CharDfa::both(dfa, document_.regex(*other).dfa(Regex::Match::part), "patterns");
      }
      dfa = dfa.with_length(min, max, "pattern with a length");
      return json_.quoted(dfa.add_to(rules_, encode));
    });
  }

  ExprId array(const Parts& parts) {
    std::uint32_t min = 0, max = GrammarRules::kForever;
    std::size_t prefix = 0;
    for (const Part& part : parts) {
      min = std::max(min, SchemaDocument::count(*part.place.json, "minItems", 0));
      max = std::min(max,
                     SchemaDocument::count(*part.place.json, "maxItems", GrammarRules::kForever));
      if (const SchemaJson* items = keyword(part, "prefixItems")) {
        prefix = std::max(prefix, items->size());
      }
    }
    if (prefix > 0 && !has(parts, {"items"})) {
      max = std::min(max, std::max(min, static_cast<std::uint32_t>(prefix)));
    }
    if (min > max) return GrammarRules::kNever;
    // From the last item to the first: what may follow item i.
    const ExprId comma = rules_.seq({rules_.literal(","), json_.space()});
    const auto first_free = static_cast<std::uint32_t>(prefix);
    ExprId rest = GrammarRules::kEmpty;
    const bool free_first = prefix == 0;
    if (max > first_free) {
      const ExprId item = items_at(parts, prefix);
      const std::uint32_t least = min > first_free ? min - first_free : 0;
      const std::uint32_t most = max == GrammarRules::kForever ? max : max - first_free;
      const ExprId more = rules_.seq({comma, item});
      rest =
          free_first
              ? rules_.seq({item, rules_.repeat(more, least > 0 ? least - 1 : 0,
                                                most == GrammarRules::kForever ? most : most - 1)})
              : rules_.repeat(more, least, most);
    }
    for (std::uint32_t i = std::min(first_free, max); i-- > 0;) {
      const ExprId item = items_at(parts, i);
      rest = rules_.seq({i > 0 ? comma : GrammarRules::kEmpty, item, rest});
      if (i > 0 && i >= min) rest = rules_.optional(rest);
    }
    if (max > 0) rest = rules_.seq({rest, json_.space()});
    if (min == 0 && max > 0) rest = rules_.optional(rest);
    return json_.bracketed('[', rest, ']');
  }

  // What item i has to be.
  ExprId items_at(const Parts& parts, std::size_t i) {
    Parts item;
    for (const Part& part : parts) {
      const SchemaJson* prefix = keyword(part, "prefixItems");
      if (prefix && i < prefix->size()) {
        item.push_back({part.place.child("prefixItems", i)});
      } else if (keyword(part, "items")) {
        item.push_back({part.place.child("items")});
      }
    }
    return value(item);
  }

  struct Member {
    std::string name;
    bool required = false;
  };

  // The members that are named, in order.
  std::vector<Member> members_of(const Parts& parts) const {
    std::vector<Member> members;
    std::map<std::string, std::size_t> index;
    const auto add = [&](const std::string& name) -> Member& {
      const auto [known, added] = index.try_emplace(name, members.size());
      if (added) members.push_back({name});
      return members[known->second];
    };
    for (const Part& part : parts) {
      if (const SchemaJson* properties = keyword(part, "properties")) {
        for (const auto& [name, schema] : properties->items()) add(name);
      }
    }
    for (const Part& part : parts) {
      if (const SchemaJson* required = keyword(part, "required")) {
        for (const auto& name : *required) add(name.get_ref<const std::string&>()).required = true;
      }
    }
    return members;
  }

  // What the member `name` has to be; without a name: what others have to be.
  ExprId member_value(const Parts& parts, const std::string* name) {
    Parts member;
    for (const Part& part : parts) {
      const SchemaJson* properties = keyword(part, "properties");
      if (name && properties && properties->contains(*name)) {
        member.push_back({part.place.child("properties", *name)});
      } else if (keyword(part, "additionalProperties")) {
        member.push_back({part.place.child("additionalProperties")});
      }
    }
    return value(member);
  }

  ExprId object(const Parts& parts) {
    const std::vector<Member> members = members_of(parts);
    const ExprId comma = rules_.seq({rules_.literal(","), json_.space()});
    // Others come where the schema speaks of them, or of no members at all.
    const bool others = has(parts, {"additionalProperties"}) || !has(parts, {"properties"});
    ExprId other = GrammarRules::kNever;
    if (others) {
      std::vector<std::string> names;
      for (const Member& member : members) names.push_back(member.name);
      other = rules_.seq({json_.name_except(names), json_.colon(), member_value(parts, nullptr)});
    }
    const ExprId more = rules_.repeat(rules_.seq({comma, other}), 0, GrammarRules::kForever);
    // From the last member to the first: what may follow where some, or none, have been written.
    ExprId after_some = rules_.seq({more, json_.space()});
    ExprId after_none = rules_.alt({GrammarRules::kEmpty, rules_.seq({other, after_some})});
    for (auto member = members.rbegin(); member != members.rend(); ++member) {
      const ExprId pair = rules_.seq({rules_.literal(nlohmann::json(member->name).dump()),
                                      json_.colon(), member_value(parts, &member->name)});
      const ExprId rest = rules_.call(rules_.add_rule("members", after_some));
      const ExprId first = rules_.seq({pair, rest});
      const ExprId next = rules_.seq({comma, pair, rest});
      after_none = member->required ? first : rules_.alt({first, none_rule(after_none)});
      after_some = member->required ? next : rules_.alt({next, rest});
    }
    return json_.bracketed('{', after_none, '}');
  }

  ExprId none_rule(ExprId body) {
    return body == GrammarRules::kEmpty ? body : rules_.call(rules_.add_rule("members", body));
  }

  GrammarRules& rules_;
  JsonParts json_;
  SchemaDocument document_;
  std::size_t combined_ = 0;
  std::map<std::vector<std::pair<const SchemaJson*, bool>>, RuleId> known_;
};

}  // namespace

ExprId add_json_schema(GrammarRules& rules, std::string_view schema, JsonSpace space) {
  return SchemaCompiler(rules, schema, space).compile();
}

}  // namespace nautile
