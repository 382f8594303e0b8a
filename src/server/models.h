// models.h — ServedModel: a model as the server sees it; Models: those it can give to clients.
#pragma once

#include <cstdint>
#include <ctime>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "text/chat_format.h"
#include "text/grammar.h"
#include "text/tokenizer.h"
#include "text/tool_format.h"

namespace nautile::server {

// Views into whatever keeps the model loaded; holding it keeps that loaded.
struct ServedModel {
  std::string name;
  std::time_t created = 0;
  engine::Engine* engine = nullptr;
  const Tokenizer* tokenizer = nullptr;
  const ChatFormat* format = nullptr;  // null: completions only
  const ToolFormat* tools = nullptr;   // null: chosen by the format's name and the tokenizer
  const GrammarVocabulary* vocabulary = nullptr;
  engine::SamplingParams defaults;  // the checkpoint's generation_config
  std::int32_t rows = 0;            // W: logits of a token
  std::string fingerprint;          // "fp_…": of weights, formats and program
  std::shared_ptr<void> keep;
};

struct ModelEntry {
  std::string name;
  enum class State : std::uint8_t { unloaded, loading, loaded, failed } state = State::unloaded;
  std::time_t created = 0;
  std::string error;         // of `failed`
  std::int64_t context = 0;  // tokens of one sequence; 0 unless loaded
  std::string base = {};     // the model that this adapter belongs to; "": it is a model itself
};

// Safe for concurrent use.
class Models {
 public:
  virtual ~Models() = default;
  virtual std::vector<ModelEntry> list() const = 0;
  // The model of that name; of no name, the only one there is, adapters not counted. Calls back
  // with it, at once or from another thread once it is loaded, or with null and an error to show
  // (`missing` if there is none of that name).
  struct Got {
    std::shared_ptr<const ServedModel> model;
    std::string error;
    enum class Why : std::uint8_t { none, missing, ambiguous, failed } why = Why::none;
  };
  virtual void get(std::string_view name, std::function<void(Got)> then) = 0;
  // What is known of a request before its body is read, `ahead` others being on their way to an
  // engine: `accepted` as long as one of the models might take it, as Engine::foresee says. One
  // that is turned away by this is counted as refused.
  virtual engine::Admission knock(std::int64_t ahead) = 0;
};

}  // namespace nautile::server
