// grammar_cases_main.cpp — grammars for the check in Python: JSON lines in, JSON lines out.
//
// Arguments: the folder of a tokenizer.json. Requests, each answered by a line, {"error": …} if
// refused:
//   {"kind": "json_schema", "text": "…", "space": "compact"}  a grammar; {"least_tokens", "ms"}
//   {"walk": {"seed": 1, "budget": 64, "skewed": true}}        a random walk along the last
//   grammar's
//                                                             masks; {"hex", "tokens", "us": […],
//                                                             "ended"}
//   {"allowed": [ids…]}                                        the mask after these tokens;
//   {"bits": hex}
//   {"vocabulary": true}                                       the bytes of the tokens, as hex
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "tests/grammar_sampling.h"

namespace {

using Json = nlohmann::json;
using nautile::TokenId;

std::string hex(const void* data, std::size_t size) {
  std::string text;
  for (std::size_t i = 0; i < size; ++i) {
    text += fmt::format("{:02x}", static_cast<const unsigned char*>(data)[i]);
  }
  return text;
}

class Cases {
 public:
  explicit Cases(const std::string& folder)
      : tokenizer_(
            nautile::Tokenizer::from_json(nautile::read_file(folder + "/tokenizer.json"),
                                          nautile::read_file(folder + "/tokenizer_config.json"))),
        vocabulary_(tokenizer_),
        sampler_(vocabulary_),
        mask_(vocabulary_.mask_words()) {}

  Json answer(const Json& request) {
    if (request.contains("walk")) return walk(request["walk"]);
    if (request.contains("allowed")) return allowed(request["allowed"]);
    if (request.contains("vocabulary")) return vocabulary();
    return compile(request);
  }

 private:
  Json compile(const Json& request) {
    static const std::map<std::string, nautile::GrammarKind> kKinds = {
        {"json_schema", nautile::GrammarKind::json_schema},
        {"json_object", nautile::GrammarKind::json_object},
        {"gbnf", nautile::GrammarKind::gbnf},
        {"regex", nautile::GrammarKind::regex}};
    nautile::GrammarSpec spec;
    spec.kind = kKinds.at(request["kind"]);
    spec.text = request.value("text", "");
    if (request.value("space", "") == "compact") spec.space = nautile::JsonSpace::compact;
    grammar_.reset();
    const double start = nautile::thread_us();
    grammar_ =
        std::make_shared<nautile::CompiledGrammar>(nautile::GrammarPlan::of(spec), vocabulary_);
    return {{"least_tokens", grammar_->least_tokens()},
            {"ms", (nautile::thread_us() - start) * 1e-3},
            {"bytes", grammar_->bytes()}};
  }

  Json walk(const Json& how) {
    const auto text = sampler_.walk(
        grammar_, how["seed"].get<std::uint64_t>(), how["budget"].get<std::uint32_t>(),
        how.value("skewed", false) ? nautile::Sampling::skewed : nautile::Sampling::uniform,
        nautile::GrammarSampler::Limits::budget);
    Json answer = {{"hex", hex(text.bytes.data(), text.bytes.size())},
                   {"tokens", text.ids.size()},
                   {"us", text.mask_us},
                   {"ended", text.ended}};
    if (!text.failure.empty()) answer["error"] = text.failure;
    return answer;
  }

  Json allowed(const Json& ids) {
    nautile::GrammarState state(grammar_);
    for (const TokenId id : ids) {
      if (!state.accept(id)) return {{"error", fmt::format("token {} is not allowed", id)}};
    }
    state.allowed(mask_);
    return {{"bits", hex(mask_.data(), mask_.size() * 8)}};
  }

  Json vocabulary() const {
    Json tokens = Json::array();
    for (TokenId id = 0; id < vocabulary_.size(); ++id) {
      const std::string& bytes = vocabulary_.bytes(id);
      tokens.push_back(hex(bytes.data(), bytes.size()));
    }
    return {{"tokens", tokens}, {"end_ids", vocabulary_.end_ids()}};
  }

  nautile::Tokenizer tokenizer_;
  nautile::GrammarVocabulary vocabulary_;
  nautile::GrammarSampler sampler_;
  std::vector<std::uint64_t> mask_;
  std::shared_ptr<const nautile::CompiledGrammar> grammar_;
};

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  if (argc != 2) {
    std::cerr << "usage: grammar_cases FOLDER\n";
    return 2;
  }
  Cases cases(argv[1]);
  for (std::string line; std::getline(std::cin, line);) {
    Json answer;
    try {
      answer = cases.answer(Json::parse(line));
    } catch (const nautile::Error& error) {
      answer = {{"error", error.what()},
                {"refused",
                 error.kind() == nautile::ErrorKind::unsupported ? "unsupported" : "bad_input"}};
    }
    std::cout << answer.dump() << std::endl;
  }
}
