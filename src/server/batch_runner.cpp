// batch_runner.cpp — handlers are asked in this process, their answers become lines.
#include "server/batch_runner.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "base/printable.h"
#include "server/api_error.h"
#include "server/ids.h"
#include "server/manner.h"
#include "server/shape.h"

namespace nautile::server {
namespace {

constexpr std::size_t kMaxLine = std::size_t{32} << 20;
// A queue that was full is asked again after this.
constexpr auto kAgain = std::chrono::milliseconds(200);
constexpr auto kTick = std::chrono::milliseconds(100);

Shape line_shape() {
  return Shape::object({{"custom_id", Shape::text(1, 512), Field::Need::required},
                        {"method", Shape::words({"POST"}), Field::Need::required},
                        {"url", Shape::text(1, 512), Field::Need::required},
                        {"body", Shape::any_object(), Field::Need::required}});
}

Json parse_line(const std::string& line) {
  JsonLimits limits;
  limits.bytes = kMaxLine;
  limits.repeated = RepeatedNames::last;
  return parse_ordered_json(line, "line", limits);
}

// What one request was answered, shared with the handler.
struct Finished {
  std::mutex mutex;
  std::condition_variable changed;
  struct Answer {
    std::size_t slot;
    int status;
    std::string body;
  };
  std::deque<Answer> answers;
};

class BatchReply : public HttpReply {
 public:
  BatchReply(std::shared_ptr<Finished> finished, std::size_t slot)
      : finished_(std::move(finished)), slot_(slot) {}
  ~BatchReply() override {
    if (!ended_) tell(500, R"({"error":{"message":"the request was not answered"}})");
  }

  void send(int status, std::string_view, std::string body, Headers) override {
    const std::lock_guard lock(mutex_);
    tell(status, std::move(body));
  }
  void begin(int status, std::string_view, Headers) override {
    const std::lock_guard lock(mutex_);
    status_ = status;
  }
  bool write(std::string_view bytes) override {
    const std::lock_guard lock(mutex_);
    body_ += bytes;
    return !left_;
  }
  void end() override {
    const std::lock_guard lock(mutex_);
    tell(status_, std::move(body_));
  }
  void on_gone(std::function<void()> gone) override {
    {
      const std::lock_guard lock(mutex_);
      if (!left_) {
        gone_ = std::move(gone);
        return;
      }
    }
    gone();
  }
  void keep_alive(double, std::string) override {}

  // Nobody wants the answer any more.
  void leave() {
    std::function<void()> gone;
    {
      const std::lock_guard lock(mutex_);
      left_ = true;
      gone = std::exchange(gone_, nullptr);
    }
    if (gone) gone();
  }

 private:
  void tell(int status, std::string body) {
    if (std::exchange(ended_, true)) return;
    gone_ = nullptr;
    const std::lock_guard lock(finished_->mutex);
    finished_->answers.push_back({slot_, status, std::move(body)});
    finished_->changed.notify_all();
  }

  std::shared_ptr<Finished> finished_;
  std::size_t slot_;
  std::mutex mutex_;
  int status_ = 0;
  std::string body_;
  bool ended_ = false, left_ = false;
  std::function<void()> gone_;
};

// The lines of a file, with their numbers.
class Lines {
 public:
  explicit Lines(const std::string& path) : path_(path), stream_(path, std::ios::binary) {
    if (!stream_) fail(ErrorKind::failure, "cannot read {}: {}", path, std::strerror(errno));
  }
  // The next that is not blank; false at the end.
  bool next(std::string& line) {
    while (std::getline(stream_, line)) {
      ++number_;
      if (line.find_first_not_of(" \t\r") != std::string::npos) return true;
    }
    return false;
  }
  std::string place() const { return fmt::format("{}:{}", path_, number_); }

 private:
  std::string path_;
  std::ifstream stream_;
  std::int64_t number_ = 0;
};

// custom_ids that are answered; cuts what a crash left of a last line.
std::set<std::string> answered_ids(const std::string& path) {
  std::set<std::string> ids;
  std::error_code none;
  if (!std::filesystem::exists(path, none)) return ids;
  std::ifstream stream(path, std::ios::binary);
  if (!stream) fail(ErrorKind::failure, "cannot read {}: {}", path, std::strerror(errno));
  std::uintmax_t whole = 0;
  std::int64_t number = 0;
  for (std::string line; std::getline(stream, line);) {
    ++number;
    if (stream.eof()) break;  // no line end: not whole
    whole += line.size() + 1;
    if (line.empty()) continue;
    try {
      const Json answer = parse_line(line);
      if (const Json* id = member(answer, "custom_id")) ids.insert(id->get<std::string>());
    } catch (const std::exception& error) {
      throw make_error(ErrorKind::bad_input, "{}:{}: not an answer of a batch: {}", path, number,
                       error.what())
          .hint("name another file for the answers");
    }
  }
  stream.close();
  if (std::filesystem::file_size(path, none) > whole) std::filesystem::resize_file(path, whole);
  return ids;
}

std::string answer_line(const std::string& id, const Finished::Answer& answer) {
  Json body;
  try {
    body = parse_ordered_json(answer.body, "answer", {.repeated = RepeatedNames::last});
  } catch (const Error&) {
    body = answer.body;
  }
  return dumped({{"id", new_id("batch_req_")},
                 {"custom_id", id},
                 {"response",
                  {{"status_code", answer.status},
                   {"request_id", new_id("req_")},
                   {"body", std::move(body)}}},
                 {"error", nullptr}}) +
         "\n";
}

using Routes = std::vector<Route>;

const Route* route_of(const Routes& routes, const std::string& url) {
  for (const Route& route : routes) {
    if (route.method == "POST" && route.path == url) return &route;
  }
  return nullptr;
}

// The custom_ids of all requests; each line is one that can be asked.
std::set<std::string> requested_ids(const std::string& path, const Routes& routes) {
  const Shape shape = line_shape();
  std::set<std::string> ids;
  std::string line;
  for (Lines lines(path); lines.next(line);) {
    try {
      const Json request = parse_line(line);
      shape.check(request, "");
      const std::string id = request["custom_id"], url = request["url"];
      if (route_of(routes, url) == nullptr) {
        bad_value("url", "url: no endpoint is at {}", printable(url));
      }
      const Json* stream = member(request["body"], "stream");
      if (stream != nullptr && *stream == true) {
        bad_value("body.stream", "body.stream: expected no stream in a batch, found true");
      }
      if (!ids.insert(id).second) bad_value("custom_id", "custom_id: \"{}\" is there twice", id);
    } catch (const std::exception& error) {
      fail(ErrorKind::bad_input, "{}: {}", lines.place(), error.what());
    }
  }
  return ids;
}

// Requests on their way, in as many slots.
class Asking {
 public:
  Asking(const Routes& routes, const std::string& in, const std::set<std::string>& answered,
         std::size_t in_flight)
      : routes_(routes), answered_(answered), lines_(in), slots_(in_flight) {
    for (std::size_t i = 0; i < slots_.size(); ++i) fill(i);
  }

  bool busy() const {
    return std::any_of(slots_.begin(), slots_.end(),
                       [](const Slot& slot) { return slot.reply != nullptr; });
  }
  void leave() {
    for (Slot& slot : slots_) {
      if (slot.reply) slot.reply->leave();
    }
  }
  // Waits a moment for answers; lines for them. What the queue refused is asked again.
  std::string next(BatchCounts& counts) {
    std::deque<Finished::Answer> answers;
    {
      std::unique_lock lock(finished_->mutex);
      finished_->changed.wait_for(lock, kTick, [&] { return !finished_->answers.empty(); });
      answers.swap(finished_->answers);
    }
    std::string text;
    for (const Finished::Answer& answer : answers) {
      Slot& slot = slots_[answer.slot];
      slot.again = answer.status == 429;
      if (slot.again) continue;
      ++counts.done;
      if (answer.status != 200) ++counts.refused;
      text += answer_line(slot.request["custom_id"].get<std::string>(), answer);
      fill(answer.slot);
    }
    const auto now = std::chrono::steady_clock::now();
    if (now - asked_again_ < kAgain) return text;
    asked_again_ = now;
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      if (slots_[i].again) ask(i);
    }
    return text;
  }

 private:
  struct Slot {
    Json request;
    std::shared_ptr<BatchReply> reply;  // null: nothing is left to ask
    bool again = false;                 // to be asked once more
  };

  void ask(std::size_t at) {
    Slot& slot = slots_[at];
    slot.again = false;
    HttpRequest request;
    request.method = "POST";
    request.path = slot.request["url"].get<std::string>();
    request.body = dumped(slot.request["body"]);
    request.headers = {{"content-type", "application/json"}};
    request.id = slot.request["custom_id"].get<std::string>();
    slot.reply = std::make_shared<BatchReply>(finished_, at);
    route_of(routes_, request.path)->handler(request, slot.reply);
  }
  void fill(std::size_t at) {
    slots_[at].reply = nullptr;
    for (std::string line; lines_.next(line);) {
      slots_[at].request = parse_line(line);
      if (answered_.count(slots_[at].request["custom_id"].get<std::string>()) == 0) return ask(at);
    }
  }

  const Routes& routes_;
  const std::set<std::string>& answered_;
  Lines lines_;
  std::shared_ptr<Finished> finished_ = std::make_shared<Finished>();
  std::vector<Slot> slots_;
  std::chrono::steady_clock::time_point asked_again_ = std::chrono::steady_clock::now();
};

}  // namespace

BatchCounts BatchRunner::run(const std::string& in, const std::string& out,
                             const std::function<Going(const BatchCounts&)>& go_on) const {
  const std::set<std::string> ids = requested_ids(in, routes_);
  const std::set<std::string> answered = answered_ids(out);
  BatchCounts counts;
  counts.all = static_cast<std::int64_t>(ids.size());
  for (const std::string& id : ids) counts.before += static_cast<std::int64_t>(answered.count(id));
  std::ofstream writer(out, std::ios::binary | std::ios::app);
  const auto check = [&] {
    if (!writer) fail(ErrorKind::failure, "cannot write {}: {}", out, std::strerror(errno));
  };
  check();
  Asking asking(routes_, in, answered, in_flight_);
  while (asking.busy()) {
    if (go_on(counts) == Going::stop) {
      asking.leave();
      break;
    }
    writer << asking.next(counts) << std::flush;
    check();
  }
  return counts;
}

}  // namespace nautile::server
