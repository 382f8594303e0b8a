// server_testing.h — a served model without weights, and replies that remember, for tests.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "server/echo_engine.h"
#include "server/exchange.h"
#include "server/models.h"
#include "server/routes.h"
#include "text/chat_format.h"
#include "text/grammar.h"
#include "text/tokenizer_testing.h"

namespace nautile::server {

// A template with a role token's look, for tokenizers that have none of their own.
inline constexpr const char* kTestTemplate =
    "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>"
    "{% if m['content'] %}{{ m['content'] }}{% endif %}</s>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}";
// The same, and its answers begin with reasoning.
inline constexpr const char* kReasoningTemplate =
    "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>"
    "{% if m['content'] %}{{ m['content'] }}{% endif %}</s>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>"
    "{% if thinking is defined and not thinking %}</think>{% else %}<think>\n{% endif %}{% endif "
    "%}";

// A small byte-level tokenizer, an EchoEngine and a format around one name.
struct EchoModel {
  explicit EchoModel(EchoOptions options = {}, const char* chat_template = kTestTemplate,
                     std::string name = "echo")
      : tokenizer(load(small_tokenizer(), {{"bos_token", "<s>"}, {"eos_token", "</s>"}})),
        vocabulary(tokenizer),
        format(make_template_format(chat_template, {{"bos_token", "<s>"}, {"eos_token", "</s>"}})),
        engine(tokenizer, std::move(options)) {
    served = std::make_shared<ServedModel>();
    served->name = std::move(name);
    served->created = 1'700'000'000;
    served->engine = &engine;
    served->tokenizer = &tokenizer;
    served->format = format.get();
    served->vocabulary = &vocabulary;
    served->rows = tokenizer.vocab_size();
    served->fingerprint = "fp_echo";
  }

  Tokenizer tokenizer;
  GrammarVocabulary vocabulary;
  std::unique_ptr<ChatFormat> format;
  EchoEngine engine;
  std::shared_ptr<ServedModel> served;
};

// Models that are loaded already.
class FixedModels : public Models {
 public:
  explicit FixedModels(std::vector<std::shared_ptr<const ServedModel>> models)
      : models_(std::move(models)) {}

  std::vector<ModelEntry> list() const override {
    std::vector<ModelEntry> entries;
    for (const auto& model : models_) {
      entries.push_back(
          {model->name, ModelEntry::State::loaded, model->created, "", model->engine->context()});
    }
    return entries;
  }
  void get(std::string_view name, std::function<void(Got)> then) override {
    if (name.empty()) {
      if (models_.size() == 1) return then({models_[0], "", Got::Why::none});
      return then({nullptr, "there are several models", Got::Why::ambiguous});
    }
    for (const auto& model : models_) {
      if (model->name == name) return then({model, "", Got::Why::none});
    }
    then({nullptr, "there is no model of that name", Got::Why::missing});
  }
  engine::Admission knock(std::int64_t ahead) override {
    engine::Admission said;
    for (const auto& model : models_) {
      said = model->engine->foresee(ahead);
      if (said.kind == engine::Admission::Kind::accepted) break;
    }
    return said;
  }

 private:
  std::vector<std::shared_ptr<const ServedModel>> models_;
};

// Remembers what it was told.
class RecordingReply : public HttpReply {
 public:
  void send(int status, std::string_view content_type, std::string body, Headers headers) override {
    const std::lock_guard lock(mutex_);
    status_ = status;
    content_type_ = content_type;
    body_ = std::move(body);
    headers_ = std::move(headers);
    ended_ = true;
    changed_.notify_all();
  }
  void begin(int status, std::string_view content_type, Headers headers) override {
    const std::lock_guard lock(mutex_);
    status_ = status;
    content_type_ = content_type;
    headers_ = std::move(headers);
    streamed_ = true;
    changed_.notify_all();
  }
  bool write(std::string_view bytes) override {
    const std::lock_guard lock(mutex_);
    if (gone_) return false;
    body_ += bytes;
    changed_.notify_all();
    return true;
  }
  void end() override {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }
  void on_gone(std::function<void()> gone) override {
    bool already = false;
    {
      const std::lock_guard lock(mutex_);
      already = gone_;
      if (!already) on_gone_ = gone;
    }
    if (already) gone();
  }
  void keep_alive(double seconds, std::string comment) override {
    const std::lock_guard lock(mutex_);
    keep_alive_ = {seconds, std::move(comment)};
  }

  // The client goes away.
  void leave() {
    std::function<void()> gone;
    {
      const std::lock_guard lock(mutex_);
      gone_ = true;
      gone = std::move(on_gone_);
    }
    if (gone) gone();
  }
  // Waits until the answer has ended, or holds `bytes` bytes.
  void wait(std::size_t bytes = static_cast<std::size_t>(-1)) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended_ || body_.size() >= bytes; });
  }
  int status() const { return locked(status_); }
  std::string body() const { return locked(body_); }
  std::string content_type() const { return locked(content_type_); }
  bool streamed() const { return locked(streamed_); }
  std::pair<double, std::string> kept_alive() const { return locked(keep_alive_); }
  std::string header(std::string_view name) const {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, value] : headers_) {
      if (key == name) return value;
    }
    return "";
  }
  nlohmann::ordered_json json() const { return nlohmann::ordered_json::parse(body()); }

 private:
  template <class T>
  T locked(const T& value) const {
    const std::lock_guard lock(mutex_);
    return value;
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int status_ = 0;
  std::string content_type_, body_;
  Headers headers_;
  bool streamed_ = false, ended_ = false, gone_ = false;
  std::function<void()> on_gone_;
  std::pair<double, std::string> keep_alive_;
};

// Remembers the records.
class RecordingMeter : public Meter {
 public:
  void ended(const RequestRecord& record) override {
    const std::lock_guard lock(mutex_);
    records_.push_back(record);
  }
  std::vector<RequestRecord> records() const {
    const std::lock_guard lock(mutex_);
    return records_;
  }
  void forget() {
    const std::lock_guard lock(mutex_);
    records_.clear();
  }

 private:
  mutable std::mutex mutex_;
  std::vector<RequestRecord> records_;
};

inline EchoOptions saying(std::string text) {
  EchoOptions options;
  options.answer = [text = std::move(text)](const engine::Request&, int) { return text; };
  return options;
}

// An Api over one EchoModel, asked without sockets.
struct TestApi {
  explicit TestApi(EchoOptions options = {}, const char* chat_template = kTestTemplate,
                   const ApiOptions& api_options = {})
      : model(std::move(options), chat_template),
        models({model.served}),
        api(models, api_options, meter) {}

  // The reply of a route; 404 by an assertion. Does not wait.
  std::shared_ptr<RecordingReply> begin(const std::string& method, const std::string& path,
                                        std::string body, Headers headers = {}) {
    HttpRequest request;
    request.method = method;
    request.path = path;
    request.body = std::move(body);
    request.headers = std::move(headers);
    request.id = "req-test";
    auto reply = std::make_shared<RecordingReply>();
    for (const Route& route : api.routes()) {
      const bool below = route.path.ends_with('*') &&
                         path.starts_with(route.path.substr(0, route.path.size() - 1)) &&
                         path.size() >= route.path.size();
      if (route.method != method || (route.path != path && !below)) continue;
      route.handler(request, reply);
      return reply;
    }
    NAUTILE_ASSERT(false, "no route for {} {}", method, path);
  }
  std::shared_ptr<RecordingReply> post(const std::string& path, const std::string& body) {
    auto reply = begin("POST", path, body);
    reply->wait();
    return reply;
  }
  std::shared_ptr<RecordingReply> post(const std::string& path,
                                       const nlohmann::ordered_json& body) {
    return post(path, body.dump());
  }
  std::shared_ptr<RecordingReply> get(const std::string& path) {
    auto reply = begin("GET", path, "");
    reply->wait();
    return reply;
  }

  RecordingMeter meter;  // outlives the engine's thread
  EchoModel model;
  FixedModels models;
  Api api;
};

// The data of each event of a stream; "[DONE]" as that string.
inline std::vector<nlohmann::ordered_json> stream_events(const std::string& body) {
  std::vector<nlohmann::ordered_json> events;
  std::size_t at = 0;
  while (at < body.size()) {
    const std::size_t end = std::min(body.find("\n\n", at), body.size());
    const std::string block = body.substr(at, end - at);
    at = end + 2;
    const std::size_t data = block.find("data: ");
    if (data == std::string::npos) continue;
    const std::string text = block.substr(data + 6);
    events.push_back(text == "[DONE]" ? nlohmann::ordered_json(text)
                                      : nlohmann::ordered_json::parse(text));
  }
  return events;
}

}  // namespace nautile::server
