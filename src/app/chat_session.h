// chat_session.h — ChatSession: a conversation and the tokens a model has seen of it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "app/generation.h"
#include "app/loaded_model.h"
#include "text/chat_format.h"

namespace nautile::app {

// The format a model's conversations are written in: the one named ("deepseek-r1"), else the
// model's own template, else the native one of its family. Throws Error(usage) for an unknown name,
// Error(unsupported) if the model has none.
std::unique_ptr<ChatFormat> chat_format_of(const LoadedModel& model, const std::string& name);

struct Answer {
  Generated generated;
  std::string reasoning, content;
};

struct AnswerWatch {
  std::function<void(const ReasoningSplitter::Piece& piece)> piece;
  std::function<void(const std::string& notice)> notice;  // a line that the user should read
  std::function<engine::Session::Go()> go;                // stop: the user wants no more
  engine::Session::Progress prefill;
};

class ChatSession {
 public:
  // The model outlives it.
  ChatSession(const LoadedModel& model, std::unique_ptr<ChatFormat> format, Settings settings);

  Settings& settings() { return settings_; }
  const Settings& settings() const { return settings_; }
  const LoadedModel& model() const { return model_; }
  const engine::Session& session() const { return session_; }
  const nlohmann::ordered_json& messages() const { return conversation_.messages; }

  // Says `user` (any bytes; ill-formed UTF-8 becomes U+FFFD) and generates the answer. Both are
  // kept in the conversation, also an answer that was stopped; a message that got no word of answer
  // is taken back. Throws Error(usage) if it does not fit the context, and then nothing has
  // changed.
  Answer answer(const std::string& user, const AnswerWatch& watch);

  void set_system(const std::string& text);  // empty: none
  std::string system() const;
  void clear();  // all but the system prompt
  std::size_t exchanges() const;

  // `base`.json: messages and settings. `base`.kv: the tokens' cache, which saves computing them
  // again. Both are written atomically.
  void save(const std::string& base) const;
  // Replaces conversation and settings. Returns what the user should know of the cache: empty if it
  // was used, else why the prompt will be computed again. Throws Error(failure, bad_input).
  std::string load(const std::string& base);

 private:
  std::vector<TokenId> prompt(RenderedPrompt& rendered) const;
  std::vector<TokenId> fitting_prompt(RenderedPrompt& rendered, const AnswerWatch& watch);
  bool drop_oldest();
  void restore(const nlohmann::json& chat);

  const LoadedModel& model_;
  std::unique_ptr<ChatFormat> format_;
  Settings settings_;
  Conversation conversation_;
  engine::Session session_;
  SkipSpecial skip_;
};

// NAME with a slash is a path, else a chat in the user's data folder; ".json" is left out.
std::string chat_file_base(const std::string& name, const Environment& environment);

}  // namespace nautile::app
