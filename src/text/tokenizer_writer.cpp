#include "text/tokenizer_writer.h"

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace nautile {
namespace {

using Json = nlohmann::ordered_json;

// One turn after another, each answer closed by the end of sentence. Reasoning given apart from an
// answer is written where the message is the last one, and left out of earlier turns.
constexpr const char* kChatTemplate =
    R"({{ bos_token }}{% for message in messages %})"
    R"({% if message['role'] == 'system' %}{{ message['content'] }})"
    R"({% elif message['role'] == 'user' %}{{ '<｜User｜>' + message['content'] }})"
    R"({% elif message['role'] == 'assistant' %}{{ '<｜Assistant｜>' }})"
    R"({% if message['reasoning_content'] and loop.last %})"
    R"({{ '<think>' + message['reasoning_content'] + '</think>' }}{% endif %})"
    R"({{ message['content'] + eos_token }}{% endif %}{% endfor %})"
    R"({% if add_generation_prompt %}{{ '<｜Assistant｜>' }}{% endif %})";

Json added_token(const NewToken& token, TokenId id) {
  return {{"id", id},        {"content", token.text}, {"single_word", false},    {"lstrip", false},
          {"rstrip", false}, {"normalized", false},   {"special", token.control}};
}

Json byte_level() {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", false}};
}

TokenId id_of(const TokenizerSpec& spec, const std::string& text, std::size_t first) {
  for (std::size_t i = 0; i < spec.added.size(); ++i) {
    if (spec.added[i].text == text) return static_cast<TokenId>(first + i);
  }
  fail(ErrorKind::usage, "the token '{}' is not among the added tokens", text);
}

Json post_processor(const TokenizerSpec& spec, std::size_t first) {
  if (spec.bos.empty()) return byte_level();
  const Json bos = {{"SpecialToken", {{"id", spec.bos}, {"type_id", 0}}}};
  const auto sequence = [](const char* name, int type) {
    return Json{{"Sequence", {{"id", name}, {"type_id", type}}}};
  };
  return {{"type", "TemplateProcessing"},
          {"single", {bos, sequence("A", 0)}},
          {"pair", {bos, sequence("A", 0), sequence("B", 1)}},
          {"special_tokens",
           {{spec.bos,
             {{"id", spec.bos},
              {"ids", Json::array({id_of(spec, spec.bos, first)})},
              {"tokens", Json::array({spec.bos})}}}}}};
}

}  // namespace

const std::vector<std::string>& fim_token_texts() {
  static const std::vector<std::string> texts = {"<｜fim▁begin｜>", "<｜fim▁hole｜>",
                                                 "<｜fim▁end｜>"};
  return texts;
}

TokenizerSpec default_tokenizer_spec() {
  TokenizerSpec spec;
  spec.bos = "<｜begin▁of▁sentence｜>";
  spec.eos = "<｜end▁of▁sentence｜>";
  spec.pad = "<｜▁pad▁｜>";
  spec.added = {{spec.bos}, {spec.eos}, {spec.pad}, {"<｜User｜>"}, {"<｜Assistant｜>"}};
  for (const char* tag : {"<think>", "</think>", "<answer>", "</answer>"}) {
    spec.added.push_back({tag, false});
  }
  spec.chat_template = kChatTemplate;
  return spec;
}

std::string tokenizer_json_text(const TrainedBpe& bpe, const TokenizerSpec& spec) {
  const std::size_t first = bpe.tokens.size();  // id of the first added token
  Json added = Json::array();
  for (std::size_t i = 0; i < spec.added.size(); ++i) {
    added.push_back(added_token(spec.added[i], static_cast<TokenId>(first + i)));
  }
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", training_pattern(spec.digits)}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  Json vocab = Json::object();
  for (std::size_t id = 0; id < first; ++id) vocab[bytes_to_alphabet(bpe.tokens[id])] = id;
  Json merges = Json::array();
  for (const TrainedBpe::Merge& merge : bpe.merges) {
    merges.push_back({bytes_to_alphabet(bpe.tokens[static_cast<std::size_t>(merge.left)]),
                      bytes_to_alphabet(bpe.tokens[static_cast<std::size_t>(merge.right)])});
  }
  const Json whole = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", added},
      {"normalizer", nullptr},
      {"pre_tokenizer",
       {{"type", "Sequence"}, {"pretokenizers", Json::array({split, byte_level()})}}},
      {"post_processor", post_processor(spec, first)},
      {"decoder", byte_level()},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", nullptr},
        {"continuing_subword_prefix", nullptr},
        {"end_of_word_suffix", nullptr},
        {"fuse_unk", false},
        {"byte_fallback", false},
        {"ignore_merges", false},
        {"vocab", vocab},
        {"merges", merges}}}};
  return whole.dump(1) + "\n";
}

std::string tokenizer_config_text(const TokenizerSpec& spec) {
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"add_bos_token", !spec.bos.empty()},
                 {"add_eos_token", false},
                 {"clean_up_tokenization_spaces", false}};
  if (!spec.bos.empty()) config["bos_token"] = spec.bos;
  if (!spec.eos.empty()) config["eos_token"] = spec.eos;
  if (!spec.pad.empty()) config["pad_token"] = spec.pad;
  if (!spec.chat_template.empty()) config["chat_template"] = spec.chat_template;
  return config.dump(1) + "\n";
}

}  // namespace nautile
