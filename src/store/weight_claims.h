// weight_claims.h — WeightClaims: which weights a model takes from a store; everything amiss in one
// error.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "store/name_list.h"
#include "store/weight_store.h"

namespace nautile::store {

// One loading. A model takes every weight it knows, by the file's name and with the shape it
// expects; nothing is thrown before finish(), so that one error tells all that is wrong.
class WeightClaims {
 public:
  explicit WeightClaims(WeightStore& store) : store_(store) {}

  // The weight `name` as a view named `canonical` (empty: `name`), or one without data if it is
  // absent, has another shape or has a type that nautile does not compute on: noted for finish().
  // An F8_E4M3 "*.weight" brings its "*.weight_scale_inv" [ceil(out/128), ceil(in/128)].
  Weight take(std::string_view name, const Shape& expected, std::string_view canonical = {});
  // The same, but an absent one is no error.
  Weight take_optional(std::string_view name, const Shape& expected,
                       std::string_view canonical = {});
  // The record itself, for what is no weight (id tables of other types): its type is not judged.
  const TensorRecord* take_record(std::string_view name, const Shape& expected);

  // Known and not wanted: not counted as extra. By name, or all for which the predicate holds.
  void ignore(std::string_view name) { taken_.emplace(name); }
  void ignore_if(const std::function<bool(std::string_view)>& predicate);

  // Adds a complaint of the caller's to the error ("heads: expected …").
  void complain(std::string line) { other_.add(std::move(line)); }

  // Throws one Error(bad_input) that lists missing, ill-shaped, unusable and extra tensors by name,
  // at most 20 of each kind and their counts. Call it once, after the last take.
  void finish();

 private:
  enum class Absent { is_error, is_fine };
  Weight take(std::string_view name, const Shape& expected, std::string_view canonical,
              Absent absent);
  const TensorRecord* claim(std::string_view name, const Shape& expected, Absent absent);
  void attach_scales(Weight& weight, std::string_view name);

  WeightStore& store_;
  std::set<std::string, std::less<>> taken_;
  NameList missing_;
  NameList ill_shaped_;
  NameList unusable_;
  NameList other_;
};

}  // namespace nautile::store
