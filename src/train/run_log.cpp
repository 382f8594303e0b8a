#include "train/run_log.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/printable.h"

namespace nautile::train {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr JsonLimits kLineLimits = {
    .bytes = std::size_t{64} << 20, .depth = 8, .values = 500'000};  // 61 layers of 256 experts
constexpr double kMostStep = 1e15;

double number_of(const json& line, const char* name, double otherwise) {
  const auto at = line.find(name);
  return at != line.end() && at->is_number() ? at->get<double>() : otherwise;
}

std::string text_of(const json& line, const char* name) {
  const auto at = line.find(name);
  return at != line.end() && at->is_string() ? at->get<std::string>() : "";
}

double step_of(const json& line) {
  const double step = number_of(line, "step", -1);
  NAUTILE_CHECK(step >= 0 && step <= kMostStep, "no step");
  return step;
}

// Calls use(line) for each JSON object; what it throws is counted, and told in one sentence.
template <class Use>
void for_each_line(std::string_view text, const char* file, std::vector<std::string>& problems,
                   const Use& use) {
  std::int64_t number = 0, broken = 0;
  std::string first;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    ++number;
    if (line.empty()) continue;
    try {
      const json object = parse_json(line, "the line", kLineLimits);
      NAUTILE_CHECK(object.is_object(), "not a JSON object");
      use(object);
    } catch (const Error& error) {
      if (end == text.npos) {
        problems.push_back(fmt::format(
            "{}: the last line is not whole: the run is writing it, or was killed meanwhile",
            file));
        continue;
      }
      if (broken++ == 0) first = fmt::format("line {}: {}", number, error.message());
    }
  }
  if (broken > 0)
    problems.push_back(fmt::format("{}: {} of {} lines cannot be read and are left out; {}", file,
                                   broken, number, printable(first, 200)));
}

class MetricsReader {
 public:
  explicit MetricsReader(RunLog& log) : log_(log) {}

  void read(std::string_view text) {
    constexpr const char* kFile = "metrics.jsonl";
    for_each_line(text, kFile, log_.problems, [this](const json& line) { add(line); });
    if (went_back_ > 0)
      log_.problems.push_back(fmt::format(
          "{}: {} lines go back to an earlier step; the later line counts", kFile, went_back_));
    if (left_out_ > 0)
      log_.problems.push_back(
          fmt::format("{}: numbers of more than {} names; {} are left out, the first is '{}'",
                      kFile, RunLog::kMostSeries, left_out_, printable(first_left_out_)));
    settle();
  }

 private:
  void add(const json& line) {
    step_ = step_of(line);
    tokens_ = number_of(line, "tokens", 0);
    if (step_ <= last_) go_back();
    last_ = step_;
    note_skip(line);
    for (const auto& [name, value] : line.items()) {
      if (value.is_number() && name != "step") put(log_.series, name, value.get<double>());
    }
    const double seconds = number_of(line, "seconds", 0);
    work_.push_back({step_, seconds, seconds * number_of(line, "flops_per_second", 0)});
    const auto held_out = line.find("held_out");
    if (held_out != line.end() && held_out->is_object()) {
      for (const auto& [source, score] : held_out->items()) {
        if (score.is_object())
          put(log_.held_out, source, number_of(score, "bits_per_byte", std::nan("")));
      }
    }
    const auto loads = line.find("expert_loads");
    if (loads != line.end()) add_loads(*loads);
  }

  // For runs that wrote no events: data that no step has read.
  void note_skip(const json& line) {
    const double first = number_of(line, "first_slot", -1);
    if (first > next_slot_ && next_slot_ > 0)
      log_.events.push_back({step_ - 1, 0, "skipped",
                             fmt::format("slots {} to {} are left out", next_slot_, first - 1)});
    next_slot_ = first + number_of(line, "slots", 0);
  }

  void put(std::map<std::string, RunLog::Series>& all, const std::string& name, double value) {
    if (!std::isfinite(value)) return;
    auto at = all.find(name);
    if (at == all.end()) {
      if (all.size() >= RunLog::kMostSeries) {
        if (left_out_++ == 0) first_left_out_ = name;
        return;
      }
      at = all.emplace(name, RunLog::Series()).first;
    }
    at->second.push_back({step_, tokens_, value});
  }

  void add_loads(const json& lists) {
    RunLog::Loads loads{step_, {}};
    NAUTILE_CHECK(lists.is_array(), "expert_loads is no list");
    for (const json& list : lists) {
      std::vector<double>& layer = loads.experts.emplace_back();
      NAUTILE_CHECK(list.is_array(), "expert_loads holds something that is no list");
      for (const json& count : list) {
        const double value = count.is_number() ? count.get<double>() : -1;
        NAUTILE_CHECK(value >= 0 && value <= kMostStep, "expert_loads holds what is no count");
        layer.push_back(value);
      }
    }
    const auto widths = [](const RunLog::Loads& l) {
      std::vector<std::size_t> list;
      for (const std::vector<double>& layer : l.experts) list.push_back(layer.size());
      return list;
    };
    NAUTILE_CHECK(log_.loads.empty() || widths(log_.loads.front()) == widths(loads),
                  "expert_loads has another shape than before");
    log_.loads.push_back(std::move(loads));
    if (log_.loads.size() > RunLog::kMostLoads) join_pairs();
  }

  // Half as many, of twice as many tokens each; memory stays bounded however long the run.
  void join_pairs() {
    std::vector<RunLog::Loads>& all = log_.loads;
    for (std::size_t i = 0; i + 1 < all.size(); i += 2) {
      RunLog::Loads& sum = all[i + 1];
      for (std::size_t l = 0; l < sum.experts.size(); ++l) {
        for (std::size_t e = 0; e < sum.experts[l].size(); ++e)
          sum.experts[l][e] += all[i].experts[l][e];
      }
      if (i > 0)
        std::swap(all[i / 2], sum);
      else
        all[0] = std::move(sum);
    }
    if (all.size() % 2 == 1) all[all.size() / 2] = std::move(all.back());
    all.resize((all.size() + 1) / 2);
  }

  void go_back() {
    ++went_back_;
    const auto cut = [this](auto& list) {
      while (!list.empty() && list.back().step >= step_) list.pop_back();
    };
    for (auto& [name, series] : log_.series) cut(series);
    for (auto& [name, series] : log_.held_out) cut(series);
    cut(log_.loads);
    cut(work_);
    next_slot_ = 0;
  }

  void settle() {
    for (const Work& work : work_) {
      log_.seconds += work.seconds;
      log_.flops += work.flops;
    }
    log_.steps = work_.empty() ? 0 : work_.back().step;
    const RunLog::Series* tokens = log_.find("tokens");
    if (tokens && !tokens->empty()) log_.tokens = tokens->back().value;
  }

  struct Work {
    double step, seconds, flops;
  };
  RunLog& log_;
  std::vector<Work> work_;
  double step_ = 0, tokens_ = 0, last_ = -1, next_slot_ = 0;
  std::int64_t went_back_ = 0, left_out_ = 0;
  std::string first_left_out_;
};

void read_samples(std::string_view text, RunLog& log) {
  std::int64_t more = 0;
  for_each_line(text, "samples.jsonl", log.problems, [&](const json& line) {
    if (log.samples.size() < RunLog::kMostSamples)
      log.samples.push_back({step_of(line), text_of(line, "prompt"), text_of(line, "text")});
    else
      ++more;
  });
  if (more > 0)
    log.problems.push_back(fmt::format("samples.jsonl: {} samples more than {} are left out", more,
                                       RunLog::kMostSamples));
}

void read_events(std::string_view text, RunLog& log) {
  if (!text.empty()) log.events.clear();  // what was guessed of them
  for_each_line(text, "events.jsonl", log.problems, [&](const json& line) {
    const double time = number_of(line, "time", 0);
    log.events.push_back({step_of(line), time > 0 && time < 1e11 ? time : 0, text_of(line, "event"),
                          text_of(line, "text")});
  });
}

// Lines of recipe_text(): tables, "key = value  # origin".
void read_values(std::string_view text, RunLog& log) {
  std::string section;
  int broken = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    const std::size_t equals = line.find(" = "), origin = line.rfind("  # ");
    if (line.size() > 2 && line.front() == '[' && line.back() == ']') {
      section = std::string(line.substr(1, line.size() - 2)) + ".";
    } else if (equals != line.npos && origin != line.npos && origin >= equals + 3) {
      std::string_view value = line.substr(equals + 3, origin - equals - 3);
      value = value.substr(0, value.find_last_not_of(' ') + 1);
      log.values.push_back({section + std::string(line.substr(0, equals)), std::string(value),
                            std::string(line.substr(origin + 4))});
    } else if (!line.empty()) {
      ++broken;
    }
  }
  if (broken > 0)
    log.problems.push_back(
        fmt::format("recipe.toml: {} lines are none of a run's and are left out", broken));
}

}  // namespace

const RunLog::Series* RunLog::find(const std::string& name) const {
  const auto at = series.find(name);
  return at == series.end() ? nullptr : &at->second;
}

const RunLog::Value* RunLog::value(const std::string& key) const {
  const auto at =
      std::find_if(values.begin(), values.end(), [&](const Value& v) { return v.key == key; });
  return at == values.end() ? nullptr : &*at;
}

RunLog parse_run_log(const RunTexts& texts) {
  RunLog log;
  MetricsReader(log).read(texts.metrics);
  read_samples(texts.samples, log);
  read_events(texts.events, log);
  read_values(texts.recipe, log);
  return log;
}

RunLog read_run_log(const std::string& folder) {
  const auto file = [&](const char* name) { return (fs::path(folder) / name).string(); };
  if (!fs::exists(file("metrics.jsonl"))) {
    throw make_error(ErrorKind::failure, "{} holds no metrics.jsonl", folder)
        .hint("it is to be a folder that `nautile train --out` made");
  }
  // A file that is missing is as good as an empty one, and said.
  std::vector<std::string> missing;
  std::vector<MappedFile> files;
  files.reserve(4);
  const auto text = [&](const char* name) -> std::string_view {
    if (!fs::exists(file(name))) {
      missing.push_back(fmt::format("there is no {}", name));
      return {};
    }
    const auto bytes = files.emplace_back(file(name)).bytes();
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  };
  RunTexts texts;
  texts.metrics = text("metrics.jsonl");
  texts.recipe = text("recipe.toml");
  if (fs::exists(file("samples.jsonl"))) texts.samples = text("samples.jsonl");
  if (fs::exists(file("events.jsonl"))) texts.events = text("events.jsonl");
  RunLog log = parse_run_log(texts);
  log.path = folder;
  log.problems.insert(log.problems.begin(), missing.begin(), missing.end());
  return log;
}

}  // namespace nautile::train
