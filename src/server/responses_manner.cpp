// responses_manner.cpp — output items and the events that tell of them.
#include <utility>

#include "server/ids.h"
#include "server/openai_chat_manner.h"
#include "server/responses.h"

namespace nautile::server {

using engine::Finish;

namespace {

Json usage_json(const AnswerUsage& usage) {
  return {{"input_tokens", usage.prompt_tokens},
          {"input_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"output_tokens", usage.completion_tokens},
          {"output_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
}

bool was_cut(Finish finish) {
  return finish == Finish::length || finish == Finish::context;
}

}  // namespace

Json ResponsesManner::response(const char* status) const {
  Json response = {{"id", "resp_" + head_.id},    {"object", "response"},
                   {"created_at", head_.created}, {"status", status},
                   {"model", head_.model},        {"output", output_}};
  response.update(settings_);
  response["usage"] = nullptr;
  return response;
}

Json ResponsesManner::finished(const Answer& answer) const {
  const bool cut = was_cut(answer.choices.at(0).finish);
  Json result = response(cut ? "incomplete" : "completed");
  if (cut) result["incomplete_details"] = {{"reason", "max_output_tokens"}};
  result["usage"] = usage_json(answer.usage);
  return result;
}

// The same events are made and thrown away: items come about in one way alone.
std::string ResponsesManner::whole(const Answer& answer) {
  head(answer.head);
  const AnswerChoice& choice = answer.choices.at(0);
  Delta delta;
  delta.kind = Delta::Kind::reasoning;
  delta.text = choice.reasoning;
  if (!delta.text.empty()) text(delta);
  delta.kind = Delta::Kind::content;
  delta.text = choice.content;
  delta.tokens = choice.tokens;
  if (!delta.text.empty()) text(delta);
  delta.tokens.clear();
  for (const AnswerCall& call : choice.calls) {
    delta.kind = Delta::Kind::call;
    delta.text = call.name;
    delta.call_id = call.id;
    text(delta);
    delta.kind = Delta::Kind::arguments;
    delta.text = call.arguments;
    text(delta);
    delta.kind = Delta::Kind::call_ended;
    text(delta);
  }
  delta.kind = Delta::Kind::finished;
  delta.finish = choice.finish;
  text(delta);
  return dumped(finished(answer));
}

// Numbers what it makes: two of them in one expression would be numbered in any order.
std::string ResponsesManner::event(const char* type, const Json& data) {
  Json whole = {{"type", type}, {"sequence_number", sequence_++}};
  whole.update(data);
  return event_text(type, whole);
}

std::string ResponsesManner::head(const AnswerHead& head) {
  head_ = head;
  std::string bytes = event("response.created", {{"response", response("in_progress")}});
  return bytes += event("response.in_progress", {{"response", response("in_progress")}});
}

// The part of the open item as it stands.
Json ResponsesManner::part() const {
  if (open_ == Open::reasoning) return {{"type", "reasoning_text"}, {"text", text_}};
  return {{"type", "output_text"},
          {"text", text_},
          {"annotations", Json::array()},
          {"logprobs", logprobs_}};
}

std::string ResponsesManner::open(Open kind, const Delta& delta) {
  std::string bytes = close("completed");
  open_ = kind;
  text_.clear();
  logprobs_ = Json::array();
  if (kind == Open::call) {
    item_ = {{"id", new_id("fc_")},      {"type", "function_call"}, {"status", "in_progress"},
             {"call_id", delta.call_id}, {"name", delta.text},      {"arguments", ""}};
  } else if (kind == Open::reasoning) {
    item_ = {{"id", new_id("rs_")},
             {"type", "reasoning"},
             {"status", "in_progress"},
             {"summary", Json::array()},
             {"content", Json::array()}};
  } else {
    item_ = {{"id", new_id("msg_")},
             {"type", "message"},
             {"status", "in_progress"},
             {"role", "assistant"},
             {"content", Json::array()}};
  }
  bytes += event("response.output_item.added", {{"output_index", output_.size()}, {"item", item_}});
  if (kind != Open::call) {
    bytes += event("response.content_part.added", {{"item_id", item_["id"]},
                                                   {"output_index", output_.size()},
                                                   {"content_index", 0},
                                                   {"part", part()}});
  }
  return bytes;
}

std::string ResponsesManner::close(const char* status) {
  if (open_ == Open::nothing) return {};
  const Json place = {{"item_id", item_["id"]}, {"output_index", output_.size()}};
  std::string bytes;
  if (open_ == Open::call) {
    item_["arguments"] = text_;
    Json done = place;
    done["name"] = item_["name"];
    done["arguments"] = text_;
    bytes = event("response.function_call_arguments.done", done);
  } else {
    const bool reasons = open_ == Open::reasoning;
    Json done = place;
    done["content_index"] = 0;
    Json part_done = done;
    done["text"] = text_;
    if (!reasons) done["logprobs"] = logprobs_;
    part_done["part"] = part();
    bytes = event(reasons ? "response.reasoning_text.done" : "response.output_text.done", done);
    bytes += event("response.content_part.done", part_done);
    item_["content"] = Json::array({part()});
  }
  item_["status"] = status;
  bytes += event("response.output_item.done", {{"output_index", output_.size()}, {"item", item_}});
  output_.push_back(std::exchange(item_, nullptr));
  open_ = Open::nothing;
  return bytes;
}

std::string ResponsesManner::said(const char* type, const std::string& text, Json logprobs) {
  text_ += text;
  Json data = {{"item_id", item_["id"]}, {"output_index", output_.size()}};
  if (open_ != Open::call) data["content_index"] = 0;
  data["delta"] = text;
  if (!logprobs.is_null()) {
    for (const Json& token : logprobs) logprobs_.push_back(token);
    data["logprobs"] = std::move(logprobs);
  }
  return event(type, data);
}

std::string ResponsesManner::text(const Delta& delta) {
  switch (delta.kind) {
    case Delta::Kind::started:
    case Delta::Kind::call_ended:
      return {};
    case Delta::Kind::reasoning: {
      std::string bytes = open_ != Open::reasoning ? open(Open::reasoning, delta) : "";
      return bytes + said("response.reasoning_text.delta", delta.text);
    }
    case Delta::Kind::content: {
      std::string bytes = open_ != Open::message ? open(Open::message, delta) : "";
      Json logprobs = Json::array();
      for (const auto& token : delta.tokens) {
        if (token.top.empty()) continue;
        logprobs.push_back(openai_token_logprob(token, *head_.tokenizer));
      }
      return bytes + said("response.output_text.delta", delta.text, std::move(logprobs));
    }
    case Delta::Kind::call:
      return open(Open::call, delta);
    case Delta::Kind::arguments:
      return said("response.function_call_arguments.delta", delta.text);
    case Delta::Kind::finished:
      // An answer of nothing is an empty message.
      if (open_ == Open::nothing && output_.empty()) {
        std::string bytes = open(Open::message, delta);
        return bytes + close(was_cut(delta.finish) ? "incomplete" : "completed");
      }
      return close(was_cut(delta.finish) ? "incomplete" : "completed");
  }
  return {};
}

std::string ResponsesManner::tail(const Answer& answer) {
  const bool cut = was_cut(answer.choices.at(0).finish);
  return event(cut ? "response.incomplete" : "response.completed",
               {{"response", finished(answer)}});
}

std::string ResponsesManner::failure(const ApiError& error) {
  Json failed = response("failed");
  failed["error"] = {{"code", error.code.empty() ? "server_error" : error.code},
                     {"message", error.what()}};
  std::string bytes =
      event("error", {{"code", error.code}, {"message", error.what()}, {"param", nullptr}});
  return bytes += event("response.failed", {{"response", std::move(failed)}});
}

}  // namespace nautile::server
