// jinja_machine.h — what one render owns: its objects, its budgets, and the place errors name.
#pragma once

#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "text/jinja_value.h"

namespace nautile::jinja {

// Limits of one render. Over any of them the render fails with an error that names it and the line.
struct Budgets {
  std::uint64_t steps = 2'000'000;       // nodes evaluated, items visited, 64 bytes scanned
  std::size_t heap_bytes = 64u << 20;    // everything the template builds; freed at the end
  std::size_t output_bytes = 16u << 20;  // rendered text
  int call_depth = 100;                  // macros, recursive loops
};

class Machine {
 public:
  explicit Machine(const Budgets& budgets) : budgets_(budgets) {}
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  const Budgets& budgets() const { return budgets_; }

  // The template line that is being run.
  int line = 0;

  // Throws Error(bad_input) "template line N: …".
  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    fail_with(ErrorKind::bad_input, fmt::format(format, std::forward<Args>(args)...));
  }
  template <class... Args>
  [[noreturn]] void unsupported(fmt::format_string<Args...> format, Args&&... args) const {
    fail_with(ErrorKind::unsupported, fmt::format(format, std::forward<Args>(args)...));
  }

  void step(std::uint64_t count = 1) {
    steps_ += count;
    if (steps_ > budgets_.steps) over_steps();
  }
  // The price of looking at that many bytes.
  void scan(std::size_t bytes) { step(bytes / 64); }
  // Announces bytes about to be built; call before building them.
  void charge(std::size_t bytes) {
    heap_ += bytes;
    if (heap_ > budgets_.heap_bytes || bytes > budgets_.heap_bytes) over_heap();
  }

  template <class T, class... Args>
  T* make(Args&&... args) {
    charge(sizeof(T) + kObjectOverhead);
    auto owned = std::make_unique<T>(std::forward<Args>(args)...);
    T* raw = owned.get();
    objects_.push_back(std::move(owned));
    return raw;
  }

  Value string(Text text, bool markup = false);
  Value string(std::string bytes, Origin origin = Origin::format) {
    return string(Text(std::move(bytes), origin));
  }
  Value sequence(Kind kind, std::vector<Value> items);
  Value list(std::vector<Value> items) { return sequence(Kind::list, std::move(items)); }
  Value tuple(std::vector<Value> items) { return sequence(Kind::tuple, std::move(items)); }
  DictObject* new_dict() { return make<DictObject>(); }
  // Files value under key, charging for the entry; fails if the key is not hashable.
  void put(DictObject& dict, const Value& key, const Value& value);
  // The value under key or null; fails if the key is not hashable.
  const Value* get(const DictObject& dict, const Value& key);
  const Value* get(const DictObject& dict, std::string_view key);
  Value undefined(std::string message);
  Value generator(std::function<bool(Value&)> next);
  Value function(std::string name, std::function<Value(Machine&, const Arguments&)> call);

  // Guards recursion of calls: enter before, leave after (see CallGuard).
  int depth = 0;

 private:
  static constexpr std::size_t kObjectOverhead = 32;
  [[noreturn]] void fail_with(ErrorKind kind, std::string message) const;
  [[noreturn]] void over_steps() const;
  [[noreturn]] void over_heap() const;

  Budgets budgets_;
  std::uint64_t steps_ = 0;
  std::size_t heap_ = 0;
  std::vector<std::unique_ptr<Object>> objects_;
};

// Counts one level of calls for its lifetime.
class CallGuard {
 public:
  explicit CallGuard(Machine& machine) : machine_(machine) {
    if (++machine_.depth > machine_.budgets().call_depth) {
      --machine_.depth;
      machine_.fail("recursion budget exhausted ({} nested calls)", machine_.budgets().call_depth);
    }
  }
  ~CallGuard() { --machine_.depth; }
  CallGuard(const CallGuard&) = delete;
  CallGuard& operator=(const CallGuard&) = delete;

 private:
  Machine& machine_;
};

// Arguments bound to parameter names, as Python binds them.
class Bound {
 public:
  // Fails if there are too many, unknown or doubled arguments, or fewer than `required`.
  Bound(Machine& machine, std::string_view function, const Arguments& arguments,
        std::initializer_list<const char*> names, std::size_t required);
  bool has(std::size_t i) const { return present_[i]; }
  const Value& operator[](std::size_t i) const { return values_[i]; }
  Value get(std::size_t i, Value otherwise) const { return present_[i] ? values_[i] : otherwise; }
  bool flag(std::size_t i) const { return present_[i] && truthy(values_[i]); }
  // The integer given (bool counts); fails for other types.
  std::int64_t integer(std::size_t i, std::int64_t otherwise) const;
  // The string given; fails for other types.
  const Text& text(std::size_t i) const;

 private:
  Machine& machine_;
  std::string function_;
  std::vector<Value> values_;
  std::vector<bool> present_;
};

}  // namespace nautile::jinja
