// build_data.cpp — batches of documents: what is a pure function of one runs on all threads, what
// compares them runs in order.
#include "train/build_data.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/error.h"
#include "train/chat_sample.h"
#include "train/data_folder.h"
#include "train/decontaminate.h"
#include "train/dedup.h"
#include "train/documents.h"
#include "train/words.h"

namespace nautile::train {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr std::size_t kBatchDocuments = 256, kBatchBytes = std::size_t{4} << 20;
constexpr std::size_t kExamples = 5;  // of contaminated documents that the report shows

// A document with all that is known of it before it is compared with others.
struct Prepared {
  RawDocument raw;
  std::string problem;  // why it cannot be used; empty if it can
  Fingerprint fingerprint;
  std::optional<Decontaminator::Hit> hit;
  std::string stretch;  // the contaminated words
  std::vector<ChatSample> samples;
};

struct Tally {
  std::uint64_t documents = 0, bytes = 0, tokens = 0;
  void add(std::uint64_t text_bytes, std::uint64_t count) {
    ++documents;
    bytes += text_bytes;
    tokens += count;
  }
  Json json() const {
    Json out = {{"documents", documents}, {"bytes", bytes}, {"tokens", tokens}};
    out["bytes_per_token"] =
        tokens ? static_cast<double>(bytes) / static_cast<double>(tokens) : 0.0;
    return out;
  }
};

struct SourceReport {
  Tally read, train, held_out;
  std::uint64_t bad = 0, empty = 0, exact = 0, near = 0, contaminated = 0, loss_tokens = 0;
  std::map<std::string, std::uint64_t> contaminated_by;
  Json examples = Json::array();
};

class Builder {
 public:
  Builder(const DataSpec& spec, const DataTokenizer& tokenizer, fs::path out, ThreadPool& pool,
          const BuildCallbacks& callbacks)
      : spec_(spec),
        tokenizer_(tokenizer),
        out_(std::move(out)),
        pool_(pool),
        callbacks_(callbacks),
        vocabulary_(
            vocabulary_of(tokenizer.files.front().second, tokenizer.tokenizer.vocab_size())),
        decontaminator_(static_cast<std::size_t>(spec.ngram)),
        seen_(spec.near_threshold) {
    for (const std::string& pattern : spec.decontaminate) {
      for (const std::string& file : matching_files(pattern)) decontaminator_.add_file(file);
    }
  }

  Json run() {
    Json sources = Json::array();
    for (const SourceSpec& source : spec_.sources) sources.push_back(build(source));
    Json index = {
        {"format", "nautile data"},
        {"version", kDataVersion},
        {"vocabulary",
         {{"hash", fmt::format("{:016x}", vocabulary_.hash)}, {"size", vocabulary_.size}}}};
    if (!decontaminator_.empty()) {
      index["decontamination"] = {{"ngram", spec_.ngram},
                                  {"files", spec_.decontaminate},
                                  {"items", decontaminator_.items()},
                                  {"items_too_short", decontaminator_.too_short()},
                                  {"ngrams", decontaminator_.grams()}};
    }
    index["near_threshold"] = spec_.near_threshold;
    index["sources"] = std::move(sources);
    return index;
  }

 private:
  Json build(const SourceSpec& source);
  bool fill(Documents& documents, std::vector<Prepared>& batch, SourceReport& report);
  void prepare(const SourceSpec& source, Prepared& document) const;
  void encode(const SourceSpec& source, Prepared& document) const;
  bool is_kept(Prepared& document, SourceReport& report);
  void bad(const Error& error, SourceReport& report) const;
  Json finish(const SourceSpec& source, const SourceReport& report, const ShardSeries& train,
              const ShardSeries& held_out) const;

  const DataSpec& spec_;
  const DataTokenizer& tokenizer_;
  fs::path out_;
  ThreadPool& pool_;
  const BuildCallbacks& callbacks_;
  Vocabulary vocabulary_;
  Decontaminator decontaminator_;
  Deduplicator seen_;
};

void Builder::bad(const Error& error, SourceReport& report) const {
  if (!spec_.skip_bad || error.kind() != ErrorKind::bad_input) throw error;
  if (++report.bad <= kExamples && callbacks_.notice) {
    callbacks_.notice(fmt::format("left out: {}", error.message()));
  }
}

// -> whether there may be more.
bool Builder::fill(Documents& documents, std::vector<Prepared>& batch, SourceReport& report) {
  batch.clear();
  std::size_t bytes = 0, failures = 0;
  while (batch.size() < kBatchDocuments && bytes < kBatchBytes) {
    Prepared document;
    try {
      if (!documents.next(document.raw)) return false;
    } catch (const Error& error) {
      bad(error, report);
      // A file that is damaged as a whole fails at every attempt.
      if (++failures > 10'000) throw;
      continue;
    }
    report.read.add(document.raw.text.size(), 0);
    bytes += document.raw.text.size();
    batch.push_back(std::move(document));
  }
  return true;
}

void Builder::encode(const SourceSpec& source, Prepared& document) const {
  const Tokenizer& tokenizer = tokenizer_.tokenizer;
  const RawDocument& raw = document.raw;
  if (raw.conversation.is_null()) {
    const auto ids = source.tags ? encode_with_tags(tokenizer, raw.text)
                                 : tokenizer.encode(raw.text, EncodeMode::plain);
    document.samples.push_back({ids, {}});
    return;
  }
  if (!tokenizer_.chat_format) {
    throw make_error(ErrorKind::bad_input,
                     "source '{}' has chats, and the tokenizer has no chat template", source.name)
        .hint("chat_format = \"deepseek-v3\" in the specification names a built-in format");
  }
  document.samples = encode_chat(tokenizer, *tokenizer_.chat_format, raw.conversation);
  if (source.loss == LossOn::assistant) return;
  for (ChatSample& sample : document.samples) {
    sample.runs = {{0, static_cast<std::uint32_t>(sample.tokens.size())}};
  }
}

void Builder::prepare(const SourceSpec& source, Prepared& document) const {
  const std::string& text = document.raw.text;
  std::vector<std::size_t> begins;
  const std::vector<std::uint64_t> words = word_hashes(text, &begins);
  const bool near = source.near_duplicates && spec_.near_threshold > 0;
  document.fingerprint =
      fingerprint(text, words, near ? NearDuplicates::find : NearDuplicates::ignore);
  document.hit = decontaminator_.find(words);
  if (document.hit) {
    const std::size_t last = document.hit->word + document.hit->words;
    const std::size_t begin = begins[document.hit->word];
    const std::size_t end = last < begins.size() ? begins[last] : text.size();
    document.stretch = text.substr(begin, std::min<std::size_t>(end - begin, 300));
  }
  try {
    encode(source, document);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::bad_input) throw error.with("in {}", document.raw.where);
    document.problem = error.message();
  }
}

// Sorts out what is empty, bad, contaminated or was there before.
bool Builder::is_kept(Prepared& document, SourceReport& report) {
  if (!document.problem.empty()) {
    bad(Error(ErrorKind::bad_input, document.raw.where + ": " + document.problem), report);
    return false;
  }
  if (document.raw.text.find_first_not_of(" \t\r\n") == document.raw.text.npos) {
    ++report.empty;
    return false;
  }
  if (document.hit) {
    ++report.contaminated;
    ++report.contaminated_by[document.hit->set];
    if (report.examples.size() < kExamples) {
      report.examples.push_back(
          {{"where", document.raw.where}, {"set", document.hit->set}, {"text", document.stretch}});
    }
    return false;
  }
  switch (seen_.add(document.fingerprint)) {
    case Deduplicator::Verdict::exact:
      ++report.exact;
      return false;
    case Deduplicator::Verdict::near:
      ++report.near;
      return false;
    case Deduplicator::Verdict::fresh:
      return true;
  }
  return true;
}

Json Builder::build(const SourceSpec& source) {
  const double share = source.held_out < 0 ? spec_.held_out : source.held_out;
  const auto limit = static_cast<std::uint64_t>(spec_.shard_tokens);
  ShardSeries train(out_.string(), source.name + "-train", vocabulary_, limit);
  ShardSeries held_out(out_.string(), source.name + "-held_out", vocabulary_, limit);
  SourceReport report;
  const std::unique_ptr<Documents> documents = open_documents(source);
  std::vector<Prepared> batch;
  for (bool more = true; more;) {
    more = fill(*documents, batch, report);
    pool_.parallel_for(static_cast<std::int64_t>(batch.size()), 1,
                       [&](std::int64_t begin, std::int64_t end, int) {
                         for (std::int64_t i = begin; i < end; ++i) {
                           prepare(source, batch[static_cast<std::size_t>(i)]);
                         }
                       });
    for (Prepared& document : batch) {
      if (!is_kept(document, report)) continue;
      // The upper bits: the lower ones choose buckets of hash tables.
      const double place = static_cast<double>(document.fingerprint.exact_high >> 11) * 0x1p-53;
      const bool is_held_out = place < share;
      const bool is_text = document.raw.conversation.is_null();
      for (const ChatSample& sample : document.samples) {
        if (sample.tokens.empty()) continue;
        const auto bytes = static_cast<std::uint32_t>(
            std::min<std::size_t>(document.raw.text.size(), 0xFFFFFFFFu));
        ShardSeries& shards = is_held_out ? held_out : train;
        if (is_text) {
          shards.add(sample.tokens, bytes, DocumentKind::text);
        } else {
          shards.add(sample.tokens, bytes, DocumentKind::chat, sample.runs);
        }
        (is_held_out ? report.held_out : report.train)
            .add(document.raw.text.size(), sample.tokens.size());
        for (const TokenRun& run : sample.runs) report.loss_tokens += run.end - run.begin;
      }
    }
    if (callbacks_.progress) callbacks_.progress(source.name, documents->done(), documents->all());
  }
  train.finish();
  held_out.finish();
  return finish(source, report, train, held_out);
}

Json Builder::finish(const SourceSpec& source, const SourceReport& report, const ShardSeries& train,
                     const ShardSeries& held_out) const {
  if (report.train.documents + report.held_out.documents == 0) {
    fail(ErrorKind::bad_input,
         "source '{}' leaves no documents: {} read, {} malformed, {} empty, {} and {} exact and "
         "near "
         "duplicates, {} contaminated",
         source.name, report.read.documents, report.bad, report.empty, report.exact, report.near,
         report.contaminated);
  }
  // What is all held out is not drawn from.
  Json out = {{"name", source.name}, {"weight", report.train.documents ? source.weight : 0.0}};
  out["train"] = train.names();
  out["held_out"] = held_out.names();
  Json summary = {{"documents_read", report.read.documents}, {"bytes_read", report.read.bytes}};
  summary["removed"] = {{"malformed", report.bad},
                        {"empty", report.empty},
                        {"exact_duplicates", report.exact},
                        {"near_duplicates", report.near},
                        {"contaminated", report.contaminated}};
  summary["train"] = report.train.json();
  summary["held_out"] = report.held_out.json();
  if (report.loss_tokens) summary["tokens_with_loss"] = report.loss_tokens;
  if (report.contaminated) {
    summary["contaminated_by"] = report.contaminated_by;
    summary["contaminated_examples"] = report.examples;
  }
  out["report"] = std::move(summary);
  return out;
}

// Removes the index first: a folder without one holds no data.
void clear_folder(const fs::path& out, Overwrite overwrite) {
  const fs::path index = out / kDataIndex;
  if (fs::exists(index) && overwrite == Overwrite::no) {
    throw make_error(ErrorKind::usage, "{} holds data already", out.string())
        .hint("--overwrite replaces it");
  }
  std::error_code error;
  fs::create_directories(out, error);
  if (error)
    fail(ErrorKind::failure, "cannot make the folder {}: {}", out.string(), error.message());
  fs::remove(index);
  for (const auto& entry : fs::directory_iterator(out)) {
    const std::string name = entry.path().filename().string();
    const bool ours = name.find("-train-") != name.npos || name.find("-held_out-") != name.npos;
    if (ours && entry.path().extension() == ".shard") fs::remove(entry.path());
  }
}

}  // namespace

Json build_data(const DataSpec& spec, const DataTokenizer& tokenizer, const std::string& out,
                Overwrite overwrite, ThreadPool& pool, const BuildCallbacks& callbacks) {
  Builder builder(spec, tokenizer, out, pool, callbacks);
  clear_folder(out, overwrite);
  Json index = builder.run();
  const fs::path folder(out);
  for (const auto& [name, content] : tokenizer.files) {
    write_file_atomic((folder / name).string(), content);
  }
  write_file_atomic((folder / kDataIndex).string(),
                    index.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
  return index;
}

}  // namespace nautile::train
