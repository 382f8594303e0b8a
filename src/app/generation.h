// generation.h — one answer: from prompt tokens to text, token by token, until something ends it.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "app/settings.h"
#include "engine/session.h"
#include "text/tokenizer.h"

namespace nautile::app {

enum class Finish : std::uint8_t {
  end,
  stop_string,
  max_tokens,
  context,
  interrupted,
  output_closed,  // its reader has gone; the callers of generate() tell
};
// "end", "stop_string", …: what --json says.
const char* finish_name(Finish finish);

struct Generated {
  Finish finish = Finish::end;
  std::vector<TokenId> tokens;     // without the token that ended it
  std::int64_t prompt_tokens = 0;  // whole prompt
  std::int64_t cached_tokens = 0;  // of it, what the session had computed before
  double prompt_seconds = 0;       // until the first token is drawn
  double seconds = 0;              // from there to the end
};

// What a caller is told while it goes on.
struct GenerationWatch {
  std::function<void(const std::string& text)> text;  // whole characters; never a stop string
  std::function<engine::Session::Go()> go;            // asked before each step
  engine::Session::Progress prefill;                  // may be empty
};

struct GenerationRequest {
  std::span<const TokenId> prompt;  // at least one token
  const Settings& settings;
  const std::vector<TokenId>& stop_ids;
  SkipSpecial skip = SkipSpecial::yes;
};

// Brings the session to `prompt` (keeps the common prefix, computes the rest) and generates. The
// session ends with the prompt and the tokens generated but perhaps the last. Throws Error(usage)
// if the prompt does not fit the context.
Generated generate(engine::Session& session, const Tokenizer& tokenizer, std::int32_t vocabulary,
                   const GenerationRequest& request, const GenerationWatch& watch);

// "prompt 31 tokens (12 cached), 512 tokens/s; answer 87 tokens, 74.2 tokens/s; context 118 of
// 8192".
std::string speed_text(const Generated& generated, const engine::Session& session);

}  // namespace nautile::app
