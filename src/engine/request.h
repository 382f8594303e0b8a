// request.h — Request and Event: what an engine is asked, and what it says while it answers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/sampler.h"
#include "text/grammar.h"
#include "text/tokenizer.h"

namespace nautile::engine {

// Ends a reasoning that has taken its share: after `tokens` tokens, unless `close` has been said,
// the tokens of `close` are said instead of what was drawn.
struct ReasoningBudget {
  std::int64_t tokens = 0;
  std::vector<TokenId> close;  // of "</think>"; not empty
};

enum class Task : std::uint8_t { generate, embed };
enum class EndToken : std::uint8_t { ends, ignored };  // ignored: `ignore_eos`
enum class Special : std::uint8_t { hidden, shown };   // special tokens in the text

// A prompt and how to go on from it. Plain data; the engine checks none of it but sizes.
struct Request {
  Task task = Task::generate;
  std::vector<TokenId> prompt;  // [n], n >= 1
  int choices = 1;              // answers to the one prompt; choice i draws with seed + i
  SamplingParams sampling;
  std::int64_t max_tokens = 0;     // of a choice; 0: what the context leaves, but the prompt alone
                                   // if prompt_logprobs asks for no more
  std::int64_t min_tokens = 0;     // neither end token nor stop string before
  std::vector<std::string> stops;  // as StopStrings
  std::vector<TokenId> stop_ids;   // beside the tokenizer's own
  EndToken end_token = EndToken::ends;
  Special special = Special::hidden;
  int top_logprobs = -1;          // alternatives told with each token, 0 to 20; -1: no logprobs
  int prompt_logprobs = -1;       // the same of the prompt's tokens (`echo`); such a prompt is
                                  // computed whole
  bool generate_nothing = false;  // the prompt's logprobs are all that is wanted
  std::shared_ptr<const CompiledGrammar> grammar;  // null: free text
  std::optional<ReasoningBudget> reasoning;
  int priority = 0;  // the higher is admitted first, and preempted last
  std::string user;  // fair share is between users; cached prefixes are not shared between them
};

// A token and how probable it was in the model's own distribution.
struct TokenLogprob {
  TokenId token = 0;
  float logprob = 0;  // nats
  struct Alternative {
    TokenId token = 0;
    float logprob = 0;
  };
  std::vector<Alternative> top;  // descending; empty if none were asked for
};

enum class Finish : std::uint8_t {
  none,     // it goes on
  end,      // an end token
  stop,     // a stop string or stop id
  length,   // max_tokens
  context,  // no room for one more token
  cancelled,
  failed,  // Event::error says why
};

struct Usage {
  std::int64_t prompt_tokens = 0;
  std::int64_t cached_tokens = 0;      // of the prompt: taken from the cache
  std::int64_t completion_tokens = 0;  // of this choice, the end token included
  double queued_seconds = 0, prefill_seconds = 0, decode_seconds = 0;
};

// Events of one request come in order, from one thread at a time: `started` once, any number of
// `piece`s of any choice, one `finished` for each choice, or one `failed` for all at any time.
struct Event {
  enum class Kind : std::uint8_t { started, piece, finished, failed } kind = Kind::piece;
  int choice = 0;
  // Whole characters; the texts of a choice joined are its answer. Never a part of a stop string.
  std::string text;
  // Tokens of this choice whose text begins to be let out here. Tokens that a stop string swallowed
  // whole, and end tokens, are counted and not told.
  std::vector<TokenLogprob> tokens;
  std::vector<TokenLogprob> prompt;  // `started`, if asked for: [n], the first with logprob NaN
  std::vector<float> embedding;      // `finished` of Task::embed: [D]
  Finish finish = Finish::none;
  std::string stop;   // the stop string that ended it
  Usage usage;        // `started`: of the prompt; `finished`: all
  std::string error;  // `failed`: for the user to read
  // `failed`: unsupported if the request asked for what cannot be done.
  ErrorKind error_kind = ErrorKind::failure;
};

}  // namespace nautile::engine
