// anthropic_manner.cpp — content blocks and the events that tell of them.
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "server/anthropic.h"

namespace nautile::server {

using engine::Finish;

namespace {

Json usage_json(const AnswerUsage& usage) {
  return {{"input_tokens", usage.prompt_tokens - usage.cached_tokens},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", usage.cached_tokens},
          {"output_tokens", usage.completion_tokens}};
}

Json stop_reason(const AnswerChoice& choice) {
  switch (choice.finish) {
    case Finish::length:
      return "max_tokens";
    case Finish::context:
      return "model_context_window_exceeded";
    case Finish::stop:
      if (!choice.stop.empty()) return "stop_sequence";
      break;
    default:
      break;
  }
  return choice.calls.empty() ? "end_turn" : "tool_use";
}

Json stop_sequence(const AnswerChoice& choice) {
  return choice.finish == Finish::stop && !choice.stop.empty() ? Json(choice.stop) : Json();
}

// Arguments as an object; of a call that was cut, what there is has none.
Json input_of(const std::string& arguments) {
  try {
    Json input = parse_ordered_json(arguments, "arguments", {.repeated = RepeatedNames::last});
    if (input.is_object()) return input;
  } catch (const Error&) {
  }
  return Json::object();
}

std::string_view error_type(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
      return "overloaded_error";
    default:
      return status < 500 ? "invalid_request_error" : "api_error";
  }
}

}  // namespace

std::string anthropic_error_body(const ApiError& error) {
  return dumped({{"type", "error"},
                 {"error", {{"type", error_type(error.status)}, {"message", error.what()}}}});
}

Json AnthropicManner::message() const {
  return {{"id", "msg_" + head_.id}, {"type", "message"},        {"role", "assistant"},
          {"model", head_.model},    {"content", Json::array()}, {"stop_reason", nullptr},
          {"stop_sequence", nullptr}};
}

std::string AnthropicManner::whole(const Answer& answer) {
  head_ = answer.head;
  const AnswerChoice& choice = answer.choices.at(0);
  Json result = message();
  Json& content = result["content"];
  if (!choice.reasoning.empty()) {
    content.push_back({{"type", "thinking"}, {"thinking", choice.reasoning}, {"signature", ""}});
  }
  if (!choice.content.empty()) content.push_back({{"type", "text"}, {"text", choice.content}});
  for (const AnswerCall& call : choice.calls) {
    content.push_back({{"type", "tool_use"},
                       {"id", call.id},
                       {"name", call.name},
                       {"input", input_of(call.arguments)}});
  }
  result["stop_reason"] = stop_reason(choice);
  result["stop_sequence"] = stop_sequence(choice);
  result["usage"] = usage_json(answer.usage);
  return dumped(result);
}

std::string AnthropicManner::head(const AnswerHead& head) {
  head_ = head;
  Json begun = message();
  AnswerUsage usage;
  usage.prompt_tokens = head.prompt_tokens;
  begun["usage"] = usage_json(usage);
  return event_text("message_start", {{"type", "message_start"}, {"message", std::move(begun)}}) +
         keep_alive();
}

std::string AnthropicManner::open(Open kind, Json block) {
  std::string bytes = close();
  open_ = kind;
  return bytes + event_text("content_block_start", {{"type", "content_block_start"},
                                                    {"index", index_},
                                                    {"content_block", std::move(block)}});
}

std::string AnthropicManner::close() {
  if (open_ == Open::nothing) return {};
  std::string bytes;
  if (open_ == Open::thinking) {
    bytes = delta_event({{"type", "signature_delta"}, {"signature", ""}});
  }
  open_ = Open::nothing;
  return bytes +
         event_text("content_block_stop", {{"type", "content_block_stop"}, {"index", index_++}});
}

std::string AnthropicManner::delta_event(Json delta) {
  return event_text(
      "content_block_delta",
      {{"type", "content_block_delta"}, {"index", index_}, {"delta", std::move(delta)}});
}

std::string AnthropicManner::text(const Delta& delta) {
  std::string bytes;
  switch (delta.kind) {
    case Delta::Kind::reasoning:
      if (open_ != Open::thinking) {
        bytes = open(Open::thinking, {{"type", "thinking"}, {"thinking", ""}, {"signature", ""}});
      }
      return bytes + delta_event({{"type", "thinking_delta"}, {"thinking", delta.text}});
    case Delta::Kind::content:
      if (open_ != Open::text) bytes = open(Open::text, {{"type", "text"}, {"text", ""}});
      return bytes + delta_event({{"type", "text_delta"}, {"text", delta.text}});
    case Delta::Kind::call:
      return open(Open::call, {{"type", "tool_use"},
                               {"id", delta.call_id},
                               {"name", delta.text},
                               {"input", Json::object()}});
    case Delta::Kind::arguments:
      return delta_event({{"type", "input_json_delta"}, {"partial_json", delta.text}});
    case Delta::Kind::finished:
      return close();
    case Delta::Kind::started:
    case Delta::Kind::call_ended:
      return {};
  }
  return {};
}

std::string AnthropicManner::tail(const Answer& answer) {
  const AnswerChoice& choice = answer.choices.at(0);
  return event_text(
             "message_delta",
             {{"type", "message_delta"},
              {"delta",
               {{"stop_reason", stop_reason(choice)}, {"stop_sequence", stop_sequence(choice)}}},
              {"usage", usage_json(answer.usage)}}) +
         event_text("message_stop", {{"type", "message_stop"}});
}

std::string AnthropicManner::failure(const ApiError& error) {
  return "event: error\ndata: " + anthropic_error_body(error) + "\n\n";
}

std::string AnthropicManner::keep_alive() const {
  return "event: ping\ndata: {\"type\":\"ping\"}\n\n";
}

}  // namespace nautile::server
