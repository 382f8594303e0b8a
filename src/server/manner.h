// manner.h — Manner: how one API words the answer to one request.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "server/api_error.h"
#include "server/delta.h"
#include "server/shape.h"

namespace nautile::server {

// Made for one request, used by one thread at a time. Whole answers are made of an Answer; streams
// are bytes that follow from each delta in turn: head(), text(), …, then tail() or failure().
class Manner {
 public:
  virtual ~Manner() = default;

  // Throws ApiError for what only the answer shows to be impossible.
  virtual std::string whole(const Answer& answer) = 0;

  virtual std::string_view stream_type() const { return "text/event-stream"; }
  virtual std::string head(const AnswerHead& head) = 0;
  virtual std::string text(const Delta& delta) = 0;
  virtual std::string tail(const Answer& answer) = 0;
  // Ends a stream that went wrong.
  virtual std::string failure(const ApiError& error) = 0;
  // What is sent while nothing happens.
  virtual std::string keep_alive() const { return ": keep-alive\n\n"; }

  // An error instead of an answer.
  virtual std::string error_body(const ApiError& error) const { return openai_error_body(error); }
};

// "data: …\n\n" of an event stream.
std::string event_text(const Json& data);
std::string event_text(std::string_view name, const Json& data);
// JSON on one line. Bytes that are no UTF-8 become U+FFFD.
std::string dumped(const Json& json);

}  // namespace nautile::server
