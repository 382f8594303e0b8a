// openai_chat.h — OpenAI's chat completions: what may be asked, and how it is answered.
#pragma once

#include "server/routes.h"
#include "server/service.h"
#include "server/shape.h"

namespace nautile::server {

// The body of POST /v1/chat/completions.
Shape openai_chat_shape(const ApiLimits& limits);
// Of a body that fits. Throws ApiError naming the field.
Asked read_openai_chat(const Json& body, const ApiOptions& options);

// A list of messages as Conversation has them: known members alone, content as one text,
// "developer" as "system", "function" as "tool". Throws ApiError naming what is missing or is no
// text, below `path`.
Json conversation_messages(const Json& messages, const std::string& path);
// The shapes of a message's list, and of a list of tools.
Shape openai_messages_shape(const ApiLimits& limits);
Shape openai_tools_shape(const ApiLimits& limits);
// Checks sizes of schemas and sets the conversation's tools.
void read_openai_tools(const Json& tools, const ApiLimits& limits, Call& call);

}  // namespace nautile::server
