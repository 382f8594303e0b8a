#include "train/recipe_model.h"

#include <filesystem>

#include "base/file.h"
#include "base/json.h"
#include "model/family.h"
#include "train/run_folder.h"

namespace nautile::train {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

// Words of config.json that a recipe may use; null: there is no default.
struct HfKey {
  const char* key;
  const char* standard;  // JSON, for models of type deepseek_v3
};
constexpr HfKey kHfKeys[] = {{"vocab_size", nullptr},
                             {"hidden_size", nullptr},
                             {"num_hidden_layers", nullptr},
                             {"num_attention_heads", nullptr},
                             {"num_key_value_heads", nullptr},
                             {"head_dim", nullptr},
                             {"intermediate_size", nullptr},
                             {"q_lora_rank", nullptr},
                             {"kv_lora_rank", nullptr},
                             {"qk_nope_head_dim", nullptr},
                             {"qk_rope_head_dim", nullptr},
                             {"v_head_dim", nullptr},
                             {"n_routed_experts", nullptr},
                             {"num_experts_per_tok", nullptr},
                             {"moe_intermediate_size", nullptr},
                             {"n_shared_experts", "1"},
                             {"first_k_dense_replace", "1"},
                             {"moe_layer_freq", "1"},
                             {"n_group", "1"},
                             {"topk_group", "1"},
                             {"topk_method", "\"noaux_tc\""},
                             {"scoring_func", "\"sigmoid\""},
                             {"norm_topk_prob", "true"},
                             {"routed_scaling_factor", "2.5"},
                             {"num_nextn_predict_layers", "1"},
                             {"rope_theta", "10000"},
                             {"rope_scaling", nullptr},
                             {"rope_parameters", nullptr},
                             {"rope_interleave", nullptr},
                             {"rms_norm_eps", "1e-06"},
                             {"hidden_act", "\"silu\""},
                             {"tie_word_embeddings", "false"},
                             {"attention_bias", "false"},
                             {"num_experts", nullptr},
                             {"decoder_sparse_step", nullptr},
                             {"mlp_only_layers", nullptr},
                             {"bos_token_id", nullptr},
                             {"eos_token_id", nullptr}};

Json config_from(const std::string& from) {
  const fs::path folder = fs::is_directory(from) ? fs::path(from) : fs::path(from).parent_path();
  if (fs::exists(folder / "config.json")) {
    const std::string file = (folder / "config.json").string();
    return parse_ordered_json(read_file(file), file);
  }
  if (fs::is_directory(folder / "checkpoints")) {
    const auto saved = RunFolder(folder.string(), RunFolder::Use::read).newest_valid();
    if (saved) return parse_ordered_json(saved->state().model_config, saved->path());
  }
  throw make_error(ErrorKind::failure, "there is no model in {}", from)
      .hint(
          "model.from names a folder with config.json and safetensors files, or a run of `nautile "
          "train`");
}

// What the recipe is built upon: a checkpoint's config, a file's, or nothing.
Json base_config(RecipeValues& values, Recipe& recipe, const std::string& resumed_config) {
  recipe.from = values.path("model.from", "random weights");
  const std::string file = values.path("model.config", "the keys below");
  if (!recipe.from.empty() && !file.empty())
    values.wrong("model.config", "and model.from are both there: one is enough");
  if (recipe.from.empty() && file.empty()) return Json::object();
  if (!resumed_config.empty())
    return parse_ordered_json(resumed_config, "config.json of the checkpoint");
  return file.empty() ? config_from(recipe.from) : parse_ordered_json(read_file(file), file);
}

// Words of the recipe over the file's, then V3's where its shape leaves no choice open.
void add_words(RecipeValues& values, const Recipe& recipe, Json& config) {
  const std::string origin = !recipe.from.empty()           ? "config.json of model.from"
                             : values.given("model.config") ? "the file of model.config"
                                                            : "";
  const bool plain = origin.empty();
  std::string type = config.value("model_type", "deepseek_v3");
  type = values.text("model.model_type", type, plain ? "the architecture of DeepSeek-V3" : origin);
  config["model_type"] = type;
  for (const HfKey& word : kHfKeys) {
    const std::string key = std::string("model.") + word.key;
    if (Json value = values.raw(key); !value.is_null()) {
      config[word.key] = std::move(value);
    } else if (plain && type == "deepseek_v3" && word.standard) {
      config[word.key] = Json::parse(word.standard);
    }
    if (config.contains(word.key))
      values.note(key, config[word.key], plain ? "config.json of DeepSeek-V3" : origin);
  }
}

void require_shape(const Json& config, const Recipe& recipe) {
  std::string missing;
  for (const char* key : {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
                          "intermediate_size"}) {
    if (!config.contains(key))
      missing += fmt::format("{}model.{}", missing.empty() ? "" : ", ", key);
  }
  if (missing.empty()) return;
  throw make_error(ErrorKind::bad_input, "{}: the model's shape is not known: {} {} missing",
                   recipe.path, missing, missing.find(',') == missing.npos ? "is" : "are")
      .hint(
          "the words of a config.json stand in [model]; `config = \"FILE\"` or `from = \"FOLDER\"` "
          "take them from elsewhere");
}

}  // namespace

void read_model(RecipeValues& values, Recipe& recipe, const std::string& resumed_config) {
  Json config = base_config(values, recipe, resumed_config);
  NAUTILE_CHECK(config.is_object(), "{}: the model's config.json is no object", recipe.path);
  config.erase("quantization_config");  // masters have no quantization
  add_words(values, recipe, config);
  require_shape(config, recipe);
  if (!config.contains("num_key_value_heads"))
    config["num_key_value_heads"] = config["num_attention_heads"];
  const std::int64_t context =
      values.integer("model.max_position_embeddings",
                     std::max(recipe.data.options.seq_len,
                              config.value("max_position_embeddings", std::int64_t{0})),
                     "data.seq_len", 2, std::int64_t{1} << 26);
  config["max_position_embeddings"] = context;
  recipe.init_std = values.number("model.init_std", 0.006, "DeepSeek-V3 report §4.2", 0, 10);
  config["initializer_range"] = recipe.init_std;
  if (!config.contains("architectures") && config["model_type"] == "deepseek_v3")
    config["architectures"] = Json::array({"DeepseekV3ForCausalLM"});
  try {
    const std::string type = config["model_type"].get<std::string>();
    recipe.model = family_of_hf(type).from_hf(nlohmann::json(config));
    recipe.model.validate();
  } catch (const Error& error) {
    throw error.with("while reading [model] of {}", recipe.path);
  }
  NAUTILE_CHECK(recipe.model.mtp_layers <= 1,
                "{}: model.num_nextn_predict_layers is {}: training knows one prediction module",
                recipe.path, recipe.model.mtp_layers);
  NAUTILE_CHECK(recipe.model.context >= recipe.data.options.seq_len,
                "{}: rows of {} tokens (data.seq_len) for a model of {} positions", recipe.path,
                recipe.data.options.seq_len, recipe.model.context);
  recipe.hf_config = std::move(config);
}

}  // namespace nautile::train
