// grammar_bench.cpp — what constrained decoding costs: compiling a schema, and a mask per token.
//
//   nautile_bench_grammar [FOLDER_OF_A_TOKENIZER [FILE_OF_SCHEMAS…]]
//
// From the tree's root; the defaults are DeepSeek-V3's tokenizer of the test data and
// tests/data/grammar. Each schema is walked at random, with ample and with tight budgets; then the
// same schemas as tools that a model may or must call. All times are of the processor.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "tests/grammar_sampling.h"
#include "text/output_plan.h"

namespace {

using nautile::CompiledGrammar;
using nautile::GrammarSampler;
using nautile::Sampling;

double percentile(std::vector<double>& values, std::size_t percent) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, values.size() * percent / 100)];
}

struct Figures {
  std::vector<double> compile_ms, ample_us, tight_us, plan_ms;
  std::size_t refused = 0, bytes = 0;
};

void measure(const nautile::GrammarPlan& plan, const nautile::GrammarVocabulary& vocabulary,
             std::uint64_t seed, Figures& figures) {
  std::shared_ptr<const CompiledGrammar> grammar;
  const double start = nautile::thread_us();
  try {
    grammar = std::make_shared<const CompiledGrammar>(plan, vocabulary);
  } catch (const nautile::Error&) {
    ++figures.refused;
    return;
  }
  figures.compile_ms.push_back((nautile::thread_us() - start) * 1e-3);
  GrammarSampler sampler(vocabulary);
  for (const Sampling sampling : {Sampling::uniform, Sampling::skewed}) {
    const auto ample = sampler.walk(grammar, seed, 256, sampling, GrammarSampler::Limits::none);
    const auto tight = sampler.walk(grammar, seed, grammar->least_tokens() + 8, sampling,
                                    GrammarSampler::Limits::budget);
    figures.ample_us.insert(figures.ample_us.end(), ample.mask_us.begin(), ample.mask_us.end());
    figures.tight_us.insert(figures.tight_us.end(), tight.mask_us.begin(), tight.mask_us.end());
  }
  figures.bytes = std::max(figures.bytes, grammar->bytes());
}

void print(const std::string& what, std::vector<double>& values, const char* unit) {
  fmt::print("  {:<22} median {:8.2f}  p95 {:8.2f}  p99 {:8.2f}  most {:8.2f} {}\n", what,
             percentile(values, 50), percentile(values, 95), percentile(values, 99),
             percentile(values, 100), unit);
}

void report(const std::string& what, Figures& figures, std::uint64_t plans) {
  fmt::print("{}: {}, {} refused, at most {:.1f} MiB each\n", what, plans, figures.refused,
             static_cast<double>(figures.bytes) / (1 << 20));
  print("compile", figures.compile_ms, "ms");
  print("mask", figures.ample_us, "us");
  print("mask, tight budget", figures.tight_us, "us");
}

// The schemas of objects among `lines`, as tools.
std::vector<nautile::ToolSpec> tools_of(const std::string& lines) {
  std::vector<nautile::ToolSpec> tools;
  std::istringstream in(lines);
  for (std::string schema; std::getline(in, schema);) {
    if (!schema.starts_with("{\"type\":\"object\"")) continue;
    tools.push_back({fmt::format("tool_{}", tools.size()), schema});
  }
  return tools;
}

void measure_tools(const std::vector<nautile::ToolSpec>& tools,
                   const nautile::GrammarVocabulary& vocabulary) {
  using Choice = nautile::OutputRules::Choice;
  for (const Choice choice : {Choice::automatic, Choice::required}) {
    Figures figures;
    std::uint64_t seed = 0;
    for (const std::string& format : nautile::tool_format_names()) {
      for (int round = 0; round < 8; ++round) {
        const nautile::OutputRules rules{.reasoning = nautile::ReasoningMode::none,
                                         .tools = tools,
                                         .choice = choice,
                                         .tool = "",
                                         .answer = {}};
        const double start = nautile::thread_us();
        const auto plan = nautile::output_plan(nautile::tool_format_named(format), rules);
        figures.plan_ms.push_back((nautile::thread_us() - start) * 1e-3);
        measure(*plan, vocabulary, ++seed, figures);
      }
    }
    report(fmt::format("{} tools, {}", tools.size(),
                       choice == Choice::required ? "required" : "automatic"),
           figures, seed);
    print("plan", figures.plan_ms, "ms");
  }
}

}  // namespace

int main(int argc, char** argv) {
  const char* data = std::getenv("NAUTILE_TEST_DATA");
  const std::string folder =
      argc > 1 ? argv[1] : std::string(data ? data : "../shared") + "/tokenizers/deepseek_v3";
  if (!std::filesystem::exists(folder + "/tokenizer.json")) {
    fmt::print("grammar: skipped, no tokenizer in {} (NAUTILE_TEST_DATA names the test data)\n",
               folder);
    return 0;
  }
  std::vector<std::string> files(argv + std::min(argc, 2), argv + argc);
  if (files.empty())
    files = {"tests/data/grammar/realistic.jsonl", "tests/data/grammar/random.jsonl"};
  const auto tokenizer =
      nautile::Tokenizer::from_json(nautile::read_file(folder + "/tokenizer.json"), "");
  const double start = nautile::thread_us();
  const nautile::GrammarVocabulary vocabulary(tokenizer);
  fmt::print("grammar: {} tokens, made ready once in {:.0f} ms\n", vocabulary.size(),
             (nautile::thread_us() - start) * 1e-3);
  for (const std::string& file : files) {
    std::istringstream lines(nautile::read_file(file));
    Figures figures;
    std::uint64_t seed = 0;
    for (std::string schema; std::getline(lines, schema);) {
      measure(nautile::GrammarPlan::of({nautile::GrammarKind::json_schema, schema}), vocabulary,
              ++seed, figures);
    }
    report(file, figures, seed);
  }
  measure_tools(tools_of(nautile::read_file("tests/data/grammar/realistic.jsonl")), vocabulary);
}
