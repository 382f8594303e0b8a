#include "app/chat_session.h"

#include <algorithm>

#include "base/error.h"
#include "text/chat_encode.h"
#include "text/unicode.h"

namespace nautile::app {
namespace {

using Json = nlohmann::ordered_json;

Json message_of(const char* role, const std::string& content) {
  return {{"role", role}, {"content", content}};
}

bool has_role(const Json& message, const char* role) {
  return message.value("role", "") == role;
}

// The tags of reasoning must reach the splitter, also where they are special tokens.
SkipSpecial skip_for(const Tokenizer& tokenizer) {
  const auto tag = tokenizer.id_of("</think>");
  return tag && tokenizer.is_special(*tag) ? SkipSpecial::no : SkipSpecial::yes;
}

// Tokens an answer should find room for before a conversation counts as too long for `drop`.
std::int64_t reserve_of(const Settings& settings, std::int64_t context) {
  const std::int64_t wanted = settings.max_tokens > 0 ? settings.max_tokens : context / 4;
  return std::clamp<std::int64_t>(wanted, 1, std::max<std::int64_t>(context / 2, 1));
}

}  // namespace

std::unique_ptr<ChatFormat> chat_format_of(const LoadedModel& model, const std::string& name) {
  return chat_format_of(model.text(), model.config().family, model.title(), name);
}

ChatSession::ChatSession(const LoadedModel& model, std::unique_ptr<ChatFormat> format,
                         Settings settings)
    : model_(model),
      format_(std::move(format)),
      settings_(std::move(settings)),
      session_(*model.model, *model.backend, model.session),
      skip_(skip_for(model.text().tokenizer)) {}

std::vector<TokenId> ChatSession::prompt(RenderedPrompt& rendered) const {
  RenderOptions options;
  options.thinking = settings_.thinking;
  rendered = format_->render(conversation_, options);
  return encode_segments(model_.text().tokenizer, rendered.segments);
}

// The oldest message of the user and all up to the next one; the last exchange stays.
bool ChatSession::drop_oldest() {
  if (exchanges() < 2) return false;
  Json& messages = conversation_.messages;
  const auto is_user = [](const Json& message) { return has_role(message, "user"); };
  const auto first = std::find_if(messages.begin(), messages.end(), is_user);
  messages.erase(first, std::find_if(first + 1, messages.end(), is_user));
  return true;
}

std::vector<TokenId> ChatSession::fitting_prompt(RenderedPrompt& rendered,
                                                 const AnswerWatch& watch) {
  std::vector<TokenId> tokens = prompt(rendered);
  const std::int64_t context = session_.context();
  const auto size = [&] { return static_cast<std::int64_t>(tokens.size()); };
  if (settings_.context_end == ContextEnd::drop) {
    int dropped = 0;
    while (size() + reserve_of(settings_, context) > context && drop_oldest()) {
      ++dropped;
      tokens = prompt(rendered);
    }
    if (dropped > 0) {
      watch.notice(fmt::format(
          "the context of {} tokens is full: the oldest {} left out (context_end is drop)", context,
          dropped == 1 ? "exchange is" : fmt::format("{} exchanges are", dropped)));
    }
  }
  if (size() < context) return tokens;
  throw make_error(ErrorKind::usage,
                   "the conversation with this message takes {} tokens, the context has {}", size(),
                   context)
      .hint(
          "a shorter message, /clear, /set context_end drop (leaves out the oldest exchanges), or "
          "a "
          "larger --ctx (this model: at most {})",
          model_.config().context);
}

Answer ChatSession::answer(const std::string& user, const AnswerWatch& watch) {
  const Json before = conversation_.messages;
  Answer answer;
  try {
    conversation_.messages.push_back(message_of("user", replace_invalid_utf8(user)));
    RenderedPrompt rendered;
    const std::vector<TokenId> tokens = fitting_prompt(rendered, watch);
    ReasoningSplitter splitter(rendered.reasoning);
    const auto take = [&](const ReasoningSplitter::Piece& piece) {
      answer.reasoning += piece.reasoning;
      answer.content += piece.content;
      watch.piece(piece);
    };
    const TextFiles& text = model_.text();
    answer.generated = generate(
        session_, text.tokenizer, model_.config().vocabulary,
        {tokens, settings_, text.defaults.stop_ids, skip_},
        {[&](const std::string& piece) { take(splitter.push(piece)); }, watch.go, watch.prefill});
    take(splitter.finish());
  } catch (...) {
    conversation_.messages = before;
    throw;
  }
  if (answer.generated.finish == Finish::interrupted && answer.generated.tokens.empty()) {
    conversation_.messages = before;
    return answer;
  }
  Json reply = message_of("assistant", answer.content);
  if (!answer.reasoning.empty()) reply["reasoning_content"] = answer.reasoning;
  conversation_.messages.push_back(std::move(reply));
  return answer;
}

void ChatSession::set_system(const std::string& text) {
  Json& messages = conversation_.messages;
  if (!messages.empty() && has_role(messages[0], "system")) messages.erase(messages.begin());
  if (!text.empty())
    messages.insert(messages.begin(), message_of("system", replace_invalid_utf8(text)));
}

std::string ChatSession::system() const {
  const Json& messages = conversation_.messages;
  if (messages.empty() || !has_role(messages[0], "system")) return "";
  return messages[0].value("content", "");
}

void ChatSession::clear() {
  const std::string kept = system();
  conversation_.messages = Json::array();
  set_system(kept);
}

std::size_t ChatSession::exchanges() const {
  const Json& messages = conversation_.messages;
  return static_cast<std::size_t>(
      std::count_if(messages.begin(), messages.end(),
                    [](const Json& message) { return has_role(message, "user"); }));
}

}  // namespace nautile::app
