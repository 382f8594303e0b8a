// ollama.cpp — its messages and options become a Call.
#include "server/ollama.h"

#include <utility>

#include "server/common_fields.h"
#include "server/openai_chat.h"

namespace nautile::server {
namespace {

Shape options_shape(const ApiLimits& limits) {
  const Shape text = Shape::text(1, 1024);
  std::vector<Field> fields = {
      {"num_predict", Shape::integer(-2, kMostTokens).says("-1 and -2: what the context leaves.")},
      {"temperature", Shape::number(0, 2)},
      {"top_p", Shape::number(0, 1)},
      {"top_k", Shape::integer(0, 1'000'000)},
      {"min_p", Shape::number(0, 1)},
      {"seed", Shape::integer(INT64_MIN, INT64_MAX)},
      {"repeat_penalty", Shape::number(0.01, 10)},
      {"presence_penalty", Shape::number(-2, 2)},
      {"frequency_penalty", Shape::number(-2, 2)},
      {"stop", Shape::either({text, Shape::list(text, 0, limits.stops)})},
  };
  for (const char* name : {"num_ctx", "num_keep", "num_batch", "num_gpu", "main_gpu", "use_mmap",
                           "num_thread", "repeat_last_n", "tfs_z", "typical_p", "mirostat", "numa",
                           "mirostat_tau", "mirostat_eta", "penalize_newline", "low_vram"}) {
    fields.push_back({name, Shape::anything(), Field::Need::optional, Field::Effect::none});
  }
  return Shape::object(std::move(fields));
}

std::vector<Field> common_fields(const ApiLimits& limits) {
  return {
      {"model", Shape::text(0, 512)},
      {"stream", Shape::boolean().says("true where it is left out.")},
      {"format", Shape::either({Shape::words({"json", ""}), Shape::any_object()})},
      {"options", options_shape(limits)},
      {"think", Shape::either({Shape::boolean(), Shape::words(effort_words())})},
      {"keep_alive", Shape::anything(), Field::Need::optional, Field::Effect::none},
  };
}

void read_common(const Json& body, const ApiLimits& limits, Call& call) {
  call.model = text_or(body, "model", "");
  if (call.model.ends_with(":latest")) call.model.resize(call.model.size() - 7);
  call.delivery = flag(body, "stream", true) ? Call::Delivery::streamed : Call::Delivery::whole;
  call.max_tokens_path = "options.num_predict";
  if (const Json* format = member(body, "format")) {
    if (format->is_object()) {
      set_answer(call, "format",
                 {GrammarKind::json_schema, schema_text(*format, "format", limits)});
    } else if (*format == "json") {
      set_answer(call, "format", {GrammarKind::json_object, ""});
    }
  }
  if (const Json* think = member(body, "think")) {
    if (think->is_boolean()) {
      call.thinking = think->get<bool>() ? Thinking::on : Thinking::off;
      call.thinking_need = Call::ThinkingNeed::wished;
    } else {
      set_effort(call, think->get<std::string>());
    }
  }
  const Json* options = member(body, "options");
  if (options == nullptr) return;
  Json sampling = *options;
  if (const Json* penalty = member(sampling, "repeat_penalty")) {
    sampling["repetition_penalty"] = Json(*penalty);
  }
  read_sampling(sampling, call);
  read_stopping(sampling, call);
  if (const Json* most = member(*options, "num_predict")) {
    call.max_tokens = whole(*most) > 0 ? whole(*most) : 0;
  }
}

void refuse_images(const Json& object, const std::string& path) {
  const Json* images = member(object, "images");
  if (images == nullptr || images->empty()) return;
  throw field_error(path_join(path, "images"), "unsupported_value",
                    path_join(path, "images") + ": this server reads text only");
}

// Calls have no ids here: results follow the calls in their order.
class CallIds {
 public:
  std::string begin() { return fmt::format("call_{}", begun_++); }
  std::string next() {
    return fmt::format("call_{}", answered_ < begun_ ? answered_++ : answered_);
  }

 private:
  int begun_ = 0, answered_ = 0;
};

Json message_of(const Json& message, const std::string& path, CallIds& ids) {
  refuse_images(message, path);
  Json result = {{"role", message["role"]}, {"content", text_or(message, "content", "")}};
  if (const Json* thinking = member(message, "thinking")) {
    result["reasoning_content"] = *thinking;
  }
  if (message["role"] == "tool") {
    result["tool_call_id"] = text_or(message, "tool_call_id", ids.next());
    if (const Json* name = member(message, "tool_name")) result["name"] = *name;
  }
  const Json* calls = member(message, "tool_calls");
  if (calls == nullptr || calls->empty()) return result;
  for (const Json& call : *calls) {
    const Json* arguments = member(call["function"], "arguments");
    result["tool_calls"].push_back(
        {{"id", text_or(call, "id", ids.begin())},
         {"type", "function"},
         {"function",
          {{"name", call["function"]["name"]},
           {"arguments", arguments != nullptr ? arguments->dump() : "{}"}}}});
  }
  return result;
}

}  // namespace

Shape ollama_chat_shape(const ApiLimits& limits) {
  const Shape text = Shape::text();
  const Shape call =
      Shape::object({{"id", Shape::text(0, 256)},
                     {"function",
                      Shape::object({{"name", Shape::text(1, 256), Field::Need::required},
                                     {"arguments", Shape::any_object()}}),
                      Field::Need::required}});
  const Shape message = Shape::object(
      {{"role", Shape::words({"system", "user", "assistant", "tool"}), Field::Need::required},
       {"content", text},
       {"thinking", text},
       {"images", Shape::list(Shape::anything())},
       {"tool_calls", Shape::list(call)},
       {"tool_name", Shape::text(0, 256)},
       {"tool_call_id", Shape::text(0, 256)}});
  return Shape::object(joined({{"messages", Shape::list(message, 0, limits.messages)},
                               {"tools", openai_tools_shape(limits)}},
                              {common_fields(limits)}));
}

Shape ollama_generate_shape(const ApiLimits& limits) {
  std::vector<Field> fields =
      joined({{"prompt", Shape::text()},
              {"suffix", Shape::text()},
              {"system", Shape::text()},
              {"raw", Shape::boolean().says("The prompt goes to the model as it is.")},
              {"images", Shape::list(Shape::anything())}},
             {common_fields(limits)});
  for (const char* name : {"template", "context"}) {
    fields.push_back({name, Shape::anything(), Field::Need::optional, Field::Effect::none});
  }
  return Shape::object(std::move(fields));
}

Asked read_ollama_chat(const Json& body, const ApiOptions& options) {
  Call call;
  read_common(body, options.limits, call);
  CallIds ids;
  if (const Json* messages = member(body, "messages")) {
    for (std::size_t i = 0; i < messages->size(); ++i) {
      call.conversation.messages.push_back(
          message_of((*messages)[i], path_join("messages", i), ids));
    }
  }
  // Without messages the model is loaded, and nothing said.
  if (call.conversation.messages.empty()) call.kind = Call::Kind::nothing;
  if (const Json* tools = member(body, "tools")) read_openai_tools(*tools, options.limits, call);
  return {std::move(call), std::make_unique<OllamaManner>(OllamaManner::Form::chat)};
}

Asked read_ollama_generate(const Json& body, const ApiOptions& options) {
  Call call;
  read_common(body, options.limits, call);
  refuse_images(body, "");
  const std::string prompt = text_or(body, "prompt", "");
  const Json* suffix = member(body, "suffix");
  if (prompt.empty() && suffix == nullptr) {
    call.kind = Call::Kind::nothing;
  } else if (suffix != nullptr || flag(body, "raw", false)) {
    call.kind = Call::Kind::completion;
    call.prompts = {prompt};
    if (suffix != nullptr) call.suffix = suffix->get<std::string>();
  } else {
    Json& messages = call.conversation.messages;
    const std::string system = text_or(body, "system", "");
    if (!system.empty()) messages.push_back({{"role", "system"}, {"content", system}});
    messages.push_back({{"role", "user"}, {"content", prompt}});
  }
  return {std::move(call), std::make_unique<OllamaManner>(OllamaManner::Form::generate)};
}

}  // namespace nautile::server
