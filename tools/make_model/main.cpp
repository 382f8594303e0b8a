// main.cpp — make_model: random weights for any supported config.json, as a folder or as a GGUF.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "base/error.h"
#include "base/parallel.h"
#include "make_model/gguf_output.h"
#include "make_model/hf_output.h"
#include "make_model/options.h"

namespace {

using namespace nautile;
using namespace nautile::make_model;

// "q4_k" as the list of formats spells it.
Format format_named(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  const auto format = format_by_name(name);
  if (!format || *format == Format::i32)
    fail(ErrorKind::usage, "--format {}: no such format of weights", name);
  return *format;
}

void run(const Options& options) {
  const Facts facts = read_facts(options.config);
  ThreadPool pool(options.threads > 0 ? options.threads : available_cores());
  const auto start = std::chrono::steady_clock::now();
  const std::uint64_t bytes = options.out.ends_with(".gguf") ? write_gguf(facts, options, pool)
                                                             : write_folder(facts, options, pool);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf("%s: %.1f MB of %s in %.1f s (%.0f MB/s)\n", options.out.c_str(),
              static_cast<double>(bytes) / 1e6, std::string(info(options.format).name).c_str(),
              seconds, static_cast<double>(bytes) / 1e6 / seconds);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"make_model: random weights for a config.json"};
  Options options;
  std::string format = "bf16";
  bool legacy = false, mtp = false;
  app.add_option("--config", options.config, "config.json of the model")->required();
  app.add_option("--out", options.out, "NAME.gguf, or a folder for safetensors")->required();
  app.add_option("--format", format, "f32, f16, bf16, f8_e4m3 (folder), q8_0, q4_k, … (GGUF)");
  app.add_option("--seed", options.seed, "the same seed gives the same values in every format");
  app.add_option("--std", options.std, "deviation of the matrices' values");
  app.add_option("--tokenizer", options.tokenizer,
                 "folder of the tokenizer to carry; else 256 bytes and a few merges");
  app.add_option("--shard-bytes", options.shard_bytes, "largest safetensors file");
  app.add_option("--threads", options.threads, "0: all cores");
  app.add_flag("--legacy-mla", legacy,
               "GGUF: attn_kv_b as older files have it, not attn_k_b and attn_v_b");
  app.add_flag("--mtp", mtp, "GGUF: the MTP layers too");
  CLI11_PARSE(app, argc, argv);
  try {
    options.format = format_named(format);
    options.mla = legacy ? MlaTensors::legacy : MlaTensors::split;
    options.mtp = mtp ? Mtp::include : Mtp::as_usual;
    run(options);
  } catch (const Error& error) {
    std::fprintf(stderr, "make_model: %s\n", error.what());
    return 1;
  }
  return 0;
}
