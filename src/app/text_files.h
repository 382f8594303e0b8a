// text_files.h — TextFiles: what a model's files say about text: tokenizer, chat template,
// defaults.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/weight_store.h"
#include "text/chat_format.h"
#include "text/tokenizer.h"
#include "text/tool_format.h"

namespace nautile::app {

// Sampling as the model's makers advise (generation_config.json); absent where they say nothing.
struct GenerationDefaults {
  std::vector<TokenId> stop_ids;  // sorted: generation_config's and the tokenizer's
  std::optional<float> temperature, top_p, min_p, repetition_penalty;
  std::optional<int> top_k;
};

struct TextFiles {
  Tokenizer tokenizer;
  std::string chat_template;  // the model's own Jinja template; empty if it has none
  GenerationDefaults defaults;
};

// From a folder (tokenizer.json, else tiktoken.model; tokenizer_config.json, chat_template.jinja,
// generation_config.json), a GGUF file or a tokenizer.json. Weights are not needed. Throws Error;
// Error(failure) names the files looked for if there are none.
TextFiles open_text_files(const std::string& path);
// The same of a model whose files are open.
TextFiles open_text_files(const store::WeightStore& store);

// The model's own chat format; null if it has no template. Throws Error(bad_input) for a template
// that cannot be read.
std::unique_ptr<ChatFormat> template_format(const TextFiles& files);
// The format that `name` asks for: one of nautile's own, "template", or (empty) the template, else
// that of the model's family. Throws Error(unsupported) if there is none; `title` names the model.
std::unique_ptr<ChatFormat> chat_format_of(const TextFiles& files, const std::string& family,
                                           const std::string& title, const std::string& name);

// How the model writes calls of tools, in that format.
const ToolFormat& tool_format_of(const TextFiles& files, const ChatFormat& format);

}  // namespace nautile::app
