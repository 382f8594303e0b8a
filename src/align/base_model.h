// base_model.h — BaseModel: the model that fine-tuning begins with: where it is, what it is.
#pragma once

#include <string>

#include "model/config.h"

namespace nautile::align {

struct BaseModel {
  std::string path;  // absolute
  enum class Kind : std::uint8_t {
    files,  // a Hugging Face folder
    gguf,
    run,  // of `nautile train`: its newest checkpoint
  } kind = Kind::files;
  std::string text;  // what has the tokenizer: a folder or the GGUF file
  ModelConfig config;
  double init_std = 0.02;  // the config's initializer_range
  // lost: the config has a prediction module and the weights have none.
  enum class Mtp : std::uint8_t { as_config, lost } mtp = Mtp::as_config;
};

// Throws Error naming the path and what is missing there.
BaseModel open_base(const std::string& path);

}  // namespace nautile::align
