// eval_tasks.cpp — the verb `eval tasks`: asks generated problems, judges the answers, counts.
#include "app/eval_tasks.h"

#include <atomic>
#include <chrono>
#include <nlohmann/json.hpp>

#include "app/chat_session.h"
#include "app/printer.h"
#include "app/progress_line.h"
#include "base/file.h"
#include "base/parallel.h"
#include "base/rng.h"
#include "eval/task_score.h"
#include "tasks/task.h"
#include "text/chat_encode.h"

namespace nautile::app {
namespace {

using Json = nlohmann::ordered_json;

struct TasksChoice {
  ModelChoice model;
  GivenSettings settings;
  std::vector<std::string> tasks = {"all"};
  std::string split = "test", format, log;
  std::int64_t count = 200;
  int samples = 1;
  std::uint64_t problem_seed = 0;
  bool as_json = false;
};

// One problem, the tries at it, and what was written.
struct Asked {
  tasks::Problem problem;
  eval::TaskScore::Tries tries;
  std::vector<std::string> responses;
  std::vector<tasks::Verdict> verdicts;
  bool done = false;
};

std::vector<const tasks::Task*> chosen_tasks(const TasksChoice& choice) {
  std::vector<const tasks::Task*> chosen;
  for (const std::string& name : choice.tasks) {
    if (name != "all") {
      chosen.push_back(&tasks::find_task(name));
      continue;
    }
    for (const tasks::Task& task : tasks::all_tasks()) chosen.push_back(&task);
  }
  return chosen;
}

// One try: greedy; several: as DeepSeek-R1's report samples (§3: temperature 0.6, top-p 0.95).
Settings sampling_settings(const TasksChoice& choice, const LoadedModel& model,
                           const Environment& environment) {
  Settings settings = default_settings(model.text().defaults, environment);
  settings.sampling = {};
  settings.sampling.temperature = choice.samples > 1 ? 0.6f : 0.0f;
  settings.sampling.top_p = choice.samples > 1 ? 0.95f : 1.0f;
  settings.max_tokens = 512;
  for (const auto& [name, value] : choice.settings)
    apply_setting(settings, name, value, "option", model.config().vocabulary);
  return settings;
}

// Asks from one thread, with a backend of its own.
class Asker {
 public:
  Asker(const LoadedModel& model, const ChatFormat& format, const Settings& settings,
        const CpuOptions& cpu)
      : model_(model),
        format_(format),
        settings_(settings),
        backend_(make_cpu_backend(cpu)),
        session_(*model.model, *backend_, model.session) {}

  // `index` of the problem and number of the try make the seed.
  void ask(Asked& asked, int samples, std::uint64_t index, const CatchInterrupt& interrupt) {
    const std::vector<TokenId> prompt = prompt_of(asked.problem);
    for (int k = 0; k < samples; ++k) {
      Settings settings = settings_;
      settings.sampling.seed =
          mix64(settings_.sampling.seed + mix64(index * 4096 + static_cast<std::uint64_t>(k)));
      std::string text = opening_;
      const TextFiles& files = model_.text();
      const Generated generated = generate(
          session_, files.tokenizer, model_.config().vocabulary,
          {prompt, settings, files.defaults.stop_ids, SkipSpecial::no},
          {[&](const std::string& piece) { text += piece; },
           [&] {
             return interrupt.happened() ? engine::Session::Go::stop : engine::Session::Go::on;
           },
           {}});
      if (generated.finish == Finish::interrupted) return;
      const tasks::Verdict verdict = tasks::check(asked.problem, text);
      asked.tries.samples += 1;
      asked.tries.correct += verdict.correct ? 1 : 0;
      asked.tries.well_formed += verdict.well_formed ? 1 : 0;
      asked.tries.ended += generated.finish == Finish::end ? 1 : 0;
      asked.tries.tokens += static_cast<std::int64_t>(generated.tokens.size());
      asked.responses.push_back(std::move(text));
      asked.verdicts.push_back(verdict);
    }
    asked.done = true;
  }

 private:
  std::vector<TokenId> prompt_of(const tasks::Problem& problem) {
    Conversation conversation;
    conversation.messages.push_back({{"role", "user"}, {"content", problem.prompt}});
    RenderOptions options;
    options.thinking = settings_.thinking;
    const RenderedPrompt rendered = format_.render(conversation, options);
    // What the prompt has opened belongs to the answer.
    opening_ = rendered.reasoning == ReasoningMode::inside ? "<think>" : "";
    return encode_segments(model_.text().tokenizer, rendered.segments);
  }

  const LoadedModel& model_;
  const ChatFormat& format_;
  const Settings& settings_;
  std::unique_ptr<Backend> backend_;
  engine::Session session_;
  std::string opening_;
};

struct Quiz {
  const TasksChoice& choice;
  const LoadedModel& model;
  Settings settings;
  std::vector<const tasks::Task*> tasks;
  std::vector<Asked> asked;  // task by task
};

Quiz make_quiz(const TasksChoice& choice, const LoadedModel& model,
               const Environment& environment) {
  Quiz quiz{choice, model, sampling_settings(choice, model, environment), chosen_tasks(choice), {}};
  const tasks::Split split = choice.split == "test" ? tasks::Split::test : tasks::Split::train;
  for (const tasks::Task* task : quiz.tasks) {
    for (std::int64_t i = 0; i < choice.count; ++i) {
      quiz.asked.emplace_back();
      quiz.asked.back().problem =
          tasks::make_problem(*task, choice.problem_seed, split, static_cast<std::uint64_t>(i));
    }
  }
  return quiz;
}

// Each thread takes the next problem; what is answered does not depend on which thread it is.
void ask_all(Quiz& quiz, const Environment& environment, const CatchInterrupt& interrupt) {
  const auto format = chat_format_of(quiz.model, quiz.choice.format);
  CpuOptions cpu = cpu_options(quiz.choice.model, environment);
  ThreadPool pool(cpu.threads);
  cpu.threads = 1;
  std::atomic<std::size_t> next{0};
  ProgressLine line(environment, "asking");
  pool.run([&](int thread) {
    try {
      Asker asker(quiz.model, *format, quiz.settings, cpu);
      for (std::size_t i; (i = next.fetch_add(1)) < quiz.asked.size() && !interrupt.happened();) {
        asker.ask(quiz.asked[i], quiz.choice.samples, i, interrupt);
        if (thread == 0)
          line.update(static_cast<std::int64_t>(i), static_cast<std::int64_t>(quiz.asked.size()));
      }
    } catch (...) {
      next = quiz.asked.size();  // the others need not go on
      throw;
    }
  });
}

Json interval(const eval::Proportion& p) {
  return {{"value", p.value}, {"low", p.low}, {"high", p.high}};
}

Json json_of(std::string_view task, const eval::TaskScore& score) {
  return {{"task", task},
          {"problems", score.problems()},
          {"pass_at_1", interval(score.pass_at_1())},
          {"any_correct", interval(score.any_correct())},
          {"well_formed", score.well_formed()},
          {"ended", score.ended()},
          {"mean_tokens", score.mean_tokens()}};
}

std::string percent(const eval::Proportion& p) {
  return fmt::format("{:5.1f} % ({:.1f}–{:.1f})", 100 * p.value, 100 * p.low, 100 * p.high);
}

void print_table(const Quiz& quiz, const std::vector<eval::TaskScore>& scores) {
  const engine::SamplingParams& sampling = quiz.settings.sampling;
  fmt::print("{}: {} problems, seed {}; {} {} each, temperature {}, top-p {}, at most {} tokens\n",
             quiz.model.title(), quiz.choice.split, quiz.choice.problem_seed, quiz.choice.samples,
             quiz.choice.samples == 1 ? "try" : "tries", sampling.temperature, sampling.top_p,
             quiz.settings.max_tokens);
  fmt::print("  {:<12} {:>8}  {:<22}", "task", "problems", "right (95 % interval)");
  if (quiz.choice.samples > 1)
    fmt::print("  {:<22}", fmt::format("one of {}", quiz.choice.samples));
  fmt::print("  {:>11}  {:>6}  {:>6}\n", "well formed", "ended", "tokens");
  for (std::size_t t = 0; t < scores.size(); ++t) {
    const eval::TaskScore& score = scores[t];
    fmt::print("  {:<12} {:>8}  {:<22}", quiz.tasks[t]->name, score.problems(),
               percent(score.pass_at_1()));
    if (quiz.choice.samples > 1) fmt::print("  {:<22}", percent(score.any_correct()));
    fmt::print("  {:>9.1f} %  {:>4.0f} %  {:>6.1f}\n", 100 * score.well_formed(),
               100 * score.ended(), score.mean_tokens());
  }
}

void write_log(const Quiz& quiz) {
  AtomicWriter file(quiz.choice.log);
  for (const Asked& asked : quiz.asked) {
    for (std::size_t k = 0; k < asked.responses.size(); ++k) {
      const Json line = {{"task", asked.problem.task},
                         {"prompt", asked.problem.prompt},
                         {"numbers", asked.problem.numbers},
                         {"answer", asked.problem.answer},
                         {"response", asked.responses[k]},
                         {"correct", asked.verdicts[k].correct},
                         {"well_formed", asked.verdicts[k].well_formed},
                         {"reason", asked.verdicts[k].reason}};
      file.append(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
    }
  }
  file.commit();
}

ExitCode eval_tasks(const TasksChoice& choice, const Environment& environment) {
  ModelChoice model_choice = choice.model;
  const LoadedModel model = load_model(model_choice, environment);
  Quiz quiz = make_quiz(choice, model, environment);
  const CatchInterrupt interrupt;
  const auto start = std::chrono::steady_clock::now();
  ask_all(quiz, environment, interrupt);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::vector<eval::TaskScore> scores(quiz.tasks.size());
  for (std::size_t i = 0; i < quiz.asked.size(); ++i) {
    if (quiz.asked[i].done)
      scores[i / static_cast<std::size_t>(choice.count)].add(quiz.asked[i].tries);
  }
  if (interrupt.happened()) fmt::print(stderr, "nautile: interrupted; this is the result so far\n");
  if (!choice.log.empty()) write_log(quiz);
  if (choice.as_json) {
    Json report = {{"model", model.path},
                   {"split", choice.split},
                   {"problem_seed", choice.problem_seed},
                   {"samples", choice.samples},
                   {"temperature", quiz.settings.sampling.temperature},
                   {"top_p", quiz.settings.sampling.top_p},
                   {"max_tokens", quiz.settings.max_tokens},
                   {"seconds", seconds},
                   {"tasks", Json::array()}};
    for (std::size_t t = 0; t < scores.size(); ++t)
      report["tasks"].push_back(json_of(quiz.tasks[t]->name, scores[t]));
    fmt::print("{}\n", report.dump(2));
  } else {
    print_table(quiz, scores);
  }
  if (interrupt.happened()) throw Interrupted();
  return ExitCode::ok;
}

}  // namespace

void add_eval_tasks(CLI::App& eval, Program& program) {
  const auto choice = std::make_shared<TasksChoice>();
  CLI::App* verb =
      add_verb(eval, program, "tasks",
               "How many generated problems it solves, exactly checked, with 95 % intervals",
               choice, eval_tasks);
  verb->add_option("task", choice->tasks,
                   "Tasks (`nautile data generate --list`), or all (the default)")
      ->type_name("TASK");
  verb->add_option("--count", choice->count, "Problems of each task (default: 200)")
      ->type_name("N")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{10'000'000}));
  verb->add_option("--samples", choice->samples,
                   "Answers to each problem (default: 1, greedy; several are drawn at temperature "
                   "0.6, top-p 0.95)")
      ->type_name("K")
      ->check(CLI::Range(1, 4096));
  verb->add_option("--split", choice->split,
                   "test (numbers that no training problem has), or train")
      ->type_name("SPLIT")
      ->check(CLI::IsMember({"test", "train"}));
  verb->add_option("--problem-seed", choice->problem_seed, "Draws the problems (default: 0)")
      ->type_name("N");
  verb->add_option("--log", choice->log, "Write each answer and its verdict as a JSON line")
      ->type_name("FILE");
  verb->add_option("--chat-format", choice->format, "As of `nautile chat`")->type_name("FORMAT");
  verb->add_flag("--json", choice->as_json, "Print JSON");
  add_setting_options(*verb, choice->settings, SettingScope::any);
  add_model_options(*verb, choice->model);
}

}  // namespace nautile::app
