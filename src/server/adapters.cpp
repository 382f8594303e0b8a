// adapters.cpp — numbers of adapters become names of models.
#include "server/adapters.h"

#include <algorithm>

#include "server/api_error.h"

namespace nautile::server {
namespace {

std::vector<const ModelEntry*> adapters_of(const std::vector<ModelEntry>& models) {
  std::vector<const ModelEntry*> adapters;
  for (const ModelEntry& entry : models) {
    if (!entry.base.empty()) adapters.push_back(&entry);
  }
  return adapters;
}

// The entry that `name` means; null where that is for Models::get to say.
const ModelEntry* named(const std::string& name, const std::vector<ModelEntry>& models) {
  const auto found = std::find_if(models.begin(), models.end(), [&](const ModelEntry& entry) {
    return name.empty() ? entry.base.empty() : entry.name == name;
  });
  return found == models.end() ? nullptr : &*found;
}

}  // namespace

std::string adapted_model(const Call& call, const std::vector<ModelEntry>& models) {
  if (!call.adapters) return call.model;
  const ModelEntry* base = named(call.model, models);
  if (base == nullptr) return call.model;
  if (!base->base.empty()) {
    bad_value("lora", "lora: expected nothing where model is itself an adapter, of {}", base->base);
  }
  const std::vector<const ModelEntry*> adapters = adapters_of(models);
  const ModelEntry* chosen = nullptr;
  for (std::size_t i = 0; i < call.adapters->size(); ++i) {
    const AdapterWish& wish = (*call.adapters)[i];
    const std::string path = path_join("lora", i);
    if (wish.id < 0 || wish.id >= static_cast<std::int64_t>(adapters.size())) {
      bad_value(path + ".id",
                "{}.id: expected one of the {} adapters in GET /lora-adapters, found {}", path,
                adapters.size(), wish.id);
    }
    const ModelEntry* adapter = adapters[static_cast<std::size_t>(wish.id)];
    if (wish.scale == 0) continue;
    if (wish.scale != 1) {
      bad_value(path + ".scale",
                "{}.scale: expected 0 or 1, an adapter as it was trained, found {}", path,
                wish.scale);
    }
    if (adapter->base != base->name) {
      bad_value(path + ".id", "{}.id: expected an adapter of {}, found one of {}", path, base->name,
                adapter->base);
    }
    if (chosen != nullptr && chosen != adapter) {
      bad_value("lora", "lora: expected at most one adapter of scale 1, found {} and {}",
                chosen->name, adapter->name);
    }
    chosen = adapter;
  }
  return chosen != nullptr ? chosen->name : call.model;
}

Json adapters_json(const std::vector<ModelEntry>& models) {
  Json list = Json::array();
  for (const ModelEntry* adapter : adapters_of(models)) {
    list.push_back({{"id", list.size()}, {"path", adapter->name}, {"scale", 0.0}});
  }
  return list;
}

}  // namespace nautile::server
