// inspect.cpp — the verb `inspect`: what a model is, from its files, without loading it.
#include <filesystem>
#include <nlohmann/json.hpp>

#include "app/inspect_chat.h"
#include "app/loaded_model.h"
#include "app/program.h"
#include "engine/session.h"
#include "model/family.h"
#include "model/mla_choice.h"
#include "model/model_facts.h"

namespace nautile::app {
namespace {

using Json = nlohmann::ordered_json;

struct InspectOptions {
  ModelChoice model;
  std::string path;
  bool tensors = false, metadata = false, as_json = false;
};

// What was found; a folder may have a config and no weights yet, a file weights of an unknown kind.
struct Subject {
  std::string path;
  std::optional<Checkpoint> checkpoint;
  std::optional<store::WeightStore> bare;  // weights without a config that is understood
  std::optional<ModelConfig> config;
  std::optional<Error> problem;  // why there is no config

  const store::WeightStore* store() const {
    if (checkpoint) return &checkpoint->store();
    return bare ? &*bare : nullptr;
  }
};

bool is_config_only(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (fs::path(path).filename() == "config.json") return fs::is_regular_file(path, error);
  if (!fs::is_regular_file(fs::path(path) / "config.json", error)) return false;
  for (const fs::directory_entry& entry : fs::directory_iterator(path, error)) {
    const std::string ending = entry.path().extension().string();
    if (ending == ".safetensors" || ending == ".gguf") return false;
    if (entry.path().filename() == "model.safetensors.index.json") return false;
  }
  return true;
}

ModelConfig config_alone(const std::string& path) {
  namespace fs = std::filesystem;
  const fs::path where(path);
  const bool is_file = where.filename() == "config.json";
  const fs::path parent = where.has_parent_path() ? where.parent_path() : fs::path(".");
  const store::HfFolder folder(is_file ? parent.string() : path);
  const nlohmann::json json = folder.json("config.json");
  const auto type = json.is_object() ? json.find("model_type") : json.end();
  NAUTILE_CHECK(type != json.end() && type->is_string(), "{}: model_type is missing",
                folder.file("config.json"));
  try {
    ModelConfig config = family_of_hf(type->get<std::string>()).from_hf(json);
    config.validate();
    return config;
  } catch (const Error& error) {
    throw error.with("while reading {}", folder.file("config.json"));
  }
}

Subject open_subject(const std::string& path) {
  Subject subject;
  subject.path = path;
  if (is_config_only(path)) {
    subject.config = config_alone(path);
    return subject;
  }
  try {
    subject.checkpoint = Checkpoint::open(path);
    subject.config = subject.checkpoint->config();
  } catch (const Error& error) {
    // The weights may still be worth a look; if they are not, their own error is thrown.
    subject.problem = error;
    subject.bare = store::WeightStore::open(path);
  }
  return subject;
}

std::string attention_text(const AttentionConfig& a) {
  if (a.kind == AttentionKind::mla) {
    return fmt::format("latent (MLA), {} heads, {}+{} key dims, {} value dims, latent {}{}",
                       a.heads, a.plain_dims, a.rope_dims, a.value_dims, a.kv_rank,
                       a.query_rank > 0 ? fmt::format(", query latent {}", a.query_rank) : "");
  }
  return fmt::format("grouped, {} heads over {} key heads of {} dims", a.heads, a.kv_heads,
                     a.key_dims());
}

// What decides between the forms of latent attention, at a depth that a chat reaches.
struct LatentForms {
  std::int64_t before, expanded_from;  // tokens; from: 0 for never
  struct Span {
    const char* what;
    std::int64_t count;
    MlaChoice choice;
  };
  std::vector<Span> spans;
};

LatentForms latent_forms(const ModelConfig& c) {
  const std::int64_t half = c.context / 2;
  const std::int64_t chunk = std::min(engine::SessionOptions{}.chunk, half);
  const std::int64_t before = std::min<std::int64_t>(4096, half);
  LatentForms forms{before, mla_expands_from(c.attention, before, c.context - before), {}};
  const auto add = [&](const char* what, std::int64_t count) {
    forms.spans.push_back(
        {what, count, choose_mla_form(c.attention, MlaForm::by_cost, count, before + count)});
  };
  add("decode", 1);
  add("prefill", chunk);
  return forms;
}

Json latent_json(const ModelConfig& c) {
  const LatentForms forms = latent_forms(c);
  Json json = {{"before", forms.before},
               {"expanded_from", forms.expanded_from},
               {"exact", "absorbed"},
               {"spans", Json::array()}};
  for (const auto& [what, count, choice] : forms.spans) {
    json["spans"].push_back({{"what", what},
                             {"tokens", count},
                             {"form", choice.form == MlaForm::absorbed ? "absorbed" : "expanded"},
                             {"absorbed_cost", choice.absorbed_cost},
                             {"expanded_cost", choice.expanded_cost}});
  }
  return json;
}

std::string experts_text(const ModelConfig& c) {
  const RouteRule& r = c.moe.route;
  const auto blocks = std::count(c.is_moe.begin(), c.is_moe.end(), true);
  std::string text = fmt::format("{} of {} experts of width {} in {} of {} layers, {} router",
                                 r.chosen, r.experts, c.moe.width, blocks, c.layers,
                                 r.score == RouteRule::Score::sigmoid ? "sigmoid" : "softmax");
  if (r.groups > 1) text += fmt::format(", {} of {} groups", r.chosen_groups, r.groups);
  if (c.moe.shared_width > 0)
    text += fmt::format(", shared expert of width {}", c.moe.shared_width);
  return text;
}

std::string_view scaling_name(RopeConfig::Scaling scaling) {
  switch (scaling) {
    case RopeConfig::Scaling::none:
      return "none";
    case RopeConfig::Scaling::linear:
      return "linear";
    case RopeConfig::Scaling::yarn:
      return "yarn";
    case RopeConfig::Scaling::llama3:
      return "llama3";
  }
  return "";
}

Json config_json(const ModelConfig& c) {
  Json json = {{"family", c.family},        {"width", c.width},
               {"layers", c.layers},        {"vocabulary", c.vocabulary},
               {"context", c.context},      {"ffn_width", c.ffn_width},
               {"norm_eps", c.norm_eps},    {"tied_head", c.head == ModelConfig::Head::tied},
               {"mtp_layers", c.mtp_layers}};
  const AttentionConfig& a = c.attention;
  const bool mla = a.kind == AttentionKind::mla;
  json["attention"] = {{"kind", mla ? "mla" : "grouped"}, {"heads", a.heads},
                       {"kv_heads", a.kv_heads},          {"plain_dims", a.plain_dims},
                       {"rope_dims", a.rope_dims},        {"value_dims", a.value_dims},
                       {"query_rank", a.query_rank},      {"kv_rank", a.kv_rank},
                       {"softmax_scale", a.softmax_scale}};
  json["rope"] = {{"theta", c.rope.theta},
                  {"scaling", scaling_name(c.rope.scaling)},
                  {"factor", c.rope.factor},
                  {"original_context", c.rope.original_context}};
  if (mla) json["attention"]["latent_forms"] = latent_json(c);
  if (c.moe.route.experts > 0) {
    const RouteRule& r = c.moe.route;
    json["moe"] = {{"experts", r.experts},
                   {"chosen", r.chosen},
                   {"groups", r.groups},
                   {"chosen_groups", r.chosen_groups},
                   {"width", c.moe.width},
                   {"shared_width", c.moe.shared_width},
                   {"layers", std::count(c.is_moe.begin(), c.is_moe.end(), true)},
                   {"score", r.score == RouteRule::Score::sigmoid ? "sigmoid" : "softmax"},
                   {"scale", r.scale}};
  }
  return json;
}

// Bytes per token of context in each format that the rows fit.
std::vector<std::pair<std::string, std::size_t>> kv_bytes(const ModelConfig& config) {
  std::vector<std::pair<std::string, std::size_t>> list;
  for (const auto& [name, format] :
       {std::pair{"bf16", Format::bf16}, std::pair{"q8_0", Format::q8_0},
        std::pair{"f32", Format::f32}}) {
    try {
      list.emplace_back(name, engine::KvPages::bytes_per_token(config, format));
    } catch (const Error&) {  // rows that are no multiple of a block
    }
  }
  return list;
}

Json weights_json(const store::WeightStore& store, const InspectOptions& options) {
  Json json = {{"format", store.is_gguf() ? "gguf" : "safetensors"},
               {"files", store.files().size()},
               {"tensors", store.tensors().size()},
               {"bytes", store.total_bytes()},
               {"types", Json::array()}};
  for (const store::TypeTotal& total : store.totals()) {
    json["types"].push_back({{"type", total.dtype},
                             {"tensors", total.tensors},
                             {"values", total.values},
                             {"bytes", total.bytes}});
  }
  if (!options.tensors) return json;
  Json& list = json["list"] = Json::array();
  for (const store::TensorRecord& t : store.tensors()) {
    Json shape = Json::array();
    for (int i = 0; i < t.shape.rank(); ++i) shape.push_back(t.shape[i]);
    list.push_back({{"name", printable(t.name, 512)},
                    {"type", t.dtype},
                    {"shape", shape},
                    {"bytes", t.data.size()},
                    {"file", t.file},
                    {"offset", t.offset}});
  }
  return json;
}

Json chat_json(const Checkpoint& checkpoint) {
  const ChatFacts facts = chat_facts(checkpoint.store(), checkpoint.config().family);
  if (!facts.problem.empty()) return {{"problem", facts.problem}};
  if (facts.format.empty()) return {{"format", nullptr}};
  return {{"format", facts.format},
          {"tool_format", facts.tool_format},
          {"own_words",
           {{"tool_definitions", facts.defines_tools},
            {"tool_calls", facts.writes_calls},
            {"tool_results", facts.writes_results}}}};
}

void print_json(const Subject& subject, const InspectOptions& options) {
  Json json = {{"path", subject.path}};
  if (subject.config) {
    const ModelFacts facts = facts_of(*subject.config);
    json["config"] = config_json(*subject.config);
    json["parameters"] = facts.parameters;
    json["active_parameters"] = facts.active_parameters;
    json["mtp_parameters"] = facts.mtp_parameters;
    json["flops_per_token"] = facts.flops_per_token;
    json["flops_per_token_and_past_token"] = facts.flops_per_past_token;
    Json& kv = json["kv_bytes_per_token"] = Json::object();
    for (const auto& [name, bytes] : kv_bytes(*subject.config)) kv[name] = bytes;
  }
  if (subject.checkpoint) json["chat"] = chat_json(*subject.checkpoint);
  if (const auto* store = subject.store()) json["weights"] = weights_json(*store, options);
  if (options.metadata && subject.store() && subject.store()->is_gguf()) {
    Json& metadata = json["metadata"] = Json::object();
    for (const auto& [key, value] : subject.store()->gguf().metadata()) {
      metadata[printable(key, 256)] = value.str();
    }
  }
  fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
}

std::string scaled(double count) {
  constexpr const char* kUnits[] = {"", " K", " M", " G", " T", " P"};
  int unit = 0;
  while (count >= 999.5 && unit < 5) {
    count /= 1000;
    ++unit;
  }
  return fmt::format("{:.{}f}{}", count, unit == 0 || count >= 99.95 ? 0 : 2, kUnits[unit]);
}

template <class... Args>
void row(const char* name, fmt::format_string<Args...> format, Args&&... args) {
  fmt::print("{:<20}{}\n", name, fmt::format(format, std::forward<Args>(args)...));
}

void print_latent_forms(const ModelConfig& c) {
  const LatentForms forms = latent_forms(c);
  row("latent form", "chosen by cost; after {} tokens {}", forms.before,
      forms.expanded_from == 0
          ? "absorbed for every chunk"
          : fmt::format("absorbed for chunks below {} tokens, expanded from there on",
                        forms.expanded_from));
  for (const auto& [what, count, choice] : forms.spans)
    row("", "{} {}: {} a layer", what, count, choice.why());
  row("", "--exact: absorbed always, so that no number hangs on the cut of a prompt");
}

void print_config(const ModelConfig& c) {
  const ModelFacts facts = facts_of(c);
  row("family", "{}", c.family);
  row("shape", "{} layers, width {}, ffn width {}, vocabulary {}{}", c.layers, c.width, c.ffn_width,
      c.vocabulary, c.head == ModelConfig::Head::tied ? ", tied head" : "");
  row("attention", "{}", attention_text(c.attention));
  if (c.attention.kind == AttentionKind::mla) print_latent_forms(c);
  if (c.moe.route.experts > 0) row("experts", "{}", experts_text(c));
  row("rope", "theta {}, scaling {}{}", c.rope.theta, scaling_name(c.rope.scaling),
      c.rope.factor != 1 ? fmt::format(" ×{}", c.rope.factor) : "");
  row("context", "{} tokens", c.context);
  row("parameters", "{} ({})", facts.parameters, scaled(static_cast<double>(facts.parameters)));
  row("active", "{} ({})", facts.active_parameters,
      scaled(static_cast<double>(facts.active_parameters)));
  if (c.mtp_layers > 0) {
    row("prediction modules", "{} with {} parameters", c.mtp_layers,
        scaled(static_cast<double>(facts.mtp_parameters)));
  }
  row("work per token", "{}FLOP, and {}FLOP for each token before it",
      scaled(facts.flops_per_token) + (facts.flops_per_token < 999.5 ? " " : ""),
      scaled(facts.flops_per_past_token) + (facts.flops_per_past_token < 999.5 ? " " : ""));
  std::string kv;
  for (const auto& [name, bytes] : kv_bytes(c)) {
    kv += fmt::format("{}{} {}", kv.empty() ? "" : ", ", bytes_text(static_cast<double>(bytes)),
                      name);
  }
  row("cache per token", "{}", kv);
}

void print_text(const Subject& subject, const InspectOptions& options) {
  row("model", "{}", subject.path);
  if (subject.config) print_config(*subject.config);
  if (subject.checkpoint) {
    const ModelConfig& config = subject.checkpoint->config();
    row("chat", "{}", chat_text(chat_facts(subject.checkpoint->store(), config.family)));
  }
  const store::WeightStore* store = subject.store();
  if (store == nullptr) {
    row("weights", "none here: a config alone");
    return;
  }
  row("weights", "{} tensors, {} ({} bytes) in {} {} file{}", store->tensors().size(),
      bytes_text(static_cast<double>(store->total_bytes())), store->total_bytes(),
      store->files().size(), store->is_gguf() ? "GGUF" : "safetensors",
      store->files().size() == 1 ? "" : "s");
  for (const store::TypeTotal& total : store->totals()) {
    row("", "{:<10} {:>6} tensors {:>10}", total.dtype, total.tensors,
        bytes_text(static_cast<double>(total.bytes)));
  }
  if (options.metadata && store->is_gguf()) {
    fmt::print("\n");
    for (const auto& [key, value] : store->gguf().metadata()) {
      fmt::print("{:<44} {}\n", printable(key, 256), value.str());
    }
  }
  if (!options.tensors) return;
  fmt::print("\n");
  for (const store::TensorRecord& t : store->tensors()) {
    fmt::print("{:<56} {:<8} {:<24} {:>10}\n", printable(t.name, 512), t.dtype,
               fmt::format("{}", t.shape), bytes_text(static_cast<double>(t.data.size())));
  }
}

ExitCode inspect(const InspectOptions& options, const Environment& environment) {
  ModelChoice choice = options.model;
  if (!options.path.empty()) choice.path = options.path;
  const Subject subject = open_subject(model_path(choice, environment));
  if (options.as_json) {
    print_json(subject, options);
  } else {
    print_text(subject, options);
  }
  if (subject.problem) throw *subject.problem;
  return ExitCode::ok;
}

}  // namespace

void add_inspect(CLI::App& root, Program& program) {
  const auto options = std::make_shared<InspectOptions>();
  CLI::App* verb =
      add_verb(root, program, "inspect", "Show what a model is made of", options, inspect);
  verb->add_option("path", options->path, "The model, as with -m; a config.json alone will do")
      ->type_name("PATH");
  add_model_path(*verb, options->model);
  verb->add_flag("--tensors", options->tensors, "List every tensor");
  verb->add_flag("--metadata", options->metadata, "List a GGUF file's metadata");
  verb->add_flag("--json", options->as_json, "Print JSON");
}

}  // namespace nautile::app
