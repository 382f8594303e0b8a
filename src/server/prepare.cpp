// prepare.cpp — conversations and raw prompts become tokens, rules become grammars.
#include "server/prepare.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/printable.h"
#include "engine/stop_strings.h"
#include "server/api_error.h"
#include "server/ids.h"
#include "server/shape.h"
#include "text/chat_encode.h"

namespace nautile::server {
namespace {

constexpr std::string_view kCloseReasoning = "</think>";

struct Hole {
  std::string_view prefix, suffix, middle;
};
// How code models are asked to fill in: prefix, then suffix, then what is to be written. DeepSeek;
// Qwen and StarCoder 2; StarCoder and SantaCoder.
constexpr std::array<Hole, 3> kHoles = {{
    {"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"},
    {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"},
    {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"},
}};

// Runs `work`; a nautile::Error about input becomes a field's.
template <class Work>
auto for_field(std::string_view path, const Work& work) {
  try {
    return work();
  } catch (const Error& error) {
    ApiError api = api_error_of(error);
    if (api.status == 400 && api.param.empty()) api.param = path;
    throw api;
  }
}

const ToolFormat& tool_format_of(const ServedModel& model) {
  if (model.tools != nullptr) return *model.tools;
  return choose_tool_format({model.format->name(), {}, model.tokenizer});
}

RenderedPrompt render(const Call& call, const ServedModel& model) {
  if (model.format == nullptr) {
    bad_value("model", "the model '{}' has no chat format; it completes text only", model.name);
  }
  Conversation conversation = call.conversation;
  if (call.tools_off) conversation.tools = nullptr;
  if (speaks_of_tools(conversation)) {
    check_conversation(conversation);
    conversation = with_tool_texts(conversation, tool_format_of(model), tool_words(*model.format));
  }
  RenderOptions options;
  options.thinking = call.thinking;
  return for_field("messages", [&] {
    if (call.thinking_need == Call::ThinkingNeed::wished && options.thinking != Thinking::unset) {
      try {
        return model.format->render(conversation, options);
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::unsupported) throw;
        options.thinking = Thinking::unset;
      }
    }
    return model.format->render(conversation, options);
  });
}

std::vector<TokenId> with_bos(const Tokenizer& tokenizer, std::vector<TokenId> ids) {
  const auto bos = tokenizer.bos();
  if (tokenizer.wants_bos() && bos && (ids.empty() || ids.front() != *bos)) {
    ids.insert(ids.begin(), *bos);
  }
  return ids;
}

std::vector<TokenId> encode_hole(const std::string& before, const std::string& after,
                                 const Tokenizer& tokenizer) {
  for (const Hole& hole : kHoles) {
    if (!tokenizer.id_of(hole.prefix) || !tokenizer.id_of(hole.suffix) ||
        !tokenizer.id_of(hole.middle)) {
      continue;
    }
    const auto format = [](std::string_view text) {
      return Segment{std::string(text), Origin::format};
    };
    const std::vector<Segment> segments = {format(hole.prefix),
                                           {before, Origin::user},
                                           format(hole.suffix),
                                           {after, Origin::user},
                                           format(hole.middle)};
    return with_bos(tokenizer, encode_segments(tokenizer, segments));
  }
  bad_value("suffix", "this model's vocabulary has no tokens for filling in between texts");
}

engine::SamplingParams sampling_of(const Call& call, const ServedModel& model) {
  const SamplingWish& wish = call.sampling;
  engine::SamplingParams params = model.defaults;
  const auto set = [](auto& value, const auto& wanted) {
    if (wanted) value = *wanted;
  };
  set(params.temperature, wish.temperature);
  set(params.top_p, wish.top_p);
  set(params.min_p, wish.min_p);
  set(params.top_k, wish.top_k);
  set(params.repetition_penalty, wish.repetition_penalty);
  set(params.presence_penalty, wish.presence_penalty);
  set(params.frequency_penalty, wish.frequency_penalty);
  params.seed = wish.seed ? *wish.seed : new_seed();
  for (const auto& [text, bias] : wish.logit_bias) {
    std::int32_t id = -1;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), id);
    if (read.ec != std::errc() || read.ptr != text.data() + text.size() || id < 0 ||
        id >= model.rows) {
      bad_value("logit_bias", "logit_bias: expected token ids from 0 to {}, found \"{}\"",
                model.rows - 1, printable(text, 40));
    }
    params.logit_bias[id] = bias;
  }
  params.validate(model.rows);
  return params;
}

// The tokens that a promise of form needs must be there.
void check_room(const engine::Request& request, const Call& call, const ServedModel& model) {
  if (!request.grammar) return;
  const auto least = static_cast<std::int64_t>(request.grammar->least_tokens());
  const auto prompt = static_cast<std::int64_t>(request.prompt.size());
  if (request.max_tokens > 0 && request.max_tokens < least) {
    bad_value(call.max_tokens_path,
              "{}: expected at least {}, which the shortest text of the asked form takes, found {}",
              call.max_tokens_path, least, request.max_tokens);
  }
  if (prompt + least > model.engine->context()) {
    throw context_exceeded("messages", prompt, least, model.engine->context());
  }
}

std::shared_ptr<const CompiledGrammar> compile(const std::optional<GrammarPlan>& plan,
                                               const ServedModel& model, GrammarCache& grammars) {
  if (!plan) return nullptr;
  NAUTILE_ASSERT(model.vocabulary != nullptr, "a model is served without its grammar vocabulary");
  return grammars.get(*plan, *model.vocabulary);
}

engine::Request common_request(const Call& call, const ServedModel& model) {
  engine::Request request;
  request.choices = call.choices;
  request.sampling = sampling_of(call, model);
  request.max_tokens = call.max_tokens;
  request.min_tokens = call.min_tokens;
  if (call.max_tokens > 0 && call.min_tokens > call.max_tokens) {
    bad_value("min_tokens", "min_tokens: expected at most {} ({}), found {}", call.max_tokens,
              call.max_tokens_path, call.min_tokens);
  }
  for_field("stop", [&] { (void)engine::StopStrings(call.stops); });
  request.stops = call.stops;
  request.stop_ids = call.stop_ids;
  request.end_token = call.end_token;
  request.special = call.special;
  request.top_logprobs = call.top_logprobs;
  request.generate_nothing = call.generate_nothing;
  request.priority = call.priority;
  request.user = call.user;
  return request;
}

void prepare_chat(const Call& call, const ServedModel& model, GrammarCache& grammars,
                  Prepared& prepared) {
  engine::Request request = common_request(call, model);
  const RenderedPrompt prompt = render(call, model);
  request.prompt = encode_segments(*model.tokenizer, prompt.segments);
  prepared.reasoning = prompt.reasoning;

  OutputRules rules;
  rules.reasoning = prompt.reasoning;
  if (!call.tools_off) rules.tools = tool_specs(call.conversation.tools);
  rules.choice = call.tool_choice;
  rules.tool = call.tool;
  rules.calls = call.calls;
  rules.answer = call.answer;
  const ToolFormat& format = tool_format_of(model);
  if (!rules.tools.empty()) {
    prepared.tools = &format;
    for (const ToolSpec& tool : rules.tools) prepared.tool_names.push_back(tool.name);
    if (marks_by_special_token(format, *model.tokenizer)) request.special = engine::Special::shown;
  }
  const std::string& path = call.answer ? call.answer_path : call.tools_path;
  request.grammar =
      for_field(path, [&] { return compile(output_plan(format, rules), model, grammars); });
  if (prompt.reasoning != ReasoningMode::none) {
    const auto tag = model.tokenizer->id_of(kCloseReasoning);
    if (tag && model.tokenizer->is_special(*tag)) request.special = engine::Special::shown;
    if (call.reasoning_budget) {
      request.reasoning.emplace();
      request.reasoning->tokens = *call.reasoning_budget;
      request.reasoning->close = model.tokenizer->encode(kCloseReasoning, EncodeMode::parse_added);
    }
  }
  check_room(request, call, model);
  prepared.requests.push_back(std::move(request));
}

void prepare_raw(const Call& call, const ServedModel& model, GrammarCache& grammars,
                 Prepared& prepared) {
  engine::Request common = common_request(call, model);
  if (call.kind == Call::Kind::embedding) common.task = engine::Task::embed;
  if (call.answer) {
    common.grammar = for_field(
        call.answer_path, [&] { return compile(GrammarPlan::of(*call.answer), model, grammars); });
  }
  if (call.suffix && (call.prompts.size() != 1 || call.prompts[0].index() != 0)) {
    bad_value("suffix", "suffix: expected a prompt of one string beside it");
  }
  for (std::size_t i = 0; i < call.prompts.size(); ++i) {
    const std::string path =
        call.prompts.size() == 1 ? call.prompts_path : path_join(call.prompts_path, i);
    const RawPrompt& prompt = call.prompts[i];
    engine::Request request = common;
    request.prompt =
        call.suffix ? encode_hole(std::get<std::string>(prompt), *call.suffix, *model.tokenizer)
                    : encode_raw(prompt, call.reading, *model.tokenizer, path);
    if (request.prompt.empty()) bad_value(path, "{}: expected text of at least one token", path);
    std::string echo;
    if (call.echo == Call::Echo::yes) {
      request.prompt_logprobs = call.top_logprobs;
      const auto* text = std::get_if<std::string>(&prompt);
      echo = text != nullptr ? *text
                             : model.tokenizer->decode(std::get<std::vector<TokenId>>(prompt),
                                                       SkipSpecial::yes);
    }
    check_room(request, call, model);
    prepared.requests.push_back(std::move(request));
    prepared.echoes.push_back(std::move(echo));
  }
}

}  // namespace

std::vector<TokenId> encode_raw(const RawPrompt& prompt, Call::Reading reading,
                                const Tokenizer& tokenizer, const std::string& path) {
  if (const auto* ids = std::get_if<std::vector<TokenId>>(&prompt)) {
    for (std::size_t i = 0; i < ids->size(); ++i) {
      if ((*ids)[i] < 0 || (*ids)[i] >= tokenizer.vocab_size()) {
        bad_value(path, "{}[{}]: expected token ids from 0 to {}, found {}", path, i,
                  tokenizer.vocab_size() - 1, (*ids)[i]);
      }
    }
    return *ids;
  }
  const std::string& text = std::get<std::string>(prompt);
  if (reading == Call::Reading::letters) return tokenizer.encode(text, EncodeMode::plain);
  return with_bos(tokenizer, tokenizer.encode(text, EncodeMode::parse_added));
}

std::vector<TokenId> encode_chat(const Call& call, const ServedModel& model) {
  return encode_segments(*model.tokenizer, render(call, model).segments);
}

Prepared prepare(const Call& call, const ServedModel& model, GrammarCache& grammars) {
  Prepared prepared;
  if (call.kind == Call::Kind::nothing) return prepared;
  if (call.kind == Call::Kind::chat) {
    prepare_chat(call, model, grammars, prepared);
  } else {
    prepare_raw(call, model, grammars, prepared);
  }
  return prepared;
}

std::string effective_parameters(const engine::Request& request) {
  const engine::SamplingParams& sampling = request.sampling;
  const Json parameters = {{"temperature", sampling.temperature},
                           {"top_p", sampling.top_p},
                           {"top_k", sampling.top_k},
                           {"min_p", sampling.min_p},
                           {"repetition_penalty", sampling.repetition_penalty},
                           {"presence_penalty", sampling.presence_penalty},
                           {"frequency_penalty", sampling.frequency_penalty},
                           {"seed", sampling.seed},
                           {"max_tokens", request.max_tokens},
                           {"min_tokens", request.min_tokens}};
  return parameters.dump();
}

}  // namespace nautile::server
