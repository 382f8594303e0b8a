#include "align/tuning_data.h"

#include <xxhash.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "train/data_folder.h"
#include "train/documents.h"

namespace nautile::align {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using train::ChatSample;

constexpr std::size_t kBatch = 256;       // conversations encoded together, on all threads
constexpr std::size_t kShown = 5;         // malformed lines that an error names
constexpr std::size_t kMostBad = 10'000;  // a file that is damaged as a whole fails at every line
constexpr std::uint64_t kShardTokens = std::uint64_t{1} << 26;
constexpr const char* kSource = "chats";

struct Prepared {
  train::RawDocument raw;
  std::vector<SampleGroup> groups;
  std::string problem;  // why it cannot be used; empty if it can
};

void prepare(const EncodeLine& encode, Prepared& document) {
  try {
    document.groups = encode(document.raw.conversation);
  } catch (const Error& error) {
    document.problem = fmt::format("{}: {}", document.raw.where, error.message());
  }
}

// A number in [0, 1) that follows from what is said.
double place_of(const Json& conversation) {
  const std::string text = conversation.dump(-1, ' ', false, Json::error_handler_t::replace);
  return static_cast<double>(XXH3_64bits(text.data(), text.size()) >> 11) * 0x1p-53;
}

// Two tokenizers with the same tokens have the same hash, whatever files they come from.
train::Vocabulary vocabulary_of(const Tokenizer& tokenizer) {
  std::string all;
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    all += tokenizer.token(id);
    all += '\n';
  }
  return train::vocabulary_of(all, tokenizer.vocab_size());
}

class Builder {
 public:
  Builder(const TuningDataOptions& options, const EncodeLine& encode, const Tokenizer& tokenizer,
          const fs::path& out, ThreadPool& pool, const TuningProgress& progress)
      : options_(options),
        encode_(encode),
        pool_(pool),
        progress_(progress),
        vocabulary_(vocabulary_of(tokenizer)),
        train_(out.string(), fmt::format("{}-train", kSource), vocabulary_, kShardTokens),
        held_out_(out.string(), fmt::format("{}-held_out", kSource), vocabulary_, kShardTokens) {}

  Json run() {
    read(options_.files, options_.eval.empty() ? options_.held_out : 0);
    if (!options_.eval.empty()) read(options_.eval, 1);
    train_.finish();
    held_out_.finish();
    if (report_.malformed > 0 && options_.bad == BadLine::stop) refuse();
    if (report_.train == 0) {
      fail(ErrorKind::bad_input,
           "nothing is left to learn from: {} lines, {} held out, {} of more than {} tokens, {} "
           "that cannot be used",
           report_.lines, report_.held_out, report_.too_long, options_.most_tokens,
           report_.malformed);
    }
    const Json source = {{"name", kSource},
                         {"weight", 1.0},
                         {"train", train_.names()},
                         {"held_out", held_out_.names()},
                         {"report", report_.json()}};
    return {{"format", "nautile data"},
            {"version", train::kDataVersion},
            {"vocabulary",
             {{"hash", fmt::format("{:016x}", vocabulary_.hash)}, {"size", vocabulary_.size}}},
            {"sources", Json::array({source})}};
  }
  const TuningDataReport& report() const { return report_; }

 private:
  void read(const std::vector<std::string>& files, double share) {
    train::SourceSpec spec;
    spec.name = kSource;
    spec.kind = train::SourceKind::objects;
    spec.files = files;
    const auto documents = train::open_documents(spec);
    std::vector<Prepared> batch;
    for (bool more = true; more;) {
      more = fill(*documents, batch);
      pool_.parallel_for(static_cast<std::int64_t>(batch.size()), 1,
                         [&](std::int64_t begin, std::int64_t end, int) {
                           for (std::int64_t i = begin; i < end; ++i)
                             prepare(encode_, batch[static_cast<std::size_t>(i)]);
                         });
      for (Prepared& document : batch) add(document, share);
      if (progress_) progress_(documents->done(), documents->all());
    }
  }

  // -> whether there may be more.
  bool fill(train::Documents& documents, std::vector<Prepared>& batch) {
    batch.clear();
    while (batch.size() < kBatch) {
      Prepared document;
      try {
        if (!documents.next(document.raw)) return false;
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::bad_input || report_.malformed > kMostBad) throw;
        bad(error.message());
        continue;
      }
      batch.push_back(std::move(document));
    }
    return true;
  }

  void bad(const std::string& what) {
    ++report_.malformed;
    if (problems_.size() < kShown) problems_.push_back(what);
  }

  void add(Prepared& document, double share) {
    if (!document.problem.empty()) return bad(document.problem);
    ++report_.lines;
    const bool held_out = place_of(document.raw.conversation) < share;
    for (SampleGroup& group : document.groups) {
      if (!fit(group)) {
        ++report_.too_long;
        continue;
      }
      report_.longest = std::max(report_.longest, tokens_of(group));
      ++(held_out ? report_.held_out : report_.train);
      for (const ChatSample& sample : group) {
        (held_out ? held_out_ : train_)
            .add(sample.tokens, 0, train::DocumentKind::chat, sample.runs);
        if (held_out) continue;
        report_.tokens += sample.tokens.size();
        for (const train::TokenRun& run : sample.runs) report_.learnt_tokens += run.end - run.begin;
      }
    }
  }

  static std::int64_t tokens_of(const SampleGroup& group) {
    std::size_t sum = 0;
    for (const ChatSample& sample : group) sum += sample.tokens.size();
    return static_cast<std::int64_t>(sum);
  }

  // Cuts a sample where that is asked for -> whether the group stays. Groups of several stay whole.
  bool fit(SampleGroup& group) {
    if (tokens_of(group) > options_.most_tokens) {
      if (options_.too_long == TooLong::skip || group.size() > 1) return false;
      const auto most = static_cast<std::size_t>(options_.most_tokens);
      ChatSample& sample = group[0];
      sample.tokens.resize(most);
      std::erase_if(sample.runs, [&](const train::TokenRun& run) { return run.begin >= most; });
      for (train::TokenRun& run : sample.runs)
        run.end = std::min(run.end, static_cast<std::uint32_t>(most));
      if (sample.runs.empty()) return false;
      ++report_.cut;
    }
    return std::none_of(group.begin(), group.end(),
                        [](const ChatSample& sample) { return sample.runs.empty(); });
  }

  [[noreturn]] void refuse() const {
    std::string list;
    for (const std::string& problem : problems_) list += "\n  " + problem;
    if (report_.malformed > problems_.size())
      list += fmt::format("\n  and {} more", report_.malformed - problems_.size());
    throw make_error(ErrorKind::bad_input, "{} of the data's lines cannot be used:{}",
                     report_.malformed, list)
        .hint("--skip-bad leaves such lines out and counts them");
  }

  const TuningDataOptions& options_;
  const EncodeLine& encode_;
  ThreadPool& pool_;
  const TuningProgress& progress_;
  train::Vocabulary vocabulary_;
  train::ShardSeries train_, held_out_;
  TuningDataReport report_;
  std::vector<std::string> problems_;
};

}  // namespace

Json TuningDataReport::json() const {
  return {{"lines", lines},   {"train", train},          {"held_out", held_out},
          {"tokens", tokens}, {"learnt", learnt_tokens}, {"too_long", too_long},
          {"cut", cut},       {"malformed", malformed},  {"longest", longest}};
}

TuningDataReport TuningDataReport::of_index(const Json& index) {
  const Json report = index.at("sources").at(0).value("report", Json::object());
  TuningDataReport r;
  const auto count = [&](const char* name) { return report.value(name, std::uint64_t{0}); };
  r.lines = count("lines");
  r.train = count("train");
  r.held_out = count("held_out");
  r.tokens = count("tokens");
  r.learnt_tokens = count("learnt");
  r.too_long = count("too_long");
  r.cut = count("cut");
  r.malformed = count("malformed");
  r.longest = report.value("longest", std::int64_t{0});
  return r;
}

TuningDataReport build_tuning_data(const TuningDataOptions& options, const EncodeLine& encode,
                                   const Tokenizer& tokenizer, const std::string& out,
                                   ThreadPool& pool, const TuningProgress& progress) {
  std::error_code error;
  fs::create_directories(out, error);
  if (error) fail(ErrorKind::failure, "cannot make the folder {}: {}", out, error.message());
  Builder builder(options, encode, tokenizer, out, pool, progress);
  const Json index = builder.run();
  write_file_atomic((fs::path(out) / train::kDataIndex).string(),
                    index.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
  return builder.report();
}

}  // namespace nautile::align
