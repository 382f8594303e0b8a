// jinja_sequence_filters.cpp — filters over sequences and mappings; the lazy ones give generators.
#include <algorithm>
#include <map>
#include <set>

#include "text/jinja_chars.h"
#include "text/jinja_filters.h"
#include "text/jinja_methods.h"
#include "text/jinja_ops.h"
#include "text/jinja_tests.h"
#include "text/jinja_text_tools.h"

namespace nautile::jinja {
namespace {

// "a.b.0": names and indexes, looked up one after the other.
struct Path {
  std::vector<Value> parts;
};

Path parse_path(Machine& machine, const Value& attribute) {
  Path path;
  if (attribute.is(Kind::none)) return path;
  if (!attribute.is(Kind::string)) {
    path.parts.push_back(attribute);
    return path;
  }
  const std::string& text = attribute.text().bytes();
  std::size_t begin = 0;
  for (;;) {
    const std::size_t end = std::min(text.find('.', begin), text.size());
    const std::string part = text.substr(begin, end - begin);
    const bool number = !part.empty() && part.size() < 10 &&
                        part.find_first_not_of("0123456789") == std::string::npos;
    path.parts.push_back(number ? Value::of(static_cast<std::int64_t>(std::atoi(part.c_str())))
                                : machine.string(part));
    if (end == text.size()) return path;
    begin = end + 1;
  }
}

Value follow(Machine& machine, const Path& path, Value item, const Value* otherwise = nullptr) {
  for (const Value& part : path.parts) {
    item = get_item(machine, item, part);
    if (otherwise != nullptr && !otherwise->is(Kind::none) && item.is(Kind::undefined))
      item = *otherwise;
  }
  return item;
}

Value ignore_case(Machine& machine, const Value& value) {
  return value.is(Kind::string) ? machine.string(lower(machine, value.text())) : value;
}

enum class Case { sensitive, ignored };
Case case_mode(const Bound& bound, std::size_t i) {
  return bound.flag(i) ? Case::sensitive : Case::ignored;
}

Value key_of(Machine& machine, const Path& path, const Value& item, Case mode) {
  const Value key = follow(machine, path, item);
  return mode == Case::ignored ? ignore_case(machine, key) : key;
}

enum class Order { ascending, descending };

// Stable in both directions, as Python's sorted.
void sort_by_key(Machine& machine, std::vector<std::pair<Value, Value>>& keyed, Order order) {
  std::stable_sort(keyed.begin(), keyed.end(), [&](const auto& a, const auto& b) {
    return order == Order::ascending ? less(machine, a.first, b.first)
                                     : less(machine, b.first, a.first);
  });
}

Value seconds(Machine& machine, const std::vector<std::pair<Value, Value>>& keyed) {
  std::vector<Value> items;
  items.reserve(keyed.size());
  for (const auto& [key, item] : keyed) items.push_back(item);
  return machine.list(std::move(items));
}

Value filter_sort(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound bound(machine, "sort", arguments, {"reverse", "case_sensitive", "attribute"}, 0);
  const Value attribute = bound.get(2, Value::none());
  std::vector<Path> paths;  // "a,b" sorts by a, then by b
  if (attribute.is(Kind::string)) {
    const Text& text = attribute.text();
    std::size_t begin = 0;
    for (;;) {
      const std::size_t end = std::min(text.bytes().find(',', begin), text.size());
      paths.push_back(parse_path(machine, machine.string(text.slice(begin, end))));
      if (end == text.size()) break;
      begin = end + 1;
    }
  } else {
    paths.push_back(parse_path(machine, attribute));
  }
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : to_items(machine, subject)) {
    std::vector<Value> key;
    for (const Path& path : paths) key.push_back(key_of(machine, path, item, case_mode(bound, 1)));
    machine.charge(sizeof(keyed[0]));
    keyed.emplace_back(machine.list(std::move(key)), item);
  }
  sort_by_key(machine, keyed, bound.flag(0) ? Order::descending : Order::ascending);
  return seconds(machine, keyed);
}

Value filter_dictsort(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound bound(machine, "dictsort", arguments, {"case_sensitive", "by", "reverse"}, 0);
  const std::string by = bound.has(1) ? to_text(machine, bound[1]).bytes() : "key";
  if (by != "key" && by != "value") machine.fail("dictsort sorts by 'key' or 'value'");
  require_defined(machine, subject);
  if (!subject.is(Kind::dict))
    machine.fail("dictsort expects a mapping, found '{}'", type_name(subject));
  std::vector<std::pair<Value, Value>> keyed;
  for (const auto& [name, value] : subject.dict().entries) {
    Value key = by == "key" ? name : value;
    if (case_mode(bound, 0) == Case::ignored) key = ignore_case(machine, key);
    machine.charge(sizeof(keyed[0]));
    keyed.emplace_back(key, machine.tuple({name, value}));
  }
  sort_by_key(machine, keyed, bound.flag(2) ? Order::descending : Order::ascending);
  return seconds(machine, keyed);
}

Value filter_groupby(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound bound(machine, "groupby", arguments, {"attribute", "default", "case_sensitive"}, 1);
  const Path path = parse_path(machine, bound[0]);
  const Value otherwise = bound.get(1, Value::none());
  const Case mode = case_mode(bound, 2);
  std::vector<std::pair<Value, Value>> keyed;
  for (const Value& item : to_items(machine, subject)) {
    const Value key = follow(machine, path, item, &otherwise);
    machine.charge(sizeof(keyed[0]));
    keyed.emplace_back(mode == Case::ignored ? ignore_case(machine, key) : key, item);
  }
  sort_by_key(machine, keyed, Order::ascending);
  std::vector<Value> groups;
  for (std::size_t begin = 0; begin < keyed.size();) {
    std::size_t end = begin;
    std::vector<Value> members;
    while (end < keyed.size() && equal(machine, keyed[end].first, keyed[begin].first)) {
      members.push_back(keyed[end++].second);
    }
    const Value label = follow(machine, path, members.front(), &otherwise);
    groups.push_back(machine.tuple({label, machine.list(std::move(members))}));
    begin = end;
  }
  return machine.list(std::move(groups));
}

Value filter_unique(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound bound(machine, "unique", arguments, {"case_sensitive", "attribute"}, 0);
  const Path path = parse_path(machine, bound.get(1, Value::none()));
  const Case mode = case_mode(bound, 0);
  Machine* m = &machine;
  return machine.generator([m, path, mode, walk = Iterator(machine, subject),
                            seen = std::set<std::string>()](Value& out) mutable {
    while (walk.next(out)) {
      std::string key;
      const Value value = key_of(*m, path, out, mode);
      if (!hash_key(*m, value, key)) m->fail("unhashable type: '{}'", type_name(value));
      m->charge(key.size() + 64);
      if (seen.insert(std::move(key)).second) return true;
    }
    return false;
  });
}

enum class Extreme { min, max };

Value extreme(Machine& machine, const Value& subject, const Arguments& arguments, Extreme which) {
  const Bound bound(machine, "min/max", arguments, {"case_sensitive", "attribute"}, 0);
  const Path path = parse_path(machine, bound.get(1, Value::none()));
  const Case mode = case_mode(bound, 0);
  Iterator walk(machine, subject);
  Value best;
  if (!walk.next(best)) return machine.undefined("no aggregated item, the sequence was empty");
  Value best_key = key_of(machine, path, best, mode);
  Value item;
  while (walk.next(item)) {
    const Value key = key_of(machine, path, item, mode);
    const bool better =
        which == Extreme::min ? less(machine, key, best_key) : less(machine, best_key, key);
    if (!better) continue;
    best = item;
    best_key = key;
  }
  return best;
}

Value filter_min(Machine& m, const Value& s, const Arguments& a) {
  return extreme(m, s, a, Extreme::min);
}
Value filter_max(Machine& m, const Value& s, const Arguments& a) {
  return extreme(m, s, a, Extreme::max);
}

Value filter_sum(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound bound(machine, "sum", arguments, {"attribute", "start"}, 0);
  const Path path = parse_path(machine, bound.get(0, Value::none()));
  Value total = bound.get(1, Value::of(std::int64_t{0}));
  if (total.is(Kind::string)) machine.fail("sum cannot add strings");
  Value item;
  for (Iterator walk(machine, subject); walk.next(item);) {
    total = arithmetic(machine, Op::add, total, follow(machine, path, item));
  }
  return total;
}

Value filter_join(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound bound(machine, "join", arguments, {"d", "attribute"}, 0);
  const Path path = parse_path(machine, bound.get(1, Value::none()));
  const Text separator = bound.has(0) ? to_text(machine, bound[0]) : Text();
  Text out;
  Value item;
  bool first = true;
  for (Iterator walk(machine, subject); walk.next(item);) {
    const Text piece = to_text(machine, follow(machine, path, item));
    machine.charge(piece.size() + separator.size());
    if (!first) out.append(separator);
    out.append(piece);
    first = false;
  }
  return machine.string(std::move(out));
}

Value filter_first(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound none(machine, "first", arguments, {}, 0);
  Value item;
  if (Iterator(machine, subject).next(item)) return item;
  return machine.undefined("no first item, the sequence was empty");
}

bool reversible(const Value& value) {
  return value.is(Kind::string) || value.is_sequence() || value.is(Kind::dict);
}

Value filter_last(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound none(machine, "last", arguments, {}, 0);
  if (!reversible(subject) && !subject.is(Kind::undefined)) {
    machine.fail("'{}' object is not reversible", type_name(subject));
  }
  if (subject.is(Kind::undefined)) {
    return machine.undefined("no last item, the sequence was empty");
  }
  if (subject.is(Kind::string)) {
    const std::size_t chars = subject.string().chars;
    if (chars > 0) return substring(machine, subject.string(), chars - 1, chars);
  } else if (subject.is(Kind::dict)) {
    if (!subject.dict().entries.empty()) return subject.dict().entries.back().first;
  } else if (!subject.sequence().items.empty()) {
    return subject.sequence().items.back();
  }
  return machine.undefined("no last item, the sequence was empty");
}

Value filter_list(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound none(machine, "list", arguments, {}, 0);
  return machine.list(to_items(machine, subject));
}

Value filter_items(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound none(machine, "items", arguments, {}, 0);
  if (subject.is(Kind::undefined)) return machine.generator([](Value&) { return false; });
  Machine* m = &machine;
  return machine.generator([m, subject, at = std::size_t{0}](Value& out) mutable {
    if (!subject.is(Kind::dict)) m->fail("can only get item pairs from a mapping");
    const auto& entries = subject.dict().entries;
    if (at >= entries.size()) return false;
    m->step();
    out = m->tuple({entries[at].first, entries[at].second});
    ++at;
    return true;
  });
}

Value filter_reverse(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound none(machine, "reverse", arguments, {}, 0);
  if (subject.is(Kind::string)) {
    return get_slice(machine, subject, Value::none(), Value::none(), Value::of(std::int64_t{-1}));
  }
  std::vector<Value> items = to_items(machine, subject);
  std::reverse(items.begin(), items.end());
  // reversed() refuses generators, for which jinja2 makes a list.
  if (!reversible(subject)) return machine.list(std::move(items));
  return machine.generator([items = std::move(items), at = std::size_t{0}](Value& out) mutable {
    if (at >= items.size()) return false;
    out = items[at++];
    return true;
  });
}

Arguments without_first(const Arguments& arguments, std::size_t count) {
  Arguments rest = arguments;
  rest.positional.erase(rest.positional.begin(),
                        rest.positional.begin() + static_cast<std::ptrdiff_t>(count));
  return rest;
}

std::string name_argument(Machine& machine, const Value& value) {
  if (!value.is(Kind::string)) machine.fail("expected the name of a filter or test");
  return value.text().bytes();
}

Value filter_map(Machine& machine, const Value& subject, const Arguments& arguments) {
  if (!truthy(subject)) return machine.generator([](Value&) { return false; });
  Machine* m = &machine;
  if (arguments.positional.empty() && !arguments.named.empty()) {
    const Bound bound(machine, "map", arguments, {"attribute", "default"}, 1);
    const Path path = parse_path(machine, bound[0]);
    const Value otherwise = bound.get(1, Value::none());
    return machine.generator(
        [m, path, otherwise, walk = Iterator(machine, subject)](Value& out) mutable {
          if (!walk.next(out)) return false;
          out = follow(*m, path, out, &otherwise);
          return true;
        });
  }
  if (arguments.positional.empty()) machine.fail("map requires a filter");
  const std::string name = name_argument(machine, arguments.positional[0]);
  return machine.generator([m, name, rest = without_first(arguments, 1),
                            walk = Iterator(machine, subject)](Value& out) mutable {
    if (!walk.next(out)) return false;
    out = run_filter(*m, name, out, rest);
    return true;
  });
}

enum class Keep { passing, failing };
enum class Look { at_item, at_attribute };

template <Keep kKeep, Look kLook>
Value filter_select(Machine& machine, const Value& subject, const Arguments& arguments) {
  if (!truthy(subject)) return machine.generator([](Value&) { return false; });
  constexpr std::size_t kOffset = kLook == Look::at_attribute ? 1 : 0;
  if (arguments.positional.size() < kOffset) machine.fail("the name of the attribute is missing");
  Path path;
  if (kLook == Look::at_attribute) path = parse_path(machine, arguments.positional[0]);
  const bool tested = arguments.positional.size() > kOffset;
  std::string test;
  Arguments rest;
  if (tested) {
    test = name_argument(machine, arguments.positional[kOffset]);
    rest = without_first(arguments, kOffset + 1);
  }
  Machine* m = &machine;
  return machine.generator(
      [m, path, tested, test, rest, walk = Iterator(machine, subject)](Value& out) mutable {
        while (walk.next(out)) {
          const Value value = follow(*m, path, out);
          const bool passes = tested ? run_test(*m, test, value, rest) : truthy(value);
          if (passes == (kKeep == Keep::passing)) return true;
        }
        return false;
      });
}

Value filter_batch(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound bound(machine, "batch", arguments, {"linecount", "fill_with"}, 1);
  const std::int64_t size = bound.integer(0, 1);
  const Value fill = bound.get(1, Value::none());
  Machine* m = &machine;
  return machine.generator([m, size, fill, walk = Iterator(machine, subject), pending = Value(),
                            has_pending = false](Value& out) mutable {
    std::vector<Value> row;
    Value item;
    // jinja2 gives a row away only when the next item arrives; a first, empty row exists for size
    // 0.
    while (has_pending || walk.next(item)) {
      if (has_pending) item = pending;
      has_pending = false;
      if (static_cast<std::int64_t>(row.size()) == size) {
        pending = item;
        has_pending = true;
        if (size == 0) m->unsupported("batch of size 0");
        out = m->list(std::move(row));
        return true;
      }
      row.push_back(item);
    }
    if (row.empty()) return false;
    if (!fill.is(Kind::none) && static_cast<std::int64_t>(row.size()) < size) {
      m->charge(static_cast<std::size_t>(std::min<std::int64_t>(size, std::int64_t{1} << 40)) *
                sizeof(Value));
      row.resize(static_cast<std::size_t>(size), fill);
    }
    out = m->list(std::move(row));
    return true;
  });
}

Value filter_slice(Machine& machine, const Value& subject, const Arguments& arguments) {
  const Bound bound(machine, "slice", arguments, {"slices", "fill_with"}, 1);
  const std::int64_t slices = bound.integer(0, 1);
  const Value fill = bound.get(1, Value::none());
  Machine* m = &machine;
  return machine.generator([m, subject, slices, fill, items = std::vector<Value>(),
                            number = std::int64_t{-1}, start = std::size_t{0}](Value& out) mutable {
    if (number < 0) {
      items = to_items(*m, subject);
      if (slices == 0) m->fail("division by zero");
      number = 0;
    }
    if (number >= slices) return false;
    m->step();
    const auto count = static_cast<std::size_t>(slices);
    const bool extra = static_cast<std::size_t>(number) < items.size() % count;
    const std::size_t end = start + items.size() / count + (extra ? 1 : 0);
    std::vector<Value> part(items.begin() + static_cast<std::ptrdiff_t>(start),
                            items.begin() + static_cast<std::ptrdiff_t>(end));
    if (!fill.is(Kind::none) && !extra) part.push_back(fill);
    start = end;
    ++number;
    out = m->list(std::move(part));
    return true;
  });
}

}  // namespace

Filter sequence_filter(const std::string& name) {
  static const std::map<std::string, Filter, std::less<>> kFilters = {
      {"batch", filter_batch},
      {"dictsort", filter_dictsort},
      {"first", filter_first},
      {"groupby", filter_groupby},
      {"items", filter_items},
      {"join", filter_join},
      {"last", filter_last},
      {"list", filter_list},
      {"map", filter_map},
      {"max", filter_max},
      {"min", filter_min},
      {"reject", filter_select<Keep::failing, Look::at_item>},
      {"rejectattr", filter_select<Keep::failing, Look::at_attribute>},
      {"reverse", filter_reverse},
      {"select", filter_select<Keep::passing, Look::at_item>},
      {"selectattr", filter_select<Keep::passing, Look::at_attribute>},
      {"slice", filter_slice},
      {"sort", filter_sort},
      {"sum", filter_sum},
      {"unique", filter_unique},
  };
  const auto it = kFilters.find(name);
  return it == kFilters.end() ? nullptr : it->second;
}

}  // namespace nautile::jinja
