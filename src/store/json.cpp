#include "store/json.h"

#include <iterator>
#include <utility>
#include <vector>

#include "base/error.h"
#include "store/tensor_record.h"

namespace nautile::store {
namespace {

using nlohmann::json;

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
class Builder : public nlohmann::json_sax<json> {
 public:
  Builder(std::string_view text, std::string_view what, const JsonLimits& limits)
      : begin_(text.data()), position_(text.data()), what_(what), limits_(limits) {}

  const char** position() { return &position_; }
  json take() { return std::move(root_); }

  bool null() override { return put(json(nullptr)); }
  bool boolean(bool value) override { return put(json(value)); }
  bool number_integer(std::int64_t value) override { return put(json(value)); }
  bool number_unsigned(std::uint64_t value) override { return put(json(value)); }
  bool number_float(double value, const std::string&) override { return put(json(value)); }
  bool string(std::string& value) override { return put(json(std::move(value))); }
  bool binary(json::binary_t&) override { return false; }

  bool start_object(std::size_t) override { return open(json::object()); }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string& name) override {
    auto [member, added] = stack_.back()->emplace(name, nullptr);
    if (!added) refuse(fmt::format("\"{}\" occurs twice in one object", printable(name)));
    slot_ = &*member;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const json::exception& error) override {
    // The library's text repeats what it read; its last clause says what is wrong.
    std::string reason = error.what();
    if (const auto at = reason.find(": "); at != std::string::npos) reason.erase(0, at + 2);
    fail(ErrorKind::bad_input, "{}: at byte {}: not JSON: {}", what_, position,
         printable(reason, 240));
  }

 private:
  [[noreturn]] void refuse(const std::string& reason) const {
    fail(ErrorKind::bad_input, "{}: at byte {}: {}", what_, position_ - begin_, reason);
  }

  json* place(json value) {
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

  bool put(json value) {
    place(std::move(value));
    return true;
  }

  bool open(json container) {
    if (static_cast<int>(stack_.size()) >= limits_.depth) {
      refuse(fmt::format("nested deeper than {}", limits_.depth));
    }
    // An element's address holds while it is open: its array grows only after it is closed.
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
  json root_;
  std::vector<json*> stack_;
  json* slot_ = nullptr;
  std::size_t values_ = 0;
};

}  // namespace

json parse_json(std::string_view text, std::string_view what, const JsonLimits& limits) {
  if (text.size() > limits.bytes) {
    fail(ErrorKind::bad_input, "{}: {} bytes of JSON; at most {} are read", what, text.size(),
         limits.bytes);
  }
  Builder builder(text, what, limits);
  const char* end = text.data() + text.size();
  json::sax_parse(Walker(text.data(), builder.position()), Walker(end, builder.position()),
                  &builder);
  return builder.take();
}

const json& json_member(const json& object, const char* name, std::string_view what) {
  if (!object.is_object()) {
    fail(ErrorKind::bad_input, "{}: expected an object, found {}", what, object.type_name());
  }
  const auto member = object.find(name);
  if (member == object.end()) fail(ErrorKind::bad_input, "{}: \"{}\" is missing", what, name);
  return *member;
}

std::size_t key_offset(std::string_view text, std::string_view name) {
  const std::size_t found = text.find(json(name).dump());
  return found == text.npos ? 0 : found;
}

}  // namespace nautile::store
