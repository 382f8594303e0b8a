// `nautile chat` as someone at a terminal meets it, with a tiny random model whose answers are
// "aaa…" by a logit bias.
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "tests/chat_model.h"
#include "tests/terminal.h"

namespace nautile::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kInterrupt = "\x03";
constexpr const char* kUp = "\033[A";
constexpr const char* kDown = "\033[B";
constexpr const char* kLeft = "\033[D";

class ChatTerminal : public testing::Test {
 protected:
  void SetUp() override {
    if (!Terminal::available()) GTEST_SKIP() << "there are no pseudo-terminals: mount /dev/pts";
    folder_ = fs::temp_directory_path() / ("nautile_terminal_" + std::to_string(getpid()));
    fs::remove_all(folder_);
    model_ = make_chat_model(folder_);
  }
  void TearDown() override {
    terminal_.reset();
    fs::remove_all(folder_);
  }

  // A chat at its first prompt.
  void start(const std::vector<std::string>& options) {
    std::vector<std::string> command = {
        NAUTILE_BINARY, "chat", "-m",           model_,
        "--speed",      "off",  "--logit-bias", std::to_string(letter_token('a')) + ":1000",
        "--threads",    "1"};
    command.insert(command.end(), options.begin(), options.end());
    terminal_ = std::make_unique<Terminal>(
        command, std::vector<std::string>{"TERM=xterm", "NO_COLOR=1", "LC_ALL=C.UTF-8",
                                          "PATH=/usr/bin:/bin", "HOME=" + folder_.string(),
                                          "XDG_DATA_HOME=" + (folder_ / "data").string()});
    sees("/help helps.");
    sees(">>> ");
  }

  void sees(const std::string& text) {
    ASSERT_TRUE(terminal_->wait_for(text))
        << "waited for: " << text << "\ncame: " << terminal_->rest().substr(0, 2000);
  }
  void type(const std::string& keys) { terminal_->type(keys); }
  // Types a line, sees an answer, and the next prompt.
  void ask(const std::string& line, const std::string& answer) {
    type(line + "\r");
    sees(answer);
    sees(">>> ");
  }
  void leave() {
    type("/bye\r");
    EXPECT_EQ(terminal_->exit_code(), 0);
  }

  // The messages of the chat as they are now.
  json messages() {
    const std::string base = (folder_ / "look").string();
    ask("/save " + base, "(saved: " + base + ".json");
    std::ifstream file(base + ".json");
    return json::parse(file)["messages"];
  }

  fs::path folder_;
  std::string model_;
  std::unique_ptr<Terminal> terminal_;
};

#define STEP(...) ASSERT_NO_FATAL_FAILURE(__VA_ARGS__)

TEST_F(ChatTerminal, TakesSeveralLines) {
  STEP(start({"-n", "3"}));
  type("\"\"\"one\r");
  STEP(sees("... "));
  STEP(ask("two\"\"\"", "(cut after max_tokens 3)"));
  type("three\\\r");
  STEP(sees("... "));
  STEP(ask("four", "(cut after max_tokens 3)"));
  type("\033[200~five\nsix\033[201~");  // pasted: its line end is not Enter
  STEP(sees("six"));
  STEP(ask(" seven", "(cut after max_tokens 3)"));
  type("\"\"\"lost\r");
  STEP(sees("... "));
  type(kInterrupt);  // takes the lines back
  STEP(sees(">>> "));
  const json said = messages();
  ASSERT_EQ(said.size(), 6u);
  EXPECT_EQ(said[0]["content"], "one\ntwo");
  EXPECT_EQ(said[1]["content"], "aaa");
  EXPECT_EQ(said[2]["content"], "three\nfour");
  EXPECT_EQ(said[4]["content"], "five\nsix seven");
  leave();
}

TEST_F(ChatTerminal, InterruptStopsTheAnswerAndNotTheChat) {
  STEP(start({"--ctx", "131072"}));
  type("go on\r");
  STEP(sees("aaaaaaaaaaaaaaaa"));
  type(kInterrupt);
  STEP(sees("(stopped)"));
  STEP(sees(">>> "));
  STEP(ask("/set max_tokens 3", "max_tokens is 3"));
  STEP(ask("and now", "(cut after max_tokens 3)"));
  const json said = messages();  // the stopped answer is kept
  ASSERT_EQ(said.size(), 4u);
  EXPECT_EQ(said[1]["content"].get<std::string>().substr(0, 4), "aaaa");
  EXPECT_EQ(said[3]["content"], "aaa");
  type(std::string("half a line") + kInterrupt);  // at the prompt it takes the line back
  STEP(sees(">>> "));
  type(kInterrupt);
  STEP(sees("(Ctrl-D or /bye leaves)"));
  STEP(sees(">>> "));
  // Not Ctrl-D: the prompt shows before the terminal is raw, and until then that is no character.
  type("/bye\r");
  EXPECT_EQ(terminal_->exit_code(), 0);
}

TEST_F(ChatTerminal, CommandsDoWhatHelpSays) {
  STEP(start({"-n", "3"}));
  STEP(ask("/help", "Up and down go through what you typed."));
  STEP(ask("/hlep", "did you mean '/help'?"));
  STEP(ask("/system", "(no system prompt)"));
  type("/system be brief\r");
  STEP(sees("/system be brief"));  // as typed
  STEP(sees("be brief"));          // as taken
  STEP(sees(">>> "));
  STEP(ask("/set", "nautile's default"));
  STEP(ask("/set temperature 0.5", "temperature is 0.5"));
  STEP(ask("/set temperature hot", "'hot' is no number"));
  STEP(ask("/set nonsense 1", "there is no setting 'nonsense'"));
  STEP(ask("hello", "(cut after max_tokens 3)"));
  json said = messages();
  ASSERT_EQ(said.size(), 3u);
  EXPECT_EQ(said[0]["role"], "system");
  EXPECT_EQ(said[0]["content"], "be brief");
  STEP(ask("/clear", "(forgotten)"));
  said = messages();
  ASSERT_EQ(said.size(), 1u);  // the system prompt stays
  STEP(ask("/system none", "(no system prompt)"));
  EXPECT_EQ(messages().size(), 0u);
  STEP(ask("/usr/bin is no command", "(cut after max_tokens 3)"));
  leave();
}

TEST_F(ChatTerminal, SavesAndLoads) {
  STEP(start({"-n", "3"}));
  STEP(ask("remember me", "(cut after max_tokens 3)"));
  STEP(ask("/set top_k 7", "top_k is 7"));
  STEP(ask("/save mine", "data/nautile/chats/mine.json"));
  leave();
  STEP(start({"-n", "3"}));
  STEP(ask("/load none", "none.json"));
  STEP(ask("/load mine", "(loaded: 1 exchanges"));
  STEP(ask("/set top_k", "top_k is 7"));
  STEP(ask("and this", "(cut after max_tokens 3)"));
  const json said = messages();
  ASSERT_EQ(said.size(), 4u);
  EXPECT_EQ(said[0]["content"], "remember me");
  EXPECT_EQ(said[2]["content"], "and this");
  leave();
}

TEST_F(ChatTerminal, ArrowsGoThroughHistory) {
  STEP(start({"-n", "3"}));
  STEP(ask("first", "(cut after max_tokens 3)"));
  STEP(ask("second", "(cut after max_tokens 3)"));
  type(kUp);
  STEP(sees("second"));  // later ones are drawn over it, in as few characters as it takes
  STEP(ask(std::string(kUp) + "!", "(cut after max_tokens 3)"));
  type(std::string(kUp) + kUp + kDown);  // "first!", "second", "first!"
  type(std::string(kLeft) + "-");
  STEP(ask("", "(cut after max_tokens 3)"));
  const json said = messages();
  ASSERT_EQ(said.size(), 8u);
  EXPECT_EQ(said[4]["content"], "first!");
  EXPECT_EQ(said[6]["content"], "first-!");
  leave();
  STEP(start({"-n", "3"}));  // a later chat has the same history
  type(kUp);
  STEP(sees("/bye"));  // before it /save
  STEP(ask(std::string(kUp) + kUp, "(cut after max_tokens 3)"));
  EXPECT_EQ(messages()[0]["content"], "first-!");
  leave();
}

TEST_F(ChatTerminal, SaysThatTheContextEnds) {
  STEP(start({"--ctx", "64"}));
  STEP(ask("hi", "(cut: the context of 64 tokens is full"));
  STEP(ask("more", "the context has 64"));  // refused, with what may help
  EXPECT_EQ(messages().size(), 2u);
  STEP(ask("/set context_end drop", "context_end is drop"));
  type("more\r");
  STEP(sees("the oldest exchange is left out (context_end is drop)"));
  STEP(sees("(cut: the context of 64 tokens is full"));
  STEP(sees(">>> "));
  const json said = messages();
  ASSERT_EQ(said.size(), 2u);
  EXPECT_EQ(said[0]["content"], "more");
  leave();
}

}  // namespace
}  // namespace nautile::test
