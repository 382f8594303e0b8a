// The program from outside: exit codes, messages for wrong input, and what each verb prints.
#include <cstdio>

#include "store/gguf_writer.h"
#include "tests/chat_model.h"
#include "tests/program.h"

namespace nautile::test {
namespace {

constexpr const char* kModel = "tests/data/oracle/deepseek_v3";

class Cli : public ProgramFolder {
 protected:
  // A shell command line after the program's name; the cache is empty and no network is asked.
  Result run(const std::string& arguments, const std::string& environment = "") {
    const fs::path out = folder_ / "out";
    Result result = run_into("'" + out.string() + "'", arguments, environment);
    result.out = read_whole(out);
    return result;
  }

  // The same with standard output going to where the shell's redirection `>TARGET` leads.
  Result run_into(const std::string& target, const std::string& arguments,
                  const std::string& environment = "") {
    const fs::path err = folder_ / "err";
    const std::string command =
        "env -u NAUTILE_MODEL -u NAUTILE_ISA -u NAUTILE_THREADS XDG_CACHE_HOME='" +
        (folder_ / "cache").string() + "' NAUTILE_MIRROR=/nonexistent/mirror.gguf " + environment +
        " " + NAUTILE_BINARY + " " + arguments + " </dev/null 2>'" + err.string() + "' >" + target;
    const int status = std::system(command.c_str());
    return {exit_code(status), "", read_whole(err)};
  }

  // With standard output a pipe whose reader has gone before the first byte.
  Result run_unread(const std::string& arguments) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    close(ends[0]);
    EXPECT_EQ(dup2(ends[1], kUnreadPipe), kUnreadPipe);
    close(ends[1]);
    Result result = run_into("&" + std::to_string(kUnreadPipe), arguments);
    close(kUnreadPipe);
    return result;
  }

  static constexpr int kUnreadPipe = 9;  // one digit, as shells want it
};

// A byte-level vocabulary of single letters and one merge.
constexpr const char* kTokenizer = R"({"version": "1.0", "added_tokens": [
  {"id": 5, "content": "<|end|>", "special": true, "single_word": false, "lstrip": false,
   "rstrip": false, "normalized": false}],
  "normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false,
  "trim_offsets": true, "use_regex": true}, "post_processor": null, "decoder": {"type": "ByteLevel"},
  "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "Ġ": 3, "c": 4}, "merges": ["a b"]}})";

TEST_F(Cli, VersionAndHelp) {
  EXPECT_EQ(run("--version").code, 0);
  EXPECT_SAYS(run("--version").out, "nautile ");
  EXPECT_EQ(run("--help").code, 0);
  EXPECT_SAYS(run("--help").out, "inspect");
  const Result codes = run("help exit-codes");
  EXPECT_EQ(codes.code, 0);
  EXPECT_SAYS(codes.out, "130");
  EXPECT_SAYS(run("help inspect").out, "--tensors");
  EXPECT_EQ(run("help nonsense-topic").code, 2);
}

TEST_F(Cli, NothingAskedIsUsage) {
  const Result result = run("");
  EXPECT_EQ(result.code, 2);
  EXPECT_SAYS(result.err, "inspect");
  EXPECT_EQ(result.out, "");
}

TEST_F(Cli, UnknownWordsAreExplained) {
  const Result verb = run("inpsect");
  EXPECT_EQ(verb.code, 2);
  EXPECT_SAYS(verb.err, "did you mean 'inspect'?");
  const Result option = run("inspect --tensosr");
  EXPECT_EQ(option.code, 2);
  EXPECT_SAYS(option.err, "did you mean '--tensors'?");
  EXPECT_EQ(run("bench --threads many").code, 2);
  EXPECT_EQ(run("bench --threads 0").code, 2);
  EXPECT_EQ(run("eval").code, 2);
  EXPECT_EQ(run("completion tcsh").code, 2);
  EXPECT_EQ(run("inspect a b").code, 2);
  // What follows a repeated option's value is not another one.
  EXPECT_SAYS(run("train --set train.seed=2 /nonexistent.toml").err, "/nonexistent.toml");
}

TEST_F(Cli, MissingFile) {
  const Result result = run("inspect -m /nonexistent/model.gguf");
  EXPECT_EQ(result.code, 1);
  EXPECT_SAYS(result.err, "there is no model at /nonexistent/model.gguf");
  const Result variable = run("inspect", "NAUTILE_MODEL=/nonexistent/x");
  EXPECT_EQ(variable.code, 1);
  EXPECT_SAYS(variable.err, "from NAUTILE_MODEL");
}

TEST_F(Cli, InspectTellsHowAModelCallsTools) {
  const Result result = run("inspect -m models/think-small");
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_SAYS(result.out, "tools as ");
  const auto facts = nlohmann::json::parse(run("inspect --json -m models/think-small").out);
  EXPECT_EQ(facts["chat"]["format"], "template");
  EXPECT_EQ(facts["chat"]["tool_format"], "generic");
}

TEST_F(Cli, FolderWithoutModel) {
  const Result result = run("inspect -m '" + folder_.string() + "'");
  EXPECT_NE(result.code, 0);
  EXPECT_SAYS(result.err, folder_.string());
}

TEST_F(Cli, TruncatedGguf) {
  const fs::path whole = folder_ / "whole.gguf";
  nautile::store::GgufMetadata metadata;
  metadata.string("general.architecture", "llama");
  nautile::store::GgufWriter(whole.string(), metadata, {}).finish();
  const std::string bytes = read_whole(whole);
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{3}, std::size_t{20}, bytes.size() / 2}) {
    const fs::path cut = write("cut.gguf", bytes.substr(0, size));
    const Result result = run("inspect -m '" + cut.string() + "'");
    EXPECT_EQ(result.code, 3) << size << result.err;
    EXPECT_SAYS(result.err, "cut.gguf");
  }
}

TEST_F(Cli, UnknownInstructionSet) {
  const Result result = run("doctor --quick", "NAUTILE_ISA=sse9");
  EXPECT_EQ(result.code, 2);
  EXPECT_SAYS(result.err, "NAUTILE_ISA");
  EXPECT_SAYS(result.err, "expected reference, avx2, avx512_vnni, avx512 or amx");
  EXPECT_EQ(run("doctor --quick", "NAUTILE_THREADS=x").code, 2);
}

TEST_F(Cli, ContextTooLarge) {
  const Result result = run(std::string("bench --ctx 1000000000 -m ") + kModel);
  EXPECT_EQ(result.code, 2);
  EXPECT_SAYS(result.err, "longest context");
}

TEST_F(Cli, DefaultModelWithoutNetworkSaysWhatToDo) {
  const Result result = run("inspect");
  EXPECT_EQ(result.code, 1);
  EXPECT_SAYS(result.err,
              (folder_ / "cache/nautile/models/SmolLM2-135M-Instruct.Q4_1.gguf").string());
  EXPECT_SAYS(result.err, "-m PATH");
}

TEST_F(Cli, DefaultModelOfWrongContentIsRefused) {
  const fs::path fake = write("SmolLM2.gguf", "not this");
  const Result result = run("inspect --mirror '" + fake.string() + "'");
  EXPECT_EQ(result.code, 3);
  EXPECT_SAYS(result.err, "SHA-256");
  std::size_t files = 0;  // only the lock stays
  for (const auto& entry : fs::recursive_directory_iterator(folder_ / "cache")) {
    files += entry.is_regular_file() ? 1u : 0u;
  }
  EXPECT_EQ(files, 1u);
}

TEST_F(Cli, InspectPrintsJson) {
  const Result result = run(std::string("inspect --json --tensors ") + kModel);
  ASSERT_EQ(result.code, 0) << result.err;
  const json found = json::parse(result.out);
  EXPECT_EQ(found["config"]["family"], "deepseek_v3");
  std::uint64_t values = 0;
  for (const json& type : found["weights"]["types"]) values += type["values"].get<std::uint64_t>();
  EXPECT_EQ(found["parameters"], values);  // every tensor of the file is a weight of the model
  EXPECT_EQ(found["weights"]["list"].size(), found["weights"]["tensors"]);
  const json& attention = found["config"]["attention"];
  const json& forms = attention["latent_forms"];
  EXPECT_EQ(forms["spans"][0]["form"], "absorbed");  // of one token
  EXPECT_EQ(forms["spans"][1]["form"], "expanded");
  EXPECT_GT(forms["expanded_from"], 1);
  EXPECT_SAYS(run(std::string("inspect ") + kModel).out, "--exact: absorbed always");
  EXPECT_EQ(found["kv_bytes_per_token"]["bf16"],
            2 * found["config"]["layers"].get<int>() *
                (attention["kv_rank"].get<int>() + attention["rope_dims"].get<int>()));
}

TEST_F(Cli, InspectsAConfigAlone) {
  const fs::path config =
      write("alone/config.json", read_whole(std::string(kModel) + "/config.json"));
  for (const fs::path& path : {config, config.parent_path()}) {
    const Result result = run("inspect --json '" + path.string() + "'");
    ASSERT_EQ(result.code, 0) << result.err;
    EXPECT_FALSE(json::parse(result.out).contains("weights"));
  }
  const fs::path broken =
      write("broken/config.json", R"({"model_type": "llama", "hidden_size": -1})");
  EXPECT_EQ(run("inspect '" + broken.string() + "'").code, 3);
  const fs::path other = write("other/config.json", R"({"model_type": "gpt9"})");
  EXPECT_EQ(run("inspect '" + other.string() + "'").code, 5);
}

TEST_F(Cli, TokenizeRoundTrip) {
  const fs::path file = write("text/tokenizer.json", kTokenizer);
  const std::string model = " -m '" + file.string() + "'";
  EXPECT_EQ(run("tokenize --ids 'ab ac<|end|>'" + model).out, "2 3 0 4 5\n");
  EXPECT_EQ(run("tokenize --decode '2 3 0 4'" + model).out, "ab ac");
  const json found = json::parse(run("tokenize --json 'ab<|end|>'" + model).out);
  EXPECT_EQ(found["count"], 2);
  EXPECT_EQ(found["tokens"][0]["text"], "ab");
  EXPECT_EQ(found["tokens"][1]["special"], true);
  EXPECT_EQ(run("tokenize --decode 'x'" + model).code, 2);
  EXPECT_EQ(run("tokenize --decode '99'" + model).code, 2);
  const Result absent = run(std::string("tokenize hello -m ") + kModel);
  EXPECT_EQ(absent.code, 1);
  EXPECT_SAYS(absent.err, "tokenizer.json");
}

TEST_F(Cli, PerplexityOfAFolder) {
  fs::create_directories(folder_ / "model");
  for (const char* name : {"config.json", "model.safetensors"}) {
    fs::copy_file(fs::path(kModel) / name, folder_ / "model" / name);
  }
  write("model/tokenizer.json", kTokenizer);
  std::string text;
  for (int i = 0; i < 60; ++i) text += "ab ac b";
  const std::string file = " '" + write("text.txt", text).string() + "'";
  const std::string model = " -m '" + (folder_ / "model").string() + "' --json";
  const auto measure = [&](const std::string& options) {
    const Result result = run("eval perplexity" + file + model + options);
    EXPECT_EQ(result.code, 0) << result.err;
    return result.code == 0 ? json::parse(result.out) : json::object();
  };
  const json whole = measure(" --window 512 --class f32 --isa reference --kv f32");
  EXPECT_EQ(whole["tokens"], 60 * 6 - 1);      // all but the first
  EXPECT_EQ(whole["bytes"], text.size() - 2);  // the first is "ab"
  // Random weights know nothing: about ln 160.
  EXPECT_NEAR(whole["nats_per_token"].get<double>(), 5.0, 2.5);
  // With stride 1 every token is foretold once; windows without overlap lose their first.
  EXPECT_EQ(measure(" --window 64 --stride 8")["tokens"], 60 * 6 - 1);
  EXPECT_EQ(measure(" --window 64")["tokens"], 60 * 6 - 6);
  EXPECT_EQ(run("eval perplexity" + file + model + " --window 64 --stride 65").code, 2);
  EXPECT_EQ(run("eval perplexity /nonexistent" + model).code, 1);
}

TEST_F(Cli, DoctorAndBenchPrintJson) {
  const Result doctor = run("doctor --quick --json", "NAUTILE_ISA=reference");
  ASSERT_EQ(doctor.code, 0) << doctor.err;
  EXPECT_EQ(json::parse(doctor.out)["table"], "reference");
  EXPECT_EQ(json::parse(doctor.out)["formats"].size(), 16u);
  const Result bench = run(std::string("bench --json -p 16 -n 4 -d 0,32 -r 2 -m ") + kModel);
  ASSERT_EQ(bench.code, 0) << bench.err;
  const json found = json::parse(bench.out);
  ASSERT_EQ(found["cases"].size(), 4u);
  for (const json& entry : found["cases"]) {
    EXPECT_EQ(entry["seconds"].size(), 2u);
    EXPECT_GT(entry["tokens_per_second"], 0);
    EXPECT_SAYS(entry["latent_form"].get<std::string>(), "absorbed costs");
  }
}

TEST_F(Cli, CompletionScriptsAreWellFormed) {
  const Result bash = run("completion bash");
  ASSERT_EQ(bash.code, 0);
  const fs::path script = write("completion.bash", bash.out);
  EXPECT_EQ(std::system(("bash -n '" + script.string() + "'").c_str()), 0);
  const std::string ask = "bash -c '. \"" + script.string() +
                          "\"; COMP_WORDS=(nautile inspect --ten); COMP_CWORD=2; _nautile; "
                          "test \"${COMPREPLY[*]}\" = --tensors'";
  EXPECT_EQ(std::system(ask.c_str()), 0);
  EXPECT_SAYS(run("completion zsh").out, "#compdef nautile");
  EXPECT_SAYS(run("completion fish").out, "complete -c nautile");
}

TEST_F(Cli, ManualPageNamesEveryVerb) {
  const Result page = run("man");
  ASSERT_EQ(page.code, 0);
  EXPECT_EQ(page.out.rfind(".TH NAUTILE 1", 0), 0u);
  for (const char* verb : {"inspect", "tokenize", "eval perplexity", "bench", "doctor"}) {
    EXPECT_SAYS(page.out, std::string(".SS nautile ") + verb);
  }
  EXPECT_SAYS(page.out, "EXIT STATUS");
}

// The end of the reader is no fault: nothing is said, and the code is what SIGPIPE gives a filter.
TEST_F(Cli, AClosedPipeEndsEveryVerbSilently) {
  const std::string model = " -m '" + make_chat_model(folder_) + "' ";
  const std::string text = " '" + write("text.txt", std::string(500, 'x')).string() + "' ";
  const std::string answer = answer_only(letter_token('a'));
  const std::vector<std::string> lines = {"help",
                                          "help chat",
                                          "--help",
                                          "--version",
                                          "man",
                                          "completion bash",
                                          "doctor --quick",
                                          "doctor --quick --json",
                                          "inspect" + model,
                                          "inspect --json --tensors" + model,
                                          "tokenize --ids hello" + model,
                                          "tokenize --json hello" + model,
                                          "eval perplexity" + text + model,
                                          "bench -p 4 -n 2 -r 1" + model,
                                          "chat -p hi" + model + answer,
                                          "chat -p hi -n 3 --json" + model + answer,
                                          "run -p hi" + model + answer,
                                          "run -p hi -n 3 --json" + model + answer};
  for (const std::string& arguments : lines) {
    const Result result = run_unread(arguments);
    EXPECT_EQ(result.code, 141) << arguments << "\n" << result.err;
    EXPECT_EQ(result.err, "") << arguments;
  }
}

// An endless answer stops when nobody reads on, and what there is of it is kept.
TEST_F(Cli, AClosedPipeLosesNothing) {
  const std::string model =
      " -m '" + make_chat_model(folder_) + "'" + answer_only(letter_token('a'));
  const std::string chat = (folder_ / "chat").string(), session = (folder_ / "session").string();
  EXPECT_EQ(run_unread("chat -p hi --save '" + chat + "'" + model).code, 141);
  const json saved = json::parse(read_whole(chat + ".json"));
  ASSERT_EQ(saved["messages"].size(), 2u);
  EXPECT_EQ(saved["messages"][0]["content"], "hi");
  EXPECT_EQ(saved["messages"][1]["content"].get<std::string>().substr(0, 1), "a");
  EXPECT_EQ(run_unread("chat -p hi -n 3 --json --save '" + chat + "2'" + model).code, 141);
  EXPECT_EQ(json::parse(read_whole(chat + "2.json"))["messages"][1]["content"], "aaa");
  EXPECT_EQ(run_unread("run -p hi --save '" + session + "'" + model).code, 141);
  const Result more = run("run -n 3 --speed off --load '" + session + "'" + model);
  EXPECT_EQ(more.code, 0) << more.err;
  EXPECT_EQ(more.out, "aaa\n");
}

TEST_F(Cli, AFullDiskIsAnError) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "there is no /dev/full";
  const std::string model = " -m '" + make_chat_model(folder_) + "' -n 3";
  for (const std::string& arguments :
       {std::string("help"), std::string("--help"), std::string("man"), "chat -p hi" + model,
        "run -p hi --json" + model}) {
    const Result result = run_into("/dev/full", arguments);
    EXPECT_EQ(result.code, 1) << arguments;
    EXPECT_SAYS(result.err, "No space left on device");
  }
}

}  // namespace
}  // namespace nautile::test
