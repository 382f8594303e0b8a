// tokenizer.cpp — the verb `tokenizer`: trains a vocabulary on files.
#include <chrono>
#include <filesystem>
#include <set>

#include "app/loaded_model.h"
#include "app/program.h"
#include "app/progress_line.h"
#include "base/file.h"
#include "text/bpe_trainer.h"
#include "text/tokenizer_writer.h"
#include "train/documents.h"
#include "train/text_input.h"

namespace nautile::app {
namespace {

namespace fs = std::filesystem;

struct TrainChoice {
  std::vector<std::string> files, special, tags, compare;
  std::string out, digits = "single", field, isa;
  std::int32_t vocab = 0;
  std::int64_t min_frequency = 2;
  int threads = 0;
  bool fim = false;
};

constexpr std::size_t kSample = std::size_t{4} << 20;  // bytes of a file that the report encodes

// One input file, and the beginning of its text for the report.
struct Input {
  std::string path;
  std::string sample;
};

// How a file is read: by its name, and of JSON lines by the first one.
train::SourceSpec source_of(const std::string& path, const std::string& field) {
  train::SourceSpec source;
  source.name = path;
  source.files = {path};
  if (!path.ends_with(".jsonl") && !path.ends_with(".jsonl.zst")) return source;
  std::string first;
  train::TextInput(path, "\n", std::size_t{256} << 20).next(first);
  source.field = !field.empty()                             ? field
                 : first.find("\"messages\"") != first.npos ? "messages"
                                                            : "text";
  source.kind = source.field == "messages" ? train::SourceKind::chat : train::SourceKind::jsonl;
  return source;
}

std::vector<Input> count_pieces(const TrainChoice& choice, BpeTrainer& trainer, ThreadPool& pool,
                                const Environment& environment) {
  std::vector<std::string> files;
  for (const std::string& pattern : choice.files) {
    // A name that is a file is no pattern, whatever letters it has.
    const bool exists = fs::exists(pattern);
    for (auto& file : exists ? std::vector{pattern} : train::matching_files(pattern)) {
      files.push_back(std::move(file));
    }
  }
  std::vector<Input> inputs;
  const CatchInterrupt interrupt;
  ProgressLine line(environment, "reading");
  for (std::size_t i = 0; i < files.size(); ++i) {
    Input input{files[i], ""};
    const auto documents = train::open_documents(source_of(files[i], choice.field));
    train::RawDocument document;
    std::vector<std::string> batch;
    std::size_t bytes = 0;
    const auto flush = [&] {
      trainer.add(batch, pool);
      batch.clear();
      bytes = 0;
      line.update(documents->done(), documents->all(),
                  fmt::format("{} ({} of {})", files[i], i + 1, files.size()));
      if (interrupt.happened()) throw Interrupted();
    };
    while (documents->next(document)) {
      if (input.sample.size() < kSample) {
        input.sample += document.text.substr(0, kSample - input.sample.size());
      }
      bytes += document.text.size();
      batch.push_back(std::move(document.text));
      if (bytes >= kSample) flush();
    }
    flush();
    inputs.push_back(std::move(input));
  }
  return inputs;
}

TokenizerSpec spec_of(const TrainChoice& choice) {
  TokenizerSpec spec = default_tokenizer_spec();
  spec.digits = choice.digits == "single" ? DigitPieces::single : DigitPieces::up_to_three;
  if (choice.fim) {
    for (const std::string& text : fim_token_texts()) spec.added.push_back({text, true});
  }
  for (const std::string& text : choice.special) spec.added.push_back({text, true});
  for (const std::string& text : choice.tags) spec.added.push_back({text, false});
  for (std::size_t i = 0; i < spec.added.size(); ++i) {
    const std::string& text = spec.added[i].text;
    if (text.empty()) fail(ErrorKind::usage, "an added token is empty");
    for (std::size_t k = 0; k < i; ++k) {
      if (spec.added[k].text == text) fail(ErrorKind::usage, "the token '{}' is added twice", text);
    }
  }
  return spec;
}

Tokenizer smaller(const TrainedBpe& bpe, const TokenizerSpec& spec, std::size_t tokens) {
  TrainedBpe part;
  part.tokens.assign(bpe.tokens.begin(), bpe.tokens.begin() + static_cast<std::ptrdiff_t>(tokens));
  const std::set<std::string> known(part.tokens.begin(), part.tokens.end());
  for (const auto& merge : bpe.merges) {
    const std::string text = bpe.tokens[static_cast<std::size_t>(merge.left)] +
                             bpe.tokens[static_cast<std::size_t>(merge.right)];
    if (!known.contains(text)) break;
    part.merges.push_back(merge);
  }
  return Tokenizer::from_json(tokenizer_json_text(part, spec), tokenizer_config_text(spec));
}

double bytes_per_token(const Tokenizer& tokenizer, const std::string& text) {
  const std::size_t tokens = tokenizer.encode(text, EncodeMode::plain).size();
  return tokens ? static_cast<double>(text.size()) / static_cast<double>(tokens) : 0;
}

// Bytes per token of each file at this size of vocabulary, at halves of it, and by other
// tokenizers.
void print_report(const TrainChoice& choice, const std::vector<Input>& inputs,
                  const TrainedBpe& bpe, const TokenizerSpec& spec) {
  std::vector<std::pair<std::string, Tokenizer>> columns;
  const std::size_t all = bpe.tokens.size() + spec.added.size();
  for (std::size_t size = all; size > 256 + spec.added.size() && columns.size() < 4; size /= 2) {
    columns.insert(columns.begin(),
                   {std::to_string(size), smaller(bpe, spec, size - spec.added.size())});
  }
  for (const std::string& path : choice.compare) {
    const fs::path parts = fs::path(path).lexically_normal();
    const fs::path name = parts.filename() == "tokenizer.json" || parts.filename().empty()
                              ? parts.parent_path().filename()
                              : parts.filename();
    columns.emplace_back(name.string(), open_text_files(path).tokenizer);
  }
  fmt::print("\n{:<40}", "bytes per token, by vocabulary");
  for (const auto& [name, tokenizer] : columns) fmt::print(" {:>9}", name);
  for (const Input& input : inputs) {
    if (input.sample.empty()) continue;
    const std::string name = fs::path(input.path).filename().string();
    fmt::print("\n{:<40}", name.size() <= 40 ? name : name.substr(0, 37) + "...");
    for (const auto& [column, tokenizer] : columns) {
      fmt::print(" {:>9.3f}", bytes_per_token(tokenizer, input.sample));
    }
  }
  fmt::print("\n");
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

ExitCode train_tokenizer(const TrainChoice& choice, const Environment& environment) {
  const TokenizerSpec spec = spec_of(choice);
  BpeTrainOptions options;
  options.vocab_size = choice.vocab - static_cast<std::int32_t>(spec.added.size());
  if (options.vocab_size < 256) {
    fail(ErrorKind::usage, "--vocab {}: expected at least {}: 256 bytes and {} added tokens",
         choice.vocab, 256 + spec.added.size(), spec.added.size());
  }
  options.min_frequency = choice.min_frequency;
  options.digits = spec.digits;
  for (const NewToken& token : spec.added) options.reserved.push_back(token.text);
  ModelChoice machine;
  machine.threads = choice.threads;
  ThreadPool pool(cpu_options(machine, environment).threads);
  BpeTrainer trainer(options);
  const auto start = std::chrono::steady_clock::now();
  const std::vector<Input> inputs = count_pieces(choice, trainer, pool, environment);
  const double reading = seconds_since(start);
  TrainedBpe bpe;
  {
    ProgressLine line(environment, "merging");
    const CatchInterrupt interrupt;
    bpe = trainer.train([&](std::int64_t done, std::int64_t all) {
      line.update(done, all);
      if (interrupt.happened()) throw Interrupted();
    });
  }
  const bool is_file = choice.out.ends_with(".json");
  const fs::path folder = is_file ? fs::path(choice.out).parent_path() : fs::path(choice.out);
  if (!folder.empty()) fs::create_directories(folder);
  const fs::path file = is_file ? fs::path(choice.out) : folder / "tokenizer.json";
  write_file_atomic(file.string(), tokenizer_json_text(bpe, spec));
  write_file_atomic((folder / "tokenizer_config.json").string(), tokenizer_config_text(spec));
  fmt::print("{}: {} tokens: 256 bytes, {} learnt, {} added\n", file.string(),
             bpe.tokens.size() + spec.added.size(), bpe.tokens.size() - 256, spec.added.size());
  if (static_cast<std::int32_t>(bpe.tokens.size()) < options.vocab_size) {
    fmt::print("  fewer than asked for: no further pair occurs {} times\n", options.min_frequency);
  }
  fmt::print("  {} and {} distinct pieces read in {:.1f} s, merged in {:.1f} s\n",
             bytes_text(static_cast<double>(trainer.bytes())), trainer.distinct_pieces(), reading,
             seconds_since(start) - reading);
  print_report(choice, inputs, bpe, spec);
  return ExitCode::ok;
}

}  // namespace

void add_tokenizer(CLI::App& root, Program& program) {
  CLI::App* verb = root.add_subcommand("tokenizer", "Make a tokenizer");
  verb->require_subcommand(1);
  const auto choice = std::make_shared<TrainChoice>();
  CLI::App* train =
      add_verb(*verb, program, "train",
               "Learn a byte-level BPE vocabulary from files (Hugging Face's tokenizer.json)",
               choice, train_tokenizer);
  train
      ->add_option("files", choice->files,
                   "Text, or JSON lines with a field \"text\" or \"messages\" (.jsonl); either may "
                   "be packed (.zst)")
      ->type_name("FILE")
      ->required();
  train->add_option("--vocab", choice->vocab, "Tokens in all, added ones among them")
      ->type_name("N")
      ->required()
      ->check(CLI::Range(256, 1 << 24));
  train->add_option("--out", choice->out, "A folder, or the path of the tokenizer.json")
      ->type_name("PATH")
      ->required();
  train->add_option("--special", choice->special, "Add a control token, beside DeepSeek's")
      ->type_name("TOKEN");
  train
      ->add_option("--tag", choice->tags,
                   "Add a token that is ordinary text, beside <think> and <answer>")
      ->type_name("TOKEN");
  train->add_flag("--fim", choice->fim, "Add the tokens of fill-in-the-middle");
  train
      ->add_option("--digits", choice->digits,
                   "Digits in a token: single, or up to three (default: single)")
      ->type_name("HOW")
      ->check(CLI::IsMember({"single", "three"}));
  train
      ->add_option("--min-frequency", choice->min_frequency,
                   "Never merge a pair met less often (default: 2)")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 60));
  train->add_option("--field", choice->field, "The field of JSON lines that holds the text")
      ->type_name("NAME");
  train->add_option("--compare", choice->compare, "Show another tokenizer in the report")
      ->type_name("PATH");
  train->add_option("--threads", choice->threads, "Threads that read (default: the cores at hand)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
}

}  // namespace nautile::app
