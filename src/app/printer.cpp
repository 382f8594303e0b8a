#include "app/printer.h"

#include <fmt/format.h>

#include <cstdio>

#include "text/unicode.h"

namespace nautile::app {
namespace {

constexpr const char* kDim = "\033[2m";
constexpr const char* kPlain = "\033[0m";
constexpr const char* kWipe = "\r\033[K";

}  // namespace

std::string terminal_safe(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const Rune rune = decode_rune(text.data() + at);
    const bool control = (rune.code < 0x20 && rune.code != '\n' && rune.code != '\t') ||
                         (rune.code >= 0x7F && rune.code < 0xA0);
    if (control) {
      out += "\xEF\xBF\xBD";
    } else {
      out += text.substr(at, static_cast<std::size_t>(rune.length));
    }
    at += static_cast<std::size_t>(rune.length);
  }
  return out;
}

std::string duration_text(double seconds) {
  if (seconds < 60) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<long>(seconds);
  return fmt::format("{} min {} s", whole / 60, whole % 60);
}

void Printer::write(std::string_view text) {
  if (!text.empty() && output_ == Output::open) output_ = write_output(text);
}

void Printer::raw(std::string_view text) {
  write(text);
  if (!text.empty()) line_open_ = text.back() != '\n';
}

void Printer::piece(const ReasoningSplitter::Piece& piece) {
  if (!piece.reasoning.empty()) reasoning(piece.reasoning);
  if (!piece.content.empty()) content(piece.content);
}

void Printer::reasoning(std::string_view text) {
  if (part_ == Part::none) {
    start_ = Clock::now();
    if (shown_ == ReasoningShown::show) write(environment_.color ? std::string(kDim) : "<think>\n");
  }
  part_ = Part::reasoning;
  folded_ += text.size();
  if (shown_ == ReasoningShown::show) {
    raw(environment_.stdout_terminal ? terminal_safe(text) : std::string(text));
  } else if (shown_ == ReasoningShown::fold && environment_.color) {
    write(fmt::format("{}{}thinking … {}{}", kWipe, kDim,
                      duration_text(std::chrono::duration<double>(Clock::now() - start_).count()),
                      kPlain));
  }
}

void Printer::end_reasoning() {
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  if (shown_ == ReasoningShown::show) {
    const std::string close = environment_.color ? kPlain : "</think>\n";
    write((line_open_ ? "\n" : "") + close + "\n");
  } else if (shown_ == ReasoningShown::fold) {
    if (environment_.color) write(kWipe);
    notice(fmt::format("thought for {}, {} bytes; /reasoning shows it", duration_text(seconds),
                       folded_));
  }
  line_open_ = false;
  trim_ = true;
}

void Printer::content(std::string_view text) {
  if (part_ == Part::reasoning) end_reasoning();
  part_ = Part::content;
  if (trim_) {
    const std::size_t word = text.find_first_not_of(" \t\r\n");
    if (word == text.npos) return;
    text.remove_prefix(word);
    trim_ = false;
  }
  raw(environment_.stdout_terminal ? terminal_safe(text) : std::string(text));
}

void Printer::finish() {
  if (part_ == Part::reasoning) end_reasoning();
  if (line_open_) write("\n");
  part_ = Part::none;
  line_open_ = trim_ = false;
  folded_ = 0;
}

void Printer::notice(std::string_view text) {
  if (line_open_) write("\n");
  line_open_ = false;
  if (output_ == Output::closed) return;
  const bool dim = environment_.stderr_terminal && environment_.color;
  std::fprintf(stderr, "%s%.*s%s\n", dim ? kDim : "", static_cast<int>(text.size()), text.data(),
               dim ? kPlain : "");
}

}  // namespace nautile::app
