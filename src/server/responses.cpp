// responses.cpp — input items become a conversation.
#include "server/responses.h"

#include <utility>

#include "server/common_fields.h"
#include "server/openai_chat.h"

namespace nautile::server {
namespace {

Shape content_shape() {
  const auto part = [](std::vector<std::string> types, std::vector<Field> fields) {
    fields.insert(fields.begin(), {"type", Shape::words(std::move(types)), Field::Need::required});
    return Shape::object(std::move(fields));
  };
  const Field text = {"text", Shape::text(), Field::Need::required};
  return Shape::either(
      {Shape::text(),
       Shape::list(Shape::tagged(
           "type",
           {part({"input_text", "output_text", "text", "summary_text", "reasoning_text"}, {text}),
            part({"refusal"}, {{"refusal", Shape::text()}}),
            part({"input_image", "input_file", "input_audio"}, {})}))});
}

Shape input_shape(const ApiLimits& limits) {
  const Shape text = Shape::text();
  return Shape::either(
      {text,
       Shape::list(
           Shape::object({{"type", Shape::words({"message", "function_call", "function_call_output",
                                                 "reasoning", "item_reference"})},
                          {"role", Shape::words({"user", "assistant", "system", "developer"})},
                          {"content", content_shape()},
                          {"call_id", Shape::text(0, 256)},
                          {"name", Shape::text(0, 256)},
                          {"arguments", text},
                          {"output", content_shape()}}),
           1, limits.messages)});
}

// The text of a content.
std::string text_of(const Json& content, const std::string& path) {
  if (content.is_string()) return content.get<std::string>();
  std::string text;
  for (std::size_t i = 0; i < content.size(); ++i) {
    const std::string type = content[i]["type"].get<std::string>();
    if (type.starts_with("input_") && type != "input_text") {
      throw field_error(path_join(path, i), "unsupported_value",
                        fmt::format("{}: this server reads text only, found a part of type {}",
                                    path_join(path, i), type));
    }
    text += text_or(content[i], type == "refusal" ? "refusal" : "text", "");
  }
  return text;
}

// Items in order; calls and reasoning join the assistant's message that they belong to.
class Conversing {
 public:
  void add(const Json& item, const std::string& path) {
    const std::string type = text_or(item, "type", "message");
    if (type == "message") {
      message(item, path);
    } else if (type == "function_call") {
      call(item, path);
    } else if (type == "function_call_output") {
      messages.push_back({{"role", "tool"},
                          {"tool_call_id", needed(item, "call_id", path)},
                          {"content", text_of(needed(item, "output", path), path + ".output")}});
    } else if (type == "reasoning") {
      if (const Json* content = member(item, "content")) {
        assistant()["reasoning_content"] = text_of(*content, path + ".content");
      }
    } else {
      throw field_error(path, "unsupported_value",
                        path + ": this server keeps no items that could be referred to");
    }
  }
  Json messages = Json::array();

 private:
  static const Json& needed(const Json& item, const char* name, const std::string& path) {
    const Json* found = member(item, name);
    if (found != nullptr) return *found;
    throw field_error(path_join(path, name), "missing_required_parameter",
                      fmt::format("{}: expected a value, found nothing", path_join(path, name)));
  }
  // The assistant's message that is being put together.
  Json& assistant() {
    const bool going = !messages.empty() && messages.back()["role"] == "assistant";
    if (!going) messages.push_back({{"role", "assistant"}, {"content", nullptr}});
    return messages.back();
  }
  void message(const Json& item, const std::string& path) {
    std::string role = needed(item, "role", path).get<std::string>();
    const std::string text = text_of(needed(item, "content", path), path + ".content");
    if (role == "developer") role = "system";
    if (role != "assistant") {
      messages.push_back({{"role", role}, {"content", text}});
      return;
    }
    Json& message = assistant();
    message["content"] = message["content"].is_string()
                             ? Json(message["content"].get<std::string>() + text)
                             : Json(text);
  }
  void call(const Json& item, const std::string& path) {
    assistant()["tool_calls"].push_back({{"id", needed(item, "call_id", path)},
                                         {"type", "function"},
                                         {"function",
                                          {{"name", needed(item, "name", path)},
                                           {"arguments", text_or(item, "arguments", "{}")}}}});
  }
};

void read_input(const Json& body, Call& call) {
  Conversing conversing;
  if (const Json* instructions = member(body, "instructions")) {
    conversing.messages.push_back({{"role", "system"}, {"content", *instructions}});
  }
  const Json& input = body["input"];
  if (input.is_string()) {
    conversing.messages.push_back({{"role", "user"}, {"content", input}});
  } else {
    for (std::size_t i = 0; i < input.size(); ++i) conversing.add(input[i], path_join("input", i));
  }
  call.conversation.messages = std::move(conversing.messages);
}

void read_tools(const Json& body, const ApiLimits& limits, Call& call) {
  Json tools = Json::array();
  if (const Json* listed = member(body, "tools")) {
    for (std::size_t i = 0; i < listed->size(); ++i) {
      const Json& tool = (*listed)[i];
      Json function = {{"name", tool["name"]}};
      for (const char* name : {"description", "parameters", "strict"}) {
        if (const Json* value = member(tool, name)) function[name] = *value;
      }
      tools.push_back({{"type", "function"}, {"function", std::move(function)}});
    }
  }
  read_openai_tools(tools, limits, call);
  if (!flag(body, "parallel_tool_calls", true)) call.calls = OutputRules::Calls::one;
  const Json* choice = member(body, "tool_choice");
  if (choice == nullptr) return;
  if (choice->is_string()) {
    call.tools_off = *choice == "none";
    if (*choice != "required") return;
    call.tool_choice = OutputRules::Choice::required;
  } else {
    call.tool_choice = OutputRules::Choice::named;
    call.tool = text_or(*choice, "name", "");
  }
  if (tools.empty()) bad_value("tool_choice", "tool_choice: expected tools beside it, found none");
}

void read_text_format(const Json& body, const ApiLimits& limits, Call& call) {
  const Json* text = member(body, "text");
  const Json* format = text != nullptr ? member(*text, "format") : nullptr;
  if (format == nullptr) return;
  const std::string type = text_or(*format, "type", "text");
  if (type == "json_object") set_answer(call, "text.format", {GrammarKind::json_object, ""});
  if (type == "json_schema") {
    const std::string path = "text.format.schema";
    set_answer(call, path,
               {GrammarKind::json_schema, schema_text((*format)["schema"], path, limits)});
  }
}

// What an answer says again of the request.
Json settings_of(const Json& body) {
  const auto or_else = [&](const char* name, const Json& otherwise) {
    const Json* found = member(body, name);
    return found != nullptr ? *found : otherwise;
  };
  return {{"error", nullptr},
          {"incomplete_details", nullptr},
          {"instructions", or_else("instructions", nullptr)},
          {"max_output_tokens", or_else("max_output_tokens", nullptr)},
          {"parallel_tool_calls", or_else("parallel_tool_calls", true)},
          {"previous_response_id", nullptr},
          {"reasoning", or_else("reasoning", {{"effort", nullptr}, {"summary", nullptr}})},
          {"store", false},
          {"temperature", or_else("temperature", nullptr)},
          {"text", or_else("text", {{"format", {{"type", "text"}}}})},
          {"tool_choice", or_else("tool_choice", "auto")},
          {"tools", or_else("tools", Json::array())},
          {"top_p", or_else("top_p", nullptr)},
          {"truncation", "disabled"},
          {"user", or_else("user", nullptr)},
          {"metadata", or_else("metadata", Json::object())}};
}

}  // namespace

Shape responses_shape(const ApiLimits& limits) {
  const Shape tool = Shape::object({{"type", Shape::words({"function"}), Field::Need::required},
                                    {"name", Shape::text(1, 64), Field::Need::required},
                                    {"description", Shape::text()},
                                    {"parameters", Shape::any_object()},
                                    {"strict", Shape::boolean()}});
  const auto format = [](const char* type, std::vector<Field> fields) {
    fields.insert(fields.begin(), {"type", Shape::words({type}), Field::Need::required});
    return Shape::object(std::move(fields));
  };
  const Shape formats = Shape::tagged(
      "type", {format("text", {}), format("json_object", {}),
               format("json_schema", {{"name", Shape::text(1, 64)},
                                      {"schema", Shape::any_object(), Field::Need::required},
                                      {"strict", Shape::boolean()}})});
  std::vector<Field> fields = joined(
      {{"input", input_shape(limits), Field::Need::required},
       {"model", Shape::text(0, 512)},
       {"instructions", Shape::text()},
       {"max_output_tokens", Shape::integer(1, kMostTokens)},
       {"stream", Shape::boolean()},
       {"tools", Shape::list(tool, 0, limits.tools)},
       {"tool_choice",
        Shape::either({Shape::words({"none", "auto", "required"}),
                       Shape::object({{"type", Shape::words({"function"})},
                                      {"name", Shape::text(1, 64), Field::Need::required}})})},
       {"parallel_tool_calls", Shape::boolean()},
       {"text", Shape::object({{"format", formats}})},
       {"reasoning", Shape::object({{"effort", Shape::words(effort_words())},
                                    {"max_tokens", Shape::integer(0, kMostTokens)}})},
       {"top_logprobs", Shape::integer(0, 20)},
       {"previous_response_id", Shape::null().says("Nothing is kept between requests.")},
       {"conversation", Shape::null().says("Nothing is kept between requests.")},
       {"user", Shape::text(0, 512)}},
      {sampling_fields(limits)});
  for (const char* name :
       {"store", "metadata", "include", "truncation", "service_tier", "prompt_cache_key",
        "safety_identifier", "stream_options", "max_tool_calls", "prompt"}) {
    fields.push_back({name, Shape::anything(), Field::Need::optional, Field::Effect::none});
  }
  return Shape::object(std::move(fields));
}

Asked read_response(const Json& body, const ApiOptions& options) {
  Call call;
  call.model = text_or(body, "model", "");
  call.user = text_or(body, "user", "");
  call.tools_path = "tools";
  if (flag(body, "stream", false)) call.delivery = Call::Delivery::streamed;
  call.max_tokens_path = "max_output_tokens";
  if (const Json* most = member(body, "max_output_tokens")) call.max_tokens = whole(*most);
  if (const Json* top = member(body, "top_logprobs")) {
    call.top_logprobs = static_cast<int>(whole(*top));
  }
  read_sampling(body, call);
  read_reasoning(body, call);
  read_input(body, call);
  read_tools(body, options.limits, call);
  read_text_format(body, options.limits, call);
  return {std::move(call), std::make_unique<ResponsesManner>(settings_of(body))};
}

}  // namespace nautile::server
