// data.cpp — the verb `data`: generates problems, builds training data, checks and shows it.
#include <filesystem>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "app/loaded_model.h"
#include "app/printer.h"
#include "app/program.h"
#include "app/progress_line.h"
#include "base/file.h"
#include "tasks/task.h"
#include "train/build_data.h"
#include "train/data_folder.h"

namespace nautile::app {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct GenerateChoice {
  std::vector<std::string> tasks;
  std::string out, split = "train", format = "chat";
  std::int64_t count = 0;
  std::uint64_t seed = 0;
  bool list = false;
};

struct BuildChoice {
  std::string spec, out;
  int threads = 0;
  bool overwrite = false, as_json = false;
};

struct FolderChoice {
  std::string folder, source;
  std::int64_t count = 3;
};

std::string dump(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string record_of(const tasks::Problem& problem, const GenerateChoice& choice) {
  if (choice.format == "text") return problem.prompt + "\n" + problem.response() + "\n\n";
  const Json record = {
      {"messages", Json::array({{{"role", "user"}, {"content", problem.prompt}},
                                {{"role", "assistant"}, {"content", problem.response()}}})},
      {"task", problem.task},
      {"answer", problem.answer},
      {"numbers", problem.numbers}};
  return dump(record) + "\n";
}

ExitCode list_tasks() {
  for (const tasks::Task& task : tasks::all_tasks()) {
    fmt::print("{:<12} {}\n", task.name, task.what);
  }
  return ExitCode::ok;
}

ExitCode generate(const GenerateChoice& choice, const Environment& environment) {
  if (choice.list) return list_tasks();
  if (choice.tasks.empty() || choice.count == 0 || choice.out.empty()) {
    fail(ErrorKind::usage,
         "`nautile data generate` needs tasks, --count and --out (--list shows the tasks)");
  }
  std::vector<const tasks::Task*> tasks;
  for (const std::string& name : choice.tasks) {
    if (name != "all") {
      tasks.push_back(&tasks::find_task(name));
      continue;
    }
    for (const tasks::Task& task : tasks::all_tasks()) tasks.push_back(&task);
  }
  const tasks::Split split = choice.split == "test" ? tasks::Split::test : tasks::Split::train;
  AtomicWriter file(choice.out);
  std::unordered_set<std::string> prompts;
  const CatchInterrupt interrupt;
  ProgressLine line(environment, "generating");
  for (std::int64_t i = 0; i < choice.count; ++i) {
    const auto index = static_cast<std::size_t>(i);
    const tasks::Problem problem =
        tasks::make_problem(*tasks[index % tasks.size()], choice.seed, split, index / tasks.size());
    file.append(record_of(problem, choice));
    prompts.insert(problem.prompt);
    if (i % 256 == 0) line.update(i, choice.count);
    if (interrupt.happened()) throw Interrupted();
  }
  file.commit();
  fmt::print("{}: {} problems, {} of them distinct, {} split, seed {}, {}\n", choice.out,
             choice.count, prompts.size(), choice.split, choice.seed,
             bytes_text(static_cast<double>(file.size())));
  return ExitCode::ok;
}

// The tokenizer of a specification: its files, for copying, and what they say.
struct SpecTokenizer {
  TextFiles text;
  std::unique_ptr<ChatFormat> format;
  std::vector<std::pair<std::string, std::string>> files;
};

SpecTokenizer open_tokenizer(const train::DataSpec& spec) {
  fs::path folder(spec.tokenizer);
  if (folder.filename() == "tokenizer.json") folder = folder.parent_path();
  if (!fs::exists(folder / "tokenizer.json")) {
    throw make_error(ErrorKind::failure, "there is no {}", (folder / "tokenizer.json").string())
        .hint("`nautile tokenizer train` makes one");
  }
  SpecTokenizer result{open_text_files(folder.empty() ? "." : folder.string()), nullptr, {}};
  result.format = spec.chat_format.empty() ? template_format(result.text)
                                           : make_native_format(spec.chat_format);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}) {
    const fs::path file = folder / name;
    if (fs::exists(file)) result.files.emplace_back(name, read_file(file.string()));
  }
  return result;
}

std::string share_text(const Json& part, const Json& whole) {
  const auto all = whole.get<double>();
  return fmt::format("{} ({:.1f} %)", part.get<std::uint64_t>(),
                     all > 0 ? 100 * part.get<double>() / all : 0);
}

void print_report(const Json& index) {
  fmt::print("{:<16} {:>8} {:>11} {:>12} {:>13} {:>8}  {}\n", "source", "weight", "documents",
             "bytes", "tokens", "B/token", "held out, tokens");
  for (const Json& source : index["sources"]) {
    const Json &report = source["report"], &train = report["train"], &held = report["held_out"];
    fmt::print("{:<16} {:>8.4g} {:>11} {:>12} {:>13} {:>8.3f}  {}\n",
               source["name"].get<std::string>(), source["weight"].get<double>(),
               train["documents"].get<std::uint64_t>(), bytes_text(train["bytes"].get<double>()),
               train["tokens"].get<std::uint64_t>(), train["bytes_per_token"].get<double>(),
               held["tokens"].get<std::uint64_t>());
    std::string removed;
    for (const auto& [what, count] : report["removed"].items()) {
      if (count == 0) continue;
      std::string words = what;
      std::replace(words.begin(), words.end(), '_', ' ');
      removed += fmt::format("{}{} {}", removed.empty() ? "" : ", ", words,
                             share_text(count, report["documents_read"]));
    }
    if (!removed.empty()) fmt::print("  removed: {}\n", removed);
    if (report.contains("contaminated_by")) {
      for (const auto& [set, count] : report["contaminated_by"].items()) {
        fmt::print("    {} documents share words with {}\n", count.get<std::uint64_t>(), set);
      }
      for (const Json& example : report["contaminated_examples"]) {
        fmt::print("    {}: \"{}\"\n", example["where"].get<std::string>(),
                   terminal_safe(example["text"].get<std::string>()));
      }
    }
  }
}

ExitCode build(const BuildChoice& choice, const Environment& environment) {
  const train::DataSpec spec =
      train::parse_data_spec(read_file(choice.spec, std::size_t{1} << 24), choice.spec);
  const SpecTokenizer tokenizer = open_tokenizer(spec);
  ModelChoice machine;
  machine.threads = choice.threads;
  ThreadPool pool(cpu_options(machine, environment).threads);
  const CatchInterrupt interrupt;
  train::BuildCallbacks callbacks;
  ProgressLine line(environment, "building");
  callbacks.progress = [&](const std::string& source, std::int64_t done, std::int64_t all) {
    line.update(done, all, source);
    if (interrupt.happened()) throw Interrupted();
  };
  callbacks.notice = [](const std::string& message) {
    fmt::print(stderr, "nautile: {}\n", message);
  };
  const Json index = train::build_data(
      spec, {tokenizer.text.tokenizer, tokenizer.format.get(), tokenizer.files}, choice.out,
      choice.overwrite ? train::Overwrite::yes : train::Overwrite::no, pool, callbacks);
  if (choice.as_json) {
    fmt::print("{}\n", dump(index, 2));
  } else {
    print_report(index);
  }
  return ExitCode::ok;
}

ExitCode check(const FolderChoice& choice, const Environment& environment) {
  const train::DataFolder folder = train::DataFolder::open(choice.folder);
  ProgressLine line(environment, "checking");
  std::int64_t done = 0, all = 0;
  std::vector<const train::Shard*> shards;
  for (const train::DataSource& source : folder.sources) {
    for (const auto* list : {&source.train, &source.held_out}) {
      for (const train::Shard& shard : *list) {
        shards.push_back(&shard);
        all += static_cast<std::int64_t>(shard.tokens());
      }
    }
  }
  for (const train::Shard* shard : shards) {
    shard->verify();
    line.update(done += static_cast<std::int64_t>(shard->tokens()), all);
  }
  fmt::print("{}: {} shards, {} tokens, every checksum is right\n", choice.folder, shards.size(),
             all);
  print_report(folder.index);
  return ExitCode::ok;
}

// The first documents of each source, as text; what bears no loss is dim or in brackets.
void show_document(const train::Shard& shard, std::uint64_t document, const Tokenizer& tokenizer,
                   const Environment& environment) {
  std::vector<std::int32_t> tokens(std::min<std::uint64_t>(shard.length(document), 2000));
  shard.read(document, 0, tokens);
  const bool chat = shard.kind(document) == train::DocumentKind::chat;
  const auto runs =
      chat ? shard.runs(document)
           : std::vector{train::TokenRun{0, static_cast<std::uint32_t>(tokens.size())}};
  std::string text;
  std::size_t at = 0;
  const auto put = [&](std::size_t end, bool learnt) {
    end = std::min(end, tokens.size());
    if (at >= end) return;
    const std::string part =
        terminal_safe(tokenizer.decode(std::span(tokens).subspan(at, end - at), SkipSpecial::no));
    const char* open = learnt ? "" : environment.color ? "\033[2m" : "[";
    const char* close = learnt ? "" : environment.color ? "\033[0m" : "]";
    text += fmt::format("{}{}{}", open, part, close);
    at = end;
  };
  for (const train::TokenRun& run : runs) {
    put(run.begin, false);
    put(run.end, true);
  }
  put(tokens.size(), false);
  const std::uint64_t rest = shard.length(document) - tokens.size();
  fmt::print("{}{}\n\n", text, rest ? fmt::format(" ... and {} tokens more", rest) : "");
}

ExitCode show(const FolderChoice& choice, const Environment& environment) {
  const train::DataFolder folder = train::DataFolder::open(choice.folder);
  const TextFiles text = open_text_files(choice.folder);
  bool found = false;
  for (const train::DataSource& source : folder.sources) {
    if (!choice.source.empty() && source.name != choice.source) continue;
    found = true;
    std::int64_t left = choice.count;
    for (const train::Shard& shard : source.train.empty() ? source.held_out : source.train) {
      for (std::uint64_t i = 0; i < shard.documents() && left > 0; ++i, --left) {
        fmt::print("== {}, document {}: {} tokens\n", source.name, i, shard.length(i));
        show_document(shard, i, text.tokenizer, environment);
      }
    }
  }
  if (!found) fail(ErrorKind::usage, "{} has no source '{}'", choice.folder, choice.source);
  return ExitCode::ok;
}

void add_generate(CLI::App& verb, Program& program) {
  const auto choice = std::make_shared<GenerateChoice>();
  CLI::App* generator = add_verb(verb, program, "generate",
                                 "Generate problems with worked solutions that have exact checkers",
                                 choice, generate);
  generator->add_option("tasks", choice->tasks, "Tasks, taken in turns; 'all' means every one")
      ->type_name("TASK");
  generator->add_flag("--list", choice->list, "List the tasks");
  generator->add_option("--count", choice->count, "Problems in all")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40));
  generator
      ->add_option("--split", choice->split,
                   "train or test; they share no set of numbers (default: train)")
      ->type_name("SPLIT")
      ->check(CLI::IsMember({"train", "test"}));
  generator
      ->add_option("--seed", choice->seed, "Problem i of a seed is always the same (default: 0)")
      ->type_name("S");
  generator->add_option("--out", choice->out, "The file to write")->type_name("FILE");
  generator
      ->add_option("--format", choice->format,
                   "chat: JSON lines with messages; text: prompt and solution (default: chat)")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"chat", "text"}));
}

}  // namespace

void add_data(CLI::App& root, Program& program) {
  CLI::App* verb = root.add_subcommand("data", "Make training data");
  verb->require_subcommand(1);
  add_generate(*verb, program);
  const auto choice = std::make_shared<BuildChoice>();
  CLI::App* builder =
      add_verb(*verb, program, "build", "Clean, tokenize and shard documents, as a TOML file says",
               choice, build);
  builder->add_option("spec", choice->spec, "The specification (TOML)")
      ->type_name("FILE")
      ->required();
  builder->add_option("--out", choice->out, "The folder to write")
      ->type_name("FOLDER_PATH")
      ->required();
  builder->add_flag("--overwrite", choice->overwrite, "Replace the data that is there");
  builder->add_flag("--json", choice->as_json, "Print the report as JSON");
  builder->add_option("--threads", choice->threads, "Threads (default: the cores at hand)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  const auto checked = std::make_shared<FolderChoice>();
  CLI::App* checker =
      add_verb(*verb, program, "check", "Verify every checksum of a data folder", checked, check);
  checker->add_option("folder", checked->folder, "The data folder")->type_name("PATH")->required();
  const auto shown = std::make_shared<FolderChoice>();
  CLI::App* shower =
      add_verb(*verb, program, "show", "Show documents as they were tokenized; [..] bears no loss",
               shown, show);
  shower->add_option("folder", shown->folder, "The data folder")->type_name("PATH")->required();
  shower->add_option("--source", shown->source, "Only this source")->type_name("NAME");
  shower->add_option("-n,--count", shown->count, "Documents of each source (default: 3)")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 40));
}

}  // namespace nautile::app
