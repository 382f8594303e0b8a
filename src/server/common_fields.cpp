// common_fields.cpp — each group of fields beside its reader.
#include "server/common_fields.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/printable.h"
#include "server/api_error.h"

namespace nautile::server {
namespace {

// Tokens of reasoning that an effort may take.
struct Effort {
  const char* word;
  std::int64_t budget;  // 0: as many as it likes
};
constexpr std::int64_t kMostAdapters = 1024;  // more than a server has

constexpr Effort kEfforts[] = {{"none", 0}, {"minimal", 128}, {"low", 1024}, {"medium", 8192},
                               {"high", 0}, {"xhigh", 0},     {"max", 0},    {"ultra", 0}};

template <class Number>
void read_number(const Json& body, const char* name, std::optional<Number>& value) {
  if (const Json* found = member(body, name)) value = static_cast<Number>(found->get<double>());
}

}  // namespace

std::vector<Field> joined(std::vector<Field> fields, const std::vector<std::vector<Field>>& more) {
  for (const auto& group : more) fields.insert(fields.end(), group.begin(), group.end());
  return fields;
}

bool flag(const Json& body, std::string_view name, bool otherwise) {
  const Json* found = member(body, name);
  return found != nullptr ? found->get<bool>() : otherwise;
}

std::int64_t whole(const Json& value) {
  return value.get<std::int64_t>();
}

std::string text_or(const Json& body, std::string_view name, std::string otherwise) {
  const Json* found = member(body, name);
  return found != nullptr ? found->get<std::string>() : std::move(otherwise);
}

std::vector<Field> sampling_fields(const ApiLimits& limits) {
  return {
      {"temperature", Shape::number(0, 2).says("0: the likeliest token.")},
      {"top_p", Shape::number(0, 1)},
      {"top_k", Shape::integer(-1, 1'000'000).says("0 and -1: all.")},
      {"min_p", Shape::number(0, 1)},
      {"repetition_penalty", Shape::number(0.01, 10)},
      {"presence_penalty", Shape::number(-2, 2)},
      {"frequency_penalty", Shape::number(-2, 2)},
      {"seed", Shape::integer(std::numeric_limits<std::int64_t>::min(),
                              std::numeric_limits<std::int64_t>::max())
                   .says("Equal seeds give equal answers.")},
      {"logit_bias",
       Shape::map(Shape::number(-100, 100), limits.biases).says("By token id; -100 bans.")},
  };
}

void read_sampling(const Json& body, Call& call) {
  SamplingWish& wish = call.sampling;
  read_number(body, "temperature", wish.temperature);
  read_number(body, "top_p", wish.top_p);
  // The smallest set whose probabilities reach nothing: the likeliest token.
  if (wish.top_p && *wish.top_p <= 0) wish.top_p = std::numeric_limits<float>::min();
  read_number(body, "min_p", wish.min_p);
  read_number(body, "repetition_penalty", wish.repetition_penalty);
  read_number(body, "presence_penalty", wish.presence_penalty);
  read_number(body, "frequency_penalty", wish.frequency_penalty);
  if (const Json* top_k = member(body, "top_k")) {
    wish.top_k = static_cast<int>(std::max<std::int64_t>(whole(*top_k), 0));
  }
  if (const Json* seed = member(body, "seed")) {
    wish.seed = static_cast<std::uint64_t>(whole(*seed));
  }
  if (const Json* biases = member(body, "logit_bias")) {
    for (const auto& [id, bias] : biases->items()) {
      const float number = bias.get<float>();
      wish.logit_bias[id] = number <= -100 ? -std::numeric_limits<float>::infinity() : number;
    }
  }
}

std::vector<Field> stopping_fields(const ApiLimits& limits) {
  const Shape text = Shape::text(1, 1024);
  return {
      {"stop",
       Shape::either({text, Shape::list(text, 0, limits.stops)}).says("Never part of the answer.")},
      {"stop_token_ids", Shape::list(Shape::integer(0, kMostTokens), 0, 64)},
      {"min_tokens",
       Shape::integer(0, kMostTokens).says("Neither an end nor a stop string counts before.")},
      {"ignore_eos", Shape::boolean()},
      {"skip_special_tokens", Shape::boolean().says("false: their texts are in the answer.")},
  };
}

void read_stopping(const Json& body, Call& call) {
  if (const Json* stop = member(body, "stop")) {
    if (stop->is_string()) {
      call.stops = {stop->get<std::string>()};
    } else {
      call.stops = stop->get<std::vector<std::string>>();
    }
  }
  if (const Json* ids = member(body, "stop_token_ids")) {
    for (const Json& id : *ids) call.stop_ids.push_back(static_cast<TokenId>(whole(id)));
  }
  if (const Json* least = member(body, "min_tokens")) call.min_tokens = whole(*least);
  if (flag(body, "ignore_eos", false)) call.end_token = engine::EndToken::ignored;
  if (!flag(body, "skip_special_tokens", true)) call.special = engine::Special::shown;
}

std::vector<Field> delivery_fields(const ApiLimits& limits) {
  return {
      {"model", Shape::text(0, 512).says("May be left out where the server has one model.")},
      {"lora",
       Shape::list(Shape::object({{"id", Shape::integer(0, kMostAdapters), Field::Need::required},
                                  {"scale", Shape::number(0, 1), Field::Need::required}}),
                   0, kMostAdapters)
           .says(
               "The adapter of this request, as GET /lora-adapters numbers them: one of scale 1.")},
      {"n", Shape::integer(1, limits.choices)},
      {"stream", Shape::boolean()},
      {"stream_options",
       Shape::object({{"include_usage", Shape::boolean()}}).says("Only where stream is true.")},
      {"user", Shape::text(0, 512)},
      {"user_id", Shape::text(0, 512).says(
                      "Cached prefixes are not shared between users, and their turns are fair.")},
  };
}

void read_delivery(const Json& body, Call& call) {
  call.model = text_or(body, "model", "");
  if (const Json* adapters = member(body, "lora")) {
    call.adapters.emplace();
    for (const Json& adapter : *adapters) {
      call.adapters->push_back({whole(adapter["id"]), adapter["scale"].get<double>()});
    }
  }
  if (const Json* n = member(body, "n")) call.choices = static_cast<int>(whole(*n));
  if (flag(body, "stream", false)) call.delivery = Call::Delivery::streamed;
  if (const Json* options = member(body, "stream_options")) {
    if (call.delivery == Call::Delivery::whole) {
      bad_value("stream_options", "stream_options: expected nothing where stream is not true");
    }
    if (flag(*options, "include_usage", false)) call.usage_chunk = Call::UsageChunk::sent;
  }
  call.user = text_or(body, "user_id", text_or(body, "user", ""));
}

std::vector<Field> guide_fields() {
  const Shape schema = Shape::either({Shape::any_object(), Shape::text(1)});
  const Shape words = Shape::list(Shape::text(1, 4096), 1, 256);
  return {
      {"guided_json", schema},
      {"guided_regex", Shape::text(1, 65536)},
      {"guided_grammar", Shape::text(1, 262144).says("GBNF, from the rule root.")},
      {"guided_choice", words},
      {"grammar", Shape::text(1, 262144).says("As guided_grammar.")},
      {"structured_outputs", Shape::object({{"json", schema},
                                            {"regex", Shape::text(1, 65536)},
                                            {"grammar", Shape::text(1, 262144)},
                                            {"choice", words}})},
  };
}

void set_answer(Call& call, std::string path, GrammarSpec spec) {
  if (call.answer) {
    bad_value(path, "{}: expected one form of the answer, found {} as well", path,
              call.answer_path);
  }
  call.answer = std::move(spec);
  call.answer_path = std::move(path);
}

std::string schema_text(const Json& schema, const std::string& path, const ApiLimits& limits) {
  std::string text = schema.is_string() ? schema.get<std::string>() : schema.dump();
  if (text.size() > limits.schema_bytes) {
    bad_value(path, "{}: expected a schema of at most {} bytes, found {}", path,
              limits.schema_bytes, text.size());
  }
  return text;
}

std::string choice_grammar(const std::vector<std::string>& words) {
  std::string grammar = "root ::= ";
  for (const std::string& word : words) {
    if (&word != &words.front()) grammar += " | ";
    grammar += '"';
    for (const char c : word) {
      if (c == '"' || c == '\\') grammar += '\\';
      if (static_cast<unsigned char>(c) < 0x20) {
        grammar += fmt::format("\\x{:02X}", static_cast<unsigned char>(c));
      } else {
        grammar += c;
      }
    }
    grammar += '"';
  }
  return grammar;
}

void read_guides(const Json& body, const ApiLimits& limits, Call& call) {
  const auto read = [&](const Json& object, const std::string& prefix, const char* name,
                        GrammarKind kind) {
    const Json* found = member(object, name);
    if (found == nullptr) return;
    const std::string path = prefix + name;
    if (found->is_array()) {
      const auto words = found->get<std::vector<std::string>>();
      return set_answer(call, path, {GrammarKind::gbnf, choice_grammar(words)});
    }
    set_answer(call, path, {kind, schema_text(*found, path, limits)});
  };
  read(body, "", "guided_json", GrammarKind::json_schema);
  read(body, "", "guided_regex", GrammarKind::regex);
  read(body, "", "guided_grammar", GrammarKind::gbnf);
  read(body, "", "guided_choice", GrammarKind::gbnf);
  read(body, "", "grammar", GrammarKind::gbnf);
  if (const Json* outputs = member(body, "structured_outputs")) {
    const std::string prefix = "structured_outputs.";
    read(*outputs, prefix, "json", GrammarKind::json_schema);
    read(*outputs, prefix, "regex", GrammarKind::regex);
    read(*outputs, prefix, "grammar", GrammarKind::gbnf);
    read(*outputs, prefix, "choice", GrammarKind::gbnf);
  }
}

const std::vector<std::string>& effort_words() {
  static const std::vector<std::string> kWords = [] {
    std::vector<std::string> words;
    for (const Effort& effort : kEfforts) words.emplace_back(effort.word);
    return words;
  }();
  return kWords;
}

void set_kwarg(Call& call, const std::string& name, Json value) {
  if (!call.conversation.kwargs.is_object()) call.conversation.kwargs = Json::object();
  call.conversation.kwargs[name] = std::move(value);
}

void set_effort(Call& call, const std::string& word) {
  const auto effort = std::find_if(std::begin(kEfforts), std::end(kEfforts),
                                   [&](const Effort& known) { return word == known.word; });
  if (effort == std::end(kEfforts)) return;
  if (effort->budget > 0 && !call.reasoning_budget) call.reasoning_budget = effort->budget;
  if (word != "none") set_kwarg(call, "reasoning_effort", word);
  if (call.thinking != Thinking::unset) return;
  call.thinking = word == "none" ? Thinking::off : Thinking::on;
  call.thinking_need = Call::ThinkingNeed::wished;
}

std::vector<Field> reasoning_fields() {
  const Shape budget = Shape::integer(0, kMostTokens).says("Tokens of reasoning.");
  const Shape effort = Shape::words(effort_words());
  return {
      {"thinking",
       Shape::object({{"type", Shape::words({"enabled", "disabled", "adaptive", "auto"}),
                       Field::Need::required},
                      {"budget_tokens", budget}})},
      {"enable_thinking", Shape::boolean()},
      {"thinking_budget", budget},
      {"reasoning_effort", effort},
      {"reasoning", Shape::object({{"effort", effort}, {"max_tokens", budget}})},
      {"chat_template_kwargs", Shape::any_object().says("Of names that templates ask for.")},
  };
}

void read_reasoning(const Json& body, Call& call) {
  const auto think = [&](bool on) { call.thinking = on ? Thinking::on : Thinking::off; };
  const auto budget = [&](const Json* tokens) {
    if (tokens != nullptr) call.reasoning_budget = whole(*tokens);
  };
  if (const Json* kwargs = member(body, "chat_template_kwargs")) {
    for (const auto& [name, value] : kwargs->items()) {
      const auto& known = template_kwargs();
      const std::string path = "chat_template_kwargs." + printable(name, 60);
      if (std::find(known.begin(), known.end(), name) == known.end()) {
        bad_value(path, "{}: not a name that may be set; there are {}", path,
                  fmt::join(known, ", "));
      }
      // Formats that are no templates understand these, too.
      if ((name == "thinking" || name == "enable_thinking") && value.is_boolean()) {
        think(value.get<bool>());
      } else {
        set_kwarg(call, name, value);
      }
    }
  }
  if (const Json* on = member(body, "enable_thinking")) think(on->get<bool>());
  budget(member(body, "thinking_budget"));
  if (const Json* thinking = member(body, "thinking")) {
    const std::string type = text_or(*thinking, "type", "");
    if (type == "enabled" || type == "disabled") think(type == "enabled");
    budget(member(*thinking, "budget_tokens"));
  }
  if (const Json* reasoning = member(body, "reasoning")) {
    budget(member(*reasoning, "max_tokens"));
    if (const Json* effort = member(*reasoning, "effort")) {
      set_effort(call, effort->get<std::string>());
    }
  }
  if (const Json* effort = member(body, "reasoning_effort")) {
    set_effort(call, effort->get<std::string>());
  }
}

}  // namespace nautile::server
