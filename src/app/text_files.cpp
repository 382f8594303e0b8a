#include "app/text_files.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"

namespace nautile::app {
namespace {

using nlohmann::json;

std::string read_if_there(const store::HfFolder& folder, std::string_view name) {
  return folder.has(name) ? read_file(folder.file(name)) : std::string();
}

// tokenizer_config.json's chat_template is text, or a list of {name, template}.
std::string template_of(const json& config) {
  const auto found = config.is_object() ? config.find("chat_template") : config.end();
  if (found == config.end()) return "";
  if (found->is_string()) return found->get<std::string>();
  if (!found->is_array()) return "";
  for (const json& entry : *found) {
    if (!entry.is_object()) continue;
    const auto name = entry.find("name"), text = entry.find("template");
    if (name == entry.end() || text == entry.end() || !text->is_string()) continue;
    if (*name == "default") return text->get<std::string>();
  }
  return "";
}

std::string chat_template_of(const store::HfFolder& folder) {
  if (folder.has("chat_template.jinja")) return read_file(folder.file("chat_template.jinja"));
  const auto config = folder.optional_json("tokenizer_config.json");
  return config ? template_of(*config) : std::string();
}

template <class Number>
std::optional<Number> number_of(const json& config, const char* name) {
  const auto found = config.find(name);
  if (found == config.end() || !found->is_number()) return std::nullopt;
  return static_cast<Number>(found->get<double>());
}

void add_stop_ids(const json& eos, std::vector<TokenId>& ids) {
  if (eos.is_number_integer()) {
    const auto id = eos.get<std::int64_t>();
    if (id >= 0 && id < (std::int64_t{1} << 31)) ids.push_back(static_cast<TokenId>(id));
  }
  if (!eos.is_array()) return;
  for (const json& one : eos) {
    if (one.is_number_integer()) add_stop_ids(one, ids);
  }
}

GenerationDefaults defaults_of(const store::HfFolder& folder, const Tokenizer& tokenizer) {
  GenerationDefaults defaults;
  defaults.stop_ids = tokenizer.stop_ids();
  const auto config = folder.optional_json("generation_config.json");
  if (config && config->is_object()) {
    if (const auto eos = config->find("eos_token_id"); eos != config->end()) {
      add_stop_ids(*eos, defaults.stop_ids);
    }
    // Without do_sample the numbers below are transformers' fillers, not advice.
    const auto sample = config->find("do_sample");
    if (sample != config->end() && *sample == true) {
      defaults.temperature = number_of<float>(*config, "temperature");
      defaults.top_p = number_of<float>(*config, "top_p");
      defaults.min_p = number_of<float>(*config, "min_p");
      defaults.top_k = number_of<int>(*config, "top_k");
    } else if (sample != config->end() && *sample == false) {
      defaults.temperature = 0.0f;  // said in so many words: the likeliest token
    }
    defaults.repetition_penalty = number_of<float>(*config, "repetition_penalty");
  }
  std::sort(defaults.stop_ids.begin(), defaults.stop_ids.end());
  defaults.stop_ids.erase(std::unique(defaults.stop_ids.begin(), defaults.stop_ids.end()),
                          defaults.stop_ids.end());
  return defaults;
}

bool has_tokenizer(const store::HfFolder& folder) {
  return folder.has("tokenizer.json") || folder.has("tiktoken.model");
}

TextFiles of_folder(const store::HfFolder& folder) {
  const std::string config = read_if_there(folder, "tokenizer_config.json");
  const bool json_there = folder.has("tokenizer.json");
  if (!json_there && !folder.has("tiktoken.model")) {
    throw make_error(ErrorKind::failure, "{} has no tokenizer.json and no tiktoken.model",
                     folder.path())
        .hint("the tokenizer's files belong beside the weights");
  }
  const std::string file = folder.file(json_there ? "tokenizer.json" : "tiktoken.model");
  try {
    Tokenizer tokenizer = json_there ? Tokenizer::from_json(read_file(file), config)
                                     : Tokenizer::from_tiktoken(read_file(file), config);
    GenerationDefaults defaults = defaults_of(folder, tokenizer);
    return {std::move(tokenizer), chat_template_of(folder), std::move(defaults)};
  } catch (const Error& error) {
    throw error.with("while reading {}", file);
  }
}

TextFiles of_gguf(const store::GgufFile& file) {
  const auto id = [&](std::string_view name) {
    return file.optional_i64(fmt::format("tokenizer.ggml.{}", name));
  };
  try {
    if (!file.has("tokenizer.ggml.model")) {
      fail(ErrorKind::bad_input, "there is no tokenizer in it (tokenizer.ggml.model)");
    }
    const std::string model = file.string("tokenizer.ggml.model");
    const std::string pre = file.optional_string("tokenizer.ggml.pre").value_or("");
    const std::vector<std::int64_t> wide = file.integers("tokenizer.ggml.token_type");
    const std::vector<std::int32_t> types(wide.begin(), wide.end());
    const std::vector<std::string_view> tokens = file.strings("tokenizer.ggml.tokens"),
                                        merges = file.strings("tokenizer.ggml.merges");
    GgufVocab vocab;
    vocab.model = model;
    vocab.pre = pre;
    vocab.tokens = tokens;
    vocab.token_types = types;
    vocab.merges = merges;
    vocab.bos_id = id("bos_token_id");
    vocab.eos_id = id("eos_token_id");
    vocab.eot_id = id("eot_token_id");
    vocab.eom_id = id("eom_token_id");
    vocab.pad_id = id("padding_token_id");
    vocab.unknown_id = id("unknown_token_id");
    vocab.add_bos = file.optional_boolean("tokenizer.ggml.add_bos_token");
    vocab.add_eos = file.optional_boolean("tokenizer.ggml.add_eos_token");
    TextFiles text{Tokenizer::from_gguf(vocab),
                   file.optional_string("tokenizer.chat_template").value_or(""),
                   {}};
    text.defaults.stop_ids = text.tokenizer.stop_ids();
    return text;
  } catch (const Error& error) {
    throw error.with("while reading the tokenizer of {}", file.path());
  }
}

TextFiles of_json(const std::filesystem::path& path) {
  const std::filesystem::path config = path.parent_path() / "tokenizer_config.json";
  std::string config_text;
  if (std::filesystem::exists(config)) config_text = read_file(config.string());
  Tokenizer tokenizer = Tokenizer::from_json(read_file(path.string()), config_text);
  GenerationDefaults defaults;
  defaults.stop_ids = tokenizer.stop_ids();
  return {std::move(tokenizer), "", std::move(defaults)};
}

}  // namespace

std::unique_ptr<ChatFormat> template_format(const TextFiles& files) {
  if (files.chat_template.empty()) return nullptr;
  SpecialTexts specials;
  const auto add = [&](const char* key, std::optional<TokenId> id) {
    if (id) specials.emplace_back(key, files.tokenizer.token(*id));
  };
  add("bos_token", files.tokenizer.bos());
  add("eos_token", files.tokenizer.eos());
  add("pad_token", files.tokenizer.pad());
  return make_template_format(files.chat_template, std::move(specials));
}

std::unique_ptr<ChatFormat> chat_format_of(const TextFiles& files, const std::string& family,
                                           const std::string& title, const std::string& name) {
  if (!name.empty() && name != "template") return make_native_format(name);
  if (auto format = template_format(files)) return format;
  if (name.empty() && family == "deepseek_v2") return make_native_format("deepseek-v2");
  if (name.empty() && family == "deepseek_v3") return make_native_format("deepseek-v3");
  std::string names;
  for (const std::string& native : native_format_names())
    names += (names.empty() ? "" : ", ") + native;
  throw make_error(ErrorKind::unsupported, "{} has no chat template", title)
      .hint("--chat-format takes {}; `nautile run` goes on with raw text", names);
}

const ToolFormat& tool_format_of(const TextFiles& files, const ChatFormat& format) {
  return choose_tool_format({format.name(), files.chat_template, &files.tokenizer});
}

TextFiles open_text_files(const store::WeightStore& store) {
  if (store.is_gguf()) return of_gguf(store.gguf());
  const auto folder = store.folder();
  if (!folder) fail(ErrorKind::failure, "{} has no folder with a tokenizer", store.path());
  return of_folder(*folder);
}

TextFiles open_text_files(const std::string& path) {
  const std::filesystem::path where(path);
  std::error_code ignored;
  if (std::filesystem::is_directory(where, ignored)) {
    const store::HfFolder folder(path);
    if (has_tokenizer(folder)) return of_folder(folder);
    return open_text_files(store::WeightStore::open(path));
  }
  if (where.extension() == ".json") return of_json(where);
  return open_text_files(store::WeightStore::open(path));
}

}  // namespace nautile::app
