#include "app/generation.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "engine/stop_strings.h"
#include "text/detokenizer.h"

namespace nautile::app {
namespace {

using Clock = std::chrono::steady_clock;
using Go = engine::Session::Go;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Tokens in common, but at least the last one of the prompt is computed: its logits are wanted.
std::size_t shared_prefix(std::span<const TokenId> have, std::span<const TokenId> want) {
  const auto [a, b] = std::mismatch(have.begin(), have.end(), want.begin(), want.end());
  return std::min(static_cast<std::size_t>(b - want.begin()), want.size() - 1);
}

std::string rate_text(std::int64_t tokens, double seconds) {
  if (tokens <= 0 || seconds <= 0) return "";
  const double rate = static_cast<double>(tokens) / seconds;
  return fmt::format(", {:.{}f} tokens/s", rate, rate < 100 ? 1 : 0);
}

}  // namespace

const char* finish_name(Finish finish) {
  switch (finish) {
    case Finish::end:
      return "end";
    case Finish::stop_string:
      return "stop_string";
    case Finish::max_tokens:
      return "max_tokens";
    case Finish::context:
      return "context";
    case Finish::interrupted:
      return "interrupted";
    case Finish::output_closed:
      return "output_closed";
  }
  return "";
}

Generated generate(engine::Session& session, const Tokenizer& tokenizer, std::int32_t vocabulary,
                   const GenerationRequest& request, const GenerationWatch& watch) {
  const Settings& settings = request.settings;
  engine::Sampler sampler(settings.sampling, vocabulary);
  engine::StopStrings stops(settings.stops);
  Detokenizer detokenizer(tokenizer, request.skip);
  const auto tell = [&](const std::string& text) {
    if (!text.empty()) watch.text(text);
  };

  Generated result;
  const std::size_t shared = shared_prefix(session.tokens(), request.prompt);
  result.prompt_tokens = static_cast<std::int64_t>(request.prompt.size());
  result.cached_tokens = static_cast<std::int64_t>(shared);
  auto start = Clock::now();
  session.truncate(result.cached_tokens);
  std::span<const float> logits =
      session.append(request.prompt.subspan(shared), [&](std::int64_t done, std::int64_t all) {
        if (watch.prefill && watch.prefill(done, all) == Go::stop) return Go::stop;
        return done < all ? watch.go() : Go::on;
      });
  result.prompt_seconds = seconds_since(start);
  start = Clock::now();
  result.finish = Finish::interrupted;
  while (!logits.empty() && watch.go() == Go::on) {
    const TokenId token =
        sampler.sample(logits, request.prompt, result.tokens, session.size()).token;
    if (std::binary_search(request.stop_ids.begin(), request.stop_ids.end(), token)) {
      result.finish = Finish::end;
      break;
    }
    result.tokens.push_back(token);
    tell(stops.feed(detokenizer.feed(token)));
    if (stops.stopped()) {
      result.finish = Finish::stop_string;
      break;
    }
    if (settings.max_tokens > 0 &&
        static_cast<std::int64_t>(result.tokens.size()) >= settings.max_tokens) {
      result.finish = Finish::max_tokens;
      break;
    }
    if (session.size() == session.context()) {
      result.finish = Finish::context;
      break;
    }
    logits = session.append(std::span(&token, 1));
  }
  tell(stops.feed(detokenizer.flush()));
  tell(stops.flush());
  if (stops.stopped()) result.finish = Finish::stop_string;
  result.seconds = seconds_since(start);
  return result;
}

std::string speed_text(const Generated& generated, const engine::Session& session) {
  const std::int64_t computed = generated.prompt_tokens - generated.cached_tokens;
  const auto answer = static_cast<std::int64_t>(generated.tokens.size());
  const std::string cached =
      generated.cached_tokens > 0 ? fmt::format(" ({} cached)", generated.cached_tokens) : "";
  return fmt::format("prompt {} tokens{}{}; answer {} tokens{}; context {} of {}",
                     generated.prompt_tokens, cached, rate_text(computed, generated.prompt_seconds),
                     answer, rate_text(answer, generated.seconds), session.size(),
                     session.context());
}

}  // namespace nautile::app
