// tool_parser.cpp — a machine that takes one byte at a time: how the text is cut cannot matter.
#include "text/tool_parser.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/strings.h"
#include "text/json_scanner.h"
#include "text/tool_object.h"

namespace nautile {
namespace {

using Syntax = ToolFormat::Syntax;
using Ended = ToolPiece::Ended;

constexpr std::string_view kCallsBegin = "<｜tool▁calls▁begin｜>",
                           kCallsEnd = "<｜tool▁calls▁end｜>", kCallBegin = "<｜tool▁call▁begin｜>",
                           kCallEnd = "<｜tool▁call▁end｜>", kSeparator = "<｜tool▁sep｜>",
                           kOpen = "<tool_call>", kClose = "</tool_call>",
                           kPython = "<|python_tag|>", kFence = "```", kNamedFence = "```json";
constexpr std::size_t kMaxName = 256;

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

}  // namespace

struct ToolCallParser::Impl {
  enum class State : std::uint8_t {
    text,       // content; between calls and after them too
    block,      // DeepSeek: after the marker of the calls, before that of the first
    type,       // DeepSeek: up to the separator: "function", or the name
    head,       // DeepSeek: from the separator to the arguments
    start,      // JSON: after a marker, before the object
    object,     // JSON: in the object
    arguments,  // DeepSeek: in the arguments
    fence,      // DeepSeek: after them, up to the call's end
    broken,     // in arguments that are none
  };

  Impl(const ToolFormat& of, std::vector<std::string> offered)
      : format(of), names(std::move(offered)) {}

  const ToolFormat& format;
  const std::vector<std::string> names;
  std::vector<ToolPiece> out;
  int calls = 0;

  State state = State::text;
  std::string pending;  // what is to be read, in reverse: bytes that come back stand last

  // Of State::text.
  std::string space;          // white space that is held back, before `part`
  std::string part;           // the beginning of a marker, maybe
  bool said = false;          // content has come
  bool after_call = false;    // nothing but white space since a call
  bool in_block = false;      // DeepSeek: the calls' end is to come
  bool awaits_close = false;  // the call's end is to come
  // Of an attempt at a call.
  std::string raw;             // all of it from the white space on, until the call has begun
  std::size_t marker_end = 0;  // in raw: where to read again if it comes to nothing
  std::string_view opened;     // the marker, or "{"
  bool begun = false, ended = false;
  std::string type, head;  // DeepSeek's
  bool fenced = false;     // its arguments stand in a fence
  JsonScanner scanner;     // DeepSeek's arguments
  ToolObject object;
  std::string tail;  // of fence and broken: what may belong to the call's end

  bool deepseek() const { return format.syntax == Syntax::deepseek; }
  bool bare() const {
    return format.syntax == Syntax::bare_json || format.syntax == Syntax::any_json;
  }

  bool marked() const { return opened != "{"; }

  // ---- what comes out
  void content(std::string_view text) {
    if (text.empty()) return;
    said = true;
    after_call = after_call && trimmed(text).empty();
    if (!out.empty() && out.back().kind == ToolPiece::Kind::content) {
      out.back().text += text;
    } else {
      out.push_back({ToolPiece::Kind::content, 0, std::string(text), Ended::whole});
    }
  }
  void begin(std::string_view name) {
    awaits_close = false;
    out.push_back({ToolPiece::Kind::begin, calls++, std::string(name), Ended::whole});
    begun = true;
    raw.clear();
  }
  void argument(std::string_view text) {
    if (text.empty()) return;
    if (out.empty() || out.back().kind != ToolPiece::Kind::arguments) {
      out.push_back({ToolPiece::Kind::arguments, calls - 1, "", Ended::whole});
    }
    out.back().text += text;
  }
  void end(Ended how) {
    out.push_back({ToolPiece::Kind::end, calls - 1, "", how});
    ended = true;
    after_call = true;
  }

  // ---- attempts
  // A call may begin with `marker`, or with the byte '{' where none is needed.
  void attempt(std::string_view marker, State next) {
    raw = space;
    raw += marker;
    marker_end = raw.size();
    space.clear();
    part.clear();
    opened = marker;
    begun = ended = fenced = false;
    type.clear();
    head.clear();
    tail.clear();
    scanner = {};
    object = {};
    state = next;
  }
  // It comes to nothing: the marker is content, what followed is read again.
  void give_up() {
    const std::string text = std::exchange(raw, {});
    state = State::text;
    content(std::string_view(text).substr(0, marker_end));
    pending.append(text.rbegin(), text.rend() - static_cast<std::ptrdiff_t>(marker_end));
  }
  void leave(bool close) {
    awaits_close = close;
    state = State::text;
  }

  // ---- State::text
  void marker(std::string_view text) {
    if (text == kCallsBegin) return attempt(text, State::block);
    if (text == kCallBegin) return attempt(text, State::type);
    if (text == kOpen || text == kPython) return attempt(text, State::start);
    // The end of a call, or of all.
    if (text == kCallsEnd) in_block = false;
    awaits_close = false;
    if (after_call) {
      space.clear();  // between calls
    } else {
      flush_space();
    }
    part.clear();
  }

  bool active(std::string_view text) const {
    if (text == kCallsBegin || text == kCallBegin) return deepseek();
    if (text == kCallsEnd) return in_block;
    if (text == kCallEnd) return deepseek() && awaits_close;
    if (text == kOpen) return format.syntax == Syntax::json || format.syntax == Syntax::any_json;
    if (text == kClose) return !deepseek() && awaits_close;
    return text == kPython && format.syntax == Syntax::bare_json;
  }

  void flush_space() { content(std::exchange(space, {})); }

  void take_text(char c) {
    constexpr std::array kMarkers = {kCallsBegin, kCallBegin, kCallsEnd, kCallEnd,
                                     kOpen,       kClose,     kPython};
    part += c;
    for (const std::string_view text : kMarkers) {
      if (!text.starts_with(part) || !active(text)) continue;
      if (text.size() == part.size()) marker(text);
      return;
    }
    part.pop_back();
    if (!part.empty()) {
      flush_space();
      content(std::exchange(part, {}));
      pending += c;  // it may begin another marker
      return;
    }
    const bool only_space = after_call || !said;
    if (is_space(c) && only_space) {
      space += c;
    } else if (bare() && c == ';' && after_call && space.find(';') == std::string::npos) {
      space += c;  // some part parallel calls by it
    } else if (bare() && c == '{' && only_space) {
      attempt("{", State::object);
      object.take(c);
    } else {
      flush_space();
      if (!format.after_content.empty() && format.after_content[0] == c) {
        space += c;
      } else {
        content(std::string_view(&c, 1));
      }
    }
  }

  // ---- DeepSeek's calls
  // Whether `text` is the marker, or begins it.
  enum class Marker : std::uint8_t { no, part, whole };
  static Marker is_marker(std::string_view text, std::string_view marker) {
    if (text == marker) return Marker::whole;
    return marker.starts_with(text) ? Marker::part : Marker::no;
  }

  void take_block(char c) {
    raw += c;
    const std::string_view rest = trimmed(std::string_view(raw).substr(marker_end));
    if (rest.empty()) return;
    const Marker found = is_marker(rest, kCallBegin);
    if (found == Marker::no) return give_up();
    if (found == Marker::whole) state = State::type;
  }

  // Up to the separator.
  void take_type(char c) {
    raw += c;
    type += c;
    const std::size_t at = type.find('<');
    if (at == std::string::npos) {
      if (type.size() > kMaxName) give_up();
      return;
    }
    const Marker found = is_marker(std::string_view(type).substr(at), kSeparator);
    if (found == Marker::no) return give_up();
    if (found == Marker::whole) {
      type = trimmed(std::string_view(type).substr(0, at));
      state = State::head;
    }
  }

  // The name after the type "function", white space, a fence, or nothing of these, up to '{'.
  void take_head(char c) {
    raw += c;
    if (c == '{') {
      if (!begin_deepseek(head)) return give_up();
      state = State::arguments;
      scanner.take(c);
      argument("{");
      return;
    }
    head += c;
    const std::size_t at = head.find('<');
    if (at == std::string::npos) {
      if (head.size() > 2 * kMaxName) give_up();
      return;
    }
    const Marker found = is_marker(std::string_view(head).substr(at), kCallEnd);
    if (found == Marker::no) return give_up();
    if (found == Marker::whole) {
      if (!begin_deepseek(std::string_view(head).substr(0, at))) return give_up();
      argument("{}");
      end(Ended::whole);
      in_block = true;
      leave(false);
    }
  }

  // `text` is what stands between the separator and the arguments.
  bool begin_deepseek(std::string_view text) {
    text = trimmed(text);
    for (const std::string_view fence : {kNamedFence, kFence}) {
      if (fenced || !text.ends_with(fence)) continue;
      fenced = true;
      text.remove_suffix(fence.size());
    }
    text = trimmed(text);
    const std::string name(text.empty() ? std::string_view(type) : text);
    if (!text.empty() && type != "function") return false;
    if (name.empty() || name.size() > kMaxName ||
        name.find_first_of(" \t\r\n`") != std::string::npos) {
      return false;
    }
    begin(name);
    return true;
  }

  void take_deepseek_arguments(char c) {
    const JsonScanner::Told told = scanner.take(c);
    if (told == JsonScanner::Told::bad) {
      state = State::broken;
      return take_broken(c);
    }
    argument(std::string_view(&c, 1));
    if (told != JsonScanner::Told::done) return;
    end(Ended::whole);
    in_block = true;
    state = State::fence;
  }

  // White space and the fence, which belong to the call's end.
  void take_fence(char c) {
    tail += c;
    const std::string_view rest = trimmed(tail);
    if (rest.empty() || (fenced && kFence.starts_with(rest))) return;
    tail.pop_back();
    if (trimmed(tail).empty()) {
      space = tail;
    } else if (trimmed(tail) != kFence) {
      content(tail);
    }
    tail.clear();
    leave(true);
    pending += c;
  }

  // ---- calls as JSON
  void take_start(char c) {
    raw += c;
    if (is_space(c)) return;
    if (c != '{') return give_up();
    state = State::object;
    object.take(c);
  }

  // Where no marker tells a call, its name must be one that was offered.
  bool is_other_json() const {
    if (marked()) return false;
    if (object.foreign_member()) return true;
    return !object.name().empty() &&
           std::find(names.begin(), names.end(), object.name()) == names.end();
  }

  void take_object(char c) {
    if (!begun) raw += c;
    const ToolObject::Told told = object.take(c);
    if (told == ToolObject::Told::bad || told == ToolObject::Told::unfit) {
      if (!begun) return give_up();
      if (!ended) {
        state = State::broken;
        return take_broken(c);
      }
      leave(closer() != "");
      pending += c;
      return;
    }
    if (!begun && is_other_json()) return give_up();
    if (!begun && !object.name().empty() && object.arguments() != ToolObject::Arguments::none) {
      begin(object.name());
    }
    if (begun && !ended) {
      argument(object.take_arguments());
      if (object.arguments() == ToolObject::Arguments::whole) end(Ended::whole);
    }
    if (told != ToolObject::Told::done) return;
    if (!begun) {
      if (!marked() || object.name().empty()) return give_up();
      begin(object.name());
      argument("{}");
      end(Ended::whole);
    }
    leave(closer() != "");
  }

  // ---- arguments that are none
  // What ends the call that was begun; empty where nothing but the text's end does.
  std::string_view closer() const {
    if (deepseek()) return kCallEnd;
    return opened == kOpen ? kClose : "";
  }

  void take_broken(char c) {
    tail += c;
    const std::size_t at = tail.find('<');
    if (closer().empty()) return argument(std::exchange(tail, {}));
    if (at == std::string::npos) {
      // The last of these may be the end's.
      const bool may_end = is_space(c) || c == (deepseek() ? kFence[0] : '}');
      if (!may_end) argument(std::exchange(tail, {}));
      return;
    }
    const Marker found = is_marker(std::string_view(tail).substr(at), closer());
    if (found == Marker::part) return;
    if (found == Marker::no) {
      tail.pop_back();
      argument(std::exchange(tail, {}));
      pending += c;
      return;
    }
    argument(without_end(std::string_view(tail).substr(0, at)));
    end(Ended::broken);
    in_block = deepseek();
    tail.clear();
    leave(false);
  }

  // Less what the format writes between arguments and the end's marker.
  std::string_view without_end(std::string_view text) const {
    const auto strip = [&] {
      while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    };
    strip();
    const std::string_view own = !deepseek() ? "}" : fenced ? kFence : "";
    if (!own.empty() && text.ends_with(own)) text.remove_suffix(own.size());
    strip();
    return text;
  }

  // ---- all
  void take(char c) {
    switch (state) {
      case State::text:
        return take_text(c);
      case State::block:
        return take_block(c);
      case State::type:
        return take_type(c);
      case State::head:
        return take_head(c);
      case State::start:
        return take_start(c);
      case State::object:
        return take_object(c);
      case State::arguments:
        return take_deepseek_arguments(c);
      case State::fence:
        return take_fence(c);
      case State::broken:
        return take_broken(c);
    }
  }
  void drain() {
    while (!pending.empty()) {
      const char c = pending.back();
      pending.pop_back();
      take(c);
    }
  }

  void finish() {
    while (state != State::text && !begun) {
      give_up();
      drain();
    }
    if (state == State::text) {
      if (!part.empty() || !after_call) flush_space();
      content(std::exchange(part, {}));
    } else if (state == State::broken) {
      argument(std::exchange(tail, {}));
      end(Ended::broken);
    } else if (!ended) {
      end(Ended::cut);
    }
    state = State::text;
    space.clear();
  }
};

ToolCallParser::ToolCallParser(const ToolFormat& format, std::vector<std::string> names)
    : impl_(std::make_unique<Impl>(format, std::move(names))) {}
ToolCallParser::~ToolCallParser() = default;
ToolCallParser::ToolCallParser(ToolCallParser&&) noexcept = default;
ToolCallParser& ToolCallParser::operator=(ToolCallParser&&) noexcept = default;

std::vector<ToolPiece> ToolCallParser::push(std::string_view text) {
  for (const char c : text) {
    impl_->pending += c;
    impl_->drain();
  }
  return std::exchange(impl_->out, {});
}

std::vector<ToolPiece> ToolCallParser::finish() {
  impl_->finish();
  return std::exchange(impl_->out, {});
}

int ToolCallParser::calls() const {
  return impl_->calls;
}

}  // namespace nautile
