// service.h — Service: what all handlers share, and how a request comes to its answer.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/call.h"
#include "server/manner.h"
#include "server/routes.h"
#include "server/workers.h"

namespace nautile::server {

// What a body asks for, and how the answer is to be worded.
struct Asked {
  Call call;
  std::unique_ptr<Manner> manner;
};

// A request that was let in and has not reached its engine; counted while it lives.
class Coming {
 public:
  using Count = std::atomic<std::int64_t>;

  explicit Coming(std::shared_ptr<Count> count)
      : count_(std::move(count)), ahead_(count_->fetch_add(1)) {}
  ~Coming() { --*count_; }
  Coming(const Coming&) = delete;
  Coming& operator=(const Coming&) = delete;

  std::int64_t ahead() const { return ahead_; }  // that came before and were still on their way

 private:
  const std::shared_ptr<Count> count_;
  const std::int64_t ahead_;
};

// A request on its way: says once what became of it.
struct Ticket {
  using Clock = std::chrono::steady_clock;

  std::shared_ptr<HttpReply> reply;
  std::optional<Coming> coming;  // of what needs an engine, until it is submitted or refused
  std::string body;
  Clock::time_point came = Clock::now();
  RequestRecord record;

  double seconds() const { return std::chrono::duration<double>(Clock::now() - came).count(); }
};

// How one family of endpoints words errors.
using ErrorBody = std::function<std::string(const ApiError&)>;

class Answering;

class Service : public std::enable_shared_from_this<Service> {
 public:
  // The models and the meter must outlive it and all that its handlers have begun.
  Service(Models& models, ApiOptions options, Meter& meter);

  // A handler for one route, worded by `errors`: reads the body on a worker, gets the model,
  // prepares, submits, and tells the answer as it comes.
  using Read = std::function<Asked(const Json& body)>;
  Handler answers(std::string route, Read read, ErrorBody errors);
  // The same for what needs a model but no engine; `model_of` is the body's field "model".
  using Tell = std::function<Json(const Json& body, const ServedModel& model)>;
  Handler tells(std::string route, Tell tell, ErrorBody errors);
  // What needs neither body nor model, at once. `path` is behind the route's star.
  using Show = std::function<Json(const std::string& path)>;
  Handler shows(std::string route, Show show, ErrorBody errors);

  Models& models() { return models_; }
  const ApiOptions& options() const { return options_; }
  GrammarCache& grammars() { return grammars_; }
  Workers& workers() { return workers_; }

  // Sends an error and ends the ticket.
  void refuse(Ticket& ticket, const ApiError& error, const ErrorBody& errors);
  // Tells the meter: before the last bytes go, so that whoever has read them finds it told.
  void ended(Ticket& ticket);

  // Answers that have begun and not ended.
  void add(const std::shared_ptr<Answering>& answering);
  void cancel_all();
  void stop() { workers_.stop(); }

 private:
  Json read_body(const Ticket& ticket) const;
  std::shared_ptr<Ticket> ticket_of(const HttpRequest& request, std::shared_ptr<HttpReply> reply,
                                    const std::string& route);
  void post(const std::shared_ptr<Ticket>& ticket, const ErrorBody& errors,
            std::function<void(const std::shared_ptr<Ticket>&)> work);
  bool turned_away(Ticket& ticket, const ErrorBody& errors);

  Models& models_;
  ApiOptions options_;
  Meter& meter_;
  GrammarCache grammars_;
  const std::shared_ptr<Coming::Count> coming_ = std::make_shared<Coming::Count>(0);
  std::mutex mutex_;
  std::vector<std::weak_ptr<Answering>> begun_;
  Workers workers_;
};

// Why Models gave none, as an error.
ApiError model_error(const std::string& name, const Models::Got& got);
// What DeepSeek calls an invalid parameter is 422 there.
ApiError in_dialect(ApiError error, Dialect dialect);
// "3" for Retry-After, and what else goes with an error.
Headers error_headers(const ApiError& error);

}  // namespace nautile::server
