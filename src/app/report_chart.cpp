#include "app/report_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "app/html.h"

namespace nautile::app {
namespace {

using Json = nlohmann::ordered_json;
using train::RunLog;

// The drawing's own units; the script knows them from data-plot.
constexpr double kWidth = 440, kHeight = 220, kLeft = 58, kRight = 430, kTop = 8, kBottom = 190;
constexpr std::size_t kMostPoints = 300;

// Neighbours as one point.
struct Bin {
  double x = 0, mean = 0, low = 0, high = 0;
};

double x_of(const Chart& chart, double step, double tokens) {
  return chart.over == Chart::Over::tokens ? tokens : step;
}

std::vector<Bin> thinned(const Chart& chart, const RunLog::Series& points) {
  std::vector<Bin> bins;
  const std::size_t count = points.size(), each = (count + kMostPoints - 1) / kMostPoints;
  for (std::size_t begin = 0; begin < count; begin += each) {
    const std::size_t end = std::min(count, begin + each);
    Bin bin{0, 0, points[begin].value, points[begin].value};
    for (std::size_t i = begin; i < end; ++i) {
      const auto share = 1 / static_cast<double>(end - begin);
      bin.x += share * x_of(chart, points[i].step, points[i].tokens);
      bin.mean += share * points[i].value;
      bin.low = std::min(bin.low, points[i].value);
      bin.high = std::max(bin.high, points[i].value);
    }
    if (each > 1) bin.x = std::round(bin.x);
    bins.push_back(bin);
  }
  return bins;
}

// From values to places on one axis; ticks at round values.
struct Axis {
  double from = 0, to = 1;    // values, or their logarithms
  double begin = 0, end = 0;  // places
  bool logarithmic = false;

  double place(double value) const {
    const double v = logarithmic ? std::log10(value) : value;
    return begin + (v - from) / (to - from) * (end - begin);
  }
  std::vector<double> ticks() const;
};

// 1, 2 or 5 times a power of ten, so that about `count` steps fill the range.
double round_step(double range, double count) {
  const double raw = range / count, power = std::pow(10, std::floor(std::log10(raw)));
  const double share = raw / power;
  return power * (share <= 1 ? 1 : share <= 2 ? 2 : share <= 5 ? 5 : 10);
}

std::vector<double> Axis::ticks() const {
  std::vector<double> list;
  if (logarithmic) {
    const bool few = to - from < 2.5;
    for (double power = std::floor(from); power <= to; ++power) {
      for (const double digit : {1.0, 2.0, 5.0}) {
        const double value = digit * std::pow(10, power), at = std::log10(value);
        if (at >= from - 1e-9 && at <= to + 1e-9 && (few || digit == 1)) list.push_back(value);
      }
    }
    return list;
  }
  const double step = round_step(to - from, 4);
  for (double k = std::ceil(from / step - 1e-9); k * step <= to + step * 1e-9; ++k)
    list.push_back(k * step + 0.0);  // never -0
  return list;
}

// Of values: with some room above and below; a level line lies in the middle.
Axis value_axis(double low, double high, Chart::Scale scale) {
  Axis axis{low, high, kBottom, kTop, scale == Chart::Scale::logarithmic && low > 0};
  if (axis.logarithmic) {
    axis.from = std::log10(low);
    axis.to = std::log10(high);
  }
  double room = 0.06 * (axis.to - axis.from);
  if (room <= 1e-12 * std::abs(axis.to)) room = axis.to == 0 ? 1 : 0.1 * std::abs(axis.to);
  const bool from_zero = !axis.logarithmic && low >= 0 && low < 0.35 * high;
  axis.from = from_zero ? 0 : axis.from - room;
  axis.to += room;
  return axis;
}

struct Bounds {
  double x0 = std::numeric_limits<double>::infinity(), x1 = -x0, low = x0, high = -x0;
};

std::string line_path(const std::vector<Bin>& bins, const Axis& x, const Axis& y) {
  std::string path;
  for (const Bin& bin : bins)
    path +=
        fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x.place(bin.x), y.place(bin.mean));
  if (bins.size() == 1) path += "h0";  // round caps make it a dot
  return path;
}

std::string band_path(const std::vector<Bin>& bins, const Axis& x, const Axis& y) {
  std::string path;
  for (const Bin& bin : bins)
    path +=
        fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x.place(bin.x), y.place(bin.high));
  for (auto bin = bins.rbegin(); bin != bins.rend(); ++bin)
    path += fmt::format("L{:.1f} {:.1f}", x.place(bin->x), y.place(bin->low));
  return path + "Z";
}

std::string axes_svg(const Axis& x, const Axis& y) {
  std::string svg;
  for (const double tick : y.ticks()) {
    const double at = y.place(tick);
    svg += fmt::format(
        "<path class=grid d=\"M{} {:.1f}H{}\"/><text class=tick x={} y={:.1f} "
        "text-anchor=end>{}</text>",
        kLeft, at, kRight, kLeft - 6, at + 4, number_text(tick));
  }
  for (const double tick : x.ticks())
    svg += fmt::format("<text class=tick x={:.1f} y={} text-anchor=middle>{}</text>", x.place(tick),
                       kBottom + 16, number_text(tick));
  return svg + fmt::format("<path class=axis d=\"M{} {}H{}\"/>", kLeft, kBottom, kRight);
}

std::string marks_svg(const Chart& chart, const Axis& x) {
  std::string svg;
  for (const ChartMark& mark : chart.marks) {
    const double at = x.place(x_of(chart, mark.step, mark.tokens));
    if (at < kLeft - 1 || at > kRight + 1) continue;
    svg += fmt::format(
        "<path class=\"mark {}\" d=\"M{:.1f} {}V{}\"><title>{}, step {:.0f}: {}</title></path>",
        html_text(mark.name), at, kTop, kBottom, html_text(mark.name), mark.step,
        html_text(mark.text));
  }
  return svg;
}

// What the script reads: values as they are, not as they are drawn.
std::string chart_data(const Chart& chart, const std::vector<std::vector<Bin>>& all) {
  Json curves = Json::array();
  for (std::size_t c = 0; c < all.size(); ++c) {
    Json x = Json::array(), y = Json::array();
    for (const Bin& bin : all[c]) {
      x.push_back(bin.x);
      y.push_back(number_text(bin.mean));
    }
    curves.push_back({{"n", chart.curves[c].name}, {"x", std::move(x)}, {"y", std::move(y)}});
  }
  return curves.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// "loss: 5.938 at step 1, 0.6512 at step 386, least 0.6496"
std::string spoken(const Chart& chart) {
  std::string text = chart.title;
  for (const Curve& curve : chart.curves) {
    if (curve.points.empty()) continue;
    const auto [low, high] =
        std::minmax_element(curve.points.begin(), curve.points.end(),
                            [](const auto& a, const auto& b) { return a.value < b.value; });
    text += fmt::format("; {}: {} at step {:.0f}, {} at step {:.0f}, least {}, most {}", curve.name,
                        number_text(curve.points.front().value), curve.points.front().step,
                        number_text(curve.points.back().value), curve.points.back().step,
                        number_text(low->value), number_text(high->value));
  }
  return text;
}

std::string caption(const Chart& chart, bool logarithmic) {
  std::string text = fmt::format("<figcaption>{}", html_text(chart.title));
  std::string small = chart.unit;
  if (logarithmic) small += small.empty() ? "log scale" : ", log scale";
  if (!small.empty()) text += fmt::format(" <small>{}</small>", html_text(small));
  text += "</figcaption>";
  if (chart.curves.size() < 2) return text;
  text += "<p class=legend>";
  for (const Curve& curve : chart.curves)
    text += fmt::format("<span class=\"key c{}\"></span>{} ", curve.colour, html_text(curve.name));
  return text + "</p>";
}

std::string joined_pattern(const RunLog::Loads& loads, std::size_t layer) {
  double sum = 0;
  for (const double count : loads.experts[layer]) sum += count;
  std::string column;
  for (const double count : loads.experts[layer]) {
    const double over =
        sum > 0 ? count * static_cast<double>(loads.experts[layer].size()) / sum : 0;
    column += static_cast<char>('0' + std::lround(std::min(16 * over, 63.0)));
  }
  return column;
}

// Bounds of load over mean between the classes q0 … q8, in sixteenths.
constexpr int kLevels[] = {4, 8, 12, 15, 18, 22, 32, 48};

int level_of(char sixteenths) {
  return static_cast<int>(
      std::upper_bound(std::begin(kLevels), std::end(kLevels), sixteenths - '0') -
      std::begin(kLevels));
}

// Cells of one level as one path, neighbours to the right joined.
std::string cells_svg(const std::vector<std::string>& columns) {
  constexpr std::size_t kClasses = std::size(kLevels) + 1;
  std::string paths[kClasses];
  for (std::size_t e = 0; e < columns.front().size(); ++e) {
    for (std::size_t s = 0; s < columns.size();) {
      const int level = level_of(columns[s][e]);
      std::size_t end = s + 1;
      while (end < columns.size() && level_of(columns[end][e]) == level) ++end;
      paths[level] += fmt::format("M{} {}h{}v1h-{}z", s, e, end - s, end - s);
      s = end;
    }
  }
  std::string svg;
  for (std::size_t q = 0; q < kClasses; ++q) {
    if (!paths[q].empty()) svg += fmt::format("<path class=q{} d=\"{}\"/>", q, paths[q]);
  }
  return svg;
}

}  // namespace

std::string number_text(double value) {
  const double size = std::abs(value);
  constexpr const char* kUnits[] = {"", " k", " M", " G", " T", " P", " E"};
  if (size >= 10000 && size < 1e21) {
    int unit = 0;
    double scaled = value;
    while (std::abs(scaled) >= 999.95 && unit < 6) {
      scaled /= 1000;
      ++unit;
    }
    return fmt::format("{:.4g}{}", scaled, kUnits[unit]);
  }
  return fmt::format("{:.4g}", value);
}

std::string chart_figure(const Chart& chart) {
  std::vector<std::vector<Bin>> all;
  Bounds bounds;
  for (const Curve& curve : chart.curves) {
    for (const Bin& bin : all.emplace_back(thinned(chart, curve.points))) {
      bounds.x0 = std::min(bounds.x0, bin.x);
      bounds.x1 = std::max(bounds.x1, bin.x);
      bounds.low = std::min(bounds.low, bin.low);
      bounds.high = std::max(bounds.high, bin.high);
    }
  }
  if (bounds.x1 < bounds.x0) return "";
  if (bounds.x1 == bounds.x0) bounds.x1 += 1;
  const Axis x{bounds.x0, bounds.x1, kLeft, kRight, false};
  const Axis y = value_axis(bounds.low, bounds.high, chart.scale);
  std::string svg = axes_svg(x, y);
  for (std::size_t c = 0; c < all.size(); ++c) {
    if (all[c].empty()) continue;
    if (chart.curves[c].points.size() > all[c].size())
      svg += fmt::format("<path class=\"band c{}\" d=\"{}\"/>", chart.curves[c].colour,
                         band_path(all[c], x, y));
    svg += fmt::format("<path class=\"curve c{}\" d=\"{}\"/>", chart.curves[c].colour,
                       line_path(all[c], x, y));
  }
  svg += marks_svg(chart, x);
  return fmt::format(
      "<figure>{}<svg class=chart viewBox=\"0 0 {} {}\" role=img tabindex=0 aria-label=\"{}\" "
      "data-plot=\"{} {} {} {} {}\" data-over={} data-curves=\"{}\">{}<path class=cursor "
      "d=\"M0 {}V{}\"/></svg><output>&nbsp;</output></figure>\n",
      caption(chart, y.logarithmic), kWidth, kHeight, html_text(spoken(chart)), kWidth, kLeft,
      kRight, bounds.x0, bounds.x1, chart.over == Chart::Over::tokens ? "tokens" : "step",
      html_text(chart_data(chart, all)), svg, kTop, kBottom);
}

std::string heat_figure(const std::vector<RunLog::Loads>& loads, std::size_t layer,
                        std::string_view title) {
  if (loads.empty() || layer >= loads.front().experts.size() ||
      loads.front().experts[layer].empty())
    return "";
  std::vector<std::string> columns;
  Json steps = Json::array();
  std::string data;
  double most = 0;
  for (const RunLog::Loads& at : loads) {
    columns.push_back(joined_pattern(at, layer));
    steps.push_back(at.step);
    data += columns.back();
    most = std::max(
        most,
        static_cast<double>(*std::max_element(columns.back().begin(), columns.back().end()) - '0') /
            16);
  }
  const std::size_t experts = columns.front().size();
  return fmt::format(
      "<figure><figcaption>{}</figcaption><svg class=heat viewBox=\"0 0 {} {}\" "
      "preserveAspectRatio=none role=img tabindex=0 aria-label=\"{}: load of {} experts over the "
      "mean, {} times read from step {:.0f} to step {:.0f}; most {:.2f}\" data-steps=\"{}\" "
      "data-loads=\"{}\">{}<path class=cursor d=\"M0 0H1V1H0Z\"/></svg>"
      "<output>&nbsp;</output></figure>\n",
      html_text(title), columns.size(), experts, html_text(title), experts, columns.size(),
      loads.front().step, loads.back().step, most, html_text(steps.dump()), html_text(data),
      cells_svg(columns));
}

std::string heat_legend() {
  std::string text = "<p class=legend>load over the mean: ";
  constexpr double kSixteenths = 16;
  for (std::size_t q = 0; q <= std::size(kLevels); ++q) {
    const std::string bound =
        q == std::size(kLevels) ? "more" : fmt::format("&lt; {:.3g}", kLevels[q] / kSixteenths);
    text += fmt::format("<span class=\"key q{}\"></span>{} ", q, bound);
  }
  return text + "</p>\n";
}

}  // namespace nautile::app
