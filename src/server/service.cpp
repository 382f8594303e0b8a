// service.cpp — from a handler's call to a worker, to a model, to an Answering.
#include "server/service.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/json.h"
#include "base/printable.h"
#include "server/answering.h"

namespace nautile::server {

ApiError model_error(const std::string& name, const Models::Got& got) {
  switch (got.why) {
    case Models::Got::Why::missing:
      return model_missing(name, got.error);
    case Models::Got::Why::ambiguous:
      return field_error(
          "model", "missing_required_parameter",
          fmt::format("model: expected the name of a model, found nothing; {}", got.error));
    case Models::Got::Why::failed:
    case Models::Got::Why::none:
      break;
  }
  return ApiError(
      503, "server_error", "model_not_loaded",
      fmt::format("the model '{}' cannot be loaded: {}", printable(name, 80), got.error));
}

ApiError in_dialect(ApiError error, Dialect dialect) {
  if (dialect == Dialect::deepseek && error.status == 400 && error.value) error.status = 422;
  return error;
}

Headers error_headers(const ApiError& error) {
  if (error.retry_after <= 0) return {};
  return {{"retry-after", fmt::format("{}", static_cast<long>(std::ceil(error.retry_after)))}};
}

Service::Service(Models& models, ApiOptions options, Meter& meter)
    : models_(models),
      options_(std::move(options)),
      meter_(meter),
      grammars_(options_.grammar_bytes),
      workers_(options_.workers, options_.waiting) {}

void Service::refuse(Ticket& ticket, const ApiError& error, const ErrorBody& errors) {
  const ApiError told = in_dialect(error, options_.dialect);
  ticket.coming.reset();
  ticket.record.status = told.status;
  ticket.record.error = told.what();
  ended(ticket);
  ticket.reply->send(told.status, "application/json", errors(told), error_headers(told));
}

void Service::ended(Ticket& ticket) {
  ticket.record.seconds = ticket.seconds();
  meter_.ended(ticket.record);
}

Json Service::read_body(const Ticket& ticket) const {
  JsonLimits limits;
  limits.depth = options_.limits.json_depth;
  limits.values = options_.limits.json_values;
  limits.repeated = RepeatedNames::last;
  try {
    Json body = parse_ordered_json(ticket.body, "the body", limits);
    if (!body.is_object()) {
      throw ApiError(400, "invalid_request_error", "invalid_json",
                     "the body: expected a JSON object");
    }
    return body;
  } catch (const Error& error) {
    throw ApiError(400, "invalid_request_error", "invalid_json", error.what());
  }
}

std::shared_ptr<Ticket> Service::ticket_of(const HttpRequest& request,
                                           std::shared_ptr<HttpReply> reply,
                                           const std::string& route) {
  auto ticket = std::make_shared<Ticket>();
  ticket->reply = std::move(reply);
  ticket->record.route = route;
  ticket->record.id = request.id;
  ticket->record.key = request.key;
  return ticket;
}

// A crowd that no engine has room for hears it at once, before anything of its requests is read. So
// many as fit are let in, and none of them waits for the workers to be told that it came too late.
bool Service::turned_away(Ticket& ticket, const ErrorBody& errors) {
  ticket.coming.emplace(coming_);
  const engine::Admission said = models_.knock(ticket.coming->ahead());
  if (said.kind == engine::Admission::Kind::accepted) return false;
  refuse(ticket,
         said.kind == engine::Admission::Kind::draining ? draining() : overloaded(said.retry_after),
         errors);
  return true;
}

void Service::post(const std::shared_ptr<Ticket>& ticket, const ErrorBody& errors,
                   std::function<void(const std::shared_ptr<Ticket>&)> work) {
  const auto job = [self = shared_from_this(), ticket, errors, work = std::move(work)] {
    try {
      work(ticket);
    } catch (const std::exception& thrown) {
      self->refuse(*ticket, api_error_of(thrown), errors);
    }
  };
  if (workers_.post(job) == Workers::Posted::full) refuse(*ticket, overloaded(1), errors);
}

Handler Service::answers(std::string route, Read read, ErrorBody errors) {
  return
      [weak = weak_from_this(), route = std::move(route), read = std::move(read),
       errors = std::move(errors)](const HttpRequest& request, std::shared_ptr<HttpReply> reply) {
        const auto self = weak.lock();
        if (!self) return;
        const auto taken = self->ticket_of(request, std::move(reply), route);
        if (self->turned_away(*taken, errors)) return;
        taken->body = request.body;
        self->post(taken, errors, [self, read, errors](const std::shared_ptr<Ticket>& ticket) {
          Asked asked = read(self->read_body(*ticket));
          ticket->body = {};
          std::make_shared<Answering>(self, ticket, std::move(asked), errors)->start();
        });
      };
}

Handler Service::tells(std::string route, Tell tell, ErrorBody errors) {
  return
      [weak = weak_from_this(), route = std::move(route), tell = std::move(tell),
       errors = std::move(errors)](const HttpRequest& request, std::shared_ptr<HttpReply> reply) {
        const auto self = weak.lock();
        if (!self) return;
        const auto taken = self->ticket_of(request, std::move(reply), route);
        taken->body = request.body;
        self->post(taken, errors, [self, tell, errors](const std::shared_ptr<Ticket>& ticket) {
          auto body = std::make_shared<const Json>(self->read_body(*ticket));
          const Json* named = member(*body, "model");
          if (named != nullptr) Shape::text(0, 512).check(*named, "model");
          const std::string name = named != nullptr ? named->get<std::string>() : "";
          self->models_.get(name, [=](Models::Got got) {
            self->workers_.post_always([=, got = std::move(got)] {
              try {
                if (!got.model) throw model_error(name, got);
                ticket->record.model = got.model->name;
                const Json told = tell(*body, *got.model);
                ticket->record.status = 200;
                ticket->reply->send(200, "application/json", dumped(told));
                self->ended(*ticket);
              } catch (const std::exception& thrown) {
                self->refuse(*ticket, api_error_of(thrown), errors);
              }
            });
          });
        });
      };
}

Handler Service::shows(std::string route, Show show, ErrorBody errors) {
  return
      [weak = weak_from_this(), route = std::move(route), show = std::move(show),
       errors = std::move(errors)](const HttpRequest& request, std::shared_ptr<HttpReply> reply) {
        const auto self = weak.lock();
        if (!self) return;
        const auto ticket = self->ticket_of(request, std::move(reply), route);
        const std::size_t star = route.find('*');
        try {
          const Json shown = show(star == std::string::npos ? "" : request.path.substr(star));
          ticket->record.status = 200;
          ticket->reply->send(200, "application/json", dumped(shown));
          self->ended(*ticket);
        } catch (const std::exception& thrown) {
          self->refuse(*ticket, api_error_of(thrown), errors);
        }
      };
}

void Service::add(const std::shared_ptr<Answering>& answering) {
  const std::lock_guard lock(mutex_);
  std::erase_if(begun_, [](const auto& weak) { return weak.expired(); });
  begun_.push_back(answering);
}

void Service::cancel_all() {
  std::vector<std::weak_ptr<Answering>> begun;
  {
    const std::lock_guard lock(mutex_);
    begun.swap(begun_);
  }
  for (const auto& weak : begun) {
    if (const auto answering = weak.lock()) answering->cancel();
  }
}

}  // namespace nautile::server
