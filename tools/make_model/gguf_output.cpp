#include "make_model/gguf_output.h"

#include <cstdio>

#include "base/error.h"
#include "make_model/gguf_plan.h"
#include "make_model/vocabulary.h"

namespace nautile::make_model {
namespace {

void add_tokenizer(const Facts& facts, const Options& options, store::GgufMetadata& metadata) {
  if (!options.tokenizer.empty())
    return write_vocabulary(read_vocabulary(options.tokenizer, facts), metadata);
  if (const auto made = made_vocabulary(facts)) return write_vocabulary(*made, metadata);
  std::fputs("make_model: no tokenizer: the vocabulary cannot hold 256 bytes, BOS and EOS\n",
             stderr);
  metadata.string("tokenizer.ggml.model", "none");
}

}  // namespace

std::uint64_t write_gguf(const Facts& facts, const Options& options, ThreadPool& pool) {
  if (!store::ggml_type_id(options.format) || options.format == Format::i32) {
    fail(ErrorKind::usage, "GGUF cannot hold weights of {}", info(options.format).name);
  }
  store::GgufMetadata metadata = model_metadata(facts, options);
  add_tokenizer(facts, options, metadata);
  const std::vector<GgufTensor> tensors = plan_gguf(facts, options);
  std::vector<store::GgufEntry> entries;
  for (const GgufTensor& tensor : tensors) entries.push_back(tensor.entry);
  store::GgufWriter writer(options.out, metadata, std::move(entries));
  for (const GgufTensor& tensor : tensors) {
    const Shape& shape = tensor.entry.shape;
    produce_rows(pool, tensor.entry.format, shape.rank() == 1 ? 1 : shape.rows(), shape.cols(),
                 tensor.fill, [&](std::span<const std::byte> bytes) { writer.append(bytes); });
  }
  writer.finish();
  return writer.data_bytes();
}

}  // namespace nautile::make_model
