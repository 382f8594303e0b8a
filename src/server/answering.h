// answering.h — Answering: one request from its call to the end of its answer.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "server/choice_reader.h"
#include "server/prepare.h"
#include "server/service.h"

namespace nautile::server {

// Kept alive by whoever will next call it: a model that is being loaded, a worker, an engine. Safe
// for concurrent use.
class Answering : public std::enable_shared_from_this<Answering> {
 public:
  Answering(std::shared_ptr<Service> service, std::shared_ptr<Ticket> ticket, Asked asked,
            ErrorBody errors);

  void start();
  // Asks the engine to end what runs.
  void cancel();

 private:
  enum class State : std::uint8_t {
    preparing,  // no answer has begun; events wait in backlog_
    open,
    ended,
  };
  struct Early {
    std::size_t prompt;
    engine::Event event;
  };

  void prepare_and_submit(const Models::Got& got);
  void submit_all(Prepared prepared);
  void refuse(const std::exception& thrown);
  void open();
  Headers headers() const;

  // An event of the prompt's request, from the engine's thread.
  void take(std::size_t prompt, const engine::Event& event);
  void take_open(std::size_t prompt, const engine::Event& event);
  void started(std::size_t prompt, const engine::Event& event);
  void finished(std::size_t choice, const engine::Event& event);
  void tell(Delta delta);
  void write(std::string_view bytes);
  void fail(const ApiError& error);
  void complete();
  void end(std::string bytes);
  void cancel_soon();

  std::shared_ptr<Service> service_;
  std::shared_ptr<Ticket> ticket_;
  Call call_;
  std::unique_ptr<Manner> manner_;
  ErrorBody errors_;

  std::mutex mutex_;  // of all below
  State state_ = State::preparing;
  bool gone_ = false;       // the client
  bool in_pieces_ = false;  // the reply has begun
  std::shared_ptr<const ServedModel> model_;
  std::vector<engine::RequestId> ids_;
  std::vector<Early> backlog_;
  std::vector<ChoiceReader> readers_;
  std::vector<std::string> echoes_;
  std::string parameters_;
  std::size_t unfinished_ = 0;  // choices
  Answer answer_;
};

}  // namespace nautile::server
