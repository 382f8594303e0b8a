// report_chart.h — charts of a report as inline SVG: curves over a run, and heat maps of expert
// loads.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "train/run_log.h"

namespace nautile::app {

// "1.234", "12.5 k", "3e-04": four digits, for ticks and tables.
std::string number_text(double value);

// One line of a chart. Its colour is its place in the list of all runs, or of all sources.
struct Curve {
  std::string name;
  int colour = 0;  // 0 to 7
  train::RunLog::Series points;
};

struct ChartMark {
  double step = 0, tokens = 0;
  std::string name, text;  // "resumed": a class of the style; what is shown on hover
};

struct Chart {
  std::string title, unit;
  enum class Scale : std::uint8_t { linear, logarithmic } scale = Scale::linear;
  // Runs of other batches are compared by tokens.
  enum class Over : std::uint8_t { steps, tokens } over = Over::steps;
  std::vector<Curve> curves;
  std::vector<ChartMark> marks;
};

// A <figure>: title, legend where there are several curves, the drawing (each curve as at most some
// hundred means over neighbours, with what lies between their least and most behind it), and the
// place where the script writes what is under the pointer or the arrow keys. Empty without points.
std::string chart_figure(const Chart& chart);

// A <figure> of one layer: experts downwards, steps to the right, load over the mean as colour.
// Empty where the layer has no experts.
std::string heat_figure(const std::vector<train::RunLog::Loads>& loads, std::size_t layer,
                        std::string_view title);
// What the colours of heat_figure mean.
std::string heat_legend();

}  // namespace nautile::app
