// data_spec.h — DataSpec: what `nautile data build` is asked for, as its TOML file says it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nautile::train {

enum class SourceKind : std::uint8_t {
  text,     // files of text, cut at `separator`
  jsonl,    // a text in `field` of each line
  chat,     // OpenAI messages in `field` of each line
  tasks,    // problems of nautile's own generators (src/tasks)
  objects,  // lines of JSON as they are; not in a specification
};
enum class TaskForm : std::uint8_t { chat, text };
enum class LossOn : std::uint8_t { assistant, all };

struct SourceSpec {
  std::string name;
  SourceKind kind = SourceKind::text;
  double weight = 1;            // share of the tokens drawn in training
  double held_out = -1;         // share of the documents kept for evaluation; below 0: the spec's
  bool near_duplicates = true;  // whether they are removed (exact ones are everywhere)
  bool tags = false;            // text: added tokens that are not special (<think>) are tokens
  LossOn loss = LossOn::assistant;  // chat: what bears a loss

  std::vector<std::string> files;  // patterns of the shell, relative to the spec's folder
  std::string separator;           // text: between documents; empty: a file is one
  std::int64_t chunk_bytes = 0;    // text: cut longer documents at line ends after so many bytes
  std::string field;               // jsonl: "text", chat: "messages" if not given

  std::vector<std::string> tasks;  // tasks: names, taken in turns
  std::int64_t count = 0;
  std::uint64_t seed = 0;
  TaskForm form = TaskForm::chat;
};

struct DataSpec {
  std::string tokenizer;    // a folder, or a tokenizer.json
  std::string chat_format;  // a native format's name; empty: the tokenizer's own template
  double held_out = 0.005;
  std::int64_t shard_tokens = std::int64_t{1} << 26;
  bool skip_bad = false;        // leave out malformed documents and count them, instead of stopping
  double near_threshold = 0.8;  // similarity from which documents are near duplicates; 0: none are
  std::int64_t ngram = 13;
  std::vector<std::string> decontaminate;  // evaluation files, patterns of the shell
  std::vector<SourceSpec> sources;
};

// Throws Error(bad_input) with the line for malformed TOML, unknown or missing keys and values that
// cannot be. `path` names the text in errors and is what relative paths are resolved against.
DataSpec parse_data_spec(std::string_view toml, const std::string& path);

}  // namespace nautile::train
