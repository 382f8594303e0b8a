// shape_test.cpp — what shapes let pass, and what they say of the rest.
#include "server/shape.h"

#include <gtest/gtest.h>

#include "server/api_error.h"

namespace nautile::server {
namespace {

Shape sample() {
  return Shape::object(
      {{"name", Shape::text(1, 5), Field::Need::required},
       {"count", Shape::integer(1, 8)},
       {"share", Shape::number(0, 1)},
       {"mode", Shape::words({"on", "off"})},
       {"list", Shape::either({Shape::text(), Shape::list(Shape::integer(0, 9), 1, 3)})},
       {"map", Shape::map(Shape::boolean(), 2)},
       {"part",
        Shape::tagged("type",
                      {Shape::object({{"type", Shape::words({"a"}), Field::Need::required},
                                      {"x", Shape::boolean(), Field::Need::required}}),
                       Shape::object({{"type", Shape::words({"b"}), Field::Need::required}})})},
       {"old", Shape::anything(), Field::Need::optional, Field::Effect::none}});
}

// "path|code" of the error, or "".
std::string told(const char* json) {
  try {
    sample().check(Json::parse(json), "");
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status, 400);
    EXPECT_EQ(std::string(error.what()).find(error.param), 0U) << error.what();
    return error.param + "|" + error.code;
  }
  return "";
}

TEST(Shape, NamesWhatIsWrong) {
  EXPECT_EQ(told(R"({"name": "a", "count": null, "list": [1, 2], "map": {"x": true}})"), "");
  EXPECT_EQ(told(R"({"name": "a", "count": 3.0, "list": "x", "part": {"type": "b"}})"), "");
  EXPECT_EQ(told("[]"), "|invalid_type");
  EXPECT_EQ(told("{}"), "name|missing_required_parameter");
  EXPECT_EQ(told(R"({"name": null})"), "name|invalid_type");
  EXPECT_EQ(told(R"({"name": ""})"), "name|invalid_value");
  EXPECT_EQ(told(R"({"name": "123456"})"), "name|invalid_value");
  EXPECT_EQ(told(R"({"name": "a", "count": 9})"), "count|invalid_value");
  EXPECT_EQ(told(R"({"name": "a", "count": 1.5})"), "count|invalid_type");
  EXPECT_EQ(told(R"({"name": "a", "count": 9223372036854775808})"), "count|invalid_value");
  EXPECT_EQ(told(R"({"name": "a", "share": 1.01})"), "share|invalid_value");
  EXPECT_EQ(told(R"({"name": "a", "mode": "maybe"})"), "mode|invalid_value");
  EXPECT_EQ(told(R"({"name": "a", "list": [1, "x"]})"), "list[1]|invalid_type");
  EXPECT_EQ(told(R"({"name": "a", "list": []})"), "list|invalid_value");
  EXPECT_EQ(told(R"({"name": "a", "map": {"x": 1}})"), "map.x|invalid_type");
  EXPECT_EQ(told(R"({"name": "a", "part": {}})"), "part.type|missing_required_parameter");
  EXPECT_EQ(told(R"({"name": "a", "part": {"type": "c"}})"), "part.type|invalid_value");
  EXPECT_EQ(told(R"({"name": "a", "part": {"type": "a"}})"), "part.x|missing_required_parameter");
}

TEST(Shape, NamesWhatHasNoEffect) {
  const Json body = Json::parse(R"({"name": "a", "old": 1, "unknown": [], "other": null})");
  EXPECT_EQ(sample().without_effect(body), (std::vector<std::string>{"old", "unknown"}));
}

TEST(Shape, WritesASchema) {
  const Json schema = sample().schema();
  EXPECT_EQ(schema["required"], Json({"name"}));
  EXPECT_EQ(schema["properties"]["count"]["anyOf"][0]["maximum"], 8);
  EXPECT_EQ(schema["properties"]["count"]["anyOf"][1]["type"], "null");
  EXPECT_EQ(schema["properties"]["list"]["anyOf"][0]["anyOf"][1]["maxItems"], 3);
  EXPECT_EQ(schema["properties"]["part"]["anyOf"][0]["oneOf"].size(), 2U);
}

TEST(Shape, ListsItsNumbers) {
  const auto ranges = sample().ranges();
  ASSERT_EQ(ranges.size(), 2U);
  EXPECT_EQ(ranges[0].path, "count");
  EXPECT_EQ(ranges[1].most, 1);
}

}  // namespace
}  // namespace nautile::server
