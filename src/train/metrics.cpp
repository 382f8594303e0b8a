#include "train/metrics.h"

#include <chrono>
#include <filesystem>

#include "base/file.h"
#include "base/json.h"

namespace nautile::train {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

std::vector<EventFile::Scalar> scalars_of(const StepRecord& record,
                                          std::vector<std::string>& names) {
  const StepReport& r = record.report;
  const auto number = [](double value) { return static_cast<float>(value); };
  std::vector<EventFile::Scalar> list = {
      {"loss/main", number(r.loss)},
      {"loss/mtp", number(r.mtp_loss)},
      {"loss/balance", number(r.balance_loss)},
      {"optimizer/grad_norm", number(r.grad_norm)},
      {"optimizer/learning_rate", number(r.rates.rate)},
      {"schedule/mtp_lambda", number(r.rates.mtp_lambda)},
      {"schedule/bias_gamma", number(r.rates.bias_gamma)},
      {"schedule/balance_alpha", number(r.rates.balance_alpha)},
      {"experts/load_max_over_mean", number(r.load_max_over_mean)},
      {"speed/tokens_per_second", number(record.tokens_per_second)},
      {"speed/flops_per_second", number(record.flops_per_second)},
      {"speed/mfu", number(record.mfu)},
      {"data/tokens", number(r.tokens_seen)},
  };
  for (const auto& [name, value] : r.sums.more)
    list.push_back({name, number(value / r.sums.weight)});
  names.reserve(record.scores.size());
  for (const HeldOutScore& score : record.scores) {
    names.push_back("bits_per_byte/" + score.name);
    list.push_back({names.back(), number(score.bits_per_byte())});
  }
  return list;
}

}  // namespace

void keep_steps(const std::string& path, std::int64_t done) {
  if (!fs::exists(path)) return;
  const std::string text = read_file(path, std::size_t{1} << 34);
  std::string kept;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    if (end == text.npos) break;
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    try {
      const Json step = parse_ordered_json(line, path)["step"];
      if (step.is_number_integer() && step.get<std::int64_t>() <= done) {
        kept += line;
        kept += '\n';
      }
    } catch (const Error&) {  // a damaged line is of no step
    }
    begin = end + 1;
  }
  if (kept != text) write_file_atomic(path, kept);
}

std::string metrics_line(const StepRecord& record) {
  const StepReport& r = record.report;
  Json line = {{"step", r.step},
               {"tokens", r.tokens_seen},
               {"loss", r.loss},
               {"mtp_loss", r.mtp_loss},
               {"balance_loss", r.balance_loss},
               {"grad_norm", r.grad_norm},
               {"learning_rate", r.rates.rate},
               {"mtp_lambda", r.rates.mtp_lambda},
               {"bias_gamma", r.rates.bias_gamma},
               {"balance_alpha", r.rates.balance_alpha},
               {"load_max_over_mean", r.load_max_over_mean},
               {"first_slot", record.first_slot},
               {"slots", record.slots},
               {"seconds", record.seconds},
               {"tokens_per_second", record.tokens_per_second},
               {"flops_per_second", record.flops_per_second},
               {"mfu", record.mfu}};
  for (const auto& [name, value] : r.sums.more) line[name] = value / r.sums.weight;
  for (const HeldOutScore& score : record.scores) {
    line["held_out"][score.name] = {{"nats_per_token", score.nats_per_token()},
                                    {"bits_per_byte", score.bits_per_byte()},
                                    {"tokens", score.tokens},
                                    {"bytes", score.bytes}};
    for (const auto& [name, value] : score.more) line["held_out"][score.name][name] = value;
  }
  if (record.loads == StepRecord::Loads::write) line["expert_loads"] = r.sums.loads;
  return line.dump(-1, ' ', false, Json::error_handler_t::replace);
}

MetricsLog::MetricsLog(const std::string& folder, std::int64_t done, Recipe::EventFiles events) {
  const std::string path = (fs::path(folder) / "metrics.jsonl").string();
  keep_steps(path, done);
  lines_ = std::make_unique<LogFile>(path);
  if (events == Recipe::EventFiles::yes) events_ = std::make_unique<EventFile>(folder, done + 1);
}

void MetricsLog::add(const StepRecord& record) {
  lines_->append(metrics_line(record) + "\n");
  if (!events_) return;
  std::vector<std::string> names;
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  events_->add(record.report.step, now, scalars_of(record, names));
}

}  // namespace nautile::train
