#include "app/report_page.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "app/html.h"
#include "app/printer.h"
#include "app/report_chart.h"
#include "app/report_look.h"
#include "app/sha256.h"
#include "app/train_view.h"

namespace nautile::app {
namespace {

using train::RunLog;
using Runs = std::vector<RunLog>;

std::string time_text(double seconds_since_1970) {
  if (seconds_since_1970 <= 0) return "";
  const auto when = static_cast<std::time_t>(seconds_since_1970);
  std::tm parts{};
  ::gmtime_r(&when, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts)};
}

std::string link_policy(std::string_view part) {
  Sha256 sum;
  sum.add(part);
  return "'sha256-" + sum.base64() + "'";
}

std::string section(const char* id, const char* title, const std::string& content) {
  if (content.empty()) return "";
  return fmt::format("<section id={0} aria-labelledby=h-{0}><h2 id=h-{0}>{1}</h2>\n{2}</section>\n",
                     id, title, content);
}

// What a run's file of events, or else its data cursor, says to mark.
std::vector<ChartMark> marks_of(const RunLog& run) {
  std::vector<ChartMark> marks;
  const RunLog::Series* tokens = run.find("tokens");
  const auto tokens_at = [&](double step) {
    double seen = 0;
    if (!tokens) return seen;
    const auto after =
        std::upper_bound(tokens->begin(), tokens->end(), step,
                         [](double s, const RunLog::Point& p) { return s < p.step; });
    return after == tokens->begin() ? 0 : std::prev(after)->tokens;
  };
  for (const RunLog::Event& event : run.events) {
    if (event.name == "begun" || event.name == "finished") continue;
    marks.push_back({event.step, tokens_at(event.step), event.name, event.text});
  }
  return marks;
}

// --- totals ---

std::string state_of(const RunLog& run) {
  const std::string name = run.events.empty() ? "" : run.events.back().name;
  if (name == "finished") return "finished";
  if (name == "stopped" || name == "spike") return run.events.back().text;
  return run.steps == 0 ? "no step yet"
                        : fmt::format(
                              "no end after step {:.0f}: still going, or "
                              "killed",
                              run.steps);
}

double last_of(const RunLog& run, const char* name) {
  const RunLog::Series* series = run.find(name);
  return series && !series->empty() ? series->back().value : std::nan("");
}

// Weighed by the time that each step took.
double mean_over_time(const RunLog& run, const char* name) {
  const RunLog::Series *series = run.find(name), *seconds = run.find("seconds");
  double sum = 0, time = 0;
  for (std::size_t i = 0; series && seconds && i < series->size() && i < seconds->size(); ++i) {
    sum += (*series)[i].value * (*seconds)[i].value;
    time += (*seconds)[i].value;
  }
  return time > 0 ? sum / time : std::nan("");
}

std::string optional(double value, const char* format) {
  return std::isfinite(value) ? fmt::format(fmt::runtime(format), value) : "";
}

using Facts = std::vector<std::pair<std::string, std::string>>;

Facts facts_of(const RunLog& run) {
  Facts facts = {{"steps", fmt::format("{:.0f}", run.steps)}, {"tokens", count_text(run.tokens)}};
  if (const RunLog::Value* wanted = run.value("train.tokens")) {
    const double tokens = std::strtod(wanted->value.c_str(), nullptr);
    if (tokens > 0)
      facts.push_back({"of the recipe", fmt::format("{:.1f} %", 100 * run.tokens / tokens)});
  }
  facts.push_back({"time in steps", span_text(run.seconds / 3600)});
  facts.push_back({"work", flops_text(run.flops)});
  facts.push_back(
      {"tokens per second", run.seconds > 0 ? count_text(run.tokens / run.seconds) : ""});
  facts.push_back({"MFU", optional(100 * mean_over_time(run, "mfu"), "{:.1f} %")});
  facts.push_back({"last loss", optional(last_of(run, "loss"), "{:.4f}")});
  if (const double mtp = last_of(run, "mtp_loss"); mtp != 0)
    facts.push_back({"last MTP loss", optional(mtp, "{:.4f}")});
  const auto all = run.held_out.find("all");
  if (all != run.held_out.end() && !all->second.empty())
    facts.push_back({"held-out bits per byte", fmt::format("{:.4f}", all->second.back().value)});
  facts.push_back(
      {"fullest expert over mean", optional(last_of(run, "load_max_over_mean"), "{:.2f}")});
  std::erase_if(facts, [](const auto& fact) { return fact.second.empty(); });
  return facts;
}

std::string head_row(const char* first, const Runs& runs) {
  std::string row = fmt::format("<thead><tr><th scope=col>{}</th>", first);
  for (std::size_t r = 0; r < runs.size(); ++r)
    row += fmt::format("<th scope=col><span class=\"key c{}\"></span>{}</th>", r,
                       html_text(runs[r].path));
  return row + "</tr></thead>";
}

std::string totals(const Runs& runs) {
  if (runs.size() == 1) {
    std::string text = "<dl>";
    for (const auto& [name, value] : facts_of(runs.front()))
      text += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>", name, value);
    return text + "</dl>\n";
  }
  std::vector<std::string> names;
  std::vector<std::map<std::string, std::string>> values;
  for (const RunLog& run : runs) {
    auto& own = values.emplace_back();
    for (const auto& [name, value] : facts_of(run)) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
      own[name] = value;
    }
    own["state"] = state_of(run);
  }
  names.push_back("state");
  std::string text = "<div class=wide tabindex=0><table>" + head_row("total", runs);
  for (const std::string& name : names) {
    text += fmt::format("<tr><th scope=row>{}</th>", name);
    for (auto& own : values) text += fmt::format("<td>{}</td>", html_text(own[name]));
    text += "</tr>";
  }
  return text + "</table></div>\n";
}

// First, best and last bits per byte of each source.
std::string scores(const Runs& runs) {
  std::string rows;
  for (const RunLog& run : runs) {
    for (const auto& [source, series] : run.held_out) {
      if (series.empty()) continue;
      const auto best =
          std::min_element(series.begin(), series.end(),
                           [](const auto& a, const auto& b) { return a.value < b.value; });
      rows += fmt::format(
          "<tr><th scope=row>{}{}</th><td>{:.4f}</td><td>{:.4f} (step {:.0f})</td><td>{:.4f} (step "
          "{:.0f})</td></tr>",
          runs.size() > 1 ? html_text(run.path) + ": " : "", html_text(source),
          series.front().value, best->value, best->step, series.back().value, series.back().step);
    }
  }
  if (rows.empty()) return "";
  return "<h3>Held-out text, bits per byte</h3><div class=wide tabindex=0><table><thead><tr><th "
         "scope=col>source</th><th scope=col>first</th><th scope=col>best</th><th "
         "scope=col>last</th></tr></thead>" +
         rows + "</table></div>\n";
}

// --- curves ---

struct CurveKind {
  const char *name, *title, *unit;
  Chart::Scale scale;
  double factor;
};
constexpr auto kLinear = Chart::Scale::linear;
constexpr auto kLog = Chart::Scale::logarithmic;
constexpr CurveKind kKinds[] = {
    {"loss", "Loss", "nats per token", kLinear, 1},
    {"mtp_loss", "MTP loss", "nats per token, before λ", kLinear, 1},
    {"balance_loss", "Balance loss", "after α", kLinear, 1},
    {"grad_norm", "Gradient norm", "before the clip", kLog, 1},
    {"learning_rate", "Learning rate", "", kLinear, 1},
    {"tokens_per_second", "Speed", "tokens per second", kLinear, 1},
    {"flops_per_second", "Work", "TFLOP per second", kLinear, 1e-12},
    {"mfu", "MFU", "percent of the measured peak", kLinear, 100},
    {"load_max_over_mean", "Expert load", "fullest expert over the mean, worst layer", kLinear, 1},
    {"mtp_lambda", "MTP weight λ", "", kLinear, 1},
    {"bias_gamma", "Router bias step γ", "", kLinear, 1},
    {"balance_alpha", "Balance weight α", "", kLinear, 1},
};
// Counters, not curves.
constexpr std::string_view kCounters[] = {"tokens", "first_slot", "slots", "seconds"};

Chart chart_of(const Runs& runs, const CurveKind& kind) {
  Chart chart;
  chart.title = kind.title;
  chart.unit = kind.unit;
  chart.scale = kind.scale;
  if (runs.size() > 1) chart.over = Chart::Over::tokens;
  for (std::size_t r = 0; r < runs.size(); ++r) {
    Curve curve{runs[r].path, static_cast<int>(r), {}};
    if (const RunLog::Series* series = runs[r].find(kind.name)) curve.points = *series;
    for (RunLog::Point& point : curve.points) point.value *= kind.factor;
    chart.curves.push_back(std::move(curve));
  }
  if (runs.size() == 1) {
    chart.curves.front().name = kind.title;
    chart.marks = marks_of(runs.front());
  }
  return chart;
}

// A value that never moves needs no drawing; the first step of a run moves nothing yet.
bool moves(const Chart& chart) {
  double low = INFINITY, high = -INFINITY;
  for (const Curve& curve : chart.curves) {
    for (const RunLog::Point& point : curve.points) {
      low = std::min(low, point.value);
      high = std::max(high, point.value);
    }
  }
  const bool first = chart.curves.front().points.size() == 1;
  return low < high || (first && low != 0);
}

// One run: a line for each source. Several: a line for each run, of all sources.
std::string held_out_figure(const Runs& runs) {
  Chart chart;
  chart.title = "Held-out text";
  chart.unit = "bits per byte";
  if (runs.size() > 1) chart.over = Chart::Over::tokens;
  for (std::size_t r = 0; r < runs.size(); ++r) {
    for (const auto& [source, series] : runs[r].held_out) {
      const bool all = source == "all";
      if (runs.size() > 1 ? !all : all && runs[r].held_out.size() == 2) continue;
      const std::size_t colour = runs.size() > 1 ? r : chart.curves.size() % 8;
      chart.curves.push_back(
          {runs.size() > 1 ? runs[r].path : source, static_cast<int>(colour), series});
    }
  }
  if (runs.size() == 1) chart.marks = marks_of(runs.front());
  return chart_figure(chart);
}

std::string curves(const Runs& runs) {
  std::string figures;
  std::set<std::string> known(std::begin(kCounters), std::end(kCounters));
  for (const CurveKind& kind : kKinds) {
    known.insert(kind.name);
    const Chart chart = chart_of(runs, kind);
    if (moves(chart)) figures += chart_figure(chart);
    if (kind.name == std::string_view("loss")) figures += held_out_figure(runs);
  }
  // What a later nautile, or another trainer, counts beside them.
  std::set<std::string> others;
  for (const RunLog& run : runs) {
    for (const auto& [name, series] : run.series) {
      if (!known.contains(name)) others.insert(name);
    }
  }
  for (const std::string& name : others) {
    const Chart chart = chart_of(runs, {name.c_str(), name.c_str(), "", kLinear, 1});
    if (moves(chart)) figures += chart_figure(chart);
  }
  return figures.empty() ? "" : "<div class=grid2>" + figures + "</div>\n";
}

// --- experts ---

// The cells of a page are bounded, as are what it weighs and how long a browser draws it.
constexpr std::size_t kMostCells = 150'000;

std::vector<RunLog::Loads> fewer(const std::vector<RunLog::Loads>& loads) {
  std::size_t rows = 0;
  for (const std::vector<double>& layer : loads.front().experts) rows += layer.size();
  const std::size_t most =
      std::clamp<std::size_t>(kMostCells / std::max<std::size_t>(rows, 1), 8, 120);
  const std::size_t each = (loads.size() + most - 1) / most;
  std::vector<RunLog::Loads> list;
  for (std::size_t i = 0; i < loads.size(); ++i) {
    if (i % each == 0) {
      list.push_back(loads[i]);
      continue;
    }
    RunLog::Loads& sum = list.back();
    sum.step = loads[i].step;
    for (std::size_t l = 0; l < sum.experts.size(); ++l) {
      for (std::size_t e = 0; e < sum.experts[l].size(); ++e)
        sum.experts[l][e] += loads[i].experts[l][e];
    }
  }
  return list;
}

std::string experts(const Runs& runs) {
  std::string text;
  for (const RunLog& run : runs) {
    if (run.loads.empty()) continue;
    const std::vector<RunLog::Loads> loads = fewer(run.loads);
    std::string figures;
    for (std::size_t l = 0; l < loads.front().experts.size(); ++l)
      figures += heat_figure(loads, l, fmt::format("Layer {}", l));
    if (figures.empty()) continue;
    if (runs.size() > 1) text += fmt::format("<h3>{}</h3>", html_text(run.path));
    text += "<div class=grid3>" + figures + "</div>\n";
  }
  if (text.empty()) return "";
  return "<p class=dim>Experts from top to bottom, training from left to right. Layers count from "
         "0; "
         "the last may be the prediction module.</p>" +
         heat_legend() + text;
}

// --- samples ---

// As many of a prompt as a person looks through: the first, the last, and some between.
constexpr std::size_t kShownSamples = 24;

std::string samples_of(const RunLog& run) {
  std::vector<std::string> prompts;
  std::map<std::string, std::vector<const RunLog::Sample*>> by_prompt;
  for (const RunLog::Sample& sample : run.samples) {
    auto& list = by_prompt[sample.prompt];
    if (list.empty()) prompts.push_back(sample.prompt);
    list.push_back(&sample);
  }
  std::string text;
  for (const std::string& prompt : prompts) {
    const auto& list = by_prompt[prompt];
    text += fmt::format("<div class=card><h3>{}</h3>", html_text(prompt));
    const std::size_t shown = std::min(list.size(), kShownSamples);
    for (std::size_t i = shown; i-- > 0;) {
      const std::size_t at = shown < 2 ? 0 : i * (list.size() - 1) / (shown - 1);
      text += fmt::format(
          "<details{}><summary>step {:.0f}</summary><pre dir=auto>{}</pre></details>",
          i + 1 == shown || i == 0 ? " open" : "", list[at]->step, html_text(list[at]->text));
    }
    if (shown < list.size())
      text += fmt::format("<p class=dim>{} of {} samples</p>", shown, list.size());
    text += "</div>";
  }
  return text.empty() ? "" : "<div class=grid2>" + text + "</div>\n";
}

std::string samples(const Runs& runs) {
  std::string text;
  for (const RunLog& run : runs) {
    const std::string own = samples_of(run);
    if (own.empty()) continue;
    if (runs.size() > 1) text += fmt::format("<h3>{}</h3>", html_text(run.path));
    text += own;
  }
  return text;
}

// --- events and configuration ---

std::string events(const Runs& runs) {
  std::string rows;
  for (const RunLog& run : runs) {
    for (const RunLog::Event& event : run.events) {
      rows +=
          fmt::format("<tr>{}<td>{:.0f}</td><td class=\"{}\">{}</td><td>{}</td><td>{}</td></tr>",
                      runs.size() > 1 ? fmt::format("<td>{}</td>", html_text(run.path)) : "",
                      event.step, event.name == "spike" || event.name == "skipped" ? "bad" : "",
                      html_text(event.name), html_text(event.text), time_text(event.time));
    }
  }
  if (rows.empty()) return "";
  return fmt::format(
      "<div class=wide tabindex=0><table><thead><tr>{}<th scope=col>step</th><th "
      "scope=col>event</th><th "
      "scope=col>what</th><th scope=col>when</th></tr></thead>{}</table></div>\n",
      runs.size() > 1 ? "<th scope=col>run</th>" : "", rows);
}

// A row of the configuration: one run shows who said the value in a column of its own.
std::string value_row(const Runs& runs, const std::string& key) {
  std::string cells;
  std::set<std::string> different;
  bool own = false;
  for (const RunLog& run : runs) {
    const RunLog::Value* value = run.value(key);
    different.insert(value ? value->value : "");
    own |= value && (value->origin == "recipe" || value->origin == "--set");
    if (!value) {
      cells += "<td></td>";
      continue;
    }
    cells += fmt::format("<td><code>{}</code>{}{}{}</td>", html_text(value->value),
                         runs.size() == 1 ? "</td><td>" : "<br><small>", html_text(value->origin),
                         runs.size() == 1 ? "" : "</small>");
  }
  const bool marked = runs.size() > 1 ? different.size() > 1 : own;
  return fmt::format("<tr{}><th scope=row><code>{}</code></th>{}</tr>", marked ? " class=own" : "",
                     html_text(key), cells);
}

std::string configuration(const Runs& runs) {
  std::string rows;
  std::set<std::string> seen;
  for (const RunLog& run : runs) {
    for (const RunLog::Value& value : run.values) {
      if (seen.insert(value.key).second) rows += value_row(runs, value.key);
    }
  }
  if (rows.empty()) return "";
  const std::string head = runs.size() > 1 ? head_row("key", runs)
                                           : "<thead><tr><th scope=col>key</th><th "
                                             "scope=col>value</th><th scope=col>who said it</th>"
                                             "</tr></thead>";
  return fmt::format(
      "<p class=dim>Each value with who said it; those {} are marked.</p><div class=wide "
      "tabindex=0><table>{}{}</table></div>\n",
      runs.size() > 1 ? "in which the runs differ" : "that are no defaults", head, rows);
}

std::string problems(const Runs& runs) {
  std::string items;
  for (const RunLog& run : runs) {
    for (const std::string& problem : run.problems)
      items += fmt::format("<li>{}{}</li>", runs.size() > 1 ? html_text(run.path) + ": " : "",
                           html_text(problem));
  }
  return items.empty() ? "" : "<div class=note role=note><ul>" + items + "</ul></div>\n";
}

}  // namespace

std::string report_page(const Runs& runs, const std::string& made) {
  const std::string title = runs.size() == 1
                                ? "Training run " + runs.front().path
                                : fmt::format("{} training runs side by side", runs.size());
  const std::string parts[] = {
      section("totals", "Totals", totals(runs) + scores(runs)),
      section("curves", "Curves", curves(runs)),
      section("experts", "Expert load", experts(runs)),
      section("samples", "Samples", samples(runs)),
      section("events", "Events", events(runs)),
      section("configuration", "Configuration", configuration(runs)),
  };
  constexpr const char* kIds[] = {"totals",  "curves", "experts",
                                  "samples", "events", "configuration"};
  std::string nav, body;
  for (std::size_t i = 0; i < std::size(parts); ++i) {
    if (!parts[i].empty()) nav += fmt::format("<a href=\"#{0}\">{0}</a>", kIds[i]);
    body += parts[i];
  }
  std::string state;
  if (runs.size() == 1) {
    const std::string text = state_of(runs.front());
    state = fmt::format("<p class=\"state {}\">{}</p>", text == "finished" ? "good" : "",
                        html_text(text));
  }
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>\n<meta "
      "http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src {}; "
      "script-src "
      "{}; base-uri 'none'; form-action 'none'\">\n<meta name=viewport "
      "content=\"width=device-width,initial-scale=1\">\n<title>{}</title>\n<style>{}</style></"
      "head>\n"
      "<body><header><h1>{}</h1>{}<nav aria-label=Sections>{}</nav></header>\n<main>{}{}</main>\n"
      "<footer>{}. Values of a long run are means over neighbouring steps, with their least and "
      "most "
      "behind them; arrow keys move through a drawing that has the focus.</footer>\n"
      "<script>{}</script></body></html>\n",
      link_policy(kReportStyle), link_policy(kReportScript), html_text(title), kReportStyle,
      html_text(title), state, nav, problems(runs), body, html_text(made), kReportScript);
}

}  // namespace nautile::app
