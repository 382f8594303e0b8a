// tokenizer_json.cpp — reads Hugging Face's tokenizer.json.
#include <limits>

#include "base/error.h"
#include "base/json.h"
#include "text/split_known.h"
#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"

namespace nautile {

using Json = nlohmann::json;

namespace {

constexpr std::size_t kMaxSteps = 32;  // of a normalizer or pre-tokenizer

// The member, or a null value where it is absent.
const Json& member(const Json& object, const char* key) {
  static const Json null;
  const auto it = object.find(key);
  return it == object.end() ? null : *it;
}

const Json& object_member(const Json& object, const char* key, std::string_view where) {
  const Json& value = member(object, key);
  NAUTILE_CHECK(value.is_object(), "{}: expected an object \"{}\", found {}", where, key,
                value.type_name());
  return value;
}

const Json& array_member(const Json& object, const char* key, std::string_view where) {
  const Json& value = member(object, key);
  NAUTILE_CHECK(value.is_array(), "{}: expected an array \"{}\", found {}", where, key,
                value.type_name());
  return value;
}

const std::string& string_member(const Json& object, const char* key, std::string_view where) {
  const Json& value = member(object, key);
  NAUTILE_CHECK(value.is_string(), "{}: expected a string \"{}\", found {}", where, key,
                value.type_name());
  return value.get_ref<const std::string&>();
}

const std::string& type_of(const Json& object, std::string_view where) {
  NAUTILE_CHECK(object.is_object(), "{}: expected an object, found {}", where, object.type_name());
  return string_member(object, "type", where);
}

TokenId id_from(const Json& value, std::string_view where) {
  NAUTILE_CHECK(value.is_number_integer(), "{}: expected a token id, found {}", where,
                value.type_name());
  const bool fits = value.is_number_unsigned()
                        ? value.get<std::uint64_t>() <= std::numeric_limits<TokenId>::max()
                        : value.get<std::int64_t>() >= 0;
  NAUTILE_CHECK(fits, "{}: the token id {} is not in 0 to {}", where, brief(value.dump()),
                std::numeric_limits<TokenId>::max());
  return value.get<TokenId>();
}

// {"String": s} or {"Regex": s}.
enum class PatternKind { literal, regex };
PatternKind pattern_of(const Json& step, std::string& pattern, std::string_view where) {
  const Json& object = object_member(step, "pattern", where);
  if (object.contains("String")) {
    pattern = string_member(object, "String", where);
    return PatternKind::literal;
  }
  pattern = string_member(object, "Regex", where);
  return PatternKind::regex;
}

void add_normalizer(const Json& n, Normalizer& out, const std::string& where) {
  if (n.is_null()) return;
  const std::string& type = type_of(n, where);
  NAUTILE_CHECK(out.size() < kMaxSteps, "{}: more than {} steps", where, kMaxSteps);
  if (type == "Sequence") {
    std::size_t index = 0;
    for (const Json& inner : array_member(n, "normalizers", where)) {
      add_normalizer(inner, out, fmt::format("{}.normalizers[{}]", where, index++));
    }
  } else if (type == "NFC") {
    out.add(make_form_step(UnicodeForm::nfc));
  } else if (type == "NFD") {
    out.add(make_form_step(UnicodeForm::nfd));
  } else if (type == "NFKC") {
    out.add(make_form_step(UnicodeForm::nfkc));
  } else if (type == "NFKD") {
    out.add(make_form_step(UnicodeForm::nfkd));
  } else if (type == "Lowercase") {
    out.add(make_lowercase_step());
  } else if (type == "Prepend") {
    out.add(make_prepend_step(string_member(n, "prepend", where)));
  } else if (type == "Strip") {
    const bool left = bool_member(n, "strip_left", true, where);
    const bool right = bool_member(n, "strip_right", true, where);
    if (left || right) {
      out.add(make_strip_step(left && right ? StripSides::both
                              : left        ? StripSides::left
                                            : StripSides::right));
    }
  } else if (type == "Replace") {
    std::string pattern;
    const PatternKind kind = pattern_of(n, pattern, where);
    const std::string& content = string_member(n, "content", where);
    out.add(kind == PatternKind::literal ? make_replace_string_step(pattern, content)
                                         : make_replace_regex_step(pattern, content));
  } else {
    fail(ErrorKind::unsupported, "{}: the normalizer \"{}\" is not supported", where, brief(type));
  }
}

SplitBehavior behavior_of(const Json& step, std::string_view where) {
  const std::string& name = string_member(step, "behavior", where);
  if (name == "Isolated") return SplitBehavior::isolated;
  if (name == "Removed") return SplitBehavior::removed;
  if (name == "MergedWithPrevious") return SplitBehavior::merged_with_previous;
  if (name == "MergedWithNext") return SplitBehavior::merged_with_next;
  if (name == "Contiguous") return SplitBehavior::contiguous;
  fail(ErrorKind::bad_input, "{}: unknown behavior \"{}\"", where, brief(name));
}

// Set once the ByteLevel stage is met: after it the pieces are no text any more.
enum class ByteLevel { not_met, met };

void add_pre_tokenizer(const Json& p, PreTokenizer& out, ByteLevel& level,
                       const std::string& where) {
  if (p.is_null()) return;
  const std::string& type = type_of(p, where);
  NAUTILE_CHECK(out.size() < kMaxSteps, "{}: more than {} steps", where, kMaxSteps);
  if (type == "Sequence") {
    std::size_t index = 0;
    for (const Json& inner : array_member(p, "pretokenizers", where)) {
      add_pre_tokenizer(inner, out, level, fmt::format("{}.pretokenizers[{}]", where, index++));
    }
    return;
  }
  if (level == ByteLevel::met) {
    fail(ErrorKind::unsupported, "{}: a \"{}\" after ByteLevel is not supported", where,
         brief(type));
  }
  if (type == "Split") {
    std::string pattern;
    const PatternKind kind = pattern_of(p, pattern, where);
    const SplitBehavior behavior = behavior_of(p, where);
    const SplitInvert invert =
        bool_member(p, "invert", false, where) ? SplitInvert::yes : SplitInvert::no;
    out.add(kind == PatternKind::literal ? make_string_step(pattern, behavior, invert)
                                         : make_regex_step(pattern, behavior, invert));
  } else if (type == "Digits") {
    out.add(make_digits_step(bool_member(p, "individual_digits", false, where) ? DigitRuns::single
                                                                               : DigitRuns::runs));
  } else if (type == "ByteLevel") {
    if (bool_member(p, "add_prefix_space", true, where)) out.add(make_prefix_space_step());
    if (bool_member(p, "use_regex", true, where)) out.add(make_known_step(patterns::kGpt2));
    level = ByteLevel::met;
  } else {
    fail(ErrorKind::unsupported, "{}: the pre-tokenizer \"{}\" is not supported", where,
         brief(type));
  }
}

// Adds what a template puts before and after its sequence A.
void add_template(const Json& p, TokenizerParts& parts, const std::string& where) {
  const Json& special = object_member(p, "special_tokens", where);
  std::vector<TokenId> before, after;
  bool seen = false;
  std::size_t index = 0;
  for (const Json& item : array_member(p, "single", where)) {
    const std::string place = fmt::format("{}.single[{}]", where, index++);
    NAUTILE_CHECK(item.is_object(), "{}: expected an object", place);
    if (item.contains("Sequence")) {
      const std::string& name = string_member(item["Sequence"], "id", place);
      NAUTILE_CHECK(name == "A" && !seen, "{}: expected sequence A once", place);
      seen = true;
      continue;
    }
    const std::string& name =
        string_member(object_member(item, "SpecialToken", place), "id", place);
    const Json& token = object_member(special, name.c_str(), where + ".special_tokens");
    for (const Json& id : array_member(token, "ids", place)) {
      (seen ? after : before).push_back(id_from(id, place));
    }
  }
  NAUTILE_CHECK(seen, "{}: the template has no sequence A", where);
  parts.prefix.insert(parts.prefix.begin(), before.begin(), before.end());
  parts.suffix.insert(parts.suffix.end(), after.begin(), after.end());
}

// "sep": ["</s>", 2] of BertProcessing and RobertaProcessing.
TokenId bert_token(const Json& p, const char* key, const std::string& where) {
  const Json& pair = array_member(p, key, where);
  NAUTILE_CHECK(pair.size() == 2, "{}: expected \"{}\" to be [token, id]", where, key);
  return id_from(pair[1], where);
}

void add_post_processor(const Json& p, TokenizerParts& parts, const std::string& where) {
  if (p.is_null()) return;
  const std::string& type = type_of(p, where);
  if (type == "Sequence") {
    std::size_t index = 0;
    for (const Json& inner : array_member(p, "processors", where)) {
      add_post_processor(inner, parts, fmt::format("{}.processors[{}]", where, index++));
    }
  } else if (type == "TemplateProcessing") {
    add_template(p, parts, where);
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    parts.prefix.insert(parts.prefix.begin(), bert_token(p, "cls", where));
    parts.suffix.push_back(bert_token(p, "sep", where));
  } else if (type != "ByteLevel") {  // ByteLevel only moves offsets
    fail(ErrorKind::unsupported, "{}: the post-processor \"{}\" is not supported", where,
         brief(type));
  }
}

void check_decoder(const Json& d, const std::string& where) {
  const std::string& type = type_of(d, where);
  if (type == "Sequence") {
    const Json& inner = array_member(d, "decoders", where);
    if (inner.size() == 1) return check_decoder(inner[0], where + ".decoders[0]");
  }
  if (type != "ByteLevel") {
    fail(ErrorKind::unsupported, "{}: the decoder \"{}\" is not supported (only ByteLevel)", where,
         brief(type));
  }
}

// A merge is "a b" in older files and ["a", "b"] in newer ones.
void split_merge(const Json& merge, std::string& left, std::string& right, std::size_t index) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    left = merge[0].get_ref<const std::string&>();
    right = merge[1].get_ref<const std::string&>();
    return;
  }
  NAUTILE_CHECK(merge.is_string(), "model.merges[{}]: expected \"left right\" or [left, right]",
                index);
  const std::string& text = merge.get_ref<const std::string&>();
  const std::size_t space = text.find(' ');
  NAUTILE_CHECK(space != text.npos && text.find(' ', space + 1) == text.npos,
                "model.merges[{}]: expected two tokens and one space, found \"{}\"", index,
                brief(text));
  left = text.substr(0, space);
  right = text.substr(space + 1);
}

void read_merges(const Json& model, TokenizerParts& parts) {
  const Json& list = array_member(model, "merges", "model");
  parts.merges.reserve(list.size());
  std::string left, right;
  for (std::size_t i = 0; i < list.size(); ++i) {
    split_merge(list[i], left, right, i);
    const auto find = [&](const std::string& text) {
      const TokenId id = parts.vocab->find_text(text);
      NAUTILE_CHECK(id != kNoToken && parts.vocab->is_byte_form(id),
                    "model.merges[{}]: \"{}\" is not a byte-level token of the vocabulary", i,
                    brief(text));
      return id;
    };
    const TokenId l = find(left), r = find(right);
    parts.merges.push_back({l, r, find(left + right), static_cast<std::uint32_t>(i)});
  }
}

void read_model(const Json& model, TokenizerParts& parts) {
  const Json& type = member(model, "type");
  if (!type.is_null() && type != "BPE") {
    fail(ErrorKind::unsupported, "model: only \"BPE\" is supported, found {}", brief(type.dump()));
  }
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const Json& value = member(model, key);
    if (!value.is_null() && value != Json(""))
      fail(ErrorKind::unsupported, "model: {} is not supported", key);
  }
  const Json& dropout = member(model, "dropout");
  if (!dropout.is_null() && dropout != 0)
    fail(ErrorKind::unsupported, "model: dropout is not supported");
  std::vector<VocabEntry> entries;
  for (const auto& [text, id] : object_member(model, "vocab", "model").items()) {
    entries.push_back({text, kNoToken});
    if (id.is_number_unsigned() && id.get<std::uint64_t>() <= std::numeric_limits<TokenId>::max()) {
      entries.back().id = id.get<TokenId>();
    } else {
      entries.back().id = id_from(id, "model.vocab[\"" + brief(text) + "\"]");
    }
  }
  parts.vocab = std::make_unique<BpeVocab>(entries, TokenSpelling::alphabet);
  read_merges(model, parts);
  if (bool_member(model, "ignore_merges", false, "model")) parts.whole = WholePiece::always;
  const Json& unknown = member(model, "unk_token");
  if (!unknown.is_null()) {
    const TokenId id = parts.vocab->find_text(string_member(model, "unk_token", "model"));
    NAUTILE_CHECK(id != kNoToken, "model: unk_token \"{}\" is not in the vocabulary",
                  brief(unknown.get_ref<const std::string&>()));
    parts.unknown = {id, bool_member(model, "fuse_unk", false, "model")};
  }
}

// With all 256 bytes in the vocabulary, byte_fallback never acts.
void check_fallback(const Json& model, const BpeVocab& vocab) {
  if (!bool_member(model, "byte_fallback", false, "model")) return;
  for (int b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    if (vocab.find_bytes({&byte, 1}) == kNoToken) {
      fail(ErrorKind::unsupported,
           "model: byte_fallback is not supported where a byte (0x{:02x}) has no token", b);
    }
  }
}

void read_added(const Json& root, TokenizerParts& parts) {
  const Json& list = member(root, "added_tokens");
  if (list.is_null()) return;
  for (const Json& item : array_member(root, "added_tokens", "tokenizer.json")) {
    const std::string where = fmt::format("added_tokens[{}]", parts.added.size());
    AddedToken token = added_token_from_json(item, where);
    token.id = id_from(member(item, "id"), where);
    const TokenId known = parts.vocab->find_text(token.content);
    NAUTILE_CHECK(known == kNoToken || known == token.id,
                  "{}: \"{}\" has id {} here and {} in model.vocab", where, brief(token.content),
                  token.id, known);
    NAUTILE_CHECK(known != kNoToken || !parts.vocab->has(token.id),
                  "{}: \"{}\" has id {}, which model.vocab gives to \"{}\"", where,
                  brief(token.content), token.id, brief(parts.vocab->text(token.id)));
    parts.added.push_back(std::move(token));
  }
}

std::optional<TokenId> find_token(const TokenizerParts& parts,
                                  const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  for (const AddedToken& t : parts.added) {
    if (t.content == *text) return t.id;
  }
  const TokenId id = parts.vocab->find_text(*text);
  return id == kNoToken ? std::nullopt : std::optional(id);
}

void read_config(std::string_view text, TokenizerParts& parts) {
  const Json config =
      text.empty() ? Json::object()
                   : parse_json(text, "tokenizer_config.json", {.repeated = RepeatedNames::last});
  NAUTILE_CHECK(config.is_object(), "tokenizer_config.json: expected an object, found {}",
                config.type_name());
  parts.bos = find_token(parts, config_token(config, "bos_token"));
  parts.eos = find_token(parts, config_token(config, "eos_token"));
  parts.pad = find_token(parts, config_token(config, "pad_token"));
  // A template's first token is BOS even where the configuration does not say so.
  if (!parts.bos && !parts.prefix.empty()) parts.bos = parts.prefix[0];
  const bool by_template = !parts.prefix.empty() && parts.bos == parts.prefix[0];
  parts.wants_bos =
      parts.bos && bool_member(config, "add_bos_token", by_template, "tokenizer_config.json");
}

TokenizerParts read_tokenizer(const Json& root) {
  NAUTILE_CHECK(root.is_object(), "expected an object, found {}", root.type_name());
  TokenizerParts parts;
  const Json& model = object_member(root, "model", "tokenizer.json");
  read_model(model, parts);
  check_fallback(model, *parts.vocab);
  add_normalizer(member(root, "normalizer"), parts.normalizer, "normalizer");
  ByteLevel level = ByteLevel::not_met;
  add_pre_tokenizer(member(root, "pre_tokenizer"), parts.pre_tokenizer, level, "pre_tokenizer");
  if (level == ByteLevel::not_met) {
    fail(ErrorKind::unsupported,
         "pre_tokenizer: no ByteLevel stage; only byte-level BPE is supported");
  }
  add_post_processor(member(root, "post_processor"), parts, "post_processor");
  check_decoder(member(root, "decoder"), "decoder");
  read_added(root, parts);
  return parts;
}

}  // namespace

std::optional<std::string> config_token(const Json& config, const char* key) {
  const Json& value = member(config, key);
  if (value.is_null()) return std::nullopt;
  if (value.is_string()) return value.get<std::string>();
  NAUTILE_CHECK(value.is_object(), "tokenizer_config.json: expected \"{}\" to be a token, found {}",
                key, value.type_name());
  return string_member(value, "content", fmt::format("tokenizer_config.json: {}", key));
}

bool bool_member(const Json& object, const char* key, bool missing, std::string_view where) {
  const Json& value = member(object, key);
  if (value.is_null()) return missing;
  NAUTILE_CHECK(value.is_boolean(), "{}: expected \"{}\" to be true or false, found {}", where, key,
                value.type_name());
  return value.get<bool>();
}

AddedToken added_token_from_json(const Json& object, std::string_view where) {
  NAUTILE_CHECK(object.is_object(), "{}: expected an object, found {}", where, object.type_name());
  AddedToken token;
  token.content = string_member(object, "content", where);
  token.special = bool_member(object, "special", false, where);
  token.lstrip = bool_member(object, "lstrip", false, where);
  token.rstrip = bool_member(object, "rstrip", false, where);
  token.single_word = bool_member(object, "single_word", false, where);
  token.normalized = bool_member(object, "normalized", !token.special, where);
  return token;
}

Tokenizer Tokenizer::from_json(std::string_view tokenizer_json,
                               std::string_view tokenizer_config_json) {
  const Json root = parse_json(tokenizer_json, "tokenizer.json", {.repeated = RepeatedNames::last});
  try {
    TokenizerParts parts = read_tokenizer(root);
    read_config(tokenizer_config_json, parts);
    return Tokenizer(std::move(parts));
  } catch (const Error& e) {
    throw e.with("in tokenizer.json");
  }
}

}  // namespace nautile
