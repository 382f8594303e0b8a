// load_answer.h — LoadAnswer: one answer of a server with the times at which its parts came.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nautile::app {

// Times are seconds since the run began.
struct LoadAnswer {
  int status = 0;             // of HTTP; 0: none came
  std::string error;          // why it is not whole, or what the server says is wrong; else empty
  bool retry_after = false;   // the header was there
  double begun = 0;           // before connecting
  double ended = 0;           // its last byte
  std::vector<double> parts;  // when each event with text came, ascending
  // As its usage says; -1 where it has none.
  std::int64_t prompt_tokens = -1, cached_tokens = -1, completion_tokens = -1;
  std::string body;  // of what is no event stream, its first kKeptBody bytes

  static constexpr std::size_t kKeptBody = std::size_t{1} << 20;

  bool good() const { return status == 200 && error.empty(); }
  // Of the usage, else one for each event with text.
  std::int64_t tokens() const {
    return completion_tokens >= 0 ? completion_tokens : static_cast<std::int64_t>(parts.size());
  }
};

// Reads one HTTP/1.1 response, and in it the events of OpenAI's chat and text completions, from
// bytes as they come. Memory is bounded by its limits on heads, lines and bodies.
class AnswerReader {
 public:
  explicit AnswerReader(LoadAnswer& into) : answer_(into) {}

  enum class State : std::uint8_t { unfinished, whole };
  // Bytes that came at `now`. Throws Error(bad_input), saying where it is no response or no event.
  State feed(std::string_view bytes, double now);
  // The connection has ended. Throws Error(failure) if the response should have gone on.
  void end_of_input(double now);

 private:
  enum class Stage : std::uint8_t {
    head,
    sized,
    chunk_size,
    chunk,
    chunk_end,
    trailers,
    rest,
    done
  };

  bool step(double now);
  bool take_line(std::string_view& line, std::size_t longest, const char* what);
  bool read_head();
  void read_field(std::string_view line);
  void begin_body();
  bool take_body(double now);
  void body(std::string_view bytes, double now);
  void stream_line(std::string_view line, double now);
  void event(double now);

  LoadAnswer& answer_;
  Stage stage_ = Stage::head;
  std::string input_;
  std::size_t at_ = 0;    // of input_: what has been read
  std::size_t left_ = 0;  // bytes of the body or chunk that are to come
  bool sized_ = false, chunked_ = false, events_ = false;
  std::string line_, data_;  // of the event stream: a line and an event that have begun
};

}  // namespace nautile::app
