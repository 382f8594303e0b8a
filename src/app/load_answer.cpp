#include "app/load_answer.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/json.h"
#include "base/strings.h"

namespace nautile::app {
namespace {

constexpr std::size_t kHeadBytes = std::size_t{64} << 10;
constexpr std::size_t kChunkLine = std::size_t{4} << 10;
constexpr std::size_t kEventBytes = std::size_t{4} << 20;

std::string lower(std::string_view text) {
  std::string low(text);
  for (char& c : low) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return low;
}

// A whole number that is all of `text`.
std::size_t number(std::string_view text, int base, const char* what) {
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) {
    fail(ErrorKind::bad_input, "{}: expected a number, found '{}'", what, text.substr(0, 40));
  }
  return value;
}

std::int64_t count_of(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number_unsigned() ? found->get<std::int64_t>() : -1;
}

bool has_text(const nlohmann::json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() &&
         !found->get_ref<const std::string&>().empty();
}

// Whether a choice says something: text, content, reasoning or a tool's call.
bool says(const nlohmann::json& choice) {
  if (!choice.is_object()) return false;
  if (has_text(choice, "text")) return true;
  const auto delta = choice.find("delta");
  if (delta == choice.end() || !delta->is_object()) return false;
  return has_text(*delta, "content") || has_text(*delta, "reasoning_content") ||
         delta->contains("tool_calls");
}

std::string error_text(const nlohmann::json& error) {
  if (error.is_object() && has_text(error, "message")) return error["message"];
  return error.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

AnswerReader::State AnswerReader::feed(std::string_view bytes, double now) {
  input_ += bytes;
  while (step(now)) {
  }
  input_.erase(0, at_);
  at_ = 0;
  if (stage_ != Stage::done) return State::unfinished;
  answer_.ended = now;
  return State::whole;
}

void AnswerReader::end_of_input(double now) {
  if (stage_ == Stage::rest) stage_ = Stage::done;
  answer_.ended = now;
  if (stage_ == Stage::done) return;
  fail(ErrorKind::failure, "the server closed the connection {}",
       stage_ == Stage::head ? "without an answer" : "in the middle of its answer");
}

// One stage's work on the bytes at hand; false if it needs more of them, or nothing more.
bool AnswerReader::step(double now) {
  std::string_view line;
  switch (stage_) {
    case Stage::head:
      return read_head();
    case Stage::sized:
    case Stage::chunk:
    case Stage::rest:
      return take_body(now);
    case Stage::chunk_size:
      if (!take_line(line, kChunkLine, "a chunk's size")) return false;
      left_ = number(trimmed(line.substr(0, line.find(';'))), 16, "a chunk's size");
      stage_ = left_ > 0 ? Stage::chunk : Stage::trailers;
      return true;
    case Stage::chunk_end:
      if (!take_line(line, kChunkLine, "a chunk's end")) return false;
      if (!trimmed(line).empty()) fail(ErrorKind::bad_input, "a chunk is longer than its size");
      stage_ = Stage::chunk_size;
      return true;
    case Stage::trailers:
      if (!take_line(line, kHeadBytes, "a trailer")) return false;
      if (trimmed(line).empty()) stage_ = Stage::done;
      return true;
    case Stage::done:
      return false;
  }
  return false;
}

// The next line without its end; false if it has not come yet.
bool AnswerReader::take_line(std::string_view& line, std::size_t longest, const char* what) {
  const std::size_t end = input_.find('\n', at_);
  if ((end == input_.npos ? input_.size() : end) - at_ > longest) {
    fail(ErrorKind::bad_input, "{} is longer than {} bytes", what, longest);
  }
  if (end == input_.npos) return false;
  line = std::string_view(input_).substr(at_, end - at_);
  if (line.ends_with('\r')) line.remove_suffix(1);
  at_ = end + 1;
  return true;
}

// The head is read when all of it is there.
bool AnswerReader::read_head() {
  std::size_t end = input_.find("\r\n\r\n", at_);
  if ((end == input_.npos ? input_.size() : end) - at_ > kHeadBytes) {
    fail(ErrorKind::bad_input, "the response's head is longer than {} bytes", kHeadBytes);
  }
  if (end == input_.npos) return false;
  end += 4;
  std::string_view line;
  take_line(line, kHeadBytes, "the response's first line");
  if (!line.starts_with("HTTP/1.") || line.size() < 12 || line[8] != ' ') {
    fail(ErrorKind::bad_input, "this is no HTTP/1.1 server: it begins with '{}'",
         line.substr(0, 40));
  }
  const auto status = static_cast<int>(number(line.substr(9, 3), 10, "the response's status"));
  sized_ = chunked_ = events_ = false;
  answer_.retry_after = false;
  while (at_ < end && take_line(line, kHeadBytes, "a header")) read_field(line);
  if (status < 200) return true;  // 100 Continue: the response itself comes after it
  answer_.status = status;
  begin_body();
  return true;
}

void AnswerReader::read_field(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == line.npos) return;
  const std::string name = lower(trimmed(line.substr(0, colon)));
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (name == "content-length") {
    left_ = number(value, 10, "content-length");
    sized_ = true;
  } else if (name == "transfer-encoding") {
    chunked_ = lower(value).ends_with("chunked");
  } else if (name == "content-type") {
    events_ = lower(value).starts_with("text/event-stream");
  } else if (name == "retry-after") {
    answer_.retry_after = true;
  }
}

void AnswerReader::begin_body() {
  if (answer_.status == 204 || answer_.status == 304) {
    stage_ = Stage::done;
  } else if (chunked_) {
    stage_ = Stage::chunk_size;
  } else if (sized_) {
    stage_ = Stage::sized;
  } else {
    stage_ = Stage::rest;
  }
}

bool AnswerReader::take_body(double now) {
  std::size_t count = input_.size() - at_;
  if (stage_ != Stage::rest) count = std::min(count, left_);
  const std::string_view bytes = std::string_view(input_).substr(at_, count);
  at_ += count;
  body(bytes, now);
  if (stage_ == Stage::rest) return false;
  left_ -= count;
  if (left_ > 0) return false;
  stage_ = stage_ == Stage::chunk ? Stage::chunk_end : Stage::done;
  return true;
}

void AnswerReader::body(std::string_view bytes, double now) {
  if (!events_) {
    const std::size_t room = LoadAnswer::kKeptBody - answer_.body.size();
    answer_.body += bytes.substr(0, room);
    return;
  }
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    line_ += bytes.substr(0, end);
    if (line_.size() + data_.size() > kEventBytes) {
      fail(ErrorKind::bad_input, "an event is longer than {} bytes", kEventBytes);
    }
    if (end == bytes.npos) return;
    stream_line(trimmed(line_), now);
    line_.clear();
    bytes.remove_prefix(end + 1);
  }
}

void AnswerReader::stream_line(std::string_view line, double now) {
  constexpr std::string_view kData = "data:";
  if (line.empty()) {
    if (!data_.empty()) event(now);
    data_.clear();
  } else if (line.starts_with(kData)) {
    if (!data_.empty()) data_ += '\n';
    data_ += trimmed(line.substr(kData.size()));
  }
}

void AnswerReader::event(double now) {
  if (data_ == "[DONE]") return;
  const nlohmann::json json =
      parse_json(data_, "an event", {.bytes = kEventBytes, .repeated = RepeatedNames::last});
  if (!json.is_object()) fail(ErrorKind::bad_input, "an event is no object: {}", json.type_name());
  if (const auto error = json.find("error"); error != json.end() && !error->is_null()) {
    answer_.error = error_text(*error);
  }
  if (const auto choices = json.find("choices"); choices != json.end() && choices->is_array()) {
    if (std::any_of(choices->begin(), choices->end(), says)) answer_.parts.push_back(now);
  }
  const auto usage = json.find("usage");
  if (usage == json.end() || !usage->is_object()) return;
  answer_.prompt_tokens = count_of(*usage, "prompt_tokens");
  answer_.completion_tokens = count_of(*usage, "completion_tokens");
  const auto details = usage->find("prompt_tokens_details");
  if (details != usage->end() && details->is_object())
    answer_.cached_tokens = count_of(*details, "cached_tokens");
}

}  // namespace nautile::app
