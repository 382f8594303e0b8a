// bpe.h — byte-pair encoding of one piece of text into token ids.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "text/bpe_vocab.h"

namespace nautile {

// left + right -> product; the smaller rank merges first, equal ranks from the left.
struct BpeMerge {
  TokenId left;
  TokenId right;
  TokenId product;
  std::uint32_t rank;
};

// Whether a piece that is itself a token is taken whole (`ignore_merges`) or only if merging gets
// there.
enum class WholePiece { by_merges, always };

// What stands for bytes that have no token.
struct UnknownRule {
  TokenId id = kNoToken;  // kNoToken: such bytes are dropped
  bool fuse = false;      // one id for a run of them
};

// Ids of recently met pieces, direct-mapped; belongs to one call of encode, so needs no lock.
class PieceCache {
 public:
  // Sized for a text of so many bytes; a short text gets none.
  explicit PieceCache(std::size_t text_bytes);

  // Appends the ids and returns true if the piece is known.
  bool find(std::string_view piece, std::uint64_t hash, std::vector<TokenId>& out) const;
  void store(std::string_view piece, std::uint64_t hash, const TokenId* ids, std::size_t count);

 private:
  static constexpr std::size_t kKey = 22;
  static constexpr std::size_t kIds = 8;
  struct Entry {  // one cache line
    std::uint64_t hash;
    std::uint8_t size;  // 0: empty
    std::uint8_t count;
    std::array<char, kKey> key;
    std::array<TokenId, kIds> ids;
  };
  std::vector<Entry> entries_;
  std::size_t mask_ = 0;
};

// Immutable but for a memo of idempotent atomic flags: const use from many threads is safe.
class Bpe {
 public:
  // `vocab` must outlive this. Every id of `merges` must be in it, every product's bytes must be
  // left's bytes and right's. Products of `forbidden` ids (by id, may be empty) are left out, so
  // that no text can become one of them.
  Bpe(const BpeVocab& vocab, const std::vector<BpeMerge>& merges, WholePiece whole,
      UnknownRule unknown, const std::vector<bool>& forbidden);

  // Appends the ids of a non-empty piece. O(n log n) in its length; 40 bytes of memory per byte.
  void encode(std::string_view piece, PieceCache& cache, std::vector<TokenId>& out) const;

 private:
  static constexpr std::uint32_t kNoRank = 0xFFFFFFFFu;
  static constexpr std::size_t kShort = 64;  // bytes; above it a heap replaces the linear search

  bool forbidden(TokenId id) const {
    return static_cast<std::size_t>(id) < forbidden_.size() &&
           forbidden_[static_cast<std::size_t>(id)];
  }
  std::uint32_t pair_rank(TokenId left, TokenId right) const;
  void insert(const BpeMerge& merge);
  void fill_byte_pairs();
  void merge(std::string_view piece, std::vector<TokenId>& out) const;
  void merge_short(std::string_view piece, std::vector<TokenId>& out) const;
  void merge_long(std::string_view piece, std::vector<TokenId>& out) const;
  void append(const TokenId* ids, std::size_t count, std::vector<TokenId>& out) const;
  bool is_whole(std::string_view piece, TokenId id) const;

  const BpeVocab& vocab_;
  WholePiece whole_;
  UnknownRule unknown_;
  std::vector<bool> forbidden_;
  std::array<TokenId, 256> byte_token_;    // kNoToken where a byte has none
  std::vector<std::uint64_t> pair_keys_;   // open addressing; left << 32 | right
  std::vector<std::uint32_t> pair_ranks_;  // beside pair_keys_
  std::size_t pair_mask_ = 0;
  std::vector<std::uint32_t> byte_pairs_;  // [256 * 256] ranks of pairs of byte tokens
  std::vector<TokenId> product_;           // by rank
  // Per token: 0 not asked yet, 1 its bytes encode to itself, 2 they do not.
  std::unique_ptr<std::atomic<std::uint8_t>[]> self_;
};

}  // namespace nautile
