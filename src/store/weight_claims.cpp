#include "store/weight_claims.h"

#include "base/error.h"

namespace nautile::store {

const TensorRecord* WeightClaims::claim(std::string_view name, const Shape& expected,
                                        Absent absent) {
  const TensorRecord* record = store_.find(name);
  if (!record) {
    if (absent == Absent::is_error) missing_.add(fmt::format("{} {}", name, expected));
    return nullptr;
  }
  taken_.emplace(name);
  if (record->shape == expected) return record;
  ill_shaped_.add(fmt::format("{}: expected {}, found {}", name, expected, record->shape));
  return nullptr;
}

const TensorRecord* WeightClaims::take_record(std::string_view name, const Shape& expected) {
  return claim(name, expected, Absent::is_error);
}

Weight WeightClaims::take(std::string_view name, const Shape& expected,
                          std::string_view canonical) {
  return take(name, expected, canonical, Absent::is_error);
}

Weight WeightClaims::take_optional(std::string_view name, const Shape& expected,
                                   std::string_view canonical) {
  return take(name, expected, canonical, Absent::is_fine);
}

Weight WeightClaims::take(std::string_view name, const Shape& expected, std::string_view canonical,
                          Absent absent) {
  Weight weight;
  weight.name = canonical.empty() ? name : canonical;
  weight.shape = expected;
  const TensorRecord* record = claim(name, expected, absent);
  if (!record) return weight;
  if (!record->format || record->format == Format::i32) {
    unusable_.add(fmt::format("{}: type {}", name, record->dtype));
    return weight;
  }
  weight.format = *record->format;
  weight.data = record->data.data();
  if (weight.format == Format::f8_e4m3) attach_scales(weight, name);
  return weight;
}

void WeightClaims::attach_scales(Weight& weight, std::string_view name) {
  if (weight.shape.rank() < 2) {
    unusable_.add(fmt::format("{}: type F8_E4M3 with shape {}; block scales need a matrix", name,
                              weight.shape));
    weight.data = nullptr;
    return;
  }
  Shape expected;
  const int rank = weight.shape.rank();
  for (int i = 0; i < rank; ++i) {
    expected.push_back(i < rank - 2 ? weight.shape[i] : (weight.shape[i] + 127) / 128);
  }
  const std::string companion = std::string(name) + "_scale_inv";
  const TensorRecord* record = claim(companion, expected, Absent::is_error);
  if (!record) {
    weight.data = nullptr;
    return;
  }
  try {
    const WeightStore::Scales scales = store_.scales(*record);
    weight.scale_format = scales.format;
    weight.scales = scales.data;
  } catch (const Error& error) {
    unusable_.add(error.message());
    weight.data = nullptr;
  }
}

void WeightClaims::ignore_if(const std::function<bool(std::string_view)>& predicate) {
  for (const TensorRecord& record : store_.tensors()) {
    if (predicate(record.name)) taken_.insert(record.name);
  }
}

void WeightClaims::finish() {
  NameList extra;
  for (const TensorRecord& record : store_.tensors()) {
    if (!taken_.contains(record.name)) {
      extra.add(fmt::format("{} {} {}", printable(record.name), record.dtype, record.shape));
    }
  }
  std::string story;
  const auto tell = [&](const NameList& names, std::string_view what) {
    if (!names.empty()) story += fmt::format("\n    {} {}:{}", names.count(), what, names.str());
  };
  tell(missing_, "missing");
  tell(ill_shaped_, "with another shape than the configuration asks for");
  tell(unusable_, "of a type that nautile does not compute on");
  tell(extra, "that this model does not have");
  tell(other_, "other");
  if (!story.empty()) {
    fail(ErrorKind::bad_input, "the tensors of {} do not fit its configuration:{}", store_.path(),
         story);
  }
}

}  // namespace nautile::store
