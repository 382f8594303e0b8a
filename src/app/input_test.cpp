// input_test.cpp — what was typed: several lines, commands, history lines, wide characters.
#include "app/input.h"

#include <gtest/gtest.h>

namespace nautile::app {
namespace {

using Text = std::optional<std::string>;

TEST(Input, OneLineIsWhole) {
  InputAssembler input;
  EXPECT_EQ(input.feed("hello"), Text("hello"));
  EXPECT_EQ(input.feed("a\nb"), Text("a\nb"));  // a paste
  EXPECT_EQ(input.feed(""), Text(""));
  EXPECT_FALSE(input.pending());
}

TEST(Input, QuotesHoldSeveralLines) {
  InputAssembler input;
  EXPECT_EQ(input.feed("\"\"\"first"), std::nullopt);
  EXPECT_TRUE(input.pending());
  EXPECT_EQ(input.feed("a \\"), std::nullopt);
  EXPECT_EQ(input.feed("last\"\"\" "), Text("first\na \\\nlast"));
  EXPECT_FALSE(input.pending());
  EXPECT_EQ(input.feed("\"\"\""), std::nullopt);
  EXPECT_EQ(input.feed("x"), std::nullopt);
  EXPECT_EQ(input.feed("\"\"\""), Text("x"));
  EXPECT_EQ(input.feed("\"\"\"one line\"\"\""), Text("one line"));
}

TEST(Input, BackslashGoesOn) {
  InputAssembler input;
  EXPECT_EQ(input.feed("one \\"), std::nullopt);
  EXPECT_EQ(input.feed("two\\"), std::nullopt);
  EXPECT_EQ(input.feed("\"\"\"three"), Text("one \ntwo\n\"\"\"three"));
}

TEST(Input, ClearForgets) {
  InputAssembler input;
  EXPECT_EQ(input.feed("\"\"\"lost"), std::nullopt);
  input.clear();
  EXPECT_EQ(input.feed("kept"), Text("kept"));
}

TEST(Input, CommandsHaveNamesOfLetters) {
  const auto set = parse_command("/set  top_p 0.9 ");
  ASSERT_TRUE(set);
  EXPECT_EQ(set->name, "set");
  EXPECT_EQ(set->rest, "top_p 0.9");
  EXPECT_EQ(parse_command("/?")->name, "?");
  EXPECT_EQ(parse_command("/system a\nb")->rest, "a\nb");
  EXPECT_FALSE(parse_command("/usr/bin is what?"));
  EXPECT_FALSE(parse_command("/"));
  EXPECT_FALSE(parse_command("/ set"));
  EXPECT_FALSE(parse_command("what /set"));
}

TEST(Input, HistoryLinesComeBack) {
  for (const char* text : {"", "plain", "two\nlines\n", "back\\slash\\n", "\\"}) {
    const std::string line = escape_line(text);
    EXPECT_EQ(line.find('\n'), line.npos);
    EXPECT_EQ(unescape_line(line), text);
  }
}

TEST(Input, WideAndBack) {
  EXPECT_EQ(utf8_text(wide_text("été 日本 🙂")), "été 日本 🙂");
  EXPECT_EQ(utf8_text(wide_text("a\xff"
                                "b")),
            "a\xEF\xBF\xBD"
            "b");
  EXPECT_EQ(utf8_text(std::wstring(1, static_cast<wchar_t>(0xD800))), "\xEF\xBF\xBD");
}

TEST(Input, Trims) {
  EXPECT_EQ(trimmed(" \t a b\n"), "a b");
  EXPECT_EQ(trimmed(" \n"), "");
}

}  // namespace
}  // namespace nautile::app
