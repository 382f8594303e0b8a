// jinja_value.h — the values of a running template: Python's, as far as templates use them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja_text.h"

namespace nautile::jinja {

class Machine;
struct Object;
struct StringObject;
struct SequenceObject;
struct DictObject;

enum class Kind : std::uint8_t {
  undefined,  // object: UndefinedObject or null
  none,
  boolean,
  integer,
  real,
  string,  // StringObject
  list,    // SequenceObject, and so are the next five
  tuple,
  range,
  keys,
  values,
  items,
  dict,       // DictObject
  names,      // DictObject: a namespace()
  generator,  // GeneratorObject: what map, select and reverse give
  function,   // FunctionObject: anything callable
  loop,       // LoopObject
};

// A small copyable handle. Objects belong to the Machine (or, for literals, to the template) and
// live until the render ends; they are immutable once built, except namespaces, generators and
// loops.
struct Value {
  Kind kind = Kind::undefined;
  union {
    Object* object = nullptr;
    bool boolean;
    std::int64_t integer;
    double real;
  };

  static Value none() { return make(Kind::none); }
  static Value of(bool b) {
    Value v = make(Kind::boolean);
    v.boolean = b;
    return v;
  }
  static Value of(std::int64_t i) {
    Value v = make(Kind::integer);
    v.integer = i;
    return v;
  }
  static Value of(std::size_t n) { return of(static_cast<std::int64_t>(n)); }
  static Value of(double d) {
    Value v = make(Kind::real);
    v.real = d;
    return v;
  }
  static Value of(Kind kind, Object* object) {
    Value v = make(kind);
    v.object = object;
    return v;
  }

  bool is(Kind k) const { return kind == k; }
  bool is_sequence() const { return kind >= Kind::list && kind <= Kind::items; }
  bool is_int() const {
    return kind == Kind::integer || kind == Kind::boolean;
  }  // as Python counts
  bool is_number() const { return is_int() || kind == Kind::real; }
  std::int64_t as_int() const { return kind == Kind::boolean ? (boolean ? 1 : 0) : integer; }
  double as_real() const { return kind == Kind::real ? real : static_cast<double>(as_int()); }

  StringObject& string() const;
  SequenceObject& sequence() const;
  DictObject& dict() const;
  const Text& text() const;

 private:
  static Value make(Kind kind) {
    Value v;
    v.kind = kind;
    return v;
  }
};

struct Object {
  virtual ~Object() = default;
};

struct UndefinedObject : Object {
  explicit UndefinedObject(std::string m) : message(std::move(m)) {}
  std::string message;  // why it is undefined: "'x' is undefined"
};

struct StringObject : Object {
  explicit StringObject(Text t, bool is_markup = false)
      : text(std::move(t)), chars(count(text)), markup(is_markup) {}
  bool ascii() const { return chars == text.size(); }
  Text text;
  std::size_t chars;  // length in code points
  bool markup;        // came from |safe or |escape: `+` escapes what is joined to it

 private:
  static std::size_t count(const Text& text);
};

struct SequenceObject : Object {
  std::vector<Value> items;
  std::int64_t start = 0, stop = 0, stride = 1;  // of a range, for printing it
};

struct DictObject : Object {
  std::vector<std::pair<Value, Value>> entries;  // in order of insertion
  // The index of the entry with this key, or -1; keys are looked up by hash_key.
  std::ptrdiff_t find(const std::string& key) const {
    auto it = index.find(key);
    return it == index.end() ? -1 : static_cast<std::ptrdiff_t>(it->second);
  }
  // Inserts or replaces.
  void set(std::string key, Value name, Value value);
  // An ordered index: foreign keys cannot make it degenerate.
  std::map<std::string, std::uint32_t, std::less<>> index;
};

// A one-shot lazy sequence, as Python's generators.
struct GeneratorObject : Object {
  explicit GeneratorObject(std::function<bool(Value&)> produce) : next(std::move(produce)) {}
  std::function<bool(Value&)> next;  // false at the end
};

// Arguments of a call, already evaluated.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

struct FunctionObject : Object {
  FunctionObject(std::string n, std::function<Value(Machine&, const Arguments&)> f)
      : name(std::move(n)), call(std::move(f)) {}
  std::string name;
  std::function<Value(Machine&, const Arguments&)> call;
};

// Deepest nesting that printing, comparing and serialising follow.
inline constexpr int kMaxValueDepth = 200;

// Python's name of the type: "str", "dict", …
std::string type_name(const Value& value);
bool truthy(const Value& value);
// The key under which a dict files the value; false if the value is not hashable.
bool hash_key(Machine& machine, const Value& value, std::string& key, int depth = 0);
bool equal(Machine& machine, const Value& a, const Value& b, int depth = 0);
// Python's a < b; fails for types without an order.
bool less(Machine& machine, const Value& a, const Value& b, int depth = 0);
// str(value) with provenance: strings keep theirs, a container with any user text is the user's.
Text to_text(Machine& machine, const Value& value);
// repr(value) appended; sets `user` if any string in it is a user's.
void append_repr(Machine& machine, std::string& out, bool& user, const Value& value, int depth = 0);
// repr of a float: shortest digits that read back, with Python's choice of exponent form.
std::string real_repr(double value);
// Whether any string inside is (partly) a user's.
bool contains_user(Machine& machine, const Value& value, int depth = 0);

// Walks any iterable in order; generators are consumed.
class Iterator {
 public:
  // Fails with a type error if the value cannot be iterated.
  Iterator(Machine& machine, Value source);
  static bool iterable(const Value& value);
  bool next(Value& out);

 private:
  Machine& machine_;
  Value source_;
  std::size_t at_ = 0;  // item, or byte of a string
};

// All items, in a vector; each costs a step.
std::vector<Value> to_items(Machine& machine, const Value& source);

}  // namespace nautile::jinja
