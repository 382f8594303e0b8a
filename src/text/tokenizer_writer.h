// tokenizer_writer.h — writes a trained vocabulary as Hugging Face's tokenizer files.
#pragma once

#include <string>
#include <vector>

#include "text/bpe_trainer.h"

namespace nautile {

// Tokens that a tokenizer adds behind its model's, in order of id.
struct NewToken {
  std::string text;
  // Control tokens are left out of decoded text and never arise from what users write; the others
  // (tags like <think>) are one token of ordinary text.
  bool control = true;
};

struct TokenizerSpec {
  std::string bos, eos, pad;  // texts among `added`
  std::vector<NewToken> added;
  DigitPieces digits = DigitPieces::single;
  std::string chat_template;  // Jinja; empty: none
};

// DeepSeek's control tokens (begin and end of sentence, pad, User, Assistant), the tags <think>,
// </think>, <answer>, </answer>, and a chat format of them.
TokenizerSpec default_tokenizer_spec();
// The three control tokens of fill-in-the-middle as DeepSeek spells them: begin, hole, end.
const std::vector<std::string>& fim_token_texts();

// tokenizer.json: a Split by the pattern and ByteLevel before the model, a template that puts BOS
// before. Both our loader and the `tokenizers` library read it.
std::string tokenizer_json_text(const TrainedBpe& bpe, const TokenizerSpec& spec);
// tokenizer_config.json: the class, bos, eos, pad, the chat template.
std::string tokenizer_config_text(const TokenizerSpec& spec);

}  // namespace nautile
