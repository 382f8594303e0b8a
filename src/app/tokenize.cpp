// tokenize.cpp — the verb `tokenize`: text to ids and tokens, by a model's own tokenizer.
#include <fmt/ranges.h>

#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "app/loaded_model.h"
#include "app/program.h"

namespace nautile::app {
namespace {

struct TokenizeOptions {
  ModelChoice model;
  std::string text;
  bool has_text = false, plain = false, special = false, ids_only = false, decode = false,
       as_json = false;
};

std::string text_of(const TokenizeOptions& options) {
  if (options.has_text) return options.text;
  return {std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
}

// JSON must be UTF-8; a token may be a part of a character.
std::string json_text(const std::string& bytes) {
  return nlohmann::json(bytes).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void print_json(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  std::string line = "{\"count\":" + std::to_string(ids.size()) + ",\"tokens\":[";
  for (std::size_t i = 0; i < ids.size(); ++i) {
    std::string bytes;
    tokenizer.append_bytes(ids[i], SkipSpecial::no, bytes);
    line += fmt::format("{}{{\"id\":{},\"token\":{},\"text\":{},\"special\":{}}}", i ? "," : "",
                        ids[i], json_text(tokenizer.token(ids[i])), json_text(bytes),
                        tokenizer.is_special(ids[i]));
  }
  fmt::print("{}]}}\n", line);
}

std::vector<TokenId> parse_ids(const std::string& text, std::int32_t vocabulary) {
  std::vector<TokenId> ids;
  std::size_t at = 0;
  while ((at = text.find_first_not_of(" \t\r\n,[]", at)) != text.npos) {
    const std::size_t end = std::min(text.find_first_of(" \t\r\n,[]", at), text.size());
    const std::string word = text.substr(at, end - at);
    const bool digits = word.find_first_not_of("0123456789") == word.npos && word.size() <= 9;
    if (!digits || std::stol(word) >= vocabulary) {
      fail(ErrorKind::usage, "'{}' is no token id: expected 0 to {}", word, vocabulary - 1);
    }
    ids.push_back(static_cast<TokenId>(std::stol(word)));
    at = end;
  }
  return ids;
}

ExitCode tokenize(const TokenizeOptions& options, const Environment& environment) {
  const TextFiles files = open_text_files(model_path(options.model, environment));
  const Tokenizer& tokenizer = files.tokenizer;
  const std::string text = text_of(options);
  if (options.decode) {
    fmt::print("{}", tokenizer.decode(parse_ids(text, tokenizer.vocab_size()), SkipSpecial::no));
    if (environment.stdout_terminal) fmt::print("\n");
    return ExitCode::ok;
  }
  const std::vector<TokenId> ids =
      tokenizer.encode(text, options.plain ? EncodeMode::plain : EncodeMode::parse_added,
                       options.special ? AddSpecial::yes : AddSpecial::no);
  if (options.as_json) {
    print_json(tokenizer, ids);
  } else if (options.ids_only) {
    fmt::print("{}\n", fmt::join(ids, " "));
  } else {
    for (const TokenId id : ids) {
      std::string bytes;
      tokenizer.append_bytes(id, SkipSpecial::no, bytes);
      fmt::print("{:>7}  {}\n", id, json_text(bytes));
    }
  }
  return ExitCode::ok;
}

}  // namespace

void add_tokenize(CLI::App& root, Program& program) {
  const auto options = std::make_shared<TokenizeOptions>();
  CLI::App* verb =
      add_verb(root, program, "tokenize", "Show the tokens of a text", options, tokenize);
  verb->add_option_function<std::string>(
          "text",
          [options](const std::string& text) {
            options->text = text;
            options->has_text = true;
          },
          "The text; without it, standard input")
      ->type_name("TEXT");
  add_model_path(*verb, options->model);
  verb->add_flag("--plain", options->plain,
                 "Text is only text: control tokens it spells do not arise");
  verb->add_flag("--special", options->special, "Put around it what the tokenizer says (BOS)");
  verb->add_flag("--ids", options->ids_only, "Print ids alone, on one line");
  verb->add_flag("--decode", options->decode, "The text is ids: print what they say");
  verb->add_flag("--json", options->as_json, "Print JSON");
}

}  // namespace nautile::app
