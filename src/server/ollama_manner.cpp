// ollama_manner.cpp — lines of JSON, and what is shown of models.
#include <ctime>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "server/ollama.h"

namespace nautile::server {

using engine::Finish;

namespace {

std::string time_text(std::time_t time) {
  std::tm parts{};
  gmtime_r(&time, &parts);
  char text[32];
  const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return std::string(text, size);
}

std::int64_t nanoseconds(double seconds) {
  return static_cast<std::int64_t>(seconds * 1e9);
}

Json call_json(const AnswerCall& call) {
  Json arguments;
  try {
    arguments = parse_ordered_json(call.arguments, "arguments", {.repeated = RepeatedNames::last});
  } catch (const Error&) {
    arguments = Json::object();
  }
  return {{"id", call.id}, {"function", {{"name", call.name}, {"arguments", arguments}}}};
}

Json details() {
  return {{"parent_model", ""},  {"format", "gguf"},     {"family", ""},
          {"families", nullptr}, {"parameter_size", ""}, {"quantization_level", ""}};
}

Json entry_json(const ModelEntry& entry) {
  return {{"name", entry.name}, {"model", entry.name}, {"modified_at", time_text(entry.created)},
          {"size", 0},          {"digest", ""},        {"details", details()}};
}

}  // namespace

std::string ollama_error_body(const ApiError& error) {
  return dumped({{"error", error.what()}});
}

Json ollama_tags(const Models& models) {
  Json list = Json::array();
  for (const ModelEntry& entry : models.list()) list.push_back(entry_json(entry));
  return {{"models", std::move(list)}};
}

Json ollama_running(const Models& models) {
  Json list = Json::array();
  for (const ModelEntry& entry : models.list()) {
    if (entry.state == ModelEntry::State::loaded) list.push_back(entry_json(entry));
  }
  return {{"models", std::move(list)}};
}

Json ollama_show(const ServedModel& model) {
  Json capabilities = {"completion"};
  if (model.format != nullptr) capabilities.push_back("tools");
  return {{"modelfile", ""},
          {"parameters", ""},
          {"template", ""},
          {"details", details()},
          {"model_info",
           {{"general.architecture", "nautile"},
            {"nautile.context_length", model.engine->context()},
            {"nautile.vocab_size", model.rows}}},
          {"capabilities", std::move(capabilities)},
          {"modified_at", time_text(model.created)}};
}

Json OllamaManner::line(const std::string& content, const std::string& thinking, Json calls) const {
  Json line = {{"model", head_.model}, {"created_at", time_text(std::time(nullptr))}};
  if (form_ == Form::generate) {
    line["response"] = content;
    if (!thinking.empty()) line["thinking"] = thinking;
  } else {
    line["message"] = {{"role", "assistant"}, {"content", content}};
    if (!thinking.empty()) line["message"]["thinking"] = thinking;
    if (!calls.empty()) line["message"]["tool_calls"] = std::move(calls);
  }
  line["done"] = false;
  return line;
}

Json OllamaManner::done(Json last, const Answer& answer) const {
  const AnswerUsage& usage = answer.usage;
  const Finish finish = answer.choices.empty() ? Finish::none : answer.choices[0].finish;
  last["done"] = true;
  last["done_reason"] = finish == Finish::none                                  ? "load"
                        : finish == Finish::length || finish == Finish::context ? "length"
                                                                                : "stop";
  if (finish == Finish::none) return last;
  last["total_duration"] =
      nanoseconds(usage.queued_seconds + usage.prefill_seconds + usage.decode_seconds);
  last["load_duration"] = 0;
  last["prompt_eval_count"] = usage.prompt_tokens;
  last["prompt_eval_duration"] = nanoseconds(usage.prefill_seconds);
  last["eval_count"] = usage.completion_tokens;
  last["eval_duration"] = nanoseconds(usage.decode_seconds);
  return last;
}

std::string OllamaManner::whole(const Answer& answer) {
  head_ = answer.head;
  if (answer.choices.empty()) return dumped(done(line("", "", Json::array()), answer));
  const AnswerChoice& choice = answer.choices[0];
  Json calls = Json::array();
  for (const AnswerCall& call : choice.calls) calls.push_back(call_json(call));
  return dumped(done(line(choice.content, choice.reasoning, std::move(calls)), answer));
}

std::string OllamaManner::head(const AnswerHead& head) {
  head_ = head;
  return {};
}

std::string OllamaManner::text(const Delta& delta) {
  const auto told = [&](const std::string& content, const std::string& thinking, Json calls) {
    return dumped(line(content, thinking, std::move(calls))) + "\n";
  };
  switch (delta.kind) {
    case Delta::Kind::reasoning:
      return told("", delta.text, Json::array());
    case Delta::Kind::content:
      return told(delta.text, "", Json::array());
    case Delta::Kind::call:
      call_ = {delta.call_id, delta.text, ""};
      return {};
    case Delta::Kind::arguments:
      call_.arguments += delta.text;
      return {};
    case Delta::Kind::call_ended:  // calls are told whole
      return told("", "", Json::array({call_json(call_)}));
    case Delta::Kind::started:
    case Delta::Kind::finished:
      return {};
  }
  return {};
}

std::string OllamaManner::tail(const Answer& answer) {
  return dumped(done(line("", "", Json::array()), answer)) + "\n";
}

std::string OllamaManner::failure(const ApiError& error) {
  return ollama_error_body(error) + "\n";
}

}  // namespace nautile::server
