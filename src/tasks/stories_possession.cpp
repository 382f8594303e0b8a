// stories_possession.cpp — stories of having, finding, giving, sharing and comparing.
#include <algorithm>

#include "tasks/names.h"
#include "tasks/story.h"

namespace nautile::tasks {
namespace {

using fmt::arg;

constexpr std::array<const char*, 36> kThings = {
    "apples",  "marbles",   "stickers", "pencils", "shells",    "stamps",   "cards",   "buttons",
    "coins",   "books",     "beads",    "cookies", "balloons",  "flowers",  "plums",   "pears",
    "ribbons", "stones",    "walnuts",  "candles", "postcards", "feathers", "crayons", "peaches",
    "muffins", "chestnuts", "toys",     "badges",  "acorns",    "oranges",  "keys",    "figs",
    "leaves",  "tickets",   "magnets",  "bells"};

const char* other_name(Draw& draw, std::initializer_list<const char*> taken) {
  for (;;) {
    const char* name = draw.pick(kNames);
    if (std::none_of(taken.begin(), taken.end(), [&](const char* t) { return name == t; }))
      return name;
  }
}

// One event that changes how many there are.
std::int64_t more(Story& s, std::int64_t have, const char* name, const char* things) {
  const std::int64_t b = s.quantity(2, 40);
  const char* from = other_name(s.draw(), {name});
  s.say({"{n} finds {b} more.", "Then {n} buys {b} more {o}.", "{f} gives {n} {b} {o}.",
         "{n} gets another {b} from {f}.", "In the afternoon {n} collects {b} more."},
        arg("n", name), arg("b", b), arg("o", things), arg("f", from));
  return s.step("More", have, '+', b);
}

std::int64_t fewer(Story& s, std::int64_t have, const char* name, const char* things) {
  const std::int64_t b = s.quantity(1, std::min<std::int64_t>(have - 1, 40));
  const char* to = other_name(s.draw(), {name});
  s.say({"{n} gives {b} of them to {f}.", "{n} loses {b} of the {o}.", "Then {n} sells {b} {o}.",
         "{b} of them get lost.", "{f} takes {b} of them."},
        arg("n", name), arg("b", b), arg("o", things), arg("f", to));
  return s.step("Left", have, '-', b);
}

std::int64_t times(Story& s, std::int64_t have, const char* name, const char*) {
  const std::int64_t k = s.draw().between(2, 4);
  const char* words[] = {"twice", "three times", "four times"};
  s.say({"A week later {n} has {k} as many.", "Then the number grows to {k} what it was.",
         "A month later there are {k} as many."},
        arg("n", name), arg("k", words[k - 2]));
  return s.step("Grown", have, '*', k);
}

// The running quantity: a start and one to three events.
Problem running(Story& s) {
  const char* name = s.draw().pick(kNames);
  const char* things = s.draw().pick(kThings);
  const std::int64_t start = s.quantity(3, 60);
  s.say({"{n} has {a} {o}.", "{n} starts with {a} {o}.", "There are {a} {o} in {n}'s box.",
         "{n} owns {a} {o}."},
        arg("n", name), arg("a", start), arg("o", things));
  s.remark(fmt::format("Start: {}.", start));
  std::int64_t have = start;
  const std::int64_t events = s.draw().between(1, 4);
  for (std::int64_t i = 0; i < events; ++i) {
    const std::int64_t kind = s.draw().below(5);
    have = kind < 2 || have < 3 ? more(s, have, name, things)
           : kind < 4           ? fewer(s, have, name, things)
           : have < 100         ? times(s, have, name, things)
                                : fewer(s, have, name, things);
  }
  s.say({"How many {o} does {n} have now?", "How many {o} are there in the end?",
         "How many {o} has {n} then?"},
        arg("n", name), arg("o", things));
  return s.finish(have);
}

// Half as many as before, and the sum of both.
Problem half_as_many(Story& s) {
  const char* name = s.draw().pick(kNames);
  const char* things = s.draw().pick(kThings);
  const std::int64_t k = s.draw().between(2, 4);
  const char* words[] = {"half", "a third", "a quarter"};
  const std::int64_t first = s.told(k * s.draw().between(2, 30));
  const auto days = s.draw().pick(
      std::vector<std::pair<const char*, const char*>>{{"April", "May"},
                                                       {"Monday", "Tuesday"},
                                                       {"summer", "autumn"},
                                                       {"the morning", "the evening"}});
  const char* on = days.first[0] == 'M' && days.first[1] == 'o' ? "on" : "in";
  s.say({"{n} sold {a} {o} {p} {x} and {k} as many {p} {y}.",
         "{p} {x} {n} made {a} {o}, {p} {y} only {k} as many.",
         "{n} collected {a} {o} {p} {x} and {k} of that number {p} {y}."},
        arg("n", name), arg("a", first), arg("o", things), arg("k", words[k - 2]), arg("p", on),
        arg("x", days.first), arg("y", days.second));
  const std::int64_t second = s.step("Second", first, '/', k);
  s.say({"How many {o} is that altogether?", "How many {o} in all?", "What is the total?"},
        arg("o", things));
  return s.finish(s.step("Together", first, '+', second));
}

// Two or three people, each with more, fewer or a multiple of another's.
Problem comparing(Story& s) {
  const char* a = s.draw().pick(kNames);
  const char* b = other_name(s.draw(), {a});
  const char* c = other_name(s.draw(), {a, b});
  const char* things = s.draw().pick(kThings);
  const std::int64_t first = s.quantity(6, 50), d = s.quantity(2, 20);
  const bool is_more = first <= d || s.draw().chance(0.5);
  s.say({"{a} has {x} {o}. {b} has {d} {m} than {a}.",
         "{a} owns {x} {o}, and {b} has {d} {m} than that."},
        arg("a", a), arg("b", b), arg("x", first), arg("o", things), arg("d", d),
        arg("m", is_more ? "more" : "fewer"));
  const std::int64_t second = s.step(b, first, is_more ? '+' : '-', d);
  const std::int64_t kind = s.draw().below(3);
  if (kind == 0) {
    s.say({"How many does {b} have?", "How many {o} has {b}?"}, arg("b", b), arg("o", things));
    return s.finish(second);
  }
  if (kind == 1) {
    s.say({"How many {o} do they have together?", "How many have both of them in all?"},
          arg("o", things));
    return s.finish(s.step("Together", first, '+', second));
  }
  const std::int64_t k = s.draw().between(2, 3);
  s.say({"{c} has {k} as many as {b}.", "{c} has {k} the number of {b}."}, arg("c", c), arg("b", b),
        arg("k", k == 2 ? "twice" : "three times"));
  const std::int64_t third = s.step(c, second, '*', k);
  s.say({"How many {o} do the three have together?", "How many is that for all three?"},
        arg("o", things));
  return s.finish(s.step("All", s.step("Two", first, '+', second), '+', third));
}

// So many each, perhaps after some were gone.
Problem sharing(Story& s) {
  const char* name = s.draw().pick(kNames);
  const char* things = s.draw().pick(kThings);
  const std::int64_t friends = s.quantity(2, 9), each = s.draw().between(2, 12);
  const std::int64_t gone = s.draw().chance(0.5) ? s.quantity(1, 9) : 0;
  const std::int64_t all = s.told(friends * each + gone);
  s.say({"{n} has {a} {o}.", "There are {a} {o} on {n}'s table.", "{n} picked {a} {o}."},
        arg("n", name), arg("a", all), arg("o", things));
  std::int64_t left = all;
  if (gone > 0) {
    s.say({"{g} of them are broken.", "{n} keeps {g} of them.", "{g} are set aside."},
          arg("g", gone), arg("n", name));
    left = s.step("Left", all, '-', gone);
  }
  s.say({"{r} shared equally among {k} friends. How many does each get?",
         "{n} makes {k} equal heaps of what there is. How many are in a heap?",
         "{k} children share what there is equally. How many are there for each?"},
        arg("k", friends), arg("n", name), arg("r", gone > 0 ? "The rest is" : "They are"));
  return s.finish(s.step("Each", left, '/', friends));
}

// How many more are needed, or how many were there before.
Problem unknown_part(Story& s) {
  const char* name = s.draw().pick(kNames);
  const char* things = s.draw().pick(kThings);
  const std::int64_t part = s.quantity(2, 60), whole = s.told(part + s.draw().between(2, 60));
  const bool before = s.draw().chance(0.5);
  if (before) {
    s.say({"{n} found {p} {o} and now has {w}. How many were there before?",
           "After {n} bought {p} {o} there are {w}. How many {o} did {n} have at first?"},
          arg("n", name), arg("p", part), arg("w", whole), arg("o", things));
  } else {
    s.say({"{n} has {p} {o} and wants {w}. How many more are needed?",
           "{n} needs {w} {o} and has {p}. How many are missing?"},
          arg("n", name), arg("p", part), arg("w", whole), arg("o", things));
  }
  return s.finish(s.step(before ? "Before" : "Missing", whole, '-', part));
}

}  // namespace

const std::vector<StoryTeller>& possession_stories() {
  static const std::vector<StoryTeller> stories = {running,   running, half_as_many,
                                                   comparing, sharing, unknown_part};
  return stories;
}

}  // namespace nautile::tasks
