// export_test.cpp — what is exported is what was trained, to the bit.
#include "train/export.h"

#include <gtest/gtest.h>

#include "base/bf16.h"
#include "base/file.h"
#include "model/loader.h"
#include "train/import.h"
#include "train/run_testing.h"

namespace nautile::train {
namespace {

namespace fs = std::filesystem;
using Format = ExportOptions::Format;
using Numbers = SavedStep::Numbers;

// Logits of the main model and of the MTP module for a batch.
std::vector<float> logits_of(const Model& model, Backend& backend, const TokenBatch& from) {
  Arena arena(std::size_t{64} << 20);
  Context ctx{backend, arena};
  const Tensor hidden = model.final_norm(ctx, model.hidden(ctx, model_batch(from)));
  std::vector<float> all;
  const auto put = [&](Tensor x) {
    const Tensor logits = ops::linear(ctx, x, model.head());
    all.insert(all.end(), logits.data, logits.data + logits.shape.elements());
  };
  put(hidden);
  if (model.config().mtp_layers == 0) return all;
  const MtpBatch next(from);
  put(model.mtp_hidden(ctx, 0, ops::take_rows(ctx, hidden, next.index()), next.batch()));
  return all;
}

class Export : public ::testing::Test {
 protected:
  Export() : temporary_("export"), data_(make_tiny_data(temporary_.file("data"))) {}

  TrainerConfig config_of(Precision precision) {
    TrainerConfig config = tiny_trainer_config();
    config.precision = precision;
    return config;
  }
  ExportReport export_run(TinyRun& run, const std::string& to, const ExportOptions& options,
                          Numbers which = Numbers::masters) {
    return export_folder(tiny_v3_config(), numbers_of(run.trainer, which), *run.backend,
                         temporary_.file(to), options);
  }
  std::vector<float> logits_of_export(const std::string& name, Backend& backend) {
    Checkpoint checkpoint = Checkpoint::open(temporary_.file(name));
    const Model model(checkpoint.config(), checkpoint.weights(), {.mla = MlaForm::expanded});
    return logits_of(model, backend, batch());
  }
  TokenBatch batch() {
    DatasetOptions options;
    options.seq_len = 32;
    options.slot_rows = 2;
    return Dataset(data_, options).slot(77);
  }

  TemporaryFolder temporary_;
  DataFolder data_;
};

TEST_F(Export, LogitsAreTheTrainers) {
  for (const auto& [precision, format] :
       {std::pair(Precision::bf16, Format::bf16), std::pair(Precision::fp8, Format::fp8)}) {
    TinyRun run(config_of(precision), 2, data_);
    for (int i = 0; i < 6; ++i) run.step();
    const std::string name = format == Format::fp8 ? "fp8" : "bf16";
    const ExportReport report = export_run(run, name, {.format = format});
    EXPECT_EQ(report.files, 1u);
    const std::vector<float> expected = logits_of(run.trainer.model(), *run.backend, batch());
    EXPECT_TRUE(logits_of_export(name, *run.backend) == expected) << name;
    // The other way round the numbers differ, or the comparison says nothing.
    const Format wrong = format == Format::fp8 ? Format::bf16 : Format::fp8;
    export_run(run, name + "-wrong", {.format = wrong});
    EXPECT_FALSE(logits_of_export(name + "-wrong", *run.backend) == expected) << name;
  }
}

TEST_F(Export, SavedStepsAndShardsAreTheSame) {
  TinyRun run(config_of(Precision::fp8), 2, data_);
  for (int i = 0; i < 3; ++i) run.step();
  RunFolder folder(temporary_.file("run"), RunFolder::Use::train);
  folder.save(run.trainer, run.state());
  folder.wait();
  const SavedStep saved = folder.at_step(3);
  for (const Numbers which : {Numbers::masters, Numbers::mean}) {
    const std::string name = which == Numbers::mean ? "mean" : "now";
    export_run(run, name, {.format = Format::fp8}, which);
    const auto config = nlohmann::ordered_json::parse(saved.state().model_config);
    export_folder(config, numbers_of(saved, which), *run.backend, temporary_.file(name + "-saved"),
                  {.format = Format::fp8});
    EXPECT_TRUE(read_file(temporary_.file(name + "/model.safetensors")) ==
                read_file(temporary_.file(name + "-saved/model.safetensors")));
  }
  EXPECT_FALSE(read_file(temporary_.file("now/model.safetensors")) ==
               read_file(temporary_.file("mean/model.safetensors")));
  const ExportReport cut =
      export_run(run, "cut", {.format = Format::fp8, .tokenizer = {}, .shard_bytes = 100'000});
  EXPECT_GT(cut.files, 3u);
  EXPECT_TRUE(fs::exists(temporary_.file("cut/model.safetensors.index.json")));
  EXPECT_TRUE(logits_of_export("cut", *run.backend) == logits_of_export("now", *run.backend));
}

// Masters come back rounded to BF16, routers' biases as they were; a second export is the first.
TEST_F(Export, ComesBackByImport) {
  TinyRun run(config_of(Precision::bf16), 2, data_), other(config_of(Precision::bf16), 1, data_);
  for (int i = 0; i < 6; ++i) run.step();
  export_run(run, "first", {});
  Checkpoint checkpoint = Checkpoint::open(temporary_.file("first"));
  import_masters(checkpoint, other.trainer.params(), *other.backend);
  const std::span<const float> from = run.trainer.params().masters(),
                               found = other.trainer.params().masters();
  for (std::size_t i = 0; i < from.size(); ++i)
    ASSERT_EQ(found[i], to_float(to_bf16(from[i]))) << i;
  for (std::size_t i = 0; i < run.trainer.params().router_biases().size(); ++i) {
    EXPECT_EQ(run.trainer.params().router_biases()[i].slot->values,
              other.trainer.params().router_biases()[i].slot->values);
  }
  export_run(other, "second", {});
  EXPECT_TRUE(read_file(temporary_.file("first/model.safetensors")) ==
              read_file(temporary_.file("second/model.safetensors")));
}

// FP8: codes times scales, exact in F32.
TEST_F(Export, Fp8ComesBackByImport) {
  TinyRun run(config_of(Precision::fp8), 2, data_), other(config_of(Precision::fp8), 1, data_);
  for (int i = 0; i < 6; ++i) run.step();
  export_run(run, "fp8", {.format = Format::fp8});
  Checkpoint checkpoint = Checkpoint::open(temporary_.file("fp8"));
  import_masters(checkpoint, other.trainer.params(), *other.backend);
  for (const Param& p : run.trainer.params().params()) {
    if (p.slot->weight.format != nautile::Format::f8_e4m3) continue;
    std::vector<float> values(p.count);
    read_weight(*run.backend, p.slot->weight, values);
    const std::span<const float> found =
        other.trainer.params().master(*other.trainer.params().find(p.info.name));
    ASSERT_TRUE(std::equal(values.begin(), values.end(), found.begin())) << p.info.name;
  }
}

TEST_F(Export, FolderIsAsReleased) {
  TinyRun run(config_of(Precision::fp8), 1, data_);
  write_file_atomic(temporary_.file("data/tokenizer.json"), "{}");
  const ExportReport report =
      export_run(run, "fp8/", {.format = Format::fp8, .tokenizer = temporary_.file("data")});
  EXPECT_EQ(report.tokenizer_files, 1);
  const auto config = nlohmann::json::parse(read_file(temporary_.file("fp8/config.json")));
  EXPECT_EQ(config["torch_dtype"], "bfloat16");
  EXPECT_EQ(config["quantization_config"], nlohmann::json({{"activation_scheme", "dynamic"},
                                                           {"fmt", "e4m3"},
                                                           {"quant_method", "fp8"},
                                                           {"weight_block_size", {128, 128}}}));
  const auto generation =
      nlohmann::json::parse(read_file(temporary_.file("fp8/generation_config.json")));
  EXPECT_EQ(generation["eos_token_id"], 1);
  const auto file = store::SafetensorsFile::open(temporary_.file("fp8/model.safetensors"));
  std::map<std::string, const store::TensorRecord*> tensors;
  for (const store::TensorRecord& t : file.tensors()) tensors[t.name] = &t;
  for (const auto& [name, dtype] :
       {std::pair("model.layers.2.embed_tokens.weight", "BF16"),
        std::pair("model.layers.2.shared_head.head.weight", "BF16"),
        std::pair("model.layers.2.shared_head.norm.weight", "BF16"),
        std::pair("model.layers.2.eh_proj.weight", "BF16"),
        std::pair("model.layers.2.enorm.weight", "BF16"),
        std::pair("model.layers.1.mlp.gate.weight", "BF16"),
        std::pair("model.layers.1.mlp.gate.e_score_correction_bias", "F32"),
        std::pair("model.layers.1.mlp.experts.7.down_proj.weight", "F8_E4M3"),
        std::pair("model.layers.0.self_attn.kv_b_proj.weight", "F8_E4M3")}) {
    ASSERT_TRUE(tensors.contains(name)) << name;
    EXPECT_EQ(tensors[name]->dtype, dtype) << name;
    EXPECT_EQ(tensors.contains(std::string(name) + "_scale_inv"), std::string(dtype) == "F8_E4M3");
  }
  EXPECT_EQ(tensors["model.layers.0.mlp.up_proj.weight_scale_inv"]->shape, (Shape{2, 2}));
  EXPECT_TRUE(std::ranges::equal(tensors["model.layers.2.embed_tokens.weight"]->data,
                                 tensors["model.embed_tokens.weight"]->data));

  export_run(run, "no-mtp", {.mtp = ExportOptions::Mtp::drop});
  EXPECT_EQ(Checkpoint::open(temporary_.file("no-mtp")).config().mtp_layers, 0);
  EXPECT_EQ(Checkpoint::open(temporary_.file("no-mtp")).store().find("model.layers.2.enorm.weight"),
            nullptr);
}

TEST_F(Export, IsThereWholeOrNotAtAll) {
  TinyRun run(config_of(Precision::bf16), 1, data_);
  export_run(run, "out", {});
  EXPECT_THROW(export_run(run, "out", {}), Error);
  int left = 40;
  const NumbersOf numbers = numbers_of(run.trainer, Numbers::masters);
  const NumbersOf failing = [&](const std::string& name, const Shape& shape) {
    if (--left == 0) fail(ErrorKind::failure, "the disk is gone");
    return numbers(name, shape);
  };
  EXPECT_THROW(
      export_folder(tiny_v3_config(), failing, *run.backend, temporary_.file("broken"), {}), Error);
  EXPECT_FALSE(fs::exists(temporary_.file("broken")));
  EXPECT_FALSE(fs::exists(temporary_.file("broken.part")));
  EXPECT_THROW(export_folder(nlohmann::ordered_json::array(), numbers, *run.backend,
                             temporary_.file("broken"), {}),
               Error);
}

}  // namespace
}  // namespace nautile::train
