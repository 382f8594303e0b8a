#include "app/one_shot.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "app/exit_code.h"
#include "base/error.h"

namespace nautile::app {
namespace {

constexpr std::size_t kMaxInput = std::size_t{64} << 20;

}  // namespace

std::string read_stdin(const Environment& environment) {
  if (environment.stdin_terminal && environment.stderr_terminal)
    fmt::print(stderr, "(the prompt, then Ctrl-D:)\n");
  std::string text;
  std::array<char, 65536> buffer;
  while (true) {
    const ssize_t count = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (count == 0 || (count < 0 && errno == EBADF)) return text;
    if (count < 0 && errno == EINTR) throw Interrupted{};
    if (count < 0) fail(ErrorKind::failure, "cannot read standard input: {}", std::strerror(errno));
    text.append(buffer.data(), static_cast<std::size_t>(count));
    if (text.size() > kMaxInput)
      fail(ErrorKind::usage, "the prompt on standard input is longer than {} bytes", kMaxInput);
  }
}

nlohmann::ordered_json report_of(const Generated& generated, const LoadedModel& model,
                                 const Settings& settings) {
  nlohmann::ordered_json report = {{"model", model.title()},
                                   {"finish", finish_name(generated.finish)},
                                   {"prompt_tokens", generated.prompt_tokens},
                                   {"cached_tokens", generated.cached_tokens},
                                   {"generated_tokens", generated.tokens.size()},
                                   {"prompt_seconds", generated.prompt_seconds},
                                   {"generation_seconds", generated.seconds},
                                   {"tokens", generated.tokens}};
  for (const Setting& setting : setting_table())
    report["settings"][setting.name] = setting.show(settings);
  return report;
}

Output print_report(const nlohmann::ordered_json& report) {
  return write_output(
      report.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

}  // namespace nautile::app
