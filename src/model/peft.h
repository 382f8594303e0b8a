// peft.h — an Adapter as the PEFT library writes it: adapter_config.json and
// adapter_model.safetensors.
#pragma once

#include <memory>
#include <string>

#include "model/adapter.h"

namespace nautile {

inline constexpr const char* kPeftConfig = "adapter_config.json";
inline constexpr const char* kPeftWeights = "adapter_model.safetensors";

// Reads the adapter of a folder for a model (of either kind of file: GGUF's Llama has its queries'
// and keys' rows in another order, and so has the adapter then). Experts of a layer that it leaves
// out add nothing. Throws Error(unsupported) for what nautile does not compute (DoRA, ranks by
// layer, a bias, embeddings or a head), Error(bad_input) that lists all names and shapes that do
// not fit the model.
std::unique_ptr<Adapter> open_peft(const std::string& folder, const ModelConfig& model);

// Writes both files into a folder that is there. `base` names the model in the config, as PEFT
// does.
void write_peft(const Adapter& adapter, const ModelConfig& model, const std::string& base,
                const std::string& folder);

}  // namespace nautile
