// bpe.cpp — the merge loop: a linear search for short pieces, a heap for long ones.
#include "text/bpe.h"

#include <algorithm>
#include <cstring>
#include <queue>

#include "base/error.h"

namespace nautile {
namespace {

constexpr std::uint64_t kEmptyKey = ~std::uint64_t{0};

std::uint64_t pair_key(TokenId left, TokenId right) {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
}

std::size_t pair_slot(std::uint64_t key) {
  key *= 0x9E3779B97F4A7C15u;
  return static_cast<std::size_t>(key ^ key >> 29);
}

}  // namespace

PieceCache::PieceCache(std::size_t text_bytes) {
  if (text_bytes < 4096) return;
  std::size_t count = 256;
  while (count < 32768 && count * 16 < text_bytes) count *= 2;
  entries_.resize(count);
  mask_ = count - 1;
}

bool PieceCache::find(std::string_view piece, std::uint64_t hash, std::vector<TokenId>& out) const {
  if (entries_.empty() || piece.size() > kKey) return false;
  const Entry& e = entries_[hash >> 20 & mask_];
  if (e.hash != hash || e.size != piece.size()) return false;
  if (std::memcmp(e.key.data(), piece.data(), piece.size()) != 0) return false;
  out.insert(out.end(), e.ids.begin(), e.ids.begin() + e.count);
  return true;
}

void PieceCache::store(std::string_view piece, std::uint64_t hash, const TokenId* ids,
                       std::size_t count) {
  if (entries_.empty() || piece.size() > kKey || count > kIds) return;
  Entry& e = entries_[hash >> 20 & mask_];
  e.hash = hash;
  e.size = static_cast<std::uint8_t>(piece.size());
  e.count = static_cast<std::uint8_t>(count);
  std::memcpy(e.key.data(), piece.data(), piece.size());
  std::copy(ids, ids + count, e.ids.begin());
}

Bpe::Bpe(const BpeVocab& vocab, const std::vector<BpeMerge>& merges, WholePiece whole,
         UnknownRule unknown, const std::vector<bool>& forbidden)
    : vocab_(vocab), whole_(whole), unknown_(unknown), forbidden_(forbidden) {
  for (std::size_t b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    byte_token_[b] = vocab_.find_bytes({&byte, 1});
  }
  std::uint32_t ranks = 0;
  for (const BpeMerge& m : merges) ranks = std::max(ranks, m.rank + 1);
  product_.assign(ranks, kNoToken);
  std::size_t slots = 1024;
  while (slots * 5 < merges.size() * 8) slots *= 2;
  pair_keys_.assign(slots, kEmptyKey);
  pair_ranks_.assign(slots, kNoRank);
  pair_mask_ = slots - 1;
  for (const BpeMerge& m : merges) {
    if (!this->forbidden(m.product)) insert(m);
  }
  fill_byte_pairs();
  const auto count = static_cast<std::size_t>(vocab_.size());
  self_ = std::make_unique<std::atomic<std::uint8_t>[]>(count);
}

// A pair listed twice takes its last rank, as in the `tokenizers` library.
void Bpe::insert(const BpeMerge& merge) {
  const std::uint64_t key = pair_key(merge.left, merge.right);
  std::size_t slot = pair_slot(key) & pair_mask_;
  while (pair_keys_[slot] != kEmptyKey && pair_keys_[slot] != key) slot = (slot + 1) & pair_mask_;
  pair_keys_[slot] = key;
  pair_ranks_[slot] = merge.rank;
  product_[merge.rank] = merge.product;
}

std::uint32_t Bpe::pair_rank(TokenId left, TokenId right) const {
  const std::uint64_t key = pair_key(left, right);
  for (std::size_t slot = pair_slot(key) & pair_mask_;; slot = (slot + 1) & pair_mask_) {
    if (pair_keys_[slot] == key) return pair_ranks_[slot];
    if (pair_keys_[slot] == kEmptyKey) return kNoRank;
  }
}

// Half of all look-ups are for pairs of single bytes; a 256 KiB table answers them.
void Bpe::fill_byte_pairs() {
  byte_pairs_.assign(65536, kNoRank);
  for (std::size_t i = 0; i < 65536; ++i) {
    const TokenId left = byte_token_[i >> 8], right = byte_token_[i & 255];
    if (left != kNoToken && right != kNoToken) byte_pairs_[i] = pair_rank(left, right);
  }
}

// True if the token of these bytes is what encoding them gives. Threads may race to the same
// answer.
bool Bpe::is_whole(std::string_view piece, TokenId id) const {
  if (forbidden(id)) return piece.size() == 1;  // a single byte has no other spelling
  if (whole_ == WholePiece::always) return true;
  std::atomic<std::uint8_t>& memo = self_[static_cast<std::size_t>(id)];
  std::uint8_t state = memo.load(std::memory_order_relaxed);
  if (state == 0) {
    std::vector<TokenId> ids;
    merge(piece, ids);
    state = ids.size() == 1 && ids[0] == id ? 1 : 2;
    memo.store(state, std::memory_order_relaxed);
  }
  return state == 1;
}

void Bpe::encode(std::string_view piece, PieceCache& cache, std::vector<TokenId>& out) const {
  const std::uint64_t hash =
      piece.size() <= 256 ? hash_bytes(piece.data(), piece.size()) : 0;  // long ones are not cached
  if (piece.size() <= 256 && piece.size() <= vocab_.longest()) {
    const TokenId id = vocab_.find_bytes(piece, hash);
    if (id != kNoToken && is_whole(piece, id)) {
      out.push_back(id);
      return;
    }
  } else if (whole_ == WholePiece::always && piece.size() <= vocab_.longest()) {
    const TokenId id = vocab_.find_bytes(piece);
    if (id != kNoToken && !forbidden(id)) {
      out.push_back(id);
      return;
    }
  }
  if (cache.find(piece, hash, out)) return;
  const std::size_t before = out.size();
  merge(piece, out);
  cache.store(piece, hash, out.data() + before, out.size() - before);
}

void Bpe::merge(std::string_view piece, std::vector<TokenId>& out) const {
  if (piece.size() <= kShort) {
    merge_short(piece, out);
  } else {
    merge_long(piece, out);
  }
}

void Bpe::merge_short(std::string_view piece, std::vector<TokenId>& out) const {
  TokenId ids[kShort];
  std::uint32_t ranks[kShort];  // of the pair (i, i + 1)
  std::size_t n = piece.size();
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(piece[i]); };
  for (std::size_t i = 0; i < n; ++i) {
    ids[i] = byte_token_[byte(i)];
    ranks[i] = i + 1 < n ? byte_pairs_[std::size_t{byte(i)} << 8 | byte(i + 1)] : kNoRank;
  }
  while (n > 1) {
    const std::uint32_t* best = std::min_element(ranks, ranks + n - 1);
    if (*best == kNoRank) break;
    const auto i = static_cast<std::size_t>(best - ranks);
    ids[i] = product_[*best];
    std::copy(ids + i + 2, ids + n, ids + i + 1);
    std::copy(ranks + i + 2, ranks + n, ranks + i + 1);
    --n;
    ranks[i] = i + 1 < n ? pair_rank(ids[i], ids[i + 1]) : kNoRank;
    if (i > 0) ranks[i - 1] = pair_rank(ids[i - 1], ids[i]);
  }
  append(ids, n, out);
}

void Bpe::merge_long(std::string_view piece, std::vector<TokenId>& out) const {
  NAUTILE_CHECK(piece.size() < 0x7FFFFFFF, "a single piece of {} bytes is too long to encode",
                piece.size());
  const std::size_t n = piece.size();
  const auto none = static_cast<std::uint32_t>(n);
  std::vector<TokenId> ids(n);
  std::vector<std::uint32_t> ranks(n, kNoRank), next(n), prev(n);
  // Smallest rank first, then the leftmost: rank << 32 | position.
  std::vector<std::uint64_t> initial;
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t byte = static_cast<unsigned char>(piece[i]);
    ids[i] = byte_token_[byte];
    next[i] = static_cast<std::uint32_t>(i + 1);
    prev[i] = static_cast<std::uint32_t>(i == 0 ? n : i - 1);
    if (i + 1 < n) ranks[i] = byte_pairs_[byte << 8 | static_cast<unsigned char>(piece[i + 1])];
    if (ranks[i] != kNoRank) initial.push_back(std::uint64_t{ranks[i]} << 32 | i);
  }
  std::priority_queue<std::uint64_t, std::vector<std::uint64_t>, std::greater<>> heap(
      std::greater<>{}, std::move(initial));
  const auto refresh = [&](std::uint32_t i) {
    ranks[i] = next[i] == none ? kNoRank : pair_rank(ids[i], ids[next[i]]);
    if (ranks[i] != kNoRank) heap.push(std::uint64_t{ranks[i]} << 32 | i);
  };
  while (!heap.empty()) {
    const std::uint64_t top = heap.top();
    heap.pop();
    const auto i = static_cast<std::uint32_t>(top);
    if (ranks[i] != top >> 32) continue;  // the pair has changed since it was pushed
    const std::uint32_t gone = next[i];
    ids[i] = product_[ranks[i]];
    next[i] = next[gone];
    ranks[gone] = kNoRank;
    if (next[i] != none) prev[next[i]] = i;
    refresh(i);
    if (prev[i] != none) refresh(prev[i]);
  }
  std::size_t count = 0;
  for (std::uint32_t i = 0; i < none; i = next[i]) ids[count++] = ids[i];
  append(ids.data(), count, out);
}

// Bytes without a token come out as the unknown token, or not at all.
void Bpe::append(const TokenId* ids, std::size_t count, std::vector<TokenId>& out) const {
  bool last_unknown = false;
  for (std::size_t i = 0; i < count; ++i) {
    const bool unknown = ids[i] == kNoToken;
    if (!unknown) out.push_back(ids[i]);
    if (unknown && unknown_.id != kNoToken && !(unknown_.fuse && last_unknown)) {
      out.push_back(unknown_.id);
    }
    last_unknown = unknown;
  }
}

}  // namespace nautile
