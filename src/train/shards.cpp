#include "train/shards.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/error.h"

namespace nautile::train {
namespace {

constexpr std::array<char, 8> kMagic = {'N', 'A', 'U', 'T', 'S', 'H', 'R', 'D'};
constexpr std::array<char, 8> kEndMagic = {'N', 'A', 'U', 'T', 'S', 'E', 'N', 'D'};
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kBlock = std::size_t{1} << 20;
constexpr std::uint32_t kTextRuns = 0xFFFFFFFFu;

struct Header {
  std::array<char, 8> magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t token_bytes = 0;
  std::uint64_t vocabulary_hash = 0;
  std::uint32_t vocabulary_size = 0;
  std::uint32_t block_bytes = kBlock;
  std::array<std::uint64_t, 3> reserved{};
  std::uint64_t checksum = 0;  // of all before
};
struct Trailer {
  std::uint64_t tokens = 0, documents = 0, runs = 0, blocks = 0;
  std::uint64_t index_checksum = 0;
  std::uint64_t reserved = 0;
  std::uint64_t checksum = 0;  // of all before
  std::array<char, 8> magic = kEndMagic;
};
static_assert(sizeof(Header) == 64 && sizeof(Trailer) == 64);

std::uint64_t hash_of(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}
template <class T>
std::span<const std::byte> bytes_of_one(const T& value, std::size_t size = sizeof(T)) {
  return std::as_bytes(std::span(&value, 1)).first(size);
}

template <class T>
T load(std::span<const std::byte> table, std::uint64_t index) {
  T value;
  std::memcpy(&value, table.data() + index * sizeof(T), sizeof(T));
  return value;
}

std::uint32_t token_bytes_for(std::uint32_t vocabulary) {
  return vocabulary <= 65536 ? 2 : 4;
}

}  // namespace

ShardWriter::ShardWriter(std::string path, Vocabulary vocabulary)
    : file_(std::move(path)), vocabulary_(vocabulary) {
  Header header;
  header.token_bytes = token_bytes_for(vocabulary.size);
  header.vocabulary_hash = vocabulary.hash;
  header.vocabulary_size = vocabulary.size;
  header.checksum = hash_of(bytes_of_one(header, offsetof(Header, checksum)));
  file_.append(bytes_of_one(header));
  block_.reserve(kBlock);
}

void ShardWriter::flush_block() {
  if (block_.empty()) return;
  checksums_.push_back(hash_of(block_));
  file_.append(block_);
  block_.clear();
}

void ShardWriter::put(std::span<const std::byte> bytes) {
  block_.insert(block_.end(), bytes.begin(), bytes.end());
  if (block_.size() == kBlock) flush_block();  // a block holds a whole number of tokens
}

void ShardWriter::add(std::span<const std::int32_t> tokens, std::uint32_t text_bytes,
                      DocumentKind kind, std::span<const TokenRun> runs) {
  NAUTILE_ASSERT(kind == DocumentKind::chat || runs.empty(), "a text document has no runs");
  std::uint32_t last = 0;
  for (const TokenRun& run : runs) {
    NAUTILE_ASSERT(run.begin >= last && run.begin < run.end && run.end <= tokens.size(),
                   "run [{}, {}) of a document of {} tokens", run.begin, run.end, tokens.size());
    last = run.end;
    runs_.push_back(run);
  }
  for (const std::int32_t token : tokens) {
    NAUTILE_ASSERT(token >= 0 && static_cast<std::uint32_t>(token) < vocabulary_.size,
                   "token {} of a vocabulary of {}", token, vocabulary_.size);
    const auto narrow = static_cast<std::uint16_t>(token);
    put(token_bytes_for(vocabulary_.size) == 2 ? bytes_of_one(narrow) : bytes_of_one(token));
  }
  tokens_ += tokens.size();
  documents_.push_back(
      {tokens_, text_bytes,
       kind == DocumentKind::text ? kTextRuns : static_cast<std::uint32_t>(runs.size())});
}

void ShardWriter::finish() {
  flush_block();
  Trailer trailer;
  trailer.tokens = tokens_;
  trailer.documents = documents_.size();
  trailer.runs = runs_.size();
  trailer.blocks = checksums_.size();
  std::vector<std::byte> index;
  for (const auto part : {bytes_of(documents_), bytes_of(runs_), bytes_of(checksums_)}) {
    index.insert(index.end(), part.begin(), part.end());
  }
  trailer.index_checksum = hash_of(index);
  trailer.checksum = hash_of(bytes_of_one(trailer, offsetof(Trailer, checksum)));
  file_.append(index);
  file_.append(bytes_of_one(trailer));
  file_.commit();
}

ShardSeries::ShardSeries(std::string folder, std::string stem, Vocabulary vocabulary,
                         std::uint64_t shard_tokens)
    : folder_(std::move(folder)),
      stem_(std::move(stem)),
      vocabulary_(vocabulary),
      shard_tokens_(shard_tokens) {}

void ShardSeries::add(std::span<const std::int32_t> tokens, std::uint32_t text_bytes,
                      DocumentKind kind, std::span<const TokenRun> runs) {
  if (!writer_) {
    names_.push_back(fmt::format("{}-{:05}.shard", stem_, names_.size()));
    writer_ = std::make_unique<ShardWriter>(folder_ + "/" + names_.back(), vocabulary_);
  }
  writer_->add(tokens, text_bytes, kind, runs);
  if (writer_->tokens() >= shard_tokens_) finish();
}

void ShardSeries::finish() {
  if (writer_) writer_->finish();
  writer_.reset();
}

void Shard::corrupt(const std::string& what) const {
  throw make_error(ErrorKind::bad_input, "the token shard {} is damaged: {}", path(), what)
      .hint("build the data again (nautile data build)");
}

Shard::Shard(const std::string& path) : file_(path) {
  const auto bytes = file_.bytes();
  if (bytes.size() < sizeof(Header) + sizeof(Trailer)) {
    corrupt(fmt::format("it has {} bytes, fewer than a header and a trailer", bytes.size()));
  }
  const auto header = load<Header>(bytes, 0);
  if (header.magic != kMagic) {
    fail(ErrorKind::bad_input, "{} is no token shard: it does not begin with NAUTSHRD", path);
  }
  if (header.version != kVersion) {
    fail(ErrorKind::unsupported, "the token shard {} has version {}, this nautile reads {}", path,
         header.version, kVersion);
  }
  if (header.checksum != hash_of(bytes.first(offsetof(Header, checksum)))) {
    corrupt("the header's checksum is wrong");
  }
  if (header.token_bytes != token_bytes_for(header.vocabulary_size) ||
      header.block_bytes != kBlock) {
    corrupt("the header contradicts itself");
  }
  vocabulary_ = {header.vocabulary_hash, header.vocabulary_size};
  token_bytes_ = header.token_bytes;
  read_index(bytes.last(sizeof(Trailer)));
}

void Shard::read_index(std::span<const std::byte> trailer_bytes) {
  const auto trailer = load<Trailer>(trailer_bytes, 0);
  if (trailer.magic != kEndMagic) corrupt("its end is missing (was it cut?)");
  if (trailer.checksum != hash_of(trailer_bytes.first(offsetof(Trailer, checksum)))) {
    corrupt("the trailer's checksum is wrong");
  }
  tokens_ = trailer.tokens;
  documents_ = trailer.documents;
  runs_ = trailer.runs;
  blocks_ = trailer.blocks;
  checksum_ = trailer.index_checksum;
  const auto body = file_.bytes().subspan(sizeof(Header),
                                          file_.bytes().size() - sizeof(Header) - sizeof(Trailer));
  // Every term is below 2^60 because its count is: no sum overflows.
  constexpr std::uint64_t kMost = std::uint64_t{1} << 56;
  if (std::max({tokens_, documents_, runs_, blocks_}) > kMost) corrupt("a count is impossible");
  const std::uint64_t data = tokens_ * token_bytes_, documents = documents_ * 16, runs = runs_ * 8,
                      checksums = blocks_ * 8;
  if (data + documents + runs + checksums != body.size() ||
      blocks_ != (data + kBlock - 1) / kBlock) {
    corrupt("its size does not fit its counts");
  }
  data_ = body.first(data);
  document_table_ = body.subspan(data, documents);
  run_table_ = body.subspan(data + documents, runs);
  checksum_table_ = body.last(checksums);
  if (hash_of(body.subspan(data)) != trailer.index_checksum)
    corrupt("the index's checksum is wrong");
  first_run_.reserve(documents_ + 1);
  first_run_.push_back(0);
  std::uint64_t end = 0;
  for (std::uint64_t i = 0; i < documents_; ++i) {
    const auto document = load<ShardWriter::Document>(document_table_, i);
    if (document.end < end) corrupt("documents overlap");
    end = document.end;
    first_run_.push_back(first_run_.back() + (document.runs == kTextRuns ? 0 : document.runs));
  }
  if (end != tokens_ || first_run_.back() != runs_) corrupt("the documents do not fill it");
  verified_ = std::make_unique<std::atomic<bool>[]>(blocks_);
}

ShardWriter::Document Shard::entry(std::uint64_t document) const {
  NAUTILE_ASSERT(document < documents_, "document {} of {}", document, documents_);
  return load<ShardWriter::Document>(document_table_, document);
}

std::uint64_t Shard::length(std::uint64_t document) const {
  const std::uint64_t begin = document == 0 ? 0 : entry(document - 1).end;
  return entry(document).end - begin;
}

std::uint32_t Shard::text_bytes(std::uint64_t document) const {
  return entry(document).text_bytes;
}

DocumentKind Shard::kind(std::uint64_t document) const {
  return entry(document).runs == kTextRuns ? DocumentKind::text : DocumentKind::chat;
}

std::vector<TokenRun> Shard::runs(std::uint64_t document) const {
  std::vector<TokenRun> runs;
  for (std::uint64_t i = first_run_[document]; i < first_run_[document + 1]; ++i) {
    runs.push_back(load<TokenRun>(run_table_, i));
    if (runs.back().begin >= runs.back().end || runs.back().end > length(document)) {
      corrupt(fmt::format("a run of document {} lies outside of it", document));
    }
  }
  return runs;
}

void Shard::verify_block(std::uint64_t block) const {
  if (verified_[block].load(std::memory_order_relaxed)) return;
  const std::size_t begin = block * kBlock;
  const auto bytes = data_.subspan(begin, std::min(kBlock, data_.size() - begin));
  if (hash_of(bytes) != load<std::uint64_t>(checksum_table_, block)) {
    corrupt(fmt::format("the checksum of block {} (bytes {} to {}) is wrong", block,
                        begin + sizeof(Header), begin + sizeof(Header) + bytes.size()));
  }
  verified_[block].store(true, std::memory_order_relaxed);
}

void Shard::verify() const {
  for (std::uint64_t block = 0; block < blocks_; ++block) verify_block(block);
}

void Shard::read(std::uint64_t document, std::uint64_t begin, std::span<std::int32_t> out) const {
  if (out.empty()) return;
  NAUTILE_ASSERT(begin + out.size() <= length(document), "tokens {} to {} of document {} of {}",
                 begin, begin + out.size(), document, length(document));
  const std::uint64_t first = (document == 0 ? 0 : entry(document - 1).end) + begin;
  const std::uint64_t from = first * token_bytes_, to = from + out.size() * token_bytes_;
  for (std::uint64_t block = from / kBlock; block <= (to - 1) / kBlock; ++block)
    verify_block(block);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::uint32_t id = token_bytes_ == 2 ? load<std::uint16_t>(data_, first + i)
                                               : load<std::uint32_t>(data_, first + i);
    if (id >= vocabulary_.size) corrupt(fmt::format("token {} is {}", first + i, id));
    out[i] = static_cast<std::int32_t>(id);
  }
}

}  // namespace nautile::train
