// merge.cpp — the verb `merge`: a model with an adapter as one Hugging Face folder.
#include <map>

#include "app/export.h"
#include "app/loaded_model.h"
#include "app/program.h"
#include "base/file.h"
#include "base/json.h"
#include "model/peft.h"
#include "train/export.h"
#include "train/import.h"

namespace nautile::app {
namespace {

using Json = nlohmann::ordered_json;

struct MergeChoice {
  ModelChoice model;
  std::string to, format = "bf16";
};

// A weight's numbers in F32, the adapter's addition in them; one at a time.
class Merged {
 public:
  Merged(Checkpoint& checkpoint, const Adapter& adapter, Backend& backend)
      : backend_(backend), weights_(checkpoint.weights()) {
    weights_.visit(checkpoint.config(),
                   [&](const SlotInfo& info, Slot& slot) { slots_[info.name] = &slot; });
    for (const auto& entry : adapter.entries()) entries_[entry->name] = entry.get();
  }

  std::span<const float> numbers(const std::string& name) {
    const Slot& slot = *slots_.at(name);
    NAUTILE_CHECK(slot.present(), "the model has no weight {} in a form that can be merged", name);
    if (!slot.values.empty()) return slot.values;
    values_.resize(static_cast<std::size_t>(slot.weight.shape.elements()));
    train::read_weight(backend_, slot.weight, values_);
    if (const auto entry = entries_.find(name); entry != entries_.end())
      add_low_rank(*entry->second, values_);
    return values_;
  }

 private:
  Backend& backend_;
  ModelWeights weights_;
  std::map<std::string, const Slot*> slots_;
  std::map<std::string, const Adapter::Entry*> entries_;
  std::vector<float> values_;
};

ExitCode merge(const MergeChoice& choice, const Environment& environment) {
  Checkpoint checkpoint = Checkpoint::open(model_path(choice.model, environment));
  if (checkpoint.store().is_gguf()) {
    throw make_error(ErrorKind::unsupported, "{} is a GGUF file", checkpoint.store().path())
        .hint(
            "merge into the Hugging Face folder that it was made of; `nautile chat --lora` needs "
            "no merging");
  }
  const auto adapter = open_peft(choice.model.lora, checkpoint.config());
  const auto backend = make_cpu_backend(cpu_options(choice.model, environment));
  const store::HfFolder folder = *checkpoint.store().folder();
  Json config =
      parse_ordered_json(read_file(folder.file("config.json")), folder.file("config.json"));
  train::ExportOptions options;
  if (choice.format == "fp8") options.format = train::ExportOptions::Format::fp8;
  if (checkpoint.config().mtp_layers == 0) options.mtp = train::ExportOptions::Mtp::drop;
  options.tokenizer = folder.path();
  Merged merged(checkpoint, *adapter, *backend);
  const train::ExportReport report = train::export_folder(
      config, [&](const std::string& name, const Shape&) { return merged.numbers(name); }, *backend,
      choice.to, options);
  fmt::print("{}: {} weights of {} changed by the adapter, as {}: {}\n", choice.to,
             adapter->entries().size(), report.tensors, choice.format,
             bytes_text(static_cast<double>(report.bytes)));
  return ExitCode::ok;
}

}  // namespace

void add_merge(CLI::App& root, Program& program) {
  const auto choice = std::make_shared<MergeChoice>();
  CLI::App* verb =
      add_verb(root, program, "merge", "Write a model with its adapter as one Hugging Face folder",
               choice, merge);
  add_model_path(*verb, choice->model);
  verb->add_option("--lora", choice->model.lora, "The adapter's folder")
      ->type_name("PATH")
      ->required();
  verb->add_option("--to", choice->to, "The folder to write; it must not be there yet")
      ->type_name("FOLDER_PATH")
      ->required();
  verb->add_option("--format", choice->format,
                   "bf16, or fp8: E4M3 with scales of 128x128 blocks (default: bf16)")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"bf16", "fp8"}));
}

}  // namespace nautile::app
