// error_reply.h — the body of every error: OpenAI's four fields.
#pragma once

#include <string>
#include <string_view>

#include "server/router.h"

namespace nautile::server {

// {"error":{"message","type","param","code"}}; empty `param` and `code` become null. Bytes that are
// no UTF-8 become U+FFFD. Source: OpenAI's error object; DeepSeek's API answers alike.
std::string error_body(std::string_view message, std::string_view type, std::string_view param = {},
                       std::string_view code = {});

// Sends that body with its status.
void send_error(HttpReply& reply, const Refusal& refusal);

// "Not Found" of 404; "" of an unknown number.
const char* status_text(int status);

}  // namespace nautile::server
