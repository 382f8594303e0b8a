#include "train/chat_sample.h"

#include <algorithm>
#include <ctime>

#include "base/error.h"

namespace nautile::train {
namespace {

using Json = nlohmann::ordered_json;

// Templates may write the date; data must not depend on the day it is built. 2025-01-01.
constexpr std::time_t kNow = 1735689600;

// Where tags begin and end in a text.
std::vector<ByteRange> tags_in(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<ByteRange> found;
  for (const AddedToken& token : tokenizer.added_tokens()) {
    if (token.special || token.content.empty()) continue;
    for (std::size_t at = text.find(token.content); at != text.npos;
         at = text.find(token.content, at + token.content.size())) {
      found.push_back({at, at + token.content.size()});
    }
  }
  std::sort(found.begin(), found.end(), [](const ByteRange& a, const ByteRange& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end > b.end;
  });
  return found;
}

// The user's ranges without the tags in them.
std::vector<ByteRange> without_tags(const std::vector<ByteRange>& user,
                                    const std::vector<ByteRange>& tags) {
  std::vector<ByteRange> rest;
  for (const ByteRange& range : user) {
    std::size_t begin = range.begin;
    for (const ByteRange& tag : tags) {
      if (tag.begin < begin || tag.end > range.end) continue;
      if (tag.begin > begin) rest.push_back({begin, tag.begin});
      begin = tag.end;
    }
    if (begin < range.end) rest.push_back({begin, range.end});
  }
  return rest;
}

// Bytes [begin, end) of rendered segments.
std::vector<Segment> slice(const std::vector<Segment>& segments, std::size_t begin,
                           std::size_t end) {
  std::vector<Segment> out;
  std::size_t at = 0;
  for (const Segment& segment : segments) {
    const std::size_t from = std::max(begin, at), to = std::min(end, at + segment.text.size());
    if (from < to) out.push_back({segment.text.substr(from - at, to - from), segment.origin});
    at += segment.text.size();
  }
  return out;
}

// One turn of the assistant in the rendering of the conversation up to it.
struct Turn {
  std::vector<Segment> segments;
  std::string text;
  std::size_t begin = 0;  // where the answer begins in it
};

std::vector<Segment> render(const ChatFormat& format, const Json& conversation,
                            std::size_t messages, GenerationPrompt prompt) {
  Conversation part;
  const Json& all = conversation["messages"];
  for (std::size_t i = 0; i < messages; ++i) part.messages.push_back(all[i]);
  if (conversation.contains("tools")) part.tools = conversation["tools"];
  return format.render(part, {.generation_prompt = prompt, .now = kNow}).segments;
}

// The answer begins where the rendering leaves what would have been the prompt for it.
Turn turn_of(const ChatFormat& format, const Json& conversation, std::size_t message) {
  Turn turn;
  turn.segments = render(format, conversation, message + 1, GenerationPrompt::none);
  turn.text = joined(turn.segments);
  const std::string prompt = joined(render(format, conversation, message, GenerationPrompt::add));
  const auto differ =
      std::mismatch(prompt.begin(), prompt.end(), turn.text.begin(), turn.text.end());
  turn.begin = static_cast<std::size_t>(differ.second - turn.text.begin());
  while (turn.begin > 0 && turn.begin < turn.text.size() &&
         (static_cast<unsigned char>(turn.text[turn.begin]) & 0xC0) == 0x80) {
    --turn.begin;  // not in the midst of a character
  }
  return turn;
}

class SampleBuilder {
 public:
  explicit SampleBuilder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void prompt(const std::vector<Segment>& segments) {
    append(tokenizer_.encode(joined(segments), user_ranges(segments)));
  }
  void answer(const std::vector<Segment>& segments) {
    const std::string text = joined(segments);
    const auto ids =
        tokenizer_.encode(text, without_tags(user_ranges(segments), tags_in(tokenizer_, text)));
    // Up to the token that ends the turn: what the format puts after it is not the model's.
    const auto& stops = tokenizer_.stop_ids();
    const auto last = std::find_if(ids.rbegin(), ids.rend(), [&](TokenId id) {
      return std::binary_search(stops.begin(), stops.end(), id);
    });
    const auto begin = static_cast<std::uint32_t>(sample_.tokens.size());
    const std::size_t length =
        last == ids.rend() ? ids.size() : static_cast<std::size_t>(ids.rend() - last);
    append(ids);
    if (length > 0) sample_.runs.push_back({begin, begin + static_cast<std::uint32_t>(length)});
  }
  ChatSample finish() { return std::move(sample_); }

 private:
  void append(const std::vector<TokenId>& ids) {
    sample_.tokens.insert(sample_.tokens.end(), ids.begin(), ids.end());
  }
  const Tokenizer& tokenizer_;
  ChatSample sample_;
};

std::vector<std::size_t> assistant_messages(const Json& conversation) {
  NAUTILE_CHECK(conversation.is_object() && conversation.contains("messages"),
                "a conversation needs a list \"messages\"");
  Conversation checked;
  checked.messages = conversation["messages"];
  if (conversation.contains("tools")) checked.tools = conversation["tools"];
  check_conversation(checked);
  std::vector<std::size_t> turns;
  for (std::size_t i = 0; i < checked.messages.size(); ++i) {
    if (checked.messages[i]["role"] == "assistant") turns.push_back(i);
  }
  NAUTILE_CHECK(!turns.empty(), "no message is of the assistant: there is nothing to learn");
  return turns;
}

}  // namespace

std::vector<ChatSample> encode_chat(const Tokenizer& tokenizer, const ChatFormat& format,
                                    const Json& conversation) {
  std::vector<Turn> turns;
  for (const std::size_t message : assistant_messages(conversation)) {
    turns.push_back(turn_of(format, conversation, message));
  }
  const Turn& whole = turns.back();
  const bool grows = std::all_of(turns.begin(), turns.end(), [&](const Turn& turn) {
    return whole.text.starts_with(turn.text);
  });
  std::vector<ChatSample> samples;
  if (grows) {
    SampleBuilder sample(tokenizer);
    std::size_t at = 0;
    for (const Turn& turn : turns) {
      const std::size_t begin = std::max(at, turn.begin);
      sample.prompt(slice(whole.segments, at, begin));
      sample.answer(slice(whole.segments, begin, turn.text.size()));
      at = turn.text.size();
    }
    samples.push_back(sample.finish());
    return samples;
  }
  for (const Turn& turn : turns) {
    SampleBuilder sample(tokenizer);
    sample.prompt(slice(turn.segments, 0, turn.begin));
    sample.answer(slice(turn.segments, turn.begin, turn.text.size()));
    samples.push_back(sample.finish());
  }
  return samples;
}

std::vector<TokenId> encode_with_tags(const Tokenizer& tokenizer, std::string_view text) {
  return tokenizer.encode(text, without_tags({{0, text.size()}}, tags_in(tokenizer, text)));
}

std::vector<std::uint32_t> token_byte_counts(const Tokenizer& tokenizer) {
  std::vector<std::uint32_t> counts;
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    std::string bytes;
    tokenizer.append_bytes(id, SkipSpecial::yes, bytes);
    counts.push_back(static_cast<std::uint32_t>(bytes.size()));
  }
  return counts;
}

}  // namespace nautile::train
