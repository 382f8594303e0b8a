// jinja_test.cpp — budgets, errors and provenance of the template interpreter.
#include <gtest/gtest.h>

#include <chrono>

#include "base/error.h"
#include "base/peak_memory_testing.h"
#include "text/jinja_template.h"

namespace nautile::jinja {
namespace {

using Json = nlohmann::ordered_json;

Text render(std::string_view source, const Json& values = Json::object()) {
  std::vector<Variable> variables;
  for (const auto& [name, value] : values.items()) {
    variables.push_back({name, &value, [](auto, auto) { return Origin::user; }});
  }
  return Template(source).render(variables, Budgets(), 0);
}

std::string error_of(std::string_view source, const Json& values = Json::object()) {
  try {
    render(source, values);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// User bytes in angle brackets.
std::string marked(const Text& text) {
  std::string out;
  for (const Segment& segment : text.segments()) {
    out += segment.origin == Origin::user ? "<" + segment.text + ">" : segment.text;
  }
  return out;
}

struct Provenance {
  const char* source;
  const char* expected;
};

class JinjaProvenance : public testing::TestWithParam<Provenance> {};

TEST_P(JinjaProvenance, FollowsUserText) {
  const Json values = {{"s", "  Ab,cD  "}, {"l", {"x", "y"}}, {"d", {{"k", "v"}}}, {"n", 5}};
  EXPECT_EQ(marked(render(GetParam().source, values)), GetParam().expected) << GetParam().source;
}

INSTANTIATE_TEST_SUITE_P(
    Operations, JinjaProvenance,
    testing::Values(
        Provenance{"a{{ s }}b", "a<  Ab,cD  >b"},
        Provenance{"{{ 'p' + s|trim + 'q' }}", "p<Ab,cD>q"},
        Provenance{"{{ 'p' ~ s.strip() ~ n }}", "p<Ab,cD>5"},
        Provenance{"{{ ('[' + s.strip() + ']')[1:4] }}", "<Ab,>"},
        Provenance{"{{ ('[' + s.strip() + ']')[0:2] }}", "[<A>"},
        Provenance{"{{ ('[' + s.strip() + ']')[::-1] }}", "]<Dc,bA>["},
        Provenance{"{{ s.strip().split(',') | join('+') }}", "<Ab>+<cD>"},
        Provenance{"{{ ('p' ~ s.strip())|upper }}", "P<AB,CD>"},
        Provenance{"{{ ('p' ~ s.strip()).replace('b', '!') }}", "p<A>!<,cD>"},
        Provenance{"{{ 'a-b'.replace('-', s.strip()) }}", "a<Ab,cD>b"},
        Provenance{"{{ s.strip().join(['1', '2']) }}", "1<Ab,cD>2"},
        Provenance{"{{ '%s|%d' % (s.strip(), 3) }}", "<Ab,cD>|3"},
        Provenance{"{{ '{}|{:>4}'.format(s.strip(), l[0]) }}", "<Ab,cD>|   <x>"},
        Provenance{"{% for x in l %}({{ x }}){% endfor %}", "(<x>)(<y>)"},
        Provenance{"{% for k, v in d.items() %}{{ k }}={{ v }}{% endfor %}", "<k>=<v>"},
        Provenance{"{{ d|tojson }}", "<{\"k\": \"v\"}>"},
        Provenance{"{{ {'a': 1}|tojson }}", "{\"a\": 1}"}, Provenance{"{{ l }}", "<['x', 'y']>"},
        Provenance{"{% set t %}p{{ s.strip() }}{% endset %}{{ t[:2] }}", "p<A>"},
        Provenance{"{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m(l[1]) }}", "[<y>]"},
        Provenance{"{{ 'a\nb'|indent(2) }}{{ l|first }}", "a\n  b<x>"},
        Provenance{"{{ l|map('upper')|join('/') }}", "<X>/<Y>"},
        Provenance{"{{ ('<' ~ l[0])|e }}", "&lt;<x>"},
        Provenance{"{{ s.strip()|list|last }}", "<D>"},
        Provenance{"{% set ns = namespace(t='') %}{% for x in l %}{% set ns.t = ns.t + x + ';' %}"
                   "{% endfor %}{{ ns.t }}",
                   "<x>;<y>;"},
        Provenance{"{{ s.strip().partition(',')[2].center(4, '.') }}", ".<cD>."},
        Provenance{"{{ 'ok' if s == '  Ab,cD  ' else 'no' }}", "ok"}));

TEST(Jinja, ErrorsNameTheLine) {
  EXPECT_NE(error_of("a\nb\n{{ x.y }}").find("template line 3: 'x' is undefined"),
            std::string::npos);
  EXPECT_NE(error_of("a\n\n{% if %}").find("template line 3"), std::string::npos);
  EXPECT_NE(error_of("\n{{ raise_exception('no way') }}")
                .find("template line 2: the template refuses: no way"),
            std::string::npos);
  EXPECT_NE(error_of("{{ 'a' }}\n{{ 1 + 'a' }}").find("line 2"), std::string::npos);
  EXPECT_NE(error_of("\n\n{{ 'x").find("line 3"), std::string::npos);
}

struct Hostile {
  const char* name;
  std::string source;
  const char* budget;
};

std::string repeated(std::string_view what, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += what;
  return out;
}

std::vector<Hostile> hostile_templates() {
  const std::string million = "{% set s = 'a' * 1000000 %}";
  const std::string loop = "{% for i in range(100000) %}{% for j in range(100000) %}";
  const std::string end = "{% endfor %}{% endfor %}";
  return {
      {"huge string", "{{ 'a' * 10**9 }}", "memory budget"},
      {"huger string", "{{ 'a' * 10**18 }}", "memory budget"},
      {"huge list", "{{ [1] * 10**12 }}", "memory budget"},
      {"huge power", "{{ 10**10**10 }}", "64 bits"},
      {"nested loops", loop + "x" + end, "budget"},
      {"empty loops", loop + end, "budget"},
      {"range", "{{ range(10**9) }}", "range budget"},
      {"doubling",
       "{% set ns = namespace(s='a') %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% "
       "endfor %}",
       "memory budget"},
      {"doubling list",
       "{% set ns = namespace(s=[1]) %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% "
       "endfor %}",
       "memory budget"},
      {"macro recursion", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion budget"},
      {"double recursion",
       "{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}{{ m(60) }}",
       "step budget"},
      {"caller recursion",
       "{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}",
       "recursion budget"},
      {"recursive loop", "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
       "recursion budget"},
      {"parentheses", "{{ " + repeated("(", 100000) + "1" + repeated(")", 100000) + " }}",
       "nesting"},
      {"brackets", "{{ " + repeated("[", 100000) + repeated("]", 100000) + " }}", "nesting"},
      {"signs", "{{ " + repeated("-", 100000) + "1 }}", "nesting"},
      {"nots", "{{ " + repeated("not ", 50000) + "1 }}", "nesting"},
      {"sum chain", "{{ 1" + repeated("+1", 50000) + " }}", "deeper"},
      {"attribute chain", "{{ x" + repeated(".a", 50000) + " }}", "deeper"},
      {"filter chain", "{{ x" + repeated("|e", 50000) + " }}", "deeper"},
      {"else chain", "{{ " + repeated("1 if 0 else ", 20000) + "1 }}", "nesting"},
      {"blocks", repeated("{% if 1 %}", 20000), "nesting"},
      {"tokens", "{{ " + repeated("1,", 300000) + " }}", "tokens"},
      {"nested list",
       "{% set ns = namespace(l=[]) %}{% for i in range(1000) %}{% set ns.l = [ns.l] %}{% endfor "
       "%}{{ ns.l }}",
       "nesting budget"},
      {"nested json",
       "{% set ns = namespace(l=[]) %}{% for i in range(1000) %}{% set ns.l = [ns.l] %}{% endfor "
       "%}{{ ns.l|tojson }}",
       "nesting budget"},
      {"nested equality",
       "{% set a = namespace(l=[]) %}{% set b = namespace(l=[]) %}{% for i in range(1000) %}{% set "
       "a.l = [a.l] %}"
       "{% set b.l = [b.l] %}{% endfor %}{{ a.l == b.l }}",
       "nesting budget"},
      {"shared structure",
       "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% "
       "endfor %}{{ ns.l|string|length }}",
       "budget"},
      {"shared json",
       "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] %}{% "
       "endfor %}{{ ns.l|tojson|length }}",
       "budget"},
      {"shared equality",
       "{% set ns = namespace(l=[1], m=[1]) %}{% for i in range(60) %}{% set ns.l = [ns.l, ns.l] "
       "%}{% set ns.m = [ns.m, ns.m] %}{% endfor %}{{ ns.l == ns.m }}",
       "step budget"},
      {"namespace in itself", "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}",
       "nesting budget"},
      {"scan", million + "{% for i in range(100000) %}{% if 'b' in s %}x{% endif %}{% endfor %}",
       "step budget"},
      {"compare",
       million +
           "{% set t = s ~ '' %}{% for i in range(100000) %}{% if s == t %}{% endif %}{% endfor %}",
       "step budget"},
      {"needle",
       million + "{% set n = 'a' * 500000 ~ 'b' %}{{ n in s }}{% for i in range(9999) %}{{ n in s "
                 "}}{% endfor %}",
       "step budget"},
      {"replace", million + "{{ s.replace('a', 'a' * 1000) }}", "budget"},
      {"replace empty", million + "{{ s.replace('', 'a' * 1000) }}", "budget"},
      {"join", million + "{{ s.join(range(100)|map('string')|list) | length }}", "memory budget"},
      {"width", "{{ '%999999999d' % 1 }}", "width budget"},
      {"format width", "{{ '{:999999999}'.format(1) }}", "width budget"},
      {"center", "{{ 'a'|center(10**12) }}", "memory budget"},
      {"ljust", "{{ 'a'.ljust(10**15) }}", "memory budget"},
      {"zfill", "{{ '1'.zfill(10**15) }}", "memory budget"},
      {"indent", "{{ ('a\n' * 100000)|indent(10000) }}", "memory budget"},
      {"json indent",
       "{% set ns = namespace(l=[1]) %}{% for i in range(100) %}{% set ns.l = [ns.l] %}{% endfor "
       "%}{{ ([ns.l] * 1000)|tojson(indent=60000) }}",
       "memory budget"},
      {"batch fill", "{{ [1]|batch(10**12, 'x')|list }}", "memory budget"},
      {"slices", "{{ []|slice(10**12)|list }}", "budget"},
      {"output", million + "{% for i in range(100) %}{{ s }}{% endfor %}", "output budget"},
      {"captures", million + "{% for i in range(100) %}{% set x %}{{ s }}{% endset %}{% endfor %}",
       "budget"},
      {"scopes", loop + "{% with a=1,b=2,c=3 %}{% macro m() %}{% endmacro %}{% endwith %}" + end,
       "budget"},
      {"splits", million + "{% for i in range(100) %}{% set x = s.split('a') %}{% endfor %}",
       "budget"},
      {"rsplit", "{{ ('a,' * 100000).rsplit(',') | length }}", "budget"},
      {"list of chars", million + "{% for i in range(100) %}{% set x = s|list %}{% endfor %}",
       "budget"},
      {"strftime", "{{ strftime_now('%c' * 1000) }}", "strftime_now"},
  };
}

TEST(Jinja, HostileTemplatesEndSoon) {
  const std::vector<Hostile> templates = hostile_templates();
  EXPECT_GE(templates.size(), 50u);
  for (const Hostile& hostile : templates) {
    const PeakMemory memory;
    const auto start = std::chrono::steady_clock::now();
    const std::string error = error_of(hostile.source);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    EXPECT_NE(error.find(hostile.budget), std::string::npos)
        << hostile.name << ": " << error.substr(0, 300);
    // The budgets of a render, and as much again for what the allocator rounds up.
    EXPECT_LT(memory.risen(), 2 * (Budgets{}.heap_bytes + Budgets{}.output_bytes)) << hostile.name;
    // 0.2 s on an idle machine; sanitizers and busy neighbours get more.
    EXPECT_LT(took.count(), 5.0) << hostile.name;
    if (took.count() > 0.2) std::printf("%s took %.2f s\n", hostile.name, took.count());
  }
}

TEST(Jinja, LongInputsNeedNoMoreThanTheirSize) {
  // A conversation's length is not hostile: the machine's cost is linear.
  Json values = {{"messages", Json::array()}};
  for (int i = 0; i < 2000; ++i) {
    values["messages"].push_back({{"role", "user"}, {"content", std::string(500, 'x')}});
  }
  const Text text = render(
      "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content + '\n' }}{% endfor %}", values);
  EXPECT_EQ(text.size(), 2000u * (500 + 4 + 4 + 1));
}

TEST(Jinja, RefusesInvalidUtf8) {
  EXPECT_NE(error_of("a\xff").find("not UTF-8 at byte 1"), std::string::npos);
  EXPECT_NE(error_of("{{ x }}", {{"x", "\xc3("}}).find("UTF-8"), std::string::npos);
}

}  // namespace
}  // namespace nautile::jinja
