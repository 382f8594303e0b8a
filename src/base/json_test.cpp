#include "base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"

namespace nautile {
namespace {

using ::testing::HasSubstr;

std::string error_of(const std::function<void()>& act) {
  try {
    act();
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
    return error.what();
  }
}

TEST(Json, HasLimits) {
  EXPECT_EQ(parse_json(R"({"a":[1,-2,3.5,"x",null,true]})", "j").dump(),
            R"({"a":[1,-2,3.5,"x",null,true]})");
  const std::string deep(65, '[');
  EXPECT_THAT(error_of([&] { parse_json(deep, "j"); }),
              HasSubstr("j: at byte 65: nested deeper than 64"));
  EXPECT_THAT(error_of([&] { parse_json("[1,2,3]", "j", {.values = 3}); }),
              HasSubstr("more than 3 values"));
  EXPECT_THAT(error_of([&] { parse_json("[1,2,3]", "j", {.bytes = 3}); }),
              HasSubstr("7 bytes of JSON"));
  EXPECT_THAT(error_of([&] { parse_json("{\"a\":1,\"a\":2}", "j"); }),
              HasSubstr("\"a\" occurs twice"));
  EXPECT_THAT(error_of([&] { parse_json("\"\xff\"", "j"); }), HasSubstr("not JSON"));
  EXPECT_THAT(error_of([&] { parse_json("[1e999]", "j"); }), HasSubstr("not JSON"));
  EXPECT_THAT(error_of([&] { parse_json("", "j"); }), HasSubstr("not JSON"));
  EXPECT_THAT(error_of([&] { parse_json("{} x", "j"); }), HasSubstr("not JSON"));
}

TEST(Json, OrderedHasTheSameLimitsAndKeepsTheOrder) {
  const char* text = R"({"z":{"y":[{"b":1,"a":2}],"x":{}},"w":"v"})";
  EXPECT_EQ(parse_ordered_json(text, "j").dump(), text);
  EXPECT_EQ(parse_json(text, "j").dump(), R"({"w":"v","z":{"x":{},"y":[{"a":2,"b":1}]}})");
  EXPECT_THAT(error_of([&] { parse_ordered_json(std::string(65, '['), "j"); }),
              HasSubstr("j: at byte 65: nested deeper than 64"));
  EXPECT_THAT(error_of([&] { parse_ordered_json("[1,2,3]", "j", {.values = 3}); }),
              HasSubstr("more than 3 values"));
  EXPECT_THAT(error_of([&] { parse_ordered_json(R"({"a":1,"b":0,"a":2})", "j"); }),
              HasSubstr("\"a\" occurs twice"));
}

TEST(Json, TheLastOfRepeatedNamesMayCount) {
  const JsonLimits limits = {.repeated = RepeatedNames::last};
  const char* text = R"({"b":[1],"a":0,"b":{"c":1,"c":2},"d":3,"a":4,"b":5})";
  EXPECT_EQ(parse_ordered_json(text, "j", limits).dump(), R"({"b":5,"a":4,"d":3})");
  EXPECT_EQ(parse_ordered_json(text, "j", limits), nlohmann::ordered_json::parse(text));
  EXPECT_EQ(parse_json(text, "j", limits), nlohmann::json::parse(text));
  std::string many = "{\"k\":0";  // would take minutes if each name were looked for in all
  for (int i = 0; i < 200'000; ++i) many += fmt::format(",\"{}\":1", i);
  EXPECT_EQ(parse_ordered_json(many + "}", "j", limits).size(), 200'001u);
}

}  // namespace
}  // namespace nautile
