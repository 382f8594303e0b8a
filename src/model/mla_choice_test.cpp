#include "model/mla_choice.h"

#include <gtest/gtest.h>

namespace nautile {
namespace {

AttentionConfig v3() {
  AttentionConfig a;
  a.kind = AttentionKind::mla;
  a.heads = 128;
  a.plain_dims = 128;
  a.rope_dims = 64;
  a.value_dims = 128;
  a.kv_rank = 512;
  return a;
}

TEST(MlaChoice, ExpandsLongChunksAndSaysWhy) {
  const MlaChoice decode = choose_mla_form(v3(), MlaForm::by_cost, 1, 4097);
  EXPECT_EQ(decode.form, MlaForm::absorbed);
  // T·H·C·up + T·P·H·(2C + R) and P·H·C·up + T·P·H·(up + R).
  EXPECT_EQ(decode.absorbed_cost, 128.0 * 512 * 256 + 4097.0 * 128 * 1088);
  EXPECT_EQ(decode.expanded_cost, 4097.0 * 128 * 512 * 256 + 4097.0 * 128 * 320);
  EXPECT_EQ(decode.why(), "absorbed: absorbed costs 5.87e+08 multiply-adds, expanded 6.89e+10");
  EXPECT_EQ(choose_mla_form(v3(), MlaForm::by_cost, 512, 4608).form, MlaForm::expanded);
  EXPECT_EQ(choose_mla_form(v3(), MlaForm::absorbed, 512, 4608).form, MlaForm::absorbed);
  EXPECT_EQ(choose_mla_form(v3(), MlaForm::expanded, 1, 4097).form, MlaForm::expanded);
}

TEST(MlaChoice, TheThresholdIsWhereTheFormChanges) {
  EXPECT_EQ(mla_expands_from(v3(), 0, 100), 1);  // nothing before: nothing to expand but itself
  for (const std::int64_t before : {1, 64, 4096, 100'000}) {
    const std::int64_t from = mla_expands_from(v3(), before, 10'000);
    ASSERT_GT(from, 1);
    for (std::int64_t count = 1; count < 2 * from; ++count) {
      EXPECT_EQ(choose_mla_form(v3(), MlaForm::by_cost, count, before + count).form,
                count < from ? MlaForm::absorbed : MlaForm::expanded)
          << before << " " << count;
    }
    EXPECT_EQ(mla_expands_from(v3(), before, from - 1), 0);
  }
  AttentionConfig wide = v3();  // 2C <= up: absorbing is never dearer
  wide.kv_rank = 64;
  EXPECT_EQ(mla_expands_from(wide, 10, 1'000'000), 0);
}

}  // namespace
}  // namespace nautile
