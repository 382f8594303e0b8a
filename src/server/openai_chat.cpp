// openai_chat.cpp — a chat completion's body becomes a Call.
#include "server/openai_chat.h"

#include <algorithm>
#include <utility>

#include "base/printable.h"
#include "server/common_fields.h"
#include "server/openai_chat_manner.h"

namespace nautile::server {
namespace {

Shape parts_shape() {
  const auto part = [](const char* type, std::vector<Field> fields) {
    fields.insert(fields.begin(), {"type", Shape::words({type}), Field::Need::required});
    return Shape::object(std::move(fields));
  };
  const Field text = {"text", Shape::text(), Field::Need::required};
  return Shape::list(
      Shape::tagged("type", {part("text", {text}), part("refusal", {{"refusal", Shape::text()}}),
                             part("image_url", {}), part("input_audio", {}), part("file", {})}));
}

Shape calls_shape() {
  return Shape::list(Shape::object(
      {{"id", Shape::text(0, 256)},
       {"type", Shape::words({"function"})},
       {"function",
        Shape::object({{"name", Shape::text(1, 256), Field::Need::required},
                       {"arguments", Shape::either({Shape::text(), Shape::any_object()})}}),
        Field::Need::required}}));
}

// The text of a content, parts joined; null where there is none.
Json joined_content(const Json& content, const std::string& path) {
  if (content.is_string()) return content;
  std::string text;
  for (std::size_t i = 0; i < content.size(); ++i) {
    const std::string type = content[i]["type"].get<std::string>();
    if (type != "text" && type != "refusal") {
      throw field_error(path_join(path, i), "unsupported_value",
                        fmt::format("{}: this server reads text only, found a part of type {}",
                                    path_join(path, i), type));
    }
    text += text_or(content[i], type, "");
  }
  return text;
}

Json conversation_calls(const Json& calls) {
  Json result = Json::array();
  for (const Json& call : calls) {
    Json function = {{"name", call["function"]["name"]}};
    const Json* arguments = member(call["function"], "arguments");
    function["arguments"] = arguments == nullptr     ? Json("{}")
                            : arguments->is_string() ? *arguments
                                                     : Json(arguments->dump());
    result.push_back(
        {{"id", text_or(call, "id", "")}, {"type", "function"}, {"function", std::move(function)}});
  }
  return result;
}

Json conversation_message(const Json& message, const std::string& path) {
  std::string role = message["role"].get<std::string>();
  if (role == "developer") role = "system";
  Json result = {{"role", role == "function" ? "tool" : role}};
  const Json* content = member(message, "content");
  const Json* calls = member(message, "tool_calls");
  const Json* function = member(message, "function_call");
  const auto missing = [&](const char* name, const char* expected) {
    const std::string below = path_join(path, name);
    throw field_error(below, "missing_required_parameter",
                      fmt::format("{}: expected {}, found nothing", below, expected));
  };
  const bool calls_something = (calls != nullptr && !calls->empty()) || function != nullptr;
  const Json* reasoning = member(message, "reasoning_content");
  if (reasoning == nullptr) reasoning = member(message, "reasoning");
  if (content != nullptr) {
    result["content"] = joined_content(*content, path_join(path, "content"));
  } else if (role == "assistant" && calls_something) {
    result["content"] = nullptr;
  } else if (role == "assistant" &&
             (reasoning != nullptr || member(message, "refusal") != nullptr)) {
    result["content"] = text_or(message, "refusal", "");
  } else {
    missing("content", "a string or a list of parts");
  }
  if (const Json* name = member(message, "name")) result["name"] = *name;
  if (role == "tool") {
    if (member(message, "tool_call_id") == nullptr) missing("tool_call_id", "the id of a call");
    result["tool_call_id"] = message["tool_call_id"];
  } else if (role == "function") {
    result["tool_call_id"] = text_or(message, "name", "function");
  } else if (role == "assistant") {
    if (reasoning != nullptr) result["reasoning_content"] = *reasoning;
    if (calls != nullptr && !calls->empty()) result["tool_calls"] = conversation_calls(*calls);
    if (function != nullptr) {
      result["tool_calls"] = conversation_calls(
          Json::array({{{"id", text_or(*function, "name", "")}, {"function", *function}}}));
    }
    if (flag(message, "prefix", false)) result["prefix"] = true;
  }
  return result;
}

// A message to be continued is the assistant's and the last.
void check_prefixes(const Json& messages) {
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (!flag(messages[i], "prefix", false)) continue;
    const std::string path = fmt::format("messages[{}].prefix", i);
    if (i + 1 != messages.size() || messages[i]["role"] != "assistant") {
      bad_value(path, "{}: expected on the last message alone, of role assistant", path);
    }
  }
}

// DeepSeek's rules: reasoning of earlier turns is let go; within one turn, calls come back with the
// reasoning that led to them.
void apply_deepseek_rules(Call& call) {
  Json& messages = call.conversation.messages;
  std::size_t turn = 0;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (messages[i]["role"] == "user") turn = i;
  }
  const bool tools = call.conversation.tools.is_array() && !call.conversation.tools.empty();
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (i < turn && !tools) messages[i].erase("reasoning_content");
    if (i < turn || call.thinking != Thinking::on) continue;
    if (messages[i].contains("tool_calls") && !messages[i].contains("reasoning_content")) {
      const std::string path = fmt::format("messages[{}].reasoning_content", i);
      throw field_error(path, "missing_required_parameter",
                        path + ": expected the reasoning that led to the calls, found nothing");
    }
  }
}

void read_tool_choice(const Json& body, Call& call) {
  const bool tools = call.conversation.tools.is_array() && !call.conversation.tools.empty();
  const Json* choice = member(body, "tool_choice");
  if (choice == nullptr) return;
  if (choice->is_string()) {
    const std::string word = choice->get<std::string>();
    call.tools_off = word == "none";
    if (word != "required") return;
    call.tool_choice = OutputRules::Choice::required;
  } else {
    const Json* function = member(*choice, "function");
    call.tool_choice = OutputRules::Choice::named;
    call.tool = text_or(function != nullptr ? *function : *choice, "name", "");
  }
  if (!tools) bad_value("tool_choice", "tool_choice: expected tools beside it, found none");
  if (call.tool_choice != OutputRules::Choice::named) return;
  for (const Json& tool : call.conversation.tools) {
    if (tool["function"]["name"] == call.tool) return;
  }
  bad_value("tool_choice", "tool_choice: no tool is named \"{}\"", printable(call.tool, 64));
}

// functions and function_call, which tools have replaced.
void read_functions(const Json& body, const ApiLimits& limits, Call& call) {
  const Json* functions = member(body, "functions");
  if (functions == nullptr) return;
  if (member(body, "tools") != nullptr) {
    bad_value("functions", "functions: expected nothing beside tools");
  }
  Json tools = Json::array();
  for (const Json& function : *functions) {
    tools.push_back({{"type", "function"}, {"function", function}});
  }
  call.tools_path = "functions";
  read_openai_tools(tools, limits, call);
  call.calls = OutputRules::Calls::one;
  if (const Json* choice = member(body, "function_call")) {
    Json translated = choice->is_string() ? *choice : Json{{"function", *choice}};
    read_tool_choice({{"tool_choice", std::move(translated)}}, call);
  }
}

Shape response_format_shape() {
  const auto of = [](const char* type, std::vector<Field> fields) {
    fields.insert(fields.begin(), {"type", Shape::words({type}), Field::Need::required});
    return Shape::object(std::move(fields));
  };
  return Shape::tagged(
      "type",
      {of("text", {}), of("json_object", {}),
       of("json_schema", {{"json_schema",
                           Shape::object({{"name", Shape::text(1, 64)},
                                          {"description", Shape::text()},
                                          {"schema", Shape::any_object(), Field::Need::required},
                                          {"strict", Shape::boolean()}}),
                           Field::Need::required}}),
       of("regex", {{"pattern", Shape::text(1, 65536), Field::Need::required}}),
       of("grammar", {{"grammar", Shape::text(1, 262144), Field::Need::required}})});
}

void read_response_format(const Json& body, const ApiLimits& limits, Call& call) {
  const Json* format = member(body, "response_format");
  if (format == nullptr) return;
  const std::string type = text_or(*format, "type", "");
  if (type == "json_object") {
    set_answer(call, "response_format", {GrammarKind::json_object, ""});
  } else if (type == "json_schema") {
    const std::string path = "response_format.json_schema.schema";
    set_answer(
        call, path,
        {GrammarKind::json_schema, schema_text((*format)["json_schema"]["schema"], path, limits)});
  } else if (type == "regex") {
    set_answer(call, "response_format.pattern",
               {GrammarKind::regex, text_or(*format, "pattern", "")});
  } else if (type == "grammar") {
    set_answer(call, "response_format.grammar",
               {GrammarKind::gbnf, text_or(*format, "grammar", "")});
  }
}

void read_logprobs(const Json& body, Call& call) {
  const bool asked = flag(body, "logprobs", false);
  const Json* top = member(body, "top_logprobs");
  if (top != nullptr && !asked) {
    bad_value("top_logprobs", "top_logprobs: expected nothing where logprobs is not true");
  }
  if (asked) call.top_logprobs = top != nullptr ? static_cast<int>(whole(*top)) : 0;
}

void read_max_tokens(const Json& body, Call& call) {
  for (const char* name : {"max_completion_tokens", "max_tokens"}) {
    const Json* most = member(body, name);
    if (most == nullptr) continue;
    call.max_tokens = whole(*most);
    call.max_tokens_path = name;
    return;
  }
}

}  // namespace

Shape openai_messages_shape(const ApiLimits& limits) {
  const Shape text = Shape::text();
  return Shape::list(
      Shape::object(
          {{"role", Shape::words({"system", "developer", "user", "assistant", "tool", "function"}),
            Field::Need::required},
           {"content", Shape::either({text, parts_shape()})},
           {"name", Shape::text(0, 256)},
           {"tool_calls", calls_shape()},
           {"tool_call_id", Shape::text(0, 256)},
           {"function_call", Shape::object({{"name", Shape::text(1, 256), Field::Need::required},
                                            {"arguments", text}})},
           {"reasoning_content", text},
           {"reasoning", text},
           {"refusal", text},
           {"prefix", Shape::boolean().says("The answer goes on from this message's text.")}}),
      1, limits.messages);
}

Shape openai_tools_shape(const ApiLimits& limits) {
  return Shape::list(
      Shape::object({{"type", Shape::words({"function"}), Field::Need::required},
                     {"function",
                      Shape::object({{"name", Shape::text(1, 64), Field::Need::required},
                                     {"description", Shape::text()},
                                     {"parameters", Shape::any_object()},
                                     {"strict", Shape::boolean()}}),
                      Field::Need::required}}),
      0, limits.tools);
}

Shape openai_chat_shape(const ApiLimits& limits) {
  const Shape tokens = Shape::integer(1, kMostTokens);
  const Shape functions =
      Shape::list(Shape::object({{"name", Shape::text(1, 64), Field::Need::required},
                                 {"description", Shape::text()},
                                 {"parameters", Shape::any_object()}}),
                  0, limits.tools);
  const Shape name = Shape::object({{"name", Shape::text(1, 64), Field::Need::required}});
  std::vector<Field> fields = joined(
      {{"messages", openai_messages_shape(limits), Field::Need::required},
       {"max_tokens", tokens.says("Reasoning included; none: what the context leaves.")},
       {"max_completion_tokens", tokens.says("Goes before max_tokens.")},
       {"logprobs", Shape::boolean()},
       {"top_logprobs", Shape::integer(0, 20)},
       {"response_format", response_format_shape()},
       {"tools", openai_tools_shape(limits)},
       {"tool_choice", Shape::either({Shape::words({"none", "auto", "required"}),
                                      Shape::object({{"type", Shape::words({"function"})},
                                                     {"function", name, Field::Need::required}})})},
       {"parallel_tool_calls", Shape::boolean()},
       {"functions", functions},
       {"function_call", Shape::either({Shape::words({"none", "auto"}), name})}},
      {delivery_fields(limits), sampling_fields(limits), stopping_fields(limits), guide_fields(),
       reasoning_fields()});
  for (const char* name_of :
       {"metadata", "store", "service_tier", "prediction", "modalities", "audio",
        "web_search_options", "verbosity", "prompt_cache_key", "prompt_cache_retention",
        "safety_identifier", "include_stop_str_in_output", "add_generation_prompt"}) {
    fields.push_back({name_of, Shape::anything(), Field::Need::optional, Field::Effect::none});
  }
  return Shape::object(std::move(fields));
}

Json conversation_messages(const Json& messages, const std::string& path) {
  Json result = Json::array();
  for (std::size_t i = 0; i < messages.size(); ++i) {
    result.push_back(conversation_message(messages[i], path_join(path, i)));
  }
  return result;
}

void read_openai_tools(const Json& tools, const ApiLimits& limits, Call& call) {
  for (std::size_t i = 0; i < tools.size(); ++i) {
    const Json* parameters = member(tools[i]["function"], "parameters");
    if (parameters == nullptr) continue;
    (void)schema_text(*parameters, path_join(call.tools_path, i) + ".function.parameters", limits);
  }
  if (!tools.empty()) call.conversation.tools = tools;
}

Asked read_openai_chat(const Json& body, const ApiOptions& options) {
  Call call;
  read_delivery(body, call);
  read_sampling(body, call);
  read_stopping(body, call);
  read_max_tokens(body, call);
  read_logprobs(body, call);
  read_reasoning(body, call);
  check_prefixes(body["messages"]);
  call.conversation.messages = conversation_messages(body["messages"], "messages");
  if (const Json* tools = member(body, "tools")) read_openai_tools(*tools, options.limits, call);
  read_functions(body, options.limits, call);
  read_tool_choice(body, call);
  if (!flag(body, "parallel_tool_calls", true)) call.calls = OutputRules::Calls::one;
  read_response_format(body, options.limits, call);
  read_guides(body, options.limits, call);
  if (options.dialect == Dialect::deepseek) apply_deepseek_rules(call);
  auto manner = std::make_unique<OpenaiChatManner>(OpenaiChatManner::Habits{
      options.dialect, call.usage_chunk, call.top_logprobs >= 0,
      member(body, "functions") != nullptr ? OpenaiChatManner::Calls::function
                                           : OpenaiChatManner::Calls::tools});
  return {std::move(call), std::move(manner)};
}

}  // namespace nautile::server
