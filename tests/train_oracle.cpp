#include "tests/train_oracle.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace nautile::test {
namespace {

const std::string kFolder = "tests/data/train_oracle/";

TrainRecipe parse_recipe(const nlohmann::json& json) {
  const std::string starts = json.at("starts");
  NAUTILE_CHECK(starts == "documents" || starts == "rows", "starts: found {}", starts);
  return {.starts = starts == "rows" ? TrainRecipe::Starts::rows : TrainRecipe::Starts::documents,
          .mtp_lambda = json.at("mtp_lambda"),
          .balance_alpha = json.at("balance_alpha"),
          .bias_gamma = json.at("bias_gamma"),
          .lr = json.at("lr"),
          .beta1 = json.at("beta1"),
          .beta2 = json.at("beta2"),
          .eps = json.at("eps"),
          .weight_decay = json.at("weight_decay"),
          .clip = json.at("clip")};
}

TrainStep parse_step(const nlohmann::json& json) {
  TrainStep step{.total = json.at("total"),
                 .main = json.at("main"),
                 .mtp = json.at("mtp"),
                 .balance = json.at("balance"),
                 .balance_layers = {},
                 .grad_norm = json.at("grad_norm")};
  for (const auto& [layer, loss] : json.at("balance_layers").items())
    step.balance_layers[std::stoi(layer)] = loss;
  return step;
}

template <class T>
std::vector<T> values(const store::TensorRecord& tensor, const char* dtype) {
  NAUTILE_CHECK(tensor.dtype == dtype, "{}: {}: expected {}, found {}", tensor.file, tensor.name,
                dtype, tensor.dtype);
  std::vector<T> copy(tensor.data.size() / sizeof(T));
  if (!copy.empty()) std::memcpy(copy.data(), tensor.data.data(), tensor.data.size());
  return copy;
}

}  // namespace

TrainCase::TrainCase(const std::string& name)
    : name_(name), data_(store::SafetensorsFile::open(path("data.safetensors"))) {
  const std::string file = path("case.json");
  const nlohmann::json json = parse_json(read_file(file), file);
  try {
    checkpoint_ = kFolder + json.at("model").get<std::string>();
    recipe_ = parse_recipe(json.at("recipe"));
    for (const nlohmann::json& step : json.at("steps")) steps_.push_back(parse_step(step));
  } catch (const nlohmann::json::exception& e) {
    fail(ErrorKind::bad_input, "{}: {}", file, e.what());
  }
}

std::string TrainCase::path(const char* file) const {
  return kFolder + name_ + "/" + file;
}

const store::TensorRecord* TrainCase::find(const std::string& name) const {
  const auto& all = data_.tensors();
  const auto at =
      std::find_if(all.begin(), all.end(), [&](const auto& t) { return t.name == name; });
  return at == all.end() ? nullptr : &*at;
}

std::vector<float> TrainCase::floats(const std::string& name) const {
  const store::TensorRecord* tensor = find(name);
  NAUTILE_CHECK(tensor, "{} has no tensor {}", data_.path(), name);
  return values<float>(*tensor, "F32");
}

std::vector<std::int32_t> TrainCase::integers(const std::string& name) const {
  const store::TensorRecord* tensor = find(name);
  NAUTILE_CHECK(tensor, "{} has no tensor {}", data_.path(), name);
  return values<std::int32_t>(*tensor, "I32");
}

std::vector<std::string> TrainCase::names_after(const std::string& prefix) const {
  std::vector<std::string> names;
  for (const store::TensorRecord& tensor : data_.tensors()) {
    if (tensor.name.starts_with(prefix)) names.push_back(tensor.name.substr(prefix.size()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

TrainBatch TrainCase::batch(std::size_t step) const {
  const std::string p = fmt::format("batch.{}.", step);
  TrainBatch batch{.tokens = integers(p + "tokens"),
                   .positions = integers(p + "positions"),
                   .documents = integers(p + "documents"),
                   .rows = integers(p + "rows"),
                   .starts = integers(p + "starts"),
                   .targets = integers(p + "targets"),
                   .weights = floats(p + "weights"),
                   .mtp_rows = {},
                   .mtp_starts = {},
                   .mtp_targets = {},
                   .mtp_weights = {}};
  if (find(p + "mtp.rows")) {
    batch.mtp_rows = integers(p + "mtp.rows");
    batch.mtp_starts = integers(p + "mtp.starts");
    batch.mtp_targets = integers(p + "mtp.targets");
    batch.mtp_weights = floats(p + "mtp.weights");
  }
  return batch;
}

std::map<int, std::vector<std::int32_t>> TrainCase::loads(std::size_t step) const {
  const std::string prefix = fmt::format("load.{}.", step);
  std::map<int, std::vector<std::int32_t>> loads;
  for (const std::string& layer : names_after(prefix))
    loads[std::stoi(layer)] = integers(prefix + layer);
  return loads;
}

std::map<int, std::vector<float>> TrainCase::biases(std::size_t step) const {
  const std::string prefix = fmt::format("bias.{}.", step);
  std::map<int, std::vector<float>> biases;
  for (const std::string& layer : names_after(prefix))
    biases[std::stoi(layer)] = floats(prefix + layer);
  return biases;
}

std::vector<float> TrainCase::cross_entropy() const {
  return floats("ce");
}

std::vector<float> TrainCase::mtp_cross_entropy() const {
  return find("mtp.ce") ? floats("mtp.ce") : std::vector<float>{};
}

std::vector<float> TrainCase::gradient(const std::string& name) const {
  return floats("grad." + name);
}

std::vector<float> TrainCase::final_weights(const std::string& name) const {
  return floats("final." + name);
}

std::vector<std::string> train_cases() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (std::filesystem::exists(entry.path() / "case.json"))
      names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace nautile::test
