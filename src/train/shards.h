// shards.h — token shards: files of documents as token ids, written once, read by memory map.
//
// Little endian. Header of 64 bytes, the tokens (2 or 4 bytes each), the index, a trailer of 64
// bytes. The index lists the documents, the runs of tokens that bear a loss, and an XXH3-64
// checksum for each block of tokens (1 MiB); header, index and trailer have their own.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"

namespace nautile::train {

// What a shard's ids mean: the tokenizer's size and a hash of its files.
struct Vocabulary {
  std::uint64_t hash = 0;
  std::uint32_t size = 0;
  bool operator==(const Vocabulary&) const = default;
};

// Tokens [begin, end) of a document.
struct TokenRun {
  std::uint32_t begin = 0, end = 0;
  bool operator==(const TokenRun&) const = default;
};

enum class DocumentKind : std::uint8_t {
  text,  // raw text: the packer adds BOS and EOS, every token bears a loss
  chat,  // a rendered conversation with its own control tokens; only `runs` bear a loss
};

// Writes one shard; in place only after finish(). Throws Error(failure) naming the path.
class ShardWriter {
 public:
  ShardWriter(std::string path, Vocabulary vocabulary);

  // text_bytes: of the text that the tokens stand for. Ids must be below the vocabulary's size,
  // runs ascending, disjoint and inside.
  void add(std::span<const std::int32_t> tokens, std::uint32_t text_bytes, DocumentKind kind,
           std::span<const TokenRun> runs = {});
  std::uint64_t tokens() const { return tokens_; }
  std::uint64_t documents() const { return documents_.size(); }
  void finish();

 private:
  friend class Shard;
  struct Document {
    std::uint64_t end;
    std::uint32_t text_bytes;
    std::uint32_t runs;  // kTextRuns: a document of kind text
  };
  void put(std::span<const std::byte> bytes);
  void flush_block();

  AtomicWriter file_;
  Vocabulary vocabulary_;
  std::uint64_t tokens_ = 0;
  std::vector<std::byte> block_;
  std::vector<std::uint64_t> checksums_;
  std::vector<Document> documents_;
  std::vector<TokenRun> runs_;
};

// Shards "STEM-00000.shard" … of one folder; the next begins when one has `shard_tokens` tokens.
class ShardSeries {
 public:
  ShardSeries(std::string folder, std::string stem, Vocabulary vocabulary,
              std::uint64_t shard_tokens);

  // As ShardWriter's.
  void add(std::span<const std::int32_t> tokens, std::uint32_t text_bytes, DocumentKind kind,
           std::span<const TokenRun> runs = {});
  void finish();
  const std::vector<std::string>& names() const { return names_; }  // of those begun

 private:
  std::string folder_, stem_;
  Vocabulary vocabulary_;
  std::uint64_t shard_tokens_;
  std::unique_ptr<ShardWriter> writer_;
  std::vector<std::string> names_;
};

// One shard, memory-mapped. Const use from many threads is safe.
class Shard {
 public:
  // Checks header, index and trailer. Throws Error(bad_input) naming the path and what is wrong,
  // Error(unsupported) for another version.
  explicit Shard(const std::string& path);

  const std::string& path() const { return file_.path(); }
  Vocabulary vocabulary() const { return vocabulary_; }
  std::uint64_t checksum() const { return checksum_; }  // of the index, so of all that is in it
  std::uint64_t documents() const { return documents_; }
  std::uint64_t tokens() const { return tokens_; }
  std::uint64_t length(std::uint64_t document) const;  // in tokens
  std::uint32_t text_bytes(std::uint64_t document) const;
  DocumentKind kind(std::uint64_t document) const;
  std::vector<TokenRun> runs(std::uint64_t document) const;  // of kind chat

  // Tokens [begin, begin + out.size()) of a document. The blocks they lie in are verified when
  // first touched: Error(bad_input) naming path and block if their checksum or an id is wrong.
  void read(std::uint64_t document, std::uint64_t begin, std::span<std::int32_t> out) const;
  // Verifies all blocks.
  void verify() const;

 private:
  ShardWriter::Document entry(std::uint64_t document) const;
  void verify_block(std::uint64_t block) const;
  void read_index(std::span<const std::byte> trailer);
  [[noreturn]] void corrupt(const std::string& what) const;

  MappedFile file_;
  Vocabulary vocabulary_;
  std::uint64_t tokens_ = 0, documents_ = 0, runs_ = 0, blocks_ = 0, checksum_ = 0;
  std::uint32_t token_bytes_ = 0;
  std::span<const std::byte> data_, document_table_, run_table_, checksum_table_;
  std::vector<std::uint64_t> first_run_;  // [documents + 1]
  mutable std::unique_ptr<std::atomic<bool>[]> verified_;
};

}  // namespace nautile::train
