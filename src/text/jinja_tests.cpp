// jinja_tests.cpp — jinja2's tests.
#include "text/jinja_tests.h"

#include <map>

#include "text/jinja_filters.h"
#include "text/jinja_methods.h"
#include "text/jinja_ops.h"

namespace nautile::jinja {
namespace {

using Test = bool (*)(Machine&, const Value&, const Value* argument);

template <bool (*Predicate)(const Value&)>
bool of_value(Machine&, const Value& v, const Value*) {
  return Predicate(v);
}

bool defined(const Value& v) {
  return !v.is(Kind::undefined);
}
bool undefined(const Value& v) {
  return v.is(Kind::undefined);
}
bool none(const Value& v) {
  return v.is(Kind::none);
}
bool boolean(const Value& v) {
  return v.is(Kind::boolean);
}
bool is_true(const Value& v) {
  return v.is(Kind::boolean) && v.boolean;
}
bool is_false(const Value& v) {
  return v.is(Kind::boolean) && !v.boolean;
}
bool integer(const Value& v) {
  return v.is(Kind::integer);
}
bool real(const Value& v) {
  return v.is(Kind::real);
}
bool number(const Value& v) {
  return v.is_number();
}
bool string(const Value& v) {
  return v.is(Kind::string);
}
bool mapping(const Value& v) {
  return v.is(Kind::dict);
}
bool iterable(const Value& v) {
  return Iterator::iterable(v) || v.is(Kind::loop);
}
bool callable(const Value& v) {
  return v.is(Kind::function) || v.is(Kind::loop) || v.is(Kind::undefined);
}
bool escaped(const Value& v) {
  return v.is(Kind::string) && v.string().markup;
}
// Something with a length and subscripts; jinja2's undefined has both.
bool sequence(const Value& v) {
  return v.is(Kind::string) || v.is(Kind::list) || v.is(Kind::tuple) || v.is(Kind::range) ||
         v.is(Kind::dict) || v.is(Kind::undefined);
}

template <Op kOp>
bool comparison(Machine& machine, const Value& a, const Value* b) {
  return compare(machine, kOp, a, *b);
}

bool divisible(Machine& machine, const Value& value, const Value& by, std::int64_t remainder) {
  return equal(machine, arithmetic(machine, Op::mod, value, by), Value::of(remainder));
}
bool odd(Machine& machine, const Value& v, const Value*) {
  return divisible(machine, v, Value::of(std::int64_t{2}), 1);
}
bool even(Machine& machine, const Value& v, const Value*) {
  return divisible(machine, v, Value::of(std::int64_t{2}), 0);
}
bool divisibleby(Machine& machine, const Value& v, const Value* by) {
  return divisible(machine, v, *by, 0);
}

bool call_string_test(Machine& machine, const Value& value, const char* method) {
  bool found = false;
  const Value text = machine.string(to_text(machine, value));
  const Value function = find_method(machine, text, method, found);
  return truthy(static_cast<FunctionObject*>(function.object)->call(machine, {}));
}
bool lower_case(Machine& machine, const Value& v, const Value*) {
  return call_string_test(machine, v, "islower");
}
bool upper_case(Machine& machine, const Value& v, const Value*) {
  return call_string_test(machine, v, "isupper");
}

bool sameas(Machine&, const Value& a, const Value* b) {
  if (a.kind != b->kind) return false;
  switch (a.kind) {
    case Kind::none:
      return true;
    case Kind::boolean:
      return a.boolean == b->boolean;
    case Kind::integer:
      return a.integer == b->integer;
    case Kind::real:
      return a.real == b->real;
    default:
      return a.object == b->object;
  }
}

std::string name_of(Machine& machine, const Value& value) {
  if (!value.is(Kind::string)) {
    std::string key;
    if (!hash_key(machine, value, key)) machine.fail("unhashable type: '{}'", type_name(value));
    return std::string();
  }
  return value.text().bytes();
}
bool filter_exists(Machine& machine, const Value& v, const Value*) {
  return is_filter(name_of(machine, v));
}
bool test_exists(Machine& machine, const Value& v, const Value*) {
  return is_test(name_of(machine, v));
}

struct Entry {
  Test test;
  const char* parameter;  // null if it takes none
};

const std::map<std::string, Entry, std::less<>>& table() {
  static const std::map<std::string, Entry, std::less<>> kTests = {
      {"defined", {of_value<defined>, nullptr}},
      {"undefined", {of_value<undefined>, nullptr}},
      {"none", {of_value<none>, nullptr}},
      {"boolean", {of_value<boolean>, nullptr}},
      {"true", {of_value<is_true>, nullptr}},
      {"false", {of_value<is_false>, nullptr}},
      {"integer", {of_value<integer>, nullptr}},
      {"float", {of_value<real>, nullptr}},
      {"number", {of_value<number>, nullptr}},
      {"string", {of_value<string>, nullptr}},
      {"mapping", {of_value<mapping>, nullptr}},
      {"iterable", {of_value<iterable>, nullptr}},
      {"sequence", {of_value<sequence>, nullptr}},
      {"callable", {of_value<callable>, nullptr}},
      {"escaped", {of_value<escaped>, nullptr}},
      {"odd", {odd, nullptr}},
      {"even", {even, nullptr}},
      {"lower", {lower_case, nullptr}},
      {"upper", {upper_case, nullptr}},
      {"filter", {filter_exists, nullptr}},
      {"test", {test_exists, nullptr}},
      {"divisibleby", {divisibleby, "num"}},
      {"sameas", {sameas, "other"}},
      {"in", {comparison<Op::in>, "seq"}},
      {"==", {comparison<Op::eq>, "b"}},
      {"eq", {comparison<Op::eq>, "b"}},
      {"equalto", {comparison<Op::eq>, "b"}},
      {"!=", {comparison<Op::ne>, "b"}},
      {"ne", {comparison<Op::ne>, "b"}},
      {">", {comparison<Op::gt>, "b"}},
      {"gt", {comparison<Op::gt>, "b"}},
      {"greaterthan", {comparison<Op::gt>, "b"}},
      {">=", {comparison<Op::ge>, "b"}},
      {"ge", {comparison<Op::ge>, "b"}},
      {"<", {comparison<Op::lt>, "b"}},
      {"lt", {comparison<Op::lt>, "b"}},
      {"lessthan", {comparison<Op::lt>, "b"}},
      {"<=", {comparison<Op::le>, "b"}},
      {"le", {comparison<Op::le>, "b"}},
  };
  return kTests;
}

}  // namespace

bool is_test(const std::string& name) {
  return table().contains(name);
}

bool run_test(Machine& machine, const std::string& name, const Value& subject,
              const Arguments& arguments) {
  const auto it = table().find(name);
  if (it == table().end()) machine.fail("no test named '{}'", name);
  if (it->second.parameter == nullptr) {
    const Bound nothing(machine, name, arguments, {}, 0);
    return it->second.test(machine, subject, nullptr);
  }
  const Bound bound(machine, name, arguments, {it->second.parameter}, 1);
  return it->second.test(machine, subject, &bound[0]);
}

}  // namespace nautile::jinja
