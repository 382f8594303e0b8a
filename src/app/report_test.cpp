#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "app/html.h"
#include "app/report_chart.h"
#include "app/report_page.h"

namespace nautile::app {
namespace {

using train::RunLog;

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++found;
  return found;
}

#define EXPECT_HOLDS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

TEST(Html, NothingForeignBecomesMarkup) {
  EXPECT_EQ(html_text("<a href=\"x\" id='y'>&amp;"),
            "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;amp;");
  EXPECT_EQ(html_text(std::string("a\0b\x1b[31m\xFF", 9)), "a�b�[31m�");
  EXPECT_EQ(html_text("é\n"), "é\n");
}

TEST(ReportChart, NumbersAreShort) {
  EXPECT_EQ(number_text(0.65123), "0.6512");
  EXPECT_EQ(number_text(3e-5), "3e-05");
  EXPECT_EQ(number_text(9999), "9999");
  EXPECT_EQ(number_text(12345), "12.35 k");
  EXPECT_EQ(number_text(999999), "1 M");
  EXPECT_EQ(number_text(-2.5e9), "-2.5 G");
}

Chart chart_of(std::size_t points) {
  Chart chart;
  chart.title = "Loss <b>";
  RunLog::Series series;
  for (std::size_t i = 1; i <= points; ++i) {
    const auto step = static_cast<double>(i);
    series.push_back({step, 10 * step, 5 / step});
  }
  chart.curves.push_back({"loss", 0, series});
  chart.marks.push_back({2, 20, "resumed", "after <2>"});
  return chart;
}

// The values of a figure as the script reads them.
nlohmann::json data_of(const std::string& figure) {
  const std::string name = "data-curves=\"";
  const std::size_t begin = figure.find(name) + name.size();
  std::string text = figure.substr(begin, figure.find('"', begin) - begin);
  for (std::size_t at; (at = text.find("&quot;")) != text.npos;) text.replace(at, 6, "\"");
  return nlohmann::json::parse(text);
}

TEST(ReportChart, DrawsTheCurveAndItsMarks) {
  const std::string figure = chart_figure(chart_of(4));
  EXPECT_HOLDS(figure, "Loss &lt;b&gt;");
  EXPECT_HOLDS(figure, "least 1.25, most 5");
  EXPECT_HOLDS(figure, "after &lt;2&gt;");
  EXPECT_EQ(count(figure, "class=\"curve c0\""), 1u);
  EXPECT_EQ(count(figure, "class=\"band"), 0u);  // every point is drawn
  // From the left edge of the plot to the right one.
  EXPECT_HOLDS(figure, "d=\"M58.0 ");
  EXPECT_HOLDS(figure, "L430.0 ");
  const nlohmann::json data = data_of(figure);
  EXPECT_EQ(data[0]["x"], nlohmann::json::array({1.0, 2.0, 3.0, 4.0}));
  EXPECT_EQ(data[0]["y"], nlohmann::json::array({"5", "2.5", "1.667", "1.25"}));
}

TEST(ReportChart, LongCurvesAreThinnedWithTheirExtremes) {
  Chart chart = chart_of(100000);
  chart.curves[0].points[50000].value = 77;
  const std::string figure = chart_figure(chart);
  EXPECT_LT(figure.size(), 40000u);
  EXPECT_EQ(count(figure, "class=\"band c0\""), 1u);
  EXPECT_LE(data_of(figure)[0]["x"].size(), 300u);
  EXPECT_HOLDS(figure, "most 77");
}

TEST(ReportChart, OddCurvesAreDrawnOrLeftOut) {
  EXPECT_EQ(chart_figure(chart_of(0)), "");
  EXPECT_HOLDS(chart_figure(chart_of(1)), "<svg");
  for (const auto scale : {Chart::Scale::linear, Chart::Scale::logarithmic}) {
    for (const double value : {0.0, -3.0, 1e300, 1e-300, 5.0}) {
      Chart chart = chart_of(3);
      chart.scale = scale;
      for (RunLog::Point& point : chart.curves[0].points) point.value = value;
      const std::string figure = chart_figure(chart);
      EXPECT_EQ(figure.find("nan"), std::string::npos) << value;
      EXPECT_EQ(figure.find("inf"), std::string::npos) << value;
    }
  }
}

TEST(ReportChart, HeatShowsLoadOverTheMean) {
  std::vector<RunLog::Loads> loads = {{50, {{}, {1, 1, 1, 5}}}, {100, {{}, {2, 2, 2, 2}}}};
  EXPECT_EQ(heat_figure(loads, 0, "none"), "");
  EXPECT_EQ(heat_figure(loads, 2, "none"), "");
  const std::string figure = heat_figure(loads, 1, "Layer 1");
  // Sixteenths of the mean: 0.5 and 2.5, then all alike.
  EXPECT_HOLDS(figure, "data-loads=\"888X@@@@\"");
  EXPECT_HOLDS(figure, "data-steps=\"[50.0,100.0]\"");
  EXPECT_HOLDS(figure, "most 2.50");
  EXPECT_HOLDS(figure, "<path class=q7 d=\"M0 3h1v1h-1z\"/>");
}

RunLog run_named(const std::string& path, double factor) {
  RunLog run;
  run.path = path;
  run.steps = 3;
  run.tokens = 300;
  run.seconds = 3;
  for (double step = 1; step <= 3; ++step) {
    run.series["loss"].push_back({step, 100 * step, factor / step});
    run.series["seconds"].push_back({step, 100 * step, 1});
    run.series["mfu"].push_back({step, 100 * step, 0.25});
    run.series["balance_loss"].push_back({step, 100 * step, 0});
    run.series["reward"].push_back({step, 100 * step, step});
    run.held_out["all"].push_back({step, 100 * step, 2 / step});
    run.loads.push_back({step, {{}, {1, 2, 3, 4}}});
  }
  run.series["mtp_lambda"] = {{1, 100, 0.3}, {3, 300, 0.3}};
  run.values = {{"train.tokens", "600.0", "recipe"},
                {"train.seed", factor > 5 ? "1" : "2", "nautile's choice"}};
  return run;
}

TEST(ReportPage, ShowsOneRun) {
  RunLog run = run_named("runs/a", 6);
  run.samples = {{1, "1 + 1 =", "<script>alert(1)</script>"},
                 {3, "1 + 1 =", "</pre><img src=x onerror=alert(1)>"}};
  run.events = {{2, 1e9, "resumed", "going on after <step> 2"}};
  run.problems = {"metrics.jsonl: <odd>"};
  const std::string page = report_page({run}, "Made & tested");
  EXPECT_EQ(page.find("<script>alert"), std::string::npos);
  EXPECT_EQ(page.find("<img"), std::string::npos);
  EXPECT_EQ(count(page, "<script>"), 1u);
  EXPECT_HOLDS(page, "default-src 'none'; style-src 'sha256-");
  EXPECT_EQ(page.find("http://"), std::string::npos);
  EXPECT_EQ(page.find("https://"), std::string::npos);
  EXPECT_HOLDS(page, "<dt>of the recipe</dt><dd>50.0 %</dd>");
  EXPECT_HOLDS(page, "<dt>MFU</dt><dd>25.0 %</dd>");
  EXPECT_HOLDS(page, "<dt>held-out bits per byte</dt><dd>0.6667</dd>");
  EXPECT_HOLDS(page, "no end after step 3");
  EXPECT_HOLDS(page, "2001-09-09 01:46 UTC");
  EXPECT_HOLDS(page, "going on after &lt;step&gt; 2");
  EXPECT_HOLDS(page, "<li>metrics.jsonl: &lt;odd&gt;</li>");
  EXPECT_HOLDS(page, "<figcaption>Layer 1</figcaption>");
  EXPECT_HOLDS(page, "<figcaption>reward</figcaption>");  // a name that this nautile does not know
  for (const char* level : {"Balance loss", "MTP weight"})
    EXPECT_EQ(page.find(level), std::string::npos);
  EXPECT_EQ(page.find(">-0<"), std::string::npos);
  EXPECT_HOLDS(page, "<tr class=own><th scope=row><code>train.tokens</code>");
  EXPECT_HOLDS(page, "<tr><th scope=row><code>train.seed</code>");
}

TEST(ReportPage, ComparesRuns) {
  const std::string page = report_page({run_named("a", 6), run_named("b", 3)}, "made");
  EXPECT_HOLDS(page, "2 training runs side by side");
  EXPECT_HOLDS(page, "data-over=tokens");
  EXPECT_HOLDS(page, "curve c1");
  EXPECT_HOLDS(page, "<tr class=own><th scope=row><code>train.seed</code>");  // they differ here
  EXPECT_HOLDS(page, "<tr><th scope=row><code>train.tokens</code>");
}

TEST(ReportPage, ARunWithoutAStepIsAPage) {
  RunLog run;
  run.path = "empty";
  const std::string page = report_page({run}, "made");
  EXPECT_HOLDS(page, "no step yet");
  EXPECT_EQ(page.find("nan"), std::string::npos);
}

}  // namespace
}  // namespace nautile::app
