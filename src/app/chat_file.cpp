// chat_file.cpp — chats on disk: what was said as JSON, and beside it the cache of the tokens.
#include <filesystem>

#include "app/chat_session.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace nautile::app {
namespace {

using Json = nlohmann::ordered_json;
constexpr std::size_t kMaxChatBytes = std::size_t{64} << 20;

// Messages as a chat has them: roles and texts that every format knows.
void check_messages(const Json& messages) {
  Conversation conversation;
  conversation.messages = messages;
  check_conversation(conversation);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const std::string role = messages[i]["role"];
    NAUTILE_CHECK(role == "system" || role == "user" || role == "assistant",
                  "messages[{}].role is '{}': expected system, user or assistant", i, role);
    NAUTILE_CHECK(messages[i].contains("content") && messages[i]["content"].is_string(),
                  "messages[{}].content: expected a string", i);
    NAUTILE_CHECK(role != "system" || i == 0, "messages[{}]: a system message is not the first", i);
  }
}

}  // namespace

std::string chat_file_base(const std::string& name, const Environment& environment) {
  std::string base = name;
  if (base.ends_with(".json")) base.resize(base.size() - 5);
  if (base.empty() || base.ends_with('/'))
    fail(ErrorKind::usage, "'{}' is no name for a chat", name);
  if (base.find('/') != base.npos) return base;
  if (environment.data_folder.empty()) return "./" + base;
  return environment.data_folder + "/chats/" + base;
}

void ChatSession::save(const std::string& base) const {
  const std::filesystem::path folder = std::filesystem::path(base).parent_path();
  std::error_code error;
  if (!folder.empty() && std::filesystem::create_directories(folder, error)) {
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  } else if (error) {
    fail(ErrorKind::failure, "cannot make the folder {}: {}", folder.string(), error.message());
  }
  Json chat = {{"nautile_chat", 1},
               {"model", model_.title()},
               {"fingerprint", model_.fingerprint()},
               {"messages", conversation_.messages},
               {"settings", Json::object()}};
  for (const Setting& setting : setting_table())
    chat["settings"][setting.name] = setting.show(settings_);
  write_file_atomic(base + ".json",
                    chat.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  session_.save(base + ".kv", model_.fingerprint());
}

void ChatSession::restore(const nlohmann::json& chat) {
  NAUTILE_CHECK(chat.is_object() && chat.contains("nautile_chat") && chat["nautile_chat"] == 1,
                "expected an object with nautile_chat 1");
  NAUTILE_CHECK(chat.contains("messages"), "there are no messages");
  const Json messages = chat["messages"];
  check_messages(messages);
  Settings settings = settings_;
  if (chat.contains("settings") && chat["settings"].is_object()) {
    for (const auto& [name, value] : chat["settings"].items()) {
      NAUTILE_CHECK(value.is_string(), "settings.{}: expected a string", name);
      apply_setting(settings, name, value.get<std::string>(), "the saved chat",
                    model_.config().vocabulary);
    }
  }
  conversation_.messages = messages;
  settings_ = std::move(settings);
}

std::string ChatSession::load(const std::string& base) {
  const std::string path = base + ".json";
  const std::string text = read_file(path, kMaxChatBytes);
  try {
    const nlohmann::json chat = parse_json(text, path);
    restore(chat);
    const auto title = chat.find("model");
    const auto fingerprint = chat.find("fingerprint");
    if (fingerprint == chat.end() || *fingerprint != model_.fingerprint()) {
      return fmt::format(
          "the chat was saved with another model{}: this one reads it afresh",
          title != chat.end() && title->is_string() ? " (" + title->get<std::string>() + ")" : "");
    }
  } catch (const Error& error) {
    throw error.with("while reading the chat {}", path);
  }
  try {
    session_.load(base + ".kv", model_.fingerprint());
  } catch (const Error& error) {
    return fmt::format("the chat will be computed again: {}", error.what());
  }
  return "";
}

}  // namespace nautile::app
