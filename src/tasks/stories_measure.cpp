// stories_measure.cpp — stories of money, time, distances, ages and containers.
#include <algorithm>

#include "tasks/names.h"
#include "tasks/story.h"

namespace nautile::tasks {
namespace {

using fmt::arg;

constexpr std::array<const char*, 16> kGoods = {
    "pen",    "notebook", "cup",   "ball",   "scarf", "lamp",  "kite", "hat",
    "puzzle", "bag",      "plate", "poster", "belt",  "brush", "mug",  "toy car"};

// Some of one thing, some of another; the cost, or the change.
Problem shopping(Story& s) {
  const char* name = s.draw().pick(kNames);
  const char* first = s.draw().pick(kGoods);
  const char* second = s.draw().pick(kGoods);
  const std::int64_t a = s.quantity(2, 9), p = s.quantity(2, 15);
  const bool both = first != second && s.draw().chance(0.6);
  s.say({"{n} buys {a} {x}s at {p} dollars each",
         "A {x} costs {p} dollars, and {n} takes {a} of them",
         "{n} pays for {a} {x}s that cost {p} dollars each"},
        arg("n", name), arg("a", a), arg("x", first), arg("p", p));
  std::int64_t cost = s.step("Cost", a, '*', p);
  if (both) {
    const std::int64_t q = s.quantity(2, 20);
    s.say({"and one {y} for {q} dollars.", "and also a {y} that costs {q} dollars."},
          arg("y", second), arg("q", q));
    cost = s.step("With the other", cost, '+', q);
  } else {
    s.say({"and nothing else.", "in one shop."});
  }
  if (s.draw().chance(0.5)) {
    s.say({"How many dollars is that?", "What does {n} pay?", "What is the total cost in dollars?"},
          arg("n", name));
    return s.finish(cost);
  }
  const std::int64_t paid = s.told((cost / 10 + s.draw().between(1, 3)) * 10);
  s.say({"{n} pays with {w} dollars. How much change is there?",
         "{n} had {w} dollars. How many dollars are left?"},
        arg("n", name), arg("w", paid));
  return s.finish(s.step("Left", paid, '-', cost));
}

// So much a day for some days, then some more or less.
Problem walking(Story& s) {
  const char* name = s.draw().pick(kNames);
  const std::int64_t rate = s.quantity(2, 15), days = s.quantity(2, 9);
  const bool more_days = s.draw().chance(0.6);
  s.say({"{n} walks {r} km a day for {d} days.", "{n} cycles {r} km each day, {d} days long.",
         "For {d} days {n} runs {r} km every day."},
        arg("n", name), arg("r", rate), arg("d", days));
  std::int64_t distance = s.step("First", rate, '*', days);
  if (more_days) {
    const std::int64_t rate2 = s.quantity(2, 15), days2 = s.quantity(2, 6);
    s.say({"Then {n} does {r} km a day for {d} more days.",
           "After that it is {r} km a day for {d} days."},
          arg("n", name), arg("r", rate2), arg("d", days2));
    distance = s.step("All", distance, '+', s.step("Then", rate2, '*', days2));
  }
  if (s.draw().chance(0.3)) {
    const std::int64_t whole = s.told(distance + s.draw().between(3, 40));
    s.say({"The whole way is {w} km. How many km are left?", "How many km are missing to {w}?"},
          arg("w", whole));
    return s.finish(s.step("Left", whole, '-', distance));
  }
  s.say({"How many km is that?", "How far is that in km?",
         "How many kilometres are that altogether?"});
  return s.finish(distance);
}

// Boxes with so many in each, more or fewer single ones.
Problem boxes(Story& s) {
  const auto kinds =
      s.draw().pick(std::vector<std::pair<const char*, const char*>>{{"boxes", "eggs"},
                                                                     {"bags", "potatoes"},
                                                                     {"shelves", "books"},
                                                                     {"tables", "chairs"},
                                                                     {"rows", "seats"},
                                                                     {"packets", "biscuits"},
                                                                     {"crates", "bottles"},
                                                                     {"nests", "birds"},
                                                                     {"trays", "rolls"}});
  const std::int64_t a = s.quantity(2, 12), b = s.quantity(2, 12);
  s.say({"There are {a} {k} with {b} {o} each.", "{a} {k} hold {b} {o} each.",
         "Somebody counts {a} {k}, and {b} {o} in every one."},
        arg("a", a), arg("k", kinds.first), arg("b", b), arg("o", kinds.second));
  std::int64_t all = s.step("All", a, '*', b);
  const std::int64_t events = s.draw().below(3);
  for (std::int64_t i = 0; i < events; ++i) {
    if (s.draw().chance(0.5)) {
      const std::int64_t c = s.quantity(2, 20);
      s.say({"{c} more {o} come along.", "Besides there are {c} single {o}."}, arg("c", c),
            arg("o", kinds.second));
      all = s.step("With these", all, '+', c);
    } else {
      const std::int64_t c = s.quantity(1, std::min<std::int64_t>(20, all - 1));
      s.say({"{c} {o} are taken away.", "Then {c} of the {o} are missing."}, arg("c", c),
            arg("o", kinds.second));
      all = s.step("Left", all, '-', c);
    }
  }
  s.say({"How many {o} are there?", "How many {o} is that?"}, arg("o", kinds.second));
  return s.finish(all);
}

Problem packing(Story& s) {
  const char* thing = s.draw().pick({"eggs", "bottles", "rolls", "candles", "tiles", "bulbs"});
  const std::int64_t each = s.quantity(2, 12), count = s.draw().between(2, 20);
  const std::int64_t bad = s.draw().chance(0.5) ? s.quantity(1, 15) : 0;
  const std::int64_t all = s.told(each * count + bad);
  s.say({"A shop has {a} {o}.", "There are {a} {o} to pack."}, arg("a", all), arg("o", thing));
  std::int64_t good = all;
  if (bad > 0) {
    s.say({"{b} of them are broken.", "{b} are given away first."}, arg("b", bad));
    good = s.step("Good", all, '-', bad);
  }
  s.say({"Each box takes {e}. How many boxes are filled?",
         "{e} go into one box. How many boxes are needed?"},
        arg("e", each));
  return s.finish(s.step("Boxes", good, '/', each));
}

Problem ages(Story& s) {
  const char* a = s.draw().pick(kNames);
  const char* b = s.draw().pick(kNames);
  while (b == a) b = s.draw().pick(kNames);
  const std::int64_t age = s.quantity(5, 40), d = s.quantity(2, 15);
  s.say({"{a} is {x} years old. {b} is {d} years older.",
         "{b} is {d} years older than {a}, who is {x}."},
        arg("a", a), arg("b", b), arg("x", age), arg("d", d));
  const std::int64_t other = s.step(b, age, '+', d);
  const std::int64_t kind = s.draw().below(3);
  if (kind == 0) {
    s.say({"How old are they together?", "What is the sum of their ages?"});
    return s.finish(s.step("Together", age, '+', other));
  }
  const std::int64_t later = s.quantity(2, 12);
  if (kind == 1) {
    s.say({"How old will {b} be in {l} years?", "What is the age of {b} {l} years from now?"},
          arg("b", b), arg("l", later));
    return s.finish(s.step("Later", other, '+', later));
  }
  s.say({"How old will the two be together in {l} years?",
         "What will be the sum of their ages in {l} years?"},
        arg("l", later));
  const std::int64_t now = s.step("Now", age, '+', other);
  return s.finish(s.step("Then", now, '+', s.step("Both grow", later, '*', 2)));
}

// Pages of a book over some days.
Problem reading(Story& s) {
  const char* name = s.draw().pick(kNames);
  const std::int64_t first = s.quantity(5, 60), second = s.quantity(5, 60);
  const std::int64_t pages = s.told(first + second + s.draw().between(10, 120));
  s.say({"A book has {p} pages. {n} reads {a} pages on Monday and {b} on Tuesday.",
         "{n} reads {a} pages of a book one day and {b} the next; the book has {p} pages."},
        arg("p", pages), arg("n", name), arg("a", first), arg("b", second));
  const std::int64_t left = s.step("Left", pages, '-', s.step("Read", first, '+', second));
  const std::int64_t days = s.draw().between(2, 6);
  if (left % days == 0 && s.draw().chance(0.6)) {
    s.told(days);
    s.say(
        {"The rest takes {d} days with equally many pages each day. How many pages a day is that?"},
        arg("d", days));
    return s.finish(s.step("A day", left, '/', days));
  }
  s.say({"How many pages are left?", "How many pages has {n} still to read?"}, arg("n", name));
  return s.finish(left);
}

// Wages by the hour, and something spent.
Problem earning(Story& s) {
  const char* name = s.draw().pick(kNames);
  const std::int64_t hours = s.quantity(2, 12), wage = s.quantity(5, 20);
  s.say({"{n} earns {w} dollars an hour and works {h} hours.",
         "For {h} hours of work {n} gets {w} dollars an hour.",
         "{n} helps in a garden for {h} hours at {w} dollars an hour."},
        arg("n", name), arg("w", wage), arg("h", hours));
  std::int64_t money = s.step("Earned", hours, '*', wage);
  if (s.draw().chance(0.5)) {
    const std::int64_t saved = s.quantity(5, 80);
    s.say({"{n} had saved {a} dollars before.", "Besides there are {a} dollars in the purse."},
          arg("n", name), arg("a", saved));
    money = s.step("With savings", money, '+', saved);
  }
  if (s.draw().chance(0.5)) {
    const std::int64_t spent = s.quantity(2, std::min<std::int64_t>(money - 1, 60));
    s.say({"{a} dollars are spent on food.", "Then {n} spends {a} dollars."}, arg("n", name),
          arg("a", spent));
    money = s.step("Left", money, '-', spent);
  }
  s.say({"How many dollars does {n} have?", "How much money is that?"}, arg("n", name));
  return s.finish(money);
}

// A bus, a tank, a queue: in and out.
Problem in_and_out(Story& s) {
  const auto kinds = s.draw().pick(
      std::vector<std::array<const char*, 4>>{{"bus", "passengers", "get on", "get off"},
                                              {"pool", "children", "jump in", "climb out"},
                                              {"park", "visitors", "come in", "go home"},
                                              {"queue", "people", "join", "leave"},
                                              {"train", "travellers", "board", "get out"}});
  std::int64_t there = s.quantity(8, 60);
  s.say({"There are {a} {o} in a {k}.", "{a} {o} are in the {k}."}, arg("a", there),
        arg("o", kinds[1]), arg("k", kinds[0]));
  const std::int64_t stops = s.draw().between(1, 2);
  for (std::int64_t i = 0; i < stops; ++i) {
    const std::int64_t out = s.quantity(1, std::min<std::int64_t>(there - 1, 25)),
                       in = s.quantity(1, 25);
    s.say({"{x} {out} and {y} {in}.", "Then {x} {out}, and {y} {in}."}, arg("x", out), arg("y", in),
          arg("in", kinds[2]), arg("out", kinds[3]));
    there = s.step("Out", there, '-', out);
    there = s.step("In", there, '+', in);
  }
  s.say({"How many {o} are there now?", "How many {o} are in the {k} then?"}, arg("o", kinds[1]),
        arg("k", kinds[0]));
  return s.finish(there);
}

}  // namespace

const std::vector<StoryTeller>& measure_stories() {
  static const std::vector<StoryTeller> stories = {shopping, walking, boxes,   packing,
                                                   ages,     reading, earning, in_and_out};
  return stories;
}

}  // namespace nautile::tasks
