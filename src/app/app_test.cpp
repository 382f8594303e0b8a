// Small parts of the program: suggestions, checksums, sizes, exit codes.
#include <gtest/gtest.h>

#include "app/exit_code.h"
#include "app/loaded_model.h"
#include "app/sha256.h"
#include "app/suggest.h"

namespace nautile::app {
namespace {

TEST(Suggest, NearAndFar) {
  const std::vector<std::string> verbs = {"chat", "run", "inspect", "tokenize"};
  EXPECT_EQ(suggestion("caht", verbs), "did you mean 'chat'?");
  EXPECT_EQ(suggestion("tokenise", verbs), "did you mean 'tokenize'?");
  EXPECT_EQ(suggestion("insp", verbs), "did you mean 'inspect'?");
  EXPECT_EQ(suggestion("xyzzy-plugh", verbs), "there are chat, run, inspect, tokenize");
  EXPECT_EQ(suggestion("", {"chat"}), "there are chat");
}

// FIPS 180-4's examples.
TEST(Sha256, PublishedValues) {
  Sha256 sum;
  sum.add("ab");
  sum.add("c");
  EXPECT_EQ(sum.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha256 again;
  again.add("abc");
  EXPECT_EQ(again.base64(), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
  EXPECT_EQ(Sha256().hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(BytesText, PowersOfThousand) {
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(999), "999 B");
  EXPECT_EQ(bytes_text(98'362'432), "98.4 MB");
  EXPECT_EQ(bytes_text(688e9), "688 GB");
}

TEST(ExitCodes, AreDocumented) {
  const std::string help = exit_code_help();
  for (const char* line : {"  0  ", "  1  ", "  2  ", "  3  ", "  4  ", "  5  ", "130  "}) {
    EXPECT_NE(help.find(line), help.npos) << line;
  }
  EXPECT_EQ(exit_code(ErrorKind::no_memory), ExitCode::no_memory);
}

}  // namespace
}  // namespace nautile::app
