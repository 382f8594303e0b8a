#include "app/inspect_chat.h"

#include <fmt/format.h>

#include "app/text_files.h"
#include "base/printable.h"

namespace nautile::app {

ChatFacts chat_facts(const store::WeightStore& store, const std::string& family) {
  ChatFacts facts;
  try {
    const TextFiles files = open_text_files(store);
    std::unique_ptr<ChatFormat> format;
    try {
      format = chat_format_of(files, family, "", "");
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::unsupported) throw;
      return facts;
    }
    facts.format = format->name();
    facts.tool_format = tool_format_of(files, *format).name;
    const ToolWords words = tool_words(*format);
    facts.defines_tools = words.definitions;
    facts.writes_calls = words.calls;
    facts.writes_results = words.results;
  } catch (const std::exception& error) {
    facts = {};
    facts.problem = printable(error.what(), 300);
  }
  return facts;
}

std::string chat_text(const ChatFacts& facts) {
  if (!facts.problem.empty()) return "not known: " + facts.problem;
  if (facts.format.empty()) return "none: it completes text";
  const std::string format = facts.format == "template"
                                 ? "its own template"
                                 : fmt::format("{}, a format of nautile's own", facts.format);
  std::string foreign;
  const auto add = [&](bool own, const char* what) {
    if (!own) foreign += fmt::format("{}{}", foreign.empty() ? "" : ", ", what);
  };
  add(facts.defines_tools, "definitions");
  add(facts.writes_calls, "calls");
  add(facts.writes_results, "results");
  return fmt::format("{}; tools as {}{}", format, facts.tool_format,
                     foreign.empty() ? "" : fmt::format(" ({} as text in messages)", foreign));
}

}  // namespace nautile::app
