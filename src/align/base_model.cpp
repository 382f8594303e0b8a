#include "align/base_model.h"

#include <filesystem>

#include "base/json.h"
#include "model/loader.h"
#include "train/export.h"
#include "train/run_folder.h"

namespace nautile::align {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

BaseModel of_run(BaseModel base) {
  const train::RunFolder folder(base.path, train::RunFolder::Use::read);
  const auto saved = folder.newest_valid();
  if (!saved) fail(ErrorKind::failure, "the run in {} has no checkpoint", base.path);
  const Json json = parse_ordered_json(saved->state().model_config, saved->path());
  base.kind = BaseModel::Kind::run;
  base.text = folder.tokenizer_folder();
  base.config = train::parse_model_config(json);
  base.init_std = json.value("initializer_range", base.init_std);
  return base;
}

}  // namespace

BaseModel open_base(const std::string& path) {
  BaseModel base;
  base.path = fs::absolute(path).lexically_normal().string();
  const fs::path folder = base.path;
  if (!fs::exists(folder / "config.json") && fs::is_directory(folder / "checkpoints"))
    return of_run(std::move(base));
  const Checkpoint checkpoint = Checkpoint::open(base.path);
  base.config = checkpoint.config();
  if (checkpoint.store().is_gguf()) {
    base.kind = BaseModel::Kind::gguf;
    base.text = base.path;
    return base;
  }
  base.text = checkpoint.store().folder()->path();
  const nlohmann::json json = checkpoint.store().folder()->json("config.json");
  if (const auto at = json.find("initializer_range"); at != json.end() && at->is_number())
    base.init_std = at->get<double>();
  if (const auto at = json.find("num_nextn_predict_layers");
      at != json.end() && at->is_number_integer() && *at != base.config.mtp_layers)
    base.mtp = BaseModel::Mtp::lost;
  return base;
}

}  // namespace nautile::align
