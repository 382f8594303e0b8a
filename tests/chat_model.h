// chat_model.h — a tiny random model that chats, for tests of the program as a whole.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace nautile::test {

// Of the made vocabulary: <|bos|>, <|eos|>, then the 256 bytes.
constexpr int kEndToken = 1;
constexpr int letter_token(char letter) {
  return 2 + static_cast<unsigned char>(letter);
}
// The option that lets an answer consist of one token.
inline std::string answer_only(int token) {
  return " --logit-bias " + std::to_string(token) + ":1000";
}

// Makes a model of 0.2 MB with byte tokens, a context of 131,072 and a template that writes
// "role: content\n" per message -> its folder.
inline std::string make_chat_model(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  const std::string config = (folder / "tiny.json").string(), out = (folder / "model").string();
  std::ofstream(config) << R"({"model_type": "llama", "hidden_size": 64, "intermediate_size": 64,
    "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 320,
    "max_position_embeddings": 131072, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
    "bos_token_id": 0, "eos_token_id": 1, "tie_word_embeddings": true})";
  const std::string command =
      std::string(NAUTILE_MAKE_MODEL) + " --config '" + config + "' --out '" + out + "' >/dev/null";
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
  return out;
}

}  // namespace nautile::test
