#include "base/json.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/printable.h"

namespace nautile {
namespace {

// Walks the text and leaves its position where the builder can read it.
class Walker {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  Walker(const char* at, const char** position) : at_(at), position_(position) {}
  reference operator*() const { return *at_; }
  Walker& operator++() {
    *position_ = ++at_;
    return *this;
  }
  Walker operator++(int) {
    Walker old = *this;
    ++*this;
    return old;
  }
  bool operator==(const Walker& other) const { return at_ == other.at_; }
  bool operator!=(const Walker& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** position_;
};

// Builds the tree from the parser's events, checking limits and repeated names as they come. The
// parser keeps its own stack, so nothing here recurses with the depth of the text.
template <class Json>
class Builder : public nlohmann::json_sax<Json> {
 public:
  Builder(std::string_view text, std::string_view what, const JsonLimits& limits)
      : begin_(text.data()), position_(text.data()), what_(what), limits_(limits) {}

  const char** position() { return &position_; }
  Json take() { return std::move(root_); }

  bool null() override { return put(Json(nullptr)); }
  bool boolean(bool value) override { return put(Json(value)); }
  bool number_integer(std::int64_t value) override { return put(Json(value)); }
  bool number_unsigned(std::uint64_t value) override { return put(Json(value)); }
  bool number_float(double value, const std::string&) override { return put(Json(value)); }
  bool string(std::string& value) override { return put(Json(std::move(value))); }
  bool binary(typename Json::binary_t&) override { return false; }

  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_array() override { return close(); }
  bool end_object() override {
    if constexpr (kOrdered) settle_repeats(members());
    return close();
  }

  bool key(std::string& name) override {
    if constexpr (kOrdered) {  // its emplace() would search all members
      members().emplace_back(std::move(name), nullptr);
      slot_ = &members().back().second;
    } else {
      auto [member, added] = stack_.back()->emplace(std::move(name), nullptr);
      if (!added) repeats(member.key());
      slot_ = &*member;
    }
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception& error) override {
    // The library's text repeats what it read; its last clause says what is wrong.
    std::string reason = error.what();
    if (const auto at = reason.find(": "); at != std::string::npos) reason.erase(0, at + 2);
    fail(ErrorKind::bad_input, "{}: at byte {}: not JSON: {}", what_, position,
         printable(reason, 240));
  }

 private:
  static constexpr bool kOrdered = std::is_same_v<Json, nlohmann::ordered_json>;
  using Object = typename Json::object_t;
  using Members = std::vector<typename Object::value_type>;

  // An ordered object is a vector with searches on top.
  Members& members() { return stack_.back()->template get_ref<Object&>(); }

  [[noreturn]] void refuse(const std::string& reason) const {
    fail(ErrorKind::bad_input, "{}: at byte {}: {}", what_, position_ - begin_, reason);
  }

  void repeats(const std::string& name) const {
    if (limits_.repeated == RepeatedNames::last) return;
    refuse(fmt::format("\"{}\" occurs twice in one object", printable(name)));
  }

  // Of members with one name the first gets the last one's value; the others go.
  void settle_repeats(Members& object) const {
    std::vector<std::size_t> order(object.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    const auto by_name = [&](std::size_t a, std::size_t b) {
      return object[a].first < object[b].first;
    };
    std::stable_sort(order.begin(), order.end(), by_name);
    std::vector<bool> gone(object.size());
    std::size_t first = 0;
    for (std::size_t i = 1; i < order.size(); ++i) {
      if (by_name(order[first], order[i])) {
        first = i;
        continue;
      }
      repeats(object[order[i]].first);
      object[order[first]].second = std::move(object[order[i]].second);
      gone[order[i]] = true;
    }
    if (std::find(gone.begin(), gone.end(), true) == gone.end()) return;
    Members kept;
    for (std::size_t i = 0; i < object.size(); ++i) {
      if (!gone[i]) kept.emplace_back(object[i].first, std::move(object[i].second));
    }
    object.swap(kept);
  }

  Json* place(Json value) {
    if (++values_ > limits_.values) refuse(fmt::format("more than {} values", limits_.values));
    if (stack_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (stack_.back()->is_object()) {
      *slot_ = std::move(value);
      return slot_;
    }
    stack_.back()->push_back(std::move(value));
    return &stack_.back()->back();
  }

  bool put(Json value) {
    place(std::move(value));
    return true;
  }

  bool open(Json container) {
    if (static_cast<int>(stack_.size()) >= limits_.depth) {
      refuse(fmt::format("nested deeper than {}", limits_.depth));
    }
    // A value's address holds while it is open: what holds it grows only after it is closed.
    stack_.push_back(place(std::move(container)));
    return true;
  }

  bool close() {
    stack_.pop_back();
    return true;
  }

  const char* begin_;
  const char* position_;
  std::string_view what_;
  JsonLimits limits_;
  Json root_;
  std::vector<Json*> stack_;
  Json* slot_ = nullptr;
  std::size_t values_ = 0;
};

template <class Json>
Json parse(std::string_view text, std::string_view what, const JsonLimits& limits) {
  if (text.size() > limits.bytes) {
    fail(ErrorKind::bad_input, "{}: {} bytes of JSON; at most {} are read", what, text.size(),
         limits.bytes);
  }
  Builder<Json> builder(text, what, limits);
  const char* end = text.data() + text.size();
  Json::sax_parse(Walker(text.data(), builder.position()), Walker(end, builder.position()),
                  &builder);
  return builder.take();
}

}  // namespace

nlohmann::json parse_json(std::string_view text, std::string_view what, const JsonLimits& limits) {
  return parse<nlohmann::json>(text, what, limits);
}

nlohmann::ordered_json parse_ordered_json(std::string_view text, std::string_view what,
                                          const JsonLimits& limits) {
  return parse<nlohmann::ordered_json>(text, what, limits);
}

const nlohmann::json& json_member(const nlohmann::json& object, const char* name,
                                  std::string_view what) {
  if (!object.is_object()) {
    fail(ErrorKind::bad_input, "{}: expected an object, found {}", what, object.type_name());
  }
  const auto member = object.find(name);
  if (member == object.end()) fail(ErrorKind::bad_input, "{}: \"{}\" is missing", what, name);
  return *member;
}

std::size_t key_offset(std::string_view text, std::string_view name) {
  const std::size_t found = text.find(nlohmann::json(name).dump());
  return found == text.npos ? 0 : found;
}

}  // namespace nautile
