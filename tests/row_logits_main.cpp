// row_logits_main.cpp — logits of every row of given texts, for comparison with other programs
// (tools/oracle/compare_text.py).
//
//   row_logits [-m MODEL] [--class CLASS] [--kv FORMAT] …   the options of nautile's verbs
// stdin: one text per line, as token ids separated by blanks; each is computed from position 0, as
// a chat computes its prompt. stdout: after each line its logits, [tokens, W] F32, row by row.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <set>
#include <sstream>

#include "app/loaded_model.h"

namespace {

using namespace nautile;

std::vector<std::int32_t> tokens_of(const std::string& line, std::int64_t vocabulary) {
  std::istringstream words(line);
  std::vector<std::int32_t> tokens;
  for (std::int32_t token; words >> token;) {
    NAUTILE_CHECK(token >= 0 && token < vocabulary, "token {}: expected 0 to {}", token,
                  vocabulary - 1);
    tokens.push_back(token);
  }
  NAUTILE_CHECK(words.eof(), "expected token ids separated by blanks, found '{}'", line);
  return tokens;
}

void write_row(const float* row, std::int64_t width) {
  const std::size_t count = static_cast<std::size_t>(width);
  if (std::fwrite(row, sizeof(float), count, stdout) != count) {
    fail(ErrorKind::failure, "cannot write logits to stdout");
  }
}

// What the figures are of: "Q4_1 in class i8, …, cache in BF16".
std::string describe(const app::LoadedModel& loaded) {
  std::set<std::string> products;
  for (const store::TensorRecord& tensor : loaded.checkpoint.store().tensors()) {
    if (!tensor.format || tensor.shape.rank() < 2) continue;
    products.insert(fmt::format("{} in class {}", tensor.dtype,
                                name(loaded.backend->compute_class(*tensor.format))));
  }
  return fmt::format("{}; cache in {}; {}", fmt::join(products, ", "),
                     info(loaded.session.kv_format).name, loaded.backend->describe());
}

void run(const app::ModelChoice& choice) {
  const app::LoadedModel loaded = app::load_model(choice, app::read_environment());
  std::cerr << describe(loaded) << '\n';
  engine::Session session(*loaded.model, *loaded.backend, loaded.session);
  for (std::string line; std::getline(std::cin, line);) {
    session.truncate(0);
    session.append_all(tokens_of(line, loaded.config().vocabulary), [](std::int64_t, Tensor rows) {
      for (std::int64_t r = 0; r < rows.rows(); ++r) write_row(rows.row(r), rows.cols());
    });
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"row_logits: logits of every row of token lists"};
  nautile::app::ModelChoice choice;
  nautile::app::add_model_options(app, choice);
  CLI11_PARSE(app, argc, argv);
  try {
    run(choice);
  } catch (const nautile::Error& error) {
    std::cerr << "row_logits: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
