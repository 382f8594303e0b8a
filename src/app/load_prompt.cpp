#include "app/load_prompt.h"

#include <random>
#include <string_view>

namespace nautile::app {
namespace {

constexpr std::string_view kWords[] = {
    "time",   "people",  "water",  "world",   "house",  "place",   "group",  "country", "school",
    "state",  "family",  "hand",   "part",    "child",  "week",    "case",   "point",   "number",
    "night",  "home",    "room",   "area",    "money",  "story",   "fact",   "month",   "right",
    "study",  "book",    "word",   "issue",   "side",   "kind",    "head",   "friend",  "father",
    "power",  "hour",    "game",   "line",    "end",    "member",  "law",    "car",     "city",
    "name",   "team",    "minute", "idea",    "body",   "back",    "parent", "face",    "others",
    "level",  "office",  "door",   "health",  "person", "art",     "war",    "history", "party",
    "result", "change",  "reason", "girl",    "guy",    "moment",  "air",    "force",   "foot",
    "boy",    "age",     "policy", "music",   "market", "sense",   "nation", "plan",    "college",
    "death",  "course",  "effect", "use",     "class",  "control", "field",  "share",   "paper",
    "table",  "bank",    "land",   "river",   "light",  "voice",   "street", "animal",  "step",
    "train",  "red",     "green",  "small",   "large",  "old",     "young",  "early",   "late",
    "open",   "strong",  "simple", "clear",   "short",  "long",    "high",   "low",     "good",
    "new",    "first",   "last",   "other",   "same",   "next",    "few",    "many",    "most",
    "run",    "make",    "take",   "come",    "give",   "find",    "think",  "tell",    "become",
    "show",   "leave",   "feel",   "put",     "bring",  "begin",   "keep",   "hold",    "write",
    "stand",  "hear",    "let",    "mean",    "set",    "meet",    "pay",    "sit",     "speak",
    "read",   "spend",   "grow",   "walk",    "win",    "teach",   "offer",  "learn",   "build",
    "and",    "of",      "to",     "in",      "for",    "with",    "on",     "at",      "from",
    "by",     "about",   "as",     "into",    "like",   "through", "after",  "over",    "between",
    "out",    "against", "during", "without", "before", "under",   "around", "among"};

void append_words(std::string& text, int count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (int i = 0; i < count; ++i) {
    if (!text.empty()) text += ' ';
    text += kWords[random() % std::size(kWords)];
  }
}

}  // namespace

std::string load_prompt(const LoadPromptShape& shape, std::uint64_t index) {
  // Odd multipliers keep (seed, index) apart; the generator mixes the rest.
  constexpr std::uint64_t kSeeds = 0x9e3779b97f4a7c15, kIndices = 0xbf58476d1ce4e5b9;
  std::string text;
  append_words(text, shape.shared, shape.seed * kSeeds);
  append_words(text, shape.own, shape.seed * kSeeds + (index + 1) * kIndices);
  return text;
}

}  // namespace nautile::app
