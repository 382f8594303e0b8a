// train_cli.h — a folder in which tests run `nautile train` from outside.
#pragma once

#include <fmt/format.h>

#include "tests/program.h"

namespace nautile::test {

// Some 30 thousand parameters.
inline constexpr const char* kRecipe = R"([model]
vocab_size = 400
hidden_size = 32
num_hidden_layers = 2
num_attention_heads = 2
qk_nope_head_dim = 8
qk_rope_head_dim = 8
v_head_dim = 8
q_lora_rank = 16
kv_lora_rank = 16
intermediate_size = 48
n_routed_experts = 4
num_experts_per_tok = 2
moe_intermediate_size = 16
init_std = 0.02
max_position_embeddings = 256

[data]
folder = "data"
seq_len = 128
packing = "whole"
attend = "document"

[train]
steps = 3
batch_tokens = 512
slots = 2

[schedule]
peak_rate = 1e-3
warmup_steps = 2

[eval]
every = 2
tokens = 1000

[samples]
every = 3
tokens = 8
prompts = ["<｜User｜>1 + 2 = ?<｜Assistant｜>"]
)";

class TrainFolder : public ProgramFolder {
 protected:
  void SetUp() override {
    ProgramFolder::SetUp();
    write("r.toml", kRecipe);
  }

  void make_data() const {
    ASSERT_EQ(run("data generate arithmetic logic --count 400 --out p.jsonl").code, 0);
    ASSERT_EQ(run("tokenizer train p.jsonl --vocab 400 --out tok").code, 0);
    write("spec.toml",
          "tokenizer = \"tok\"\nheld_out = 0.1\n[[source]]\nname = \"tasks\"\nkind = \"chat\"\n"
          "files = [\"p.jsonl\"]\nnear_duplicates = false\n");
    const Result built = run("data build spec.toml --out data");
    ASSERT_EQ(built.code, 0) << built.err;
  }
  std::string checkpoint(const std::string& out, const char* step, const char* file) const {
    return read_whole(folder_ / out / "checkpoints" / step / file);
  }
};

}  // namespace nautile::test
