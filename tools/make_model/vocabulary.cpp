#include "make_model/vocabulary.h"

#include <array>
#include <filesystem>
#include <limits>
#include <map>

#include "base/error.h"
#include "base/json.h"
#include "store/hf_folder.h"

namespace nautile::make_model {
namespace {

using nlohmann::json;

enum TokenType : std::int32_t { kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5 };

// GPT-2's printable stand-in for each byte: itself where it is visible in Latin-1, else from U+0100
// on.
std::string byte_token(int byte) {
  static const std::array<int, 256> points = [] {
    std::array<int, 256> table{};
    int next = 0x100;
    for (int b = 0; b < 256; ++b) {
      const bool visible = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
      table[static_cast<std::size_t>(b)] = visible ? b : next++;
    }
    return table;
  }();
  const int point = points[static_cast<std::size_t>(byte)];
  if (point < 0x80) return std::string(1, static_cast<char>(point));
  return {static_cast<char>(0xc0 | (point >> 6)), static_cast<char>(0x80 | (point & 0x3f))};
}

// The pre-tokenizer's name in GGUF, told by the regular expressions that are its mark.
std::string detect_pre(const json& tokenizer) {
  const std::string text =
      tokenizer.contains("pre_tokenizer") ? tokenizer["pre_tokenizer"].dump() : "";
  const auto has = [&](std::string_view part) { return text.find(part) != text.npos; };
  const bool three_digits = has("\\\\p{N}{1,3}");
  if (has("一-龥") && three_digits) return "deepseek-v3";
  if (has("(?i:'s|'t") && three_digits) return "llama-bpe";
  if (has("(?i:'s|'t")) return "qwen2";
  if (has("\"Digits\"")) return "smollm";
  return "gpt-2";
}

const json& member(const json& object, const char* name, const std::string& path) {
  return json_member(object, name, path);
}

void put_token(Vocabulary& vocabulary, const std::string& text, std::int64_t id, TokenType type,
               const std::string& path) {
  if (id < 0 || id >= std::ssize(vocabulary.tokens)) {
    fail(ErrorKind::usage, "{}: token \"{}\" has id {}, the model's vocab_size is {}", path, text,
         id, vocabulary.tokens.size());
  }
  vocabulary.tokens[static_cast<std::size_t>(id)] = text;
  vocabulary.types[static_cast<std::size_t>(id)] = type;
}

std::int64_t token_id(const json& value, const std::string& path) {
  if (!value.is_number_integer())
    fail(ErrorKind::bad_input, "{}: a token's id is no integer", path);
  return value.get<std::int64_t>();
}

void read_tokens(const json& tokenizer, const std::string& path, Vocabulary& vocabulary) {
  const json& model = member(tokenizer, "model", path);
  if (model.value("type", "") != "BPE")
    fail(ErrorKind::unsupported, "{}: \"model\" is not of type BPE", path);
  for (const auto& [text, id] : member(model, "vocab", path).items()) {
    put_token(vocabulary, text, token_id(id, path), kNormal, path);
  }
  for (const json& merge : member(model, "merges", path)) {
    if (merge.is_string()) {
      vocabulary.merges.push_back(merge.get<std::string>());
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      vocabulary.merges.push_back(merge[0].get<std::string>() + " " + merge[1].get<std::string>());
    } else {
      fail(ErrorKind::bad_input, "{}: a merge is neither \"a b\" nor [\"a\", \"b\"]", path);
    }
  }
  if (!tokenizer.contains("added_tokens")) return;
  for (const json& added : tokenizer["added_tokens"]) {
    const bool special = added.contains("special") && added["special"] == true;
    put_token(vocabulary, member(added, "content", path).get<std::string>(),
              token_id(member(added, "id", path), path), special ? kControl : kUserDefined, path);
  }
}

std::optional<std::int64_t> config_id(const Facts& facts, const char* name) {
  const auto found = facts.config.find(name);
  if (found == facts.config.end() || !found->is_number_integer()) return std::nullopt;
  const auto id = found->get<std::int64_t>();
  return id >= 0 && id < facts.vocabulary ? std::optional(id) : std::nullopt;
}

// "bos_token" and its like are a string or an object with "content".
std::optional<std::int64_t> named_token(const json& config, const char* name,
                                        const Vocabulary& vocabulary) {
  if (!config.contains(name)) return std::nullopt;
  const json& value = config[name].is_object() && config[name].contains("content")
                          ? config[name]["content"]
                          : config[name];
  if (!value.is_string()) return std::nullopt;
  for (std::size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    if (vocabulary.tokens[i] == value.get_ref<const std::string&>())
      return static_cast<std::int64_t>(i);
  }
  return std::nullopt;
}

Vocabulary empty_vocabulary(const Facts& facts) {
  Vocabulary vocabulary;
  const auto size = static_cast<std::size_t>(facts.vocabulary);
  vocabulary.types.assign(size, kUnused);
  for (std::size_t i = 0; i < size; ++i) vocabulary.tokens.push_back(fmt::format("[PAD{}]", i));
  return vocabulary;
}

}  // namespace

Vocabulary read_vocabulary(const std::string& folder_path, const Facts& facts) {
  const store::HfFolder folder(folder_path);
  const std::string path = folder.file("tokenizer.json");
  const json tokenizer = folder.json("tokenizer.json");
  Vocabulary vocabulary = empty_vocabulary(facts);
  vocabulary.pre = detect_pre(tokenizer);
  read_tokens(tokenizer, path, vocabulary);
  const json config = folder.optional_json("tokenizer_config.json").value_or(json::object());
  vocabulary.bos = named_token(config, "bos_token", vocabulary);
  vocabulary.eos = named_token(config, "eos_token", vocabulary);
  vocabulary.pad = named_token(config, "pad_token", vocabulary);
  if (!vocabulary.bos) vocabulary.bos = config_id(facts, "bos_token_id");
  if (!vocabulary.eos) vocabulary.eos = config_id(facts, "eos_token_id");
  if (config.contains("add_bos_token") && config["add_bos_token"].is_boolean()) {
    vocabulary.add_bos = config["add_bos_token"].get<bool>();
  } else if (tokenizer.contains("post_processor")) {
    vocabulary.add_bos =
        tokenizer["post_processor"].dump().find("TemplateProcessing") != std::string::npos;
  }
  if (config.contains("chat_template") && config["chat_template"].is_string()) {
    vocabulary.chat_template = config["chat_template"].get<std::string>();
  }
  return vocabulary;
}

std::optional<Vocabulary> made_vocabulary(const Facts& facts) {
  if (facts.vocabulary < 256 + 2) return std::nullopt;
  Vocabulary vocabulary = empty_vocabulary(facts);
  vocabulary.pre = "gpt-2";
  vocabulary.bos = config_id(facts, "bos_token_id").value_or(0);
  vocabulary.eos = config_id(facts, "eos_token_id").value_or(*vocabulary.bos == 1 ? 0 : 1);
  put_token(vocabulary, "<|bos|>", *vocabulary.bos, kControl, "the made vocabulary");
  if (*vocabulary.eos != *vocabulary.bos)
    put_token(vocabulary, "<|eos|>", *vocabulary.eos, kControl, "the made vocabulary");
  vocabulary.add_bos = false;
  std::int64_t next = 0;
  const auto append = [&](const std::string& text) {
    while (next < facts.vocabulary && vocabulary.types[static_cast<std::size_t>(next)] != kUnused)
      ++next;
    if (next < facts.vocabulary) put_token(vocabulary, text, next, kNormal, "the made vocabulary");
    return next < facts.vocabulary;
  };
  for (int byte = 0; byte < 256; ++byte) append(byte_token(byte));
  // Frequent pairs of English, each made of tokens that are there already.
  constexpr std::pair<std::string_view, std::string_view> kMerges[] = {
      {"Ġ", "t"}, {"h", "e"}, {"Ġ", "a"}, {"i", "n"}, {"r", "e"}, {"o", "n"}, {"Ġt", "he"},
      {"e", "r"}, {"Ġ", "s"}, {"a", "t"}, {"o", "r"}, {"e", "n"}, {"Ġ", "o"}, {"in", "g"}};
  for (const auto& [left, right] : kMerges) {
    if (!append(std::string(left) + std::string(right))) break;
    vocabulary.merges.push_back(fmt::format("{} {}", left, right));
  }
  vocabulary.chat_template =
      "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% "
      "endfor %}"
      "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}";
  return vocabulary;
}

void write_vocabulary(const Vocabulary& vocabulary, store::GgufMetadata& metadata) {
  metadata.string("tokenizer.ggml.model", "gpt2");
  metadata.string("tokenizer.ggml.pre", vocabulary.pre);
  metadata.strings("tokenizer.ggml.tokens", vocabulary.tokens);
  metadata.i32s("tokenizer.ggml.token_type", vocabulary.types);
  metadata.strings("tokenizer.ggml.merges", vocabulary.merges);
  const auto id = [&](const char* key, const std::optional<std::int64_t>& value) {
    if (value) metadata.u32(key, static_cast<std::uint32_t>(*value));
  };
  id("tokenizer.ggml.bos_token_id", vocabulary.bos);
  id("tokenizer.ggml.eos_token_id", vocabulary.eos);
  id("tokenizer.ggml.padding_token_id", vocabulary.pad);
  if (vocabulary.add_bos) metadata.boolean("tokenizer.ggml.add_bos_token", *vocabulary.add_bos);
  if (!vocabulary.chat_template.empty())
    metadata.string("tokenizer.chat_template", vocabulary.chat_template);
}

json tokenizer_json(const Vocabulary& vocabulary) {
  json vocab = json::object();
  json added = json::array();
  for (std::size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    if (vocabulary.types[i] == kControl) {
      added.push_back({{"id", i},
                       {"content", vocabulary.tokens[i]},
                       {"single_word", false},
                       {"lstrip", false},
                       {"rstrip", false},
                       {"normalized", false},
                       {"special", true}});
    } else {
      vocab[vocabulary.tokens[i]] = i;
    }
  }
  const json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", true},
                           {"use_regex", true}};
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer", byte_level},
          {"post_processor", nullptr},
          {"decoder", byte_level},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"vocab", vocab},
            {"merges", vocabulary.merges}}}};
}

json tokenizer_config_json(const Vocabulary& vocabulary) {
  json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"add_bos_token", false},
                 {"chat_template", vocabulary.chat_template}};
  if (vocabulary.bos)
    config["bos_token"] = vocabulary.tokens[static_cast<std::size_t>(*vocabulary.bos)];
  if (vocabulary.eos)
    config["eos_token"] = vocabulary.tokens[static_cast<std::size_t>(*vocabulary.eos)];
  return config;
}

}  // namespace nautile::make_model
