// llama.cpp — the Llama line: Llama 3, R1-Distill-Llama, SmolLM2.
#include "model/families/hf_facts.h"
#include "model/family.h"

namespace nautile {
namespace {

ModelConfig from_hf(const nlohmann::json& json) {
  const HfFacts facts(json);
  if (facts.flag_or("attention_bias", false) || facts.flag_or("mlp_bias", false)) {
    fail(ErrorKind::unsupported,
         "config.json: attention_bias or mlp_bias is true: biases in Llama models are not known "
         "here");
  }
  return common_hf(facts, "llama");
}

// llama.cpp permutes the rows of q and k so that pairs rotate; equal in every score.
ModelConfig from_gguf(const store::GgufFile& file) {
  ModelConfig c = common_gguf(file, "llama");
  if (file.optional_u32("llama.expert_count").value_or(0) > 0) {
    fail(ErrorKind::unsupported,
         "llama.expert_count is set: mixtures of this kind are not known here");
  }
  c.rope.order = Backend::RopeOrder::pairs;
  return c;
}

}  // namespace

const Family kLlama = {.name = "llama",
                       .hf_types = "llama",
                       .gguf_architectures = "llama",
                       .from_hf = from_hf,
                       .from_gguf = from_gguf,
                       .hf_name = hf_tensor_name,
                       .gguf_name = gguf_tensor_name};

}  // namespace nautile
