// tokenizer.cpp — the way of a text: added tokens, normal form, pieces, byte-pair encoding.
#include "text/tokenizer.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "text/detokenizer.h"
#include "text/tokenizer_parts.h"
#include "text/unicode.h"

namespace nautile {
namespace {

// End of text or turn in the releases that nautile knows; resolved by string (ids move).
constexpr std::array<std::string_view, 10> kStopStrings = {
    "<｜end▁of▁sentence｜>",
    "<｜User｜>",
    "<|EOT|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end_of_text|>",
    "[EOS]",
    "[EOT]",
};

class BpeSink : public PieceSink {
 public:
  BpeSink(const Bpe& bpe, PieceCache& cache, std::vector<TokenId>& out)
      : bpe_(bpe), cache_(cache), out_(out) {}
  void piece(std::string_view text) override { bpe_.encode(text, cache_, out_); }

 private:
  const Bpe& bpe_;
  PieceCache& cache_;
  std::vector<TokenId>& out_;
};

}  // namespace

struct Tokenizer::Impl {
  enum : std::uint8_t { kAdded = 1, kSpecial = 2 };

  std::unique_ptr<const BpeVocab> vocab;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::unique_ptr<const Bpe> bpe;
  std::unique_ptr<const Bpe> plain_bpe;  // null if bpe itself can make no added token
  std::vector<AddedToken> added;
  std::vector<std::string> added_bytes;  // [added] what each contributes to decoded text
  std::unordered_map<std::string, TokenId> added_ids;
  AddedTokenSet raw_set, normalized_set;
  std::vector<std::uint8_t> flags;        // [vocab_size]
  std::vector<std::int32_t> added_index;  // [vocab_size] into added, or -1
  std::vector<TokenId> prefix, suffix, stops;
  std::optional<TokenId> bos, eos, pad;
  bool wants_bos = false;

  explicit Impl(TokenizerParts&& parts);
  void adopt_added(const std::vector<AddedToken>& tokens);
  void build_bpe(const TokenizerParts& parts);
  void find_stops(const TokenizerParts& parts);
  bool has_flag(TokenId id, std::uint8_t flag) const {
    return id >= 0 && static_cast<std::size_t>(id) < flags.size() &&
           (flags[static_cast<std::size_t>(id)] & flag);
  }
  void check_id(std::optional<TokenId> id, std::string_view what) const;
  void encode_plain(std::string_view text, PieceCache& cache, std::vector<TokenId>& out) const;
  void encode_added(std::string_view text, PieceCache& cache, std::vector<TokenId>& out) const;
  void encode_guarded(std::string_view text, std::span<const ByteRange> user,
                      std::vector<TokenId>& out) const;
};

Tokenizer::Impl::Impl(TokenizerParts&& parts)
    : vocab(std::move(parts.vocab)),
      normalizer(std::move(parts.normalizer)),
      pre_tokenizer(std::move(parts.pre_tokenizer)),
      prefix(std::move(parts.prefix)),
      suffix(std::move(parts.suffix)),
      bos(parts.bos),
      eos(parts.eos),
      pad(parts.pad),
      wants_bos(parts.wants_bos) {
  adopt_added(parts.added);
  build_bpe(parts);
  check_id(bos, "bos");
  check_id(eos, "eos");
  check_id(pad, "pad");
  for (const TokenId id : prefix) check_id(id, "post-processor");
  for (const TokenId id : suffix) check_id(id, "post-processor");
  find_stops(parts);
}

void Tokenizer::Impl::check_id(std::optional<TokenId> id, std::string_view what) const {
  NAUTILE_CHECK(!id || vocab->has(*id) || has_flag(*id, kAdded),
                "the {} token has id {}, which names no token of the {} there are", what, *id,
                flags.size());
}

void Tokenizer::Impl::adopt_added(const std::vector<AddedToken>& tokens) {
  std::size_t size = static_cast<std::size_t>(vocab->size());
  const std::size_t limit = 1048576 + 4 * (size + tokens.size());
  for (const AddedToken& t : tokens) {
    NAUTILE_CHECK(t.id >= 0 && static_cast<std::size_t>(t.id) < limit,
                  "added token \"{}\" has id {}, expected 0 to {}", brief(t.content), t.id,
                  limit - 1);
    size = std::max(size, static_cast<std::size_t>(t.id) + 1);
  }
  flags.assign(size, 0);
  added_index.assign(size, -1);
  for (const AddedToken& t : tokens) {
    if (t.content.empty()) continue;
    const auto id = static_cast<std::size_t>(t.id);
    NAUTILE_CHECK(added_index[id] < 0, "id {} is given to two added tokens, \"{}\" and \"{}\"",
                  t.id, brief(added[static_cast<std::size_t>(added_index[id])].content),
                  brief(t.content));
    NAUTILE_CHECK(added_ids.emplace(t.content, t.id).second, "added token \"{}\" is listed twice",
                  brief(t.content));
    added_index[id] = static_cast<std::int32_t>(added.size());
    flags[id] = static_cast<std::uint8_t>(kAdded | (t.special ? kSpecial : 0));
    added.push_back(t);
    AddedToken searched = t;
    std::string storage;
    if (t.normalized) searched.content = std::string(normalizer.normalize(t.content, storage));
    (t.normalized ? normalized_set : raw_set).add(searched);
    // The library's decoder reads an added token as alphabet characters too, where all are.
    std::string bytes;
    added_bytes.push_back(alphabet_to_bytes(searched.content, bytes) ? bytes : searched.content);
  }
}

// A second encoder, without the merges that end in an added token, if there are any.
void Tokenizer::Impl::build_bpe(const TokenizerParts& parts) {
  bpe =
      std::make_unique<Bpe>(*vocab, parts.merges, parts.whole, parts.unknown, std::vector<bool>{});
  std::vector<bool> forbidden(flags.size(), false);
  for (const AddedToken& t : added) forbidden[static_cast<std::size_t>(t.id)] = true;
  for (const TokenId id : parts.reserved) forbidden[static_cast<std::size_t>(id)] = true;
  bool reachable = parts.unknown.id != kNoToken && has_flag(parts.unknown.id, kAdded);
  for (std::size_t id = 0; id < forbidden.size(); ++id) {
    const auto token = static_cast<TokenId>(id);
    if (!forbidden[id] || !vocab->has(token) || !vocab->is_byte_form(token)) continue;
    const bool in_model = vocab->find_bytes(vocab->bytes(token)) == token;
    NAUTILE_CHECK(
        !in_model || vocab->bytes(token).size() != 1 || !has_flag(token, kSpecial),
        "special token {} is the only one for the byte 0x{:02x}: no text could contain it", token,
        static_cast<unsigned char>(vocab->bytes(token)[0]));
    reachable = reachable || in_model;
  }
  for (const BpeMerge& m : parts.merges) {
    reachable = reachable || forbidden[static_cast<std::size_t>(m.product)];
  }
  if (!reachable) return;
  UnknownRule unknown = parts.unknown;
  if (has_flag(unknown.id, kAdded)) unknown.id = kNoToken;
  plain_bpe = std::make_unique<Bpe>(*vocab, parts.merges, parts.whole, unknown, forbidden);
}

void Tokenizer::Impl::find_stops(const TokenizerParts& parts) {
  stops = parts.stops;
  if (eos) stops.push_back(*eos);
  for (const std::string_view text : kStopStrings) {
    const auto it = added_ids.find(std::string(text));
    if (it != added_ids.end()) stops.push_back(it->second);
  }
  for (const TokenId id : stops) check_id(id, "end-of-text");
  std::sort(stops.begin(), stops.end());
  stops.erase(std::unique(stops.begin(), stops.end()), stops.end());
}

void Tokenizer::Impl::encode_plain(std::string_view text, PieceCache& cache,
                                   std::vector<TokenId>& out) const {
  std::string storage;
  BpeSink sink(plain_bpe ? *plain_bpe : *bpe, cache, out);
  pre_tokenizer.split(normalizer.normalize(text, storage), sink);
}

// Tokens searched in the raw text first; each stretch between them is normalized, searched for the
// other tokens, and encoded.
void Tokenizer::Impl::encode_added(std::string_view text, PieceCache& cache,
                                   std::vector<TokenId>& out) const {
  BpeSink sink(*bpe, cache, out);
  std::string storage;
  for (const AddedTokenSet::Part& part : raw_set.split(text)) {
    if (part.id != kNoToken) {
      out.push_back(part.id);
      continue;
    }
    const std::string_view normal = normalizer.normalize(part.text, storage);
    for (const AddedTokenSet::Part& inner : normalized_set.split(normal)) {
      if (inner.id != kNoToken) {
        out.push_back(inner.id);
      } else {
        pre_tokenizer.split(inner.text, sink);
      }
    }
  }
}

namespace {

// The ranges that overlap [begin, begin + size), counted from begin.
std::vector<ByteRange> ranges_within(std::span<const ByteRange> ranges, std::size_t begin,
                                     std::size_t size) {
  std::vector<ByteRange> result;
  auto range = std::upper_bound(ranges.begin(), ranges.end(), begin,
                                [](std::size_t at, const ByteRange& r) { return at < r.end; });
  for (; range != ranges.end() && range->begin < begin + size; ++range) {
    result.push_back({std::max(range->begin, begin) - begin, std::min(range->end - begin, size)});
  }
  return result;
}

// Where the users' bytes of a text are in its normal form. If that is not the normal forms of the
// runs one after the other (characters compose over a border), all of it counts as theirs.
std::vector<ByteRange> normalized_ranges(const Normalizer& normalizer, std::string_view text,
                                         std::string_view normal,
                                         const std::vector<ByteRange>& user) {
  if (user.empty() || text == normal) return user;
  std::vector<ByteRange> result;
  std::string runs, storage;
  std::size_t at = 0;
  for (const ByteRange& range : user) {
    runs += normalizer.normalize(text.substr(at, range.begin - at), storage);
    const std::size_t begin = runs.size();
    runs += normalizer.normalize(text.substr(range.begin, range.end - range.begin), storage);
    result.push_back({begin, runs.size()});
    at = range.end;
  }
  runs += normalizer.normalize(text.substr(at), storage);
  if (runs != normal) return {{0, normal.size()}};
  return result;
}

}  // namespace

// As encode_added, but no token is searched in users' bytes, and stretches with any of them go
// through the encoder that cannot make added tokens by merging.
void Tokenizer::Impl::encode_guarded(std::string_view text, std::span<const ByteRange> user,
                                     std::vector<TokenId>& out) const {
  PieceCache cache(text.size());
  PieceCache plain_cache(plain_bpe ? text.size() : 0);
  BpeSink sink(*bpe, cache, out);
  BpeSink plain_sink(plain_bpe ? *plain_bpe : *bpe, plain_bpe ? plain_cache : cache, out);
  std::string storage;
  for (const AddedTokenSet::Part& part : raw_set.split(text, user)) {
    if (part.id != kNoToken) {
      out.push_back(part.id);
      continue;
    }
    const auto begin = static_cast<std::size_t>(part.text.data() - text.data());
    const std::string_view normal = normalizer.normalize(part.text, storage);
    const std::vector<ByteRange> ranges = normalized_ranges(
        normalizer, part.text, normal, ranges_within(user, begin, part.text.size()));
    for (const AddedTokenSet::Part& inner : normalized_set.split(normal, ranges)) {
      if (inner.id != kNoToken) {
        out.push_back(inner.id);
        continue;
      }
      const auto at = static_cast<std::size_t>(inner.text.data() - normal.data());
      const bool mixed = !ranges_within(ranges, at, inner.text.size()).empty();
      pre_tokenizer.split(inner.text, mixed ? plain_sink : sink);
    }
  }
}

Tokenizer::Tokenizer(TokenizerParts&& parts) : impl_(std::make_unique<Impl>(std::move(parts))) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

std::vector<TokenId> Tokenizer::encode(std::string_view text, EncodeMode mode,
                                       AddSpecial special) const {
  std::string repaired;
  if (valid_utf8_prefix(text) != text.size()) {
    repaired = replace_invalid_utf8(text);
    text = repaired;
  }
  std::vector<TokenId> out;
  out.reserve(text.size() / 4 + 8);
  if (special == AddSpecial::yes) out = impl_->prefix;
  PieceCache cache(text.size());
  if (mode == EncodeMode::plain) {
    impl_->encode_plain(text, cache, out);
  } else {
    impl_->encode_added(text, cache, out);
  }
  if (special == AddSpecial::yes) {
    out.insert(out.end(), impl_->suffix.begin(), impl_->suffix.end());
  }
  return out;
}

std::vector<TokenId> Tokenizer::encode(std::string_view text,
                                       std::span<const ByteRange> user) const {
  const std::size_t valid = valid_utf8_prefix(text);
  NAUTILE_CHECK(valid == text.size(), "rendered text is not UTF-8 at byte {}", valid);
  std::vector<TokenId> out;
  out.reserve(text.size() / 4 + 8);
  impl_->encode_guarded(text, user, out);
  return out;
}

std::string Tokenizer::decode(std::span<const TokenId> ids, SkipSpecial skip) const {
  std::string bytes;
  for (const TokenId id : ids) append_bytes(id, skip, bytes);
  return valid_utf8_prefix(bytes) == bytes.size() ? bytes : replace_invalid_utf8(bytes);
}

void Tokenizer::append_bytes(TokenId id, SkipSpecial skip, std::string& out) const {
  if (skip == SkipSpecial::yes && is_special(id)) return;
  if (impl_->has_flag(id, Impl::kAdded)) {
    const std::int32_t index = impl_->added_index[static_cast<std::size_t>(id)];
    out += impl_->added_bytes[static_cast<std::size_t>(index)];
  } else if (impl_->vocab->has(id)) {
    out += impl_->vocab->bytes(id);
  }
}

std::optional<TokenId> Tokenizer::id_of(std::string_view text) const {
  const auto it = impl_->added_ids.find(std::string(text));
  if (it != impl_->added_ids.end()) return it->second;
  const TokenId id = impl_->vocab->find_text(text);
  return id == kNoToken ? std::nullopt : std::optional(id);
}

std::string Tokenizer::token(TokenId id) const {
  if (impl_->has_flag(id, Impl::kAdded)) {
    const std::int32_t index = impl_->added_index[static_cast<std::size_t>(id)];
    return impl_->added[static_cast<std::size_t>(index)].content;
  }
  return impl_->vocab->has(id) ? impl_->vocab->text(id) : std::string();
}

std::int32_t Tokenizer::vocab_size() const {
  return static_cast<std::int32_t>(impl_->flags.size());
}
std::optional<TokenId> Tokenizer::bos() const {
  return impl_->bos;
}
std::optional<TokenId> Tokenizer::eos() const {
  return impl_->eos;
}
std::optional<TokenId> Tokenizer::pad() const {
  return impl_->pad;
}
bool Tokenizer::wants_bos() const {
  return impl_->wants_bos;
}
const std::vector<TokenId>& Tokenizer::stop_ids() const {
  return impl_->stops;
}
bool Tokenizer::is_special(TokenId id) const {
  return impl_->has_flag(id, Impl::kSpecial);
}
bool Tokenizer::is_added(TokenId id) const {
  return impl_->has_flag(id, Impl::kAdded);
}
const std::vector<AddedToken>& Tokenizer::added_tokens() const {
  return impl_->added;
}

}  // namespace nautile
