// openai_completions.cpp — raw prompts become a Call.
#include "server/openai_completions.h"

#include <utility>

#include "server/common_fields.h"
#include "server/completion_manner.h"

namespace nautile::server {

Shape prompts_shape(std::size_t most) {
  const Shape ids = Shape::list(Shape::integer(0, kMostTokens), 1);
  return Shape::either(
      {Shape::text(), Shape::list(Shape::text(), 1, most), ids, Shape::list(ids, 1, most)});
}

std::vector<RawPrompt> read_prompts(const Json& prompts, const std::string& path) {
  const auto ids_of = [](const Json& list) {
    std::vector<TokenId> ids;
    ids.reserve(list.size());
    for (const Json& id : list) ids.push_back(static_cast<TokenId>(whole(id)));
    return ids;
  };
  if (prompts.is_string()) return {prompts.get<std::string>()};
  if (prompts.empty()) bad_value(path, "{}: expected a prompt, found an empty list", path);
  if (prompts[0].is_number()) return {ids_of(prompts)};
  std::vector<RawPrompt> result;
  for (const Json& prompt : prompts) {
    if (prompt.is_string()) {
      result.emplace_back(prompt.get<std::string>());
    } else {
      result.emplace_back(ids_of(prompt));
    }
  }
  return result;
}

Shape openai_completions_shape(const ApiLimits& limits) {
  std::vector<Field> fields = joined(
      {{"prompt",
        prompts_shape(limits.prompts)
            .says("Text in which special tokens count as such, with BOS before it where the model "
                  "wants one; or token ids as they are."),
        Field::Need::required},
       {"suffix", Shape::text().says("What comes after: fills in between.")},
       {"max_tokens", Shape::integer(0, kMostTokens).says("None: 16. 0: only with echo.")},
       {"echo", Shape::boolean()},
       {"logprobs", Shape::integer(0, 20)}},
      {delivery_fields(limits), sampling_fields(limits), stopping_fields(limits), guide_fields()});
  for (const char* name : {"best_of", "metadata", "store", "service_tier", "prompt_cache_key",
                           "safety_identifier", "include_stop_str_in_output"}) {
    fields.push_back({name, Shape::anything(), Field::Need::optional, Field::Effect::none});
  }
  return Shape::object(std::move(fields));
}

Asked read_openai_completion(const Json& body, const ApiOptions& options) {
  Call call;
  call.kind = Call::Kind::completion;
  read_delivery(body, call);
  read_sampling(body, call);
  read_stopping(body, call);
  read_guides(body, options.limits, call);
  call.prompts = read_prompts(body["prompt"], "prompt");
  if (const Json* suffix = member(body, "suffix")) call.suffix = suffix->get<std::string>();
  if (flag(body, "echo", false)) call.echo = Call::Echo::yes;
  if (call.suffix && call.echo == Call::Echo::yes) {
    bad_value("echo", "echo: expected false beside suffix");
  }
  if (const Json* top = member(body, "logprobs")) call.top_logprobs = static_cast<int>(whole(*top));
  call.max_tokens = 16;
  if (const Json* most = member(body, "max_tokens")) call.max_tokens = whole(*most);
  if (call.max_tokens == 0) {
    if (call.echo == Call::Echo::no) {
      bad_value("max_tokens", "max_tokens: expected at least 1 without echo, found 0");
    }
    call.generate_nothing = true;
  }
  auto manner =
      std::make_unique<CompletionManner>(call.usage_chunk, call.top_logprobs, options.dialect);
  return {std::move(call), std::move(manner)};
}

Shape openai_embeddings_shape(const ApiLimits& limits) {
  return Shape::object(
      {{"input", prompts_shape(limits.prompts), Field::Need::required},
       {"model", Shape::text(0, 512)},
       {"encoding_format", Shape::words({"float", "base64"})},
       {"dimensions",
        Shape::integer(1, 1'000'000).says("The first of them, made to length 1 again.")},
       {"user", Shape::text(0, 512)}});
}

Asked read_openai_embedding(const Json& body, const ApiOptions&) {
  Call call;
  call.kind = Call::Kind::embedding;
  call.model = text_or(body, "model", "");
  call.user = text_or(body, "user", "");
  call.prompts = read_prompts(body["input"], "input");
  call.prompts_path = "input";
  const bool base64 = text_or(body, "encoding_format", "float") == "base64";
  std::size_t dimensions = 0;
  if (const Json* asked = member(body, "dimensions")) {
    dimensions = static_cast<std::size_t>(whole(*asked));
  }
  auto manner = std::make_unique<EmbeddingManner>(
      base64 ? EmbeddingManner::Numbers::base64 : EmbeddingManner::Numbers::decimal, dimensions);
  return {std::move(call), std::move(manner)};
}

}  // namespace nautile::server
