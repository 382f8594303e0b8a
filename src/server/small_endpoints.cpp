// small_endpoints.cpp — models, tokenize, detokenize.
#include "server/small_endpoints.h"

#include "server/api_error.h"
#include "server/common_fields.h"
#include "server/openai_chat.h"
#include "server/prepare.h"
#include "text/unicode.h"

namespace nautile::server {
namespace {

Json model_json(const ModelEntry& entry) {
  Json json = {
      {"id", entry.name}, {"object", "model"}, {"created", entry.created}, {"owned_by", "nautile"}};
  if (entry.context > 0) json["max_model_len"] = entry.context;  // as vLLM says it
  if (!entry.base.empty()) json["parent"] = entry.base;          // so, too
  return json;
}

}  // namespace

Json openai_models(const Models& models) {
  Json data = Json::array();
  for (const ModelEntry& entry : models.list()) data.push_back(model_json(entry));
  return {{"object", "list"}, {"data", std::move(data)}};
}

Json openai_model(const Models& models, const std::string& name) {
  for (const ModelEntry& entry : models.list()) {
    if (entry.name == name) return model_json(entry);
  }
  throw model_missing(name, "GET /v1/models lists those there are");
}

Shape tokenize_shape(const ApiLimits& limits) {
  return Shape::object({{"model", Shape::text(0, 512)},
                        {"content", Shape::text()},
                        {"prompt", Shape::text()},
                        {"messages", openai_messages_shape(limits)},
                        {"tools", openai_tools_shape(limits)},
                        {"add_special", Shape::boolean().says("BOS, where the model wants it.")},
                        {"add_special_tokens", Shape::boolean()},
                        {"parse_special", Shape::boolean()},
                        {"with_pieces", Shape::boolean()}});
}

Json tokenize(const Json& body, const ServedModel& model, const ApiOptions& options) {
  const Tokenizer& tokenizer = *model.tokenizer;
  std::vector<TokenId> ids;
  if (const Json* messages = member(body, "messages")) {
    Call call;
    call.conversation.messages = conversation_messages(*messages, "messages");
    if (const Json* tools = member(body, "tools")) read_openai_tools(*tools, options.limits, call);
    ids = encode_chat(call, model);
  } else {
    const Json* text = member(body, "content");
    if (text == nullptr) text = member(body, "prompt");
    if (text == nullptr) {
      throw field_error("content", "missing_required_parameter",
                        "content: expected a string, found neither content, prompt nor messages");
    }
    const bool special = flag(body, "add_special", flag(body, "add_special_tokens", false));
    ids = tokenizer.encode(
        text->get_ref<const std::string&>(),
        flag(body, "parse_special", true) ? EncodeMode::parse_added : EncodeMode::plain,
        special ? AddSpecial::yes : AddSpecial::no);
  }
  Json tokens = Json::array();
  for (const TokenId id : ids) {
    if (!flag(body, "with_pieces", false)) {
      tokens.push_back(id);
      continue;
    }
    std::string bytes;
    tokenizer.append_bytes(id, SkipSpecial::no, bytes);
    Json piece = bytes;
    if (valid_utf8_prefix(bytes) != bytes.size()) {
      piece = Json::array();
      for (const char c : bytes) piece.push_back(static_cast<unsigned char>(c));
    }
    tokens.push_back({{"id", id}, {"piece", std::move(piece)}});
  }
  return {{"count", ids.size()},
          {"max_model_len", model.engine->context()},
          {"tokens", std::move(tokens)}};
}

Shape detokenize_shape() {
  return Shape::object(
      {{"model", Shape::text(0, 512)},
       {"tokens", Shape::list(Shape::integer(0, kMostTokens)), Field::Need::required}});
}

Json detokenize(const Json& body, const ServedModel& model) {
  std::vector<TokenId> ids;
  for (const Json& id : body["tokens"]) ids.push_back(static_cast<TokenId>(whole(id)));
  (void)encode_raw(ids, Call::Reading::tokens, *model.tokenizer, "tokens");
  const std::string text = model.tokenizer->decode(ids, SkipSpecial::no);
  return {{"content", text}, {"prompt", text}};
}

}  // namespace nautile::server
