// unicode_normalizer.cpp — normal forms on utf8proc's tables, and the small rewritings.
#include "text/unicode_normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "base/error.h"
#include "text/split_regex.h"
#include "text/unicode.h"

namespace nautile {
namespace {

int combining_class(utf8proc_int32_t code) {
  return utf8proc_get_property(code)->combining_class;
}

bool is_ascii(std::string_view text) {
  std::size_t i = 0;
  std::uint64_t word, any = 0;
  for (; i + 8 <= text.size(); i += 8) {
    std::memcpy(&word, text.data() + i, 8);
    any |= word;
  }
  for (; i < text.size(); ++i) any |= static_cast<unsigned char>(text[i]);
  return !(any & 0x8080808080808080u);
}

// Code points newer than Unicode 9 that have a combining class or a decomposition (up to Unicode
// 16), and the first parts of those. The `tokenizers` library's normalizer knows Unicode 9, and so
// the models have seen text in which these are plain characters that nothing moves across.
constexpr std::pair<char32_t, char32_t> kNewer[] = {
    {0x7FD, 0x7FD},     {0x897, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},
    {0xC3C, 0xC3C},     {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0x1715, 0x1715},
    {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},   {0x32FF, 0x32FF},   {0xA7F2, 0xA7F4},
    {0xA82C, 0xA82C},   {0xAB69, 0xAB69},   {0x105C9, 0x105C9}, {0x105D2, 0x105D2},
    {0x105DA, 0x105DA}, {0x105E4, 0x105E4}, {0x10781, 0x10785}, {0x10787, 0x107B0},
    {0x107B2, 0x107BA}, {0x10D24, 0x10D27}, {0x10D69, 0x10D6D}, {0x10EAB, 0x10EAC},
    {0x10EFD, 0x10EFF}, {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070},
    {0x1133B, 0x1133B}, {0x11382, 0x11385}, {0x1138B, 0x1138B}, {0x1138E, 0x1138E},
    {0x11390, 0x11391}, {0x113C2, 0x113C2}, {0x113C5, 0x113C5}, {0x113C7, 0x113C8},
    {0x113CE, 0x113D0}, {0x1145E, 0x1145E}, {0x11839, 0x1183A}, {0x11935, 0x11935},
    {0x11938, 0x11938}, {0x1193D, 0x1193E}, {0x11943, 0x11943}, {0x119E0, 0x119E0},
    {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99}, {0x11D42, 0x11D42},
    {0x11D44, 0x11D45}, {0x11D97, 0x11D97}, {0x11F41, 0x11F42}, {0x1611E, 0x1611E},
    {0x16121, 0x16129}, {0x1612F, 0x1612F}, {0x16D63, 0x16D63}, {0x16D67, 0x16D6A},
    {0x16FF0, 0x16FF1}, {0x1CCD6, 0x1CCF9}, {0x1E030, 0x1E06D}, {0x1E08F, 0x1E08F},
    {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF},
    {0x1E5EE, 0x1E5EF}, {0x1F16C, 0x1F16C}, {0x1FBF0, 0x1FBF9}};

bool is_newer(char32_t code) {
  const auto after =
      std::upper_bound(std::begin(kNewer), std::end(kNewer), code,
                       [](char32_t c, const auto& range) { return c < range.first; });
  return after != std::begin(kNewer) && code <= std::prev(after)->second;
}

// The form of a stretch of text without newer characters. utf8proc's own canonical ordering is
// quadratic in a run of marks, so the marks are sorted here and utf8proc only decomposes and
// composes.
void append_stretch(std::string_view text, UnicodeForm form, std::string& out) {
  const bool compat = form == UnicodeForm::nfkc || form == UnicodeForm::nfkd;
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE |
                                                      (compat ? UTF8PROC_COMPAT : 0));
  std::vector<utf8proc_int32_t> codes;
  for (std::size_t at = 0; at < text.size();) {
    const Rune rune = decode_rune(text.data() + at);
    at += static_cast<std::size_t>(rune.length);
    utf8proc_int32_t parts[32];  // the longest decomposition has 18
    int bound = 0;
    const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(rune.code), parts, 32,
                                               options, &bound);
    NAUTILE_ASSERT(count >= 0 && count <= 32, "decomposition of U+{:04X} has {} parts",
                   static_cast<unsigned>(rune.code), count);
    codes.insert(codes.end(), parts, parts + count);
  }
  for (auto first = codes.begin(); first != codes.end();) {
    const auto starter = [](utf8proc_int32_t c) { return combining_class(c) == 0; };
    first = std::find_if_not(first, codes.end(), starter);
    const auto last = std::find_if(first, codes.end(), starter);
    std::stable_sort(first, last, [](utf8proc_int32_t a, utf8proc_int32_t b) {
      return combining_class(a) < combining_class(b);
    });
    first = last;
  }
  if (form == UnicodeForm::nfc || form == UnicodeForm::nfkc) {
    const auto compose = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    const auto count = utf8proc_normalize_utf32(
        codes.data(), static_cast<utf8proc_ssize_t>(codes.size()), compose);
    NAUTILE_ASSERT(count >= 0, "composition fails with {}", count);
    codes.resize(static_cast<std::size_t>(count));
  }
  for (const utf8proc_int32_t code : codes) append_utf8(out, static_cast<char32_t>(code));
}

void append_form(std::string_view text, UnicodeForm form, std::string& out) {
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Rune rune = decode_rune(text.data() + at);
    const std::size_t next = at + static_cast<std::size_t>(rune.length);
    if (is_newer(rune.code)) {
      append_stretch(text.substr(done, at - done), form, out);
      out.append(text.substr(at, next - at));
      done = next;
    }
    at = next;
  }
  append_stretch(text.substr(done), form, out);
}

class FormStep : public NormalStep {
 public:
  explicit FormStep(UnicodeForm form) : form_(form) {}

  bool apply(std::string_view text, std::string& out) const override {
    if (is_ascii(text)) return false;
    if (form_ == UnicodeForm::nfc) return apply_nfc(text, out);
    out.clear();
    append_form(text, form_, out);
    return true;
  }

 private:
  // Most characters neither change under NFC nor join the one before: only the stretches around
  // others are worked on, each from the character before it on.
  static bool apply_nfc(std::string_view text, std::string& out) {
    const CharTable& table = CharTable::get();
    std::size_t done = 0;    // text up to here is in out (or unchanged so far)
    std::size_t before = 0;  // where the last character begins
    bool changed = false;
    for (std::size_t at = 0; at < text.size();) {
      Rune rune = decode_rune(text.data() + at);
      if (!(table.bits(rune.code) & kNfcCare)) {
        before = at;
        at += static_cast<std::size_t>(rune.length);
        continue;
      }
      const std::size_t begin = before;
      while (at < text.size()) {
        rune = decode_rune(text.data() + at);
        if (!(table.bits(rune.code) & kNfcCare)) break;
        at += static_cast<std::size_t>(rune.length);
      }
      if (!changed) out.clear();
      changed = true;
      out.append(text.substr(done, begin - done));
      append_form(text.substr(begin, at - begin), UnicodeForm::nfc, out);
      done = before = at;
    }
    if (changed) out.append(text.substr(done));
    return changed;
  }

  UnicodeForm form_;
};

class LowercaseStep : public NormalStep {
 public:
  bool apply(std::string_view text, std::string& out) const override {
    out.clear();
    for (std::size_t at = 0; at < text.size();) {
      const Rune rune = decode_rune(text.data() + at);
      at += static_cast<std::size_t>(rune.length);
      if (rune.code == 0x130) {  // the only character whose lower case is two
        out += "i\u0307";
      } else {
        append_utf8(
            out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(rune.code))));
      }
    }
    return true;
  }
};

class PrependStep : public NormalStep {
 public:
  explicit PrependStep(std::string prefix) : prefix_(std::move(prefix)) {}
  bool apply(std::string_view text, std::string& out) const override {
    if (text.empty()) return false;
    out = prefix_ + std::string(text);
    return true;
  }

 private:
  std::string prefix_;
};

class StripStep : public NormalStep {
 public:
  explicit StripStep(StripSides sides) : sides_(sides) {}
  bool apply(std::string_view text, std::string& out) const override {
    const CharTable& table = CharTable::get();
    while (sides_ != StripSides::right && !text.empty()) {
      const Rune rune = decode_rune(text.data());
      if (!(table.bits(rune.code) & kSpace)) break;
      text.remove_prefix(static_cast<std::size_t>(rune.length));
    }
    while (sides_ != StripSides::left && !text.empty()) {
      const Rune rune = decode_last_rune(text.data(), text.data() + text.size());
      if (!(table.bits(rune.code) & kSpace)) break;
      text.remove_suffix(static_cast<std::size_t>(rune.length));
    }
    out = text;
    return true;
  }

 private:
  StripSides sides_;
};

class ReplaceStringStep : public NormalStep {
 public:
  ReplaceStringStep(std::string literal, std::string content)
      : literal_(std::move(literal)), content_(std::move(content)) {}
  bool apply(std::string_view text, std::string& out) const override {
    std::size_t at = literal_.empty() ? text.npos : text.find(literal_);
    if (at == text.npos) return false;
    out.clear();
    std::size_t done = 0;
    for (; at != text.npos; at = text.find(literal_, done)) {
      out.append(text.substr(done, at - done)).append(content_);
      done = at + literal_.size();
    }
    out.append(text.substr(done));
    return true;
  }

 private:
  std::string literal_;
  std::string content_;
};

class ReplaceRegexStep : public NormalStep {
 public:
  ReplaceRegexStep(const std::string& pattern, std::string content)
      : regex_(pattern), content_(std::move(content)) {}
  bool apply(std::string_view text, std::string& out) const override {
    SplitRegex::Pass pass(regex_, text);
    out.clear();
    std::size_t done = 0, begin = 0, end = 0;
    while (pass.next(begin, end)) {
      out.append(text.substr(done, begin - done)).append(content_);
      done = end;
    }
    out.append(text.substr(done));
    return true;
  }

 private:
  SplitRegex regex_;
  std::string content_;
};

}  // namespace

std::string_view Normalizer::normalize(std::string_view text, std::string& storage) const {
  std::string next;
  for (const auto& step : steps_) {
    if (!step->apply(text, next)) continue;
    storage.swap(next);
    text = storage;
  }
  return text;
}

std::unique_ptr<const NormalStep> make_form_step(UnicodeForm form) {
  return std::make_unique<FormStep>(form);
}
std::unique_ptr<const NormalStep> make_lowercase_step() {
  return std::make_unique<LowercaseStep>();
}
std::unique_ptr<const NormalStep> make_prepend_step(std::string prefix) {
  return std::make_unique<PrependStep>(std::move(prefix));
}
std::unique_ptr<const NormalStep> make_strip_step(StripSides sides) {
  return std::make_unique<StripStep>(sides);
}
std::unique_ptr<const NormalStep> make_replace_string_step(std::string literal,
                                                           std::string content) {
  return std::make_unique<ReplaceStringStep>(std::move(literal), std::move(content));
}
std::unique_ptr<const NormalStep> make_replace_regex_step(const std::string& pattern,
                                                          std::string content) {
  return std::make_unique<ReplaceRegexStep>(pattern, std::move(content));
}

}  // namespace nautile
