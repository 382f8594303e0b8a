#include "store/gguf_types.h"

namespace nautile::store {
namespace {

// ggml.h and ggml-common.h. Sizes of types that nautile does not compute on are here to check
// bounds.
constexpr GgmlType kTypes[] = {
    {0, "F32", 1, 4, Format::f32},
    {1, "F16", 1, 2, Format::f16},
    {2, "Q4_0", 32, 18, Format::q4_0},
    {3, "Q4_1", 32, 20, Format::q4_1},
    {6, "Q5_0", 32, 22, Format::q5_0},
    {7, "Q5_1", 32, 24, Format::q5_1},
    {8, "Q8_0", 32, 34, Format::q8_0},
    {9, "Q8_1", 32, 36, {}},
    {10, "Q2_K", 256, 84, Format::q2_k},
    {11, "Q3_K", 256, 110, Format::q3_k},
    {12, "Q4_K", 256, 144, Format::q4_k},
    {13, "Q5_K", 256, 176, Format::q5_k},
    {14, "Q6_K", 256, 210, Format::q6_k},
    {15, "Q8_K", 256, 292, {}},
    {16, "IQ2_XXS", 256, 66, {}},
    {17, "IQ2_XS", 256, 74, {}},
    {18, "IQ3_XXS", 256, 98, {}},
    {19, "IQ1_S", 256, 50, {}},
    {20, "IQ4_NL", 32, 18, Format::iq4_nl},
    {21, "IQ3_S", 256, 110, {}},
    {22, "IQ2_S", 256, 82, {}},
    {23, "IQ4_XS", 256, 136, Format::iq4_xs},
    {24, "I8", 1, 1, {}},
    {25, "I16", 1, 2, {}},
    {26, "I32", 1, 4, Format::i32},
    {27, "I64", 1, 8, {}},
    {28, "F64", 1, 8, {}},
    {29, "IQ1_M", 256, 56, {}},
    {30, "BF16", 1, 2, Format::bf16},
    {34, "TQ1_0", 256, 54, {}},
    {35, "TQ2_0", 256, 66, {}},
    {39, "MXFP4", 32, 17, {}},
    {40, "NVFP4", 64, 36, {}},
    {41, "Q1_0", 0, 0, {}},
    {42, "Q2_0", 0, 0, {}},
};

// The formats computed on have one list of sizes, base/format.h; this one repeats it for bounds.
constexpr bool sizes_agree() {
  for (const GgmlType& type : kTypes) {
    if (type.format && (info(*type.format).block != type.block ||
                        info(*type.format).block_bytes != type.block_bytes ||
                        info(*type.format).name != type.name)) {
      return false;
    }
  }
  return true;
}
static_assert(sizes_agree());

}  // namespace

const GgmlType* ggml_type(std::uint32_t id) {
  for (const GgmlType& type : kTypes) {
    if (type.id == id) return &type;
  }
  return nullptr;
}

std::optional<std::uint32_t> ggml_type_id(Format format) {
  for (const GgmlType& type : kTypes) {
    if (type.format == format) return type.id;
  }
  return std::nullopt;
}

}  // namespace nautile::store
