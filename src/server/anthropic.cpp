// anthropic.cpp — blocks become a conversation.
#include "server/anthropic.h"

#include <utility>

#include "server/common_fields.h"
#include "server/openai_chat.h"
#include "server/prepare.h"

namespace nautile::server {
namespace {

Shape block(const char* type, std::vector<Field> fields) {
  fields.insert(fields.begin(), {"type", Shape::words({type}), Field::Need::required});
  return Shape::object(std::move(fields));
}

Shape text_block() {
  return block("text", {{"text", Shape::text(), Field::Need::required}});
}

Shape blocks_shape() {
  const Shape text = Shape::text();
  const Shape results =
      Shape::either({text, Shape::list(Shape::tagged("type", {text_block(), block("image", {}),
                                                              block("document", {})}))});
  return Shape::list(Shape::tagged(
      "type",
      {text_block(), block("thinking", {{"thinking", text}}), block("redacted_thinking", {}),
       block("tool_use", {{"id", Shape::text(1, 256), Field::Need::required},
                          {"name", Shape::text(1, 256), Field::Need::required},
                          {"input", Shape::any_object()}}),
       block("tool_result", {{"tool_use_id", Shape::text(1, 256), Field::Need::required},
                             {"content", results},
                             {"is_error", Shape::boolean()}}),
       block("image", {}), block("document", {})}));
}

std::vector<Field> prompt_fields(const ApiLimits& limits) {
  const Shape text = Shape::text();
  const Shape tool = Shape::object({{"type", Shape::words({"custom"})},
                                    {"name", Shape::text(1, 64), Field::Need::required},
                                    {"description", text},
                                    {"input_schema", Shape::any_object()},
                                    {"strict", Shape::boolean()}});
  const Shape message =
      Shape::object({{"role", Shape::words({"user", "assistant", "system"}), Field::Need::required},
                     {"content", Shape::either({text, blocks_shape()}), Field::Need::required}});
  return {
      {"messages", Shape::list(message, 1, limits.messages), Field::Need::required},
      {"model", Shape::text(0, 512)},
      {"system", Shape::either({text, Shape::list(text_block())})},
      {"tools", Shape::list(tool, 0, limits.tools)},
      {"tool_choice", Shape::object({{"type", Shape::words({"auto", "any", "tool", "none"}),
                                      Field::Need::required},
                                     {"name", Shape::text(1, 64)},
                                     {"disable_parallel_tool_use", Shape::boolean()}})},
      {"thinking", Shape::object({{"type", Shape::words({"enabled", "disabled", "adaptive"}),
                                   Field::Need::required},
                                  {"budget_tokens", Shape::integer(0, kMostTokens)}})},
      {"output_config",
       Shape::object(
           {{"effort", Shape::words(effort_words())},
            {"format",
             Shape::object({{"type", Shape::words({"json_schema"}), Field::Need::required},
                            {"schema", Shape::any_object(), Field::Need::required}})}})},
  };
}

std::string joined_text(const Json& content, const std::string& path) {
  if (content.is_string()) return content.get<std::string>();
  std::string text;
  for (std::size_t i = 0; i < content.size(); ++i) {
    if (content[i]["type"] != "text") {
      throw field_error(path_join(path, i), "unsupported_value",
                        fmt::format("{}: this server reads text only, found a block of type {}",
                                    path_join(path, i), content[i]["type"].get<std::string>()));
    }
    text += content[i]["text"].get_ref<const std::string&>();
  }
  return text;
}

// One message of blocks: results first, each a message of its own, then the rest.
void add_blocks(const Json& message, const std::string& path, Json& messages) {
  std::string text, thinking;
  Json calls = Json::array();
  bool results = false;
  const Json& blocks = message["content"];
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const Json& block = blocks[i];
    const std::string type = block["type"].get<std::string>();
    const std::string below = path_join(path + ".content", i);
    if (type == "tool_result") {
      const Json* content = member(block, "content");
      messages.push_back(
          {{"role", "tool"},
           {"tool_call_id", block["tool_use_id"]},
           {"content", content != nullptr ? joined_text(*content, below + ".content") : ""}});
      results = true;
    } else if (type == "tool_use") {
      const Json* input = member(block, "input");
      calls.push_back(
          {{"id", block["id"]},
           {"type", "function"},
           {"function",
            {{"name", block["name"]}, {"arguments", input != nullptr ? input->dump() : "{}"}}}});
    } else if (type == "thinking") {
      thinking += text_or(block, "thinking", "");
    } else if (type != "redacted_thinking") {
      text += joined_text(Json::array({block}), path + ".content");
    }
  }
  if (results && text.empty() && calls.empty()) return;
  Json result = {{"role", message["role"]}, {"content", text}};
  if (!thinking.empty()) result["reasoning_content"] = thinking;
  if (!calls.empty()) {
    result["tool_calls"] = std::move(calls);
    if (text.empty()) result["content"] = nullptr;
  }
  messages.push_back(std::move(result));
}

void read_messages(const Json& body, Call& call) {
  Json& messages = call.conversation.messages;
  if (const Json* system = member(body, "system")) {
    messages.push_back({{"role", "system"}, {"content", joined_text(*system, "system")}});
  }
  const Json& list = body["messages"];
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list[i]["content"].is_string()) {
      messages.push_back({{"role", list[i]["role"]}, {"content", list[i]["content"]}});
    } else {
      add_blocks(list[i], path_join("messages", i), messages);
    }
  }
  // The assistant's own beginning is continued.
  if (messages.empty() || messages.back()["role"] != "assistant") return;
  if (!messages.back().contains("tool_calls")) messages.back()["prefix"] = true;
}

void read_tools(const Json& body, const ApiLimits& limits, Call& call) {
  Json tools = Json::array();
  if (const Json* listed = member(body, "tools")) {
    for (const Json& tool : *listed) {
      Json function = {{"name", tool["name"]}};
      if (const Json* text = member(tool, "description")) function["description"] = *text;
      if (const Json* schema = member(tool, "input_schema")) function["parameters"] = *schema;
      if (const Json* strict = member(tool, "strict")) function["strict"] = *strict;
      tools.push_back({{"type", "function"}, {"function", std::move(function)}});
    }
  }
  read_openai_tools(tools, limits, call);
  const Json* choice = member(body, "tool_choice");
  if (choice == nullptr) return;
  const std::string type = text_or(*choice, "type", "auto");
  call.tools_off = type == "none";
  if (flag(*choice, "disable_parallel_tool_use", false)) call.calls = OutputRules::Calls::one;
  if (type == "any") call.tool_choice = OutputRules::Choice::required;
  if (type == "tool") {
    call.tool_choice = OutputRules::Choice::named;
    call.tool = text_or(*choice, "name", "");
  }
  if ((type == "any" || type == "tool") && tools.empty()) {
    bad_value("tool_choice", "tool_choice: expected tools beside it, found none");
  }
}

void read_prompt(const Json& body, const ApiLimits& limits, Call& call) {
  call.model = text_or(body, "model", "");
  read_messages(body, call);
  read_tools(body, limits, call);
  read_reasoning(body, call);
  call.thinking_need = Call::ThinkingNeed::wished;
  const Json* output = member(body, "output_config");
  if (output == nullptr) return;
  if (const Json* effort = member(*output, "effort")) set_effort(call, effort->get<std::string>());
  if (const Json* format = member(*output, "format")) {
    const std::string path = "output_config.format.schema";
    set_answer(call, path,
               {GrammarKind::json_schema, schema_text((*format)["schema"], path, limits)});
  }
}

}  // namespace

Shape anthropic_shape(const ApiLimits& limits) {
  std::vector<Field> fields =
      joined({{"max_tokens", Shape::integer(1, kMostTokens), Field::Need::required},
              {"stop_sequences", Shape::list(Shape::text(1, 1024), 0, limits.stops)},
              {"stream", Shape::boolean()},
              {"temperature", Shape::number(0, 1)},
              {"top_p", Shape::number(0, 1)},
              {"top_k", Shape::integer(0, 1'000'000)},
              {"seed", Shape::integer(INT64_MIN, INT64_MAX).says("Not Anthropic's.")},
              {"metadata", Shape::object({{"user_id", Shape::text(0, 512)}})}},
             {prompt_fields(limits)});
  for (const char* name : {"container", "mcp_servers", "service_tier", "context_management",
                           "cache_control", "betas"}) {
    fields.push_back({name, Shape::anything(), Field::Need::optional, Field::Effect::none});
  }
  return Shape::object(std::move(fields));
}

Shape anthropic_count_shape(const ApiLimits& limits) {
  return Shape::object(prompt_fields(limits));
}

Asked read_anthropic(const Json& body, const ApiOptions& options) {
  Call call;
  read_prompt(body, options.limits, call);
  read_sampling(body, call);
  call.max_tokens = whole(body["max_tokens"]);
  if (flag(body, "stream", false)) call.delivery = Call::Delivery::streamed;
  if (const Json* stops = member(body, "stop_sequences")) {
    call.stops = stops->get<std::vector<std::string>>();
  }
  if (const Json* metadata = member(body, "metadata"))
    call.user = text_or(*metadata, "user_id", "");
  return {std::move(call), std::make_unique<AnthropicManner>()};
}

Json count_anthropic_tokens(const Json& body, const ServedModel& model, const ApiOptions& options) {
  Call call;
  read_prompt(body, options.limits, call);
  return {{"input_tokens", encode_chat(call, model).size()}};
}

}  // namespace nautile::server
