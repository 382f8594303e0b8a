// chat_encode.h — from a rendered prompt to token ids.
#pragma once

#include <vector>

#include "text/chat_segment.h"
#include "text/tokenizer.h"

namespace nautile {

// The ids of a rendered prompt. BOS is part of its text, so none is added. Equal to
// encode(joined(segments), EncodeMode::parse_added) if no user text looks like a control token;
// otherwise no byte of user text takes part in one. Merges cross the borders of segments, as they
// do in the text the model was trained on.
inline std::vector<TokenId> encode_segments(const Tokenizer& tokenizer,
                                            const std::vector<Segment>& segments) {
  return tokenizer.encode(joined(segments), user_ranges(segments));
}

}  // namespace nautile
