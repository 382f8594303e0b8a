// grammar_schema_test.cpp — JSON Schema: texts that fit and do not, what is refused, what is
// hostile.
#include <gtest/gtest.h>

#include <chrono>

#include "text/grammar_testing.h"

namespace nautile {
namespace {

struct Case {
  std::string schema;
  std::vector<std::string> yes, no;
};

void expect(const std::vector<Case>& cases, JsonSpace space = JsonSpace::compact) {
  for (const Case& c : cases) {
    const auto grammar = compiled(GrammarKind::json_schema, c.schema, space);
    for (const std::string& text : c.yes)
      EXPECT_TRUE(matches(grammar, text)) << c.schema << " should take " << text;
    for (const std::string& text : c.no)
      EXPECT_FALSE(matches(grammar, text)) << c.schema << " should not take " << text;
  }
}

TEST(Schema, Types) {
  expect(
      {{"{}",
        {"1", "\"a\"", "[1,{\"a\":null}]", "-0.5e+3", "true"},
        {"", "01", "1.", "nul", "[1,]"}},
       {"true", {"{}"}, {"{"}},
       {R"({"type":"null"})", {"null"}, {"0", "\"null\""}},
       {R"({"type":"integer"})", {"0", "-12"}, {"1.0", "1e3", "-0", "007"}},
       {R"({"type":["integer","string"]})", {"1", "\"1\""}, {"null", "1.5"}},
       {R"({"type":"boolean","title":"t","description":"d","default":1,"examples":[],"$comment":"c",
              "$id":"x","$schema":"y"})",
        {"true", "false"},
        {"null"}}});
}

TEST(Schema, Strings) {
  expect(
      {{R"({"type":"string"})",
        {R"("")", R"("a\n\"\\\/\u00e9")", R"("\ud83d\ude00")", "\"\xE4\xBD\xA0\""},
        {"\"a\nb\"", R"("\ud83d")", R"("\ude00")", R"("\x")", "\"\xE4\xBD\"", "\"\xFF\"",
         R"("\ud83d\u0041")"}},
       {R"({"minLength":2,"maxLength":3})",
        {R"("ab")", "\"\xE4\xBD\xA0\xC3\xA9\xC3\xA9\"", R"("\n\u0041\ud83d\ude00")"},
        {R"("a")", R"("abcd")", R"("\ud83d\ude00")"}},
       {R"({"pattern":"^a\\d+$"})", {R"("a12")"}, {R"("a")", R"("ba1")"}},
       {R"({"pattern":"b"})", {R"("abc")", R"("b")"}, {R"("ac")"}},
       {R"({"pattern":"^[\\s\"\\\\]$"})",
        {R"("\n")", R"("\"")", R"("\\")", R"(" ")"},
        {R"("n")", "\"\n\""}},
       {R"({"pattern":"^[a-c]*$","minLength":2,"maxLength":3})",
        {R"("ab")", R"("abc")"},
        {R"("a")", R"("abca")", R"("xy")"}},
       {R"({"allOf":[{"pattern":"^a"},{"pattern":"z$"}],"type":"string"})",
        {R"("az")", R"("a-z")"},
        {R"("a")", R"("z")"}},
       {R"({"format":"date"})",
        {R"("2026-11-28")", R"("2024-02-29")"},
        {R"("2023-02-29")", R"("2026-13-01")", R"("2026-04-31")"}},
       {R"({"format":"date-time"})",
        {R"("2026-11-28T12:00:59Z")", R"("2026-11-28T12:00:59.5+01:30")"},
        {R"("2026-11-28 12:00:59Z")"}},
       {R"({"format":"email"})", {R"("a.b@c.de")"}, {R"("a.b")", R"("@c.de")"}},
       {R"({"format":"uuid"})", {R"("123e4567-e89b-12d3-a456-426614174000")"}, {R"("123e4567")"}},
       {R"({"format":"ipv4"})", {R"("255.0.10.1")"}, {R"("256.0.0.1")", R"("01.0.0.1")"}},
       {R"({"format":"ipv6"})",
        {R"("::1")", R"("1:2:3:4:5:6:7:8")", R"("fe80::1:2")", R"("1::")"},
        {R"("1:2:3")", R"("1::2::3")", R"("1:2:3:4:5:6:7:8:9")"}}});
}

TEST(Schema, Numbers) {
  expect({{R"({"type":"integer","minimum":-12,"maximum":105})",
           {"-12", "-1", "0", "7", "99", "105"},
           {"-13", "106", "1000", "-0", "-100"}},
          {R"({"type":"integer","exclusiveMinimum":0,"exclusiveMaximum":10})",
           {"1", "9"},
           {"0", "10"}},
          {R"({"type":"integer","minimum":2.5,"maximum":3.5})", {"3"}, {"2", "4"}},
          {R"({"type":"integer","minimum":9223372036854775806})",
           {"9223372036854775806"},
           {"9223372036854775805"}},
          {R"({"type":"integer","multipleOf":7,"minimum":-21,"maximum":100})",
           {"-21", "0", "7", "98"},
           {"-20", "1", "105"}},
          {R"({"type":"number","multipleOf":5})", {"10", "-5", "0"}, {"11", "5.5"}},
          {R"({"type":"number","minimum":0.5,"maximum":10.25})",
           {"0.5", "0.50", "1", "9.999", "10", "10.25"},
           {"0", "0.49", "10.26", "11", "-1", "1e0", "00.5"}},
          {R"({"type":"number","exclusiveMinimum":-1.5,"exclusiveMaximum":0})",
           {"-1.49", "-0.1", "-1"},
           {"-1.5", "0", "-0", "-0.0", "-2", "0.1"}},
          {R"({"type":"number","minimum":1e-7,"maximum":2e-7})",
           {"0.0000001", "0.00000015"},
           {"0", "0.0000003"}},
          {R"({"type":"number","minimum":0.30000000000000004,"maximum":0.30000000000000004})",
           {"0.30000000000000004"},
           {"0.3", "0.300000000000000"}},
          {R"({"type":"number","minimum":100})", {"100", "123456.5"}, {"99.9", "-100"}},
          {R"({"type":"number","maximum":-100})", {"-100", "-100.5"}, {"-99", "100", "0"}}});
}

TEST(Schema, Objects) {
  expect(
      {{R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"null"},"c":{"type":"boolean"}},
           "required":["b"]})",
        {R"({"b":null})", R"({"a":1,"b":null})", R"({"b":null,"c":true})",
         R"({"a":1,"b":null,"c":true})"},
        {"{}", R"({"a":1})", R"({"b":null,"a":1})", R"({"b":null,"d":1})", R"({"b":null,"b":null})",
         R"({"b":null,})"}},
       {R"({"properties":{"a":{},"ab":{}},"additionalProperties":{"type":"integer"}})",
        {"{}", R"({"a":"x","c":1})", R"({"abc":1,"":2})", R"({"\n":1})"},
        {R"({"c":"x"})", R"({"c":1,"a":1})", R"({"ab":1,"a":1})", R"({"\u0061":1})"}},
       {R"({"type":"object","required":["x","\"q\""],"properties":{"y":{"type":"null"}},"additionalProperties":true})",
        {R"({"y":null,"x":1,"\"q\"":[]})", R"({"x":1,"\"q\"":2,"z":3})"},
        {R"({"x":1})"}},
       {R"({"type":"object"})", {"{}", R"({"a":{"b":[]}})"}, {"[]", "{1:2}"}},
       {R"({"type":"object","additionalProperties":false})", {"{}"}, {R"({"a":1})"}},
       {R"({"allOf":[{"properties":{"a":{"minimum":3,"type":"integer"}},"required":["a"]},
            {"properties":{"a":{"maximum":5,"type":"integer"},"b":{"type":"null"}}}]})",
        {R"({"a":3})", R"({"a":5,"b":null})"},
        {R"({"a":6})", R"({"a":2})", R"({"b":null})"}},
       {R"({"allOf":[{"properties":{"a":{}},"additionalProperties":false},{"properties":{"a":{"type":"null"},"b":{}}}]})",
        {"{}", R"({"a":null})"},
        {R"({"a":1})", R"({"b":1})"}}});
}

TEST(Schema, Arrays) {
  expect(
      {{R"({"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":3})",
        {"[1,2]", "[1,2,3]"},
        {"[]", "[1]", "[1,2,3,4]", "[1,null]"}},
       {R"({"prefixItems":[{"type":"integer"},{"type":"null"}]})",
        {"[]", "[1]", "[1,null]"},
        {"[null]", "[1,null,1]"}},
       {R"({"prefixItems":[{"type":"integer"},{"type":"null"}],"items":{"type":"boolean"},"minItems":1})",
        {"[1]", "[1,null,true,false]"},
        {"[]", "[1,null,1]"}},
       {R"({"prefixItems":[{"type":"integer"}],"minItems":2})", {"[1,\"x\"]"}, {"[1]", "[1,2,3]"}},
       {R"({"type":"array","items":false})", {"[]"}, {"[1]"}},
       {R"({"items":{"enum":[1,2]},"maxItems":0})", {"[]"}, {"[1]"}},
       {R"({"allOf":[{"items":{"minimum":2,"type":"integer"}},{"items":{"maximum":3,"type":"integer"}}],"type":"array"})",
        {"[2,3]", "[]"},
        {"[1]", "[4]"}}});
}

TEST(Schema, ListsAndUnions) {
  expect(
      {{R"({"enum":[1,"a",null,{"b":[1.5,{}]},true]})",
        {"1", "\"a\"", "null", R"({"b":[1.5,{}]})", "true"},
        {"2", "\"b\"", "false"}},
       {R"({"type":"string","enum":["a",1,"abc"],"maxLength":2})", {"\"a\""}, {"1", "\"abc\""}},
       {R"({"const":"x\n"})", {R"("x\n")"}, {R"("x")"}},
       {R"({"enum":[4,6,9,12],"multipleOf":3,"maximum":10})", {"6", "9"}, {"4", "12"}},
       {R"({"anyOf":[{"type":"integer"},{"type":"string","maxLength":1}]})",
        {"12", "\"a\""},
        {"\"ab\"", "null"}},
       {R"({"type":"integer","anyOf":[{"minimum":5},{"maximum":2}]})", {"5", "2"}, {"3", "4"}},
       {R"({"anyOf":[{"$ref":"#/$defs/a"},{"type":"null"}],"$defs":{"a":{"type":"array","items":{"$ref":"#"}}}})",
        {"null", "[]", "[null,[null]]"},
        {"1", "[1]"}},
       {R"({"anyOf":[{"$ref":"#"},{"type":"null"}]})", {"null"}, {"1"}},
       {R"({"$ref":"#/$defs/a~1b%20c","maximum":3,"$defs":{"a/b c":{"type":"integer","minimum":1}}})",
        {"1", "3"},
        {"0", "4"}},
       {R"({"properties":{"next":{"$ref":"#"},"v":{"const":1}},"required":["v"]})",
        {R"({"v":1})", R"({"next":{"next":{"v":1},"v":1},"v":1})"},
        {R"({"next":{},"v":1})"}}});
}

TEST(Schema, FlexibleSpace) {
  expect(
      {{R"({"properties":{"a":{"items":{"type":"integer"},"type":"array"},"b":{"const":{"x":[1]}}},"required":["a","b"]})",
        {R"({"a":[1,2],"b":{"x":[1]}})", "{\"a\": [1, 2], \"b\": {\"x\": [1]}}",
         "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {\n    \"x\": [\n      1\n    ]\n  }\n}"},
        {" {\"a\":[],\"b\":{\"x\":[1]}}", "{\"a\" :[],\"b\":{\"x\":[1]}}",
         "{\"a\":  [],\"b\":{\"x\":[1]}}", "{\"a\":[],\"b\":{\"x\":[1]}}\n"}}},
      JsonSpace::flexible);
}

TEST(Schema, RefusesWithThePointer) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"{", "not JSON"},
      {"[]", "expected an object"},
      {R"({"properties":{"a/b":{"oneOf":[{}]}}})",
       "at \"#/properties/a~1b\": the keyword \"oneOf\""},
      {R"({"uniqueItems":true})", "\"uniqueItems\" is not supported"},
      {R"({"type":"text"})", "at \"#/type\""},
      {R"({"minLength":-1})", "expected a count"},
      {R"({"maxLength":1e30})", "expected a count"},
      {R"({"maxItems":100000000})", "counts of more than"},
      {R"({"minimum":"1"})", "expected a number"},
      {R"({"minimum":1e300})", "more than 64 bits"},
      {R"({"enum":[123456789012345678901234567890]})", "more than 64 bits"},
      {R"({"multipleOf":0.5})", "integers from 1"},
      {R"({"multipleOf":0})", "integers from 1"},
      {R"x({"pattern":"(?=a)"})x", "look-ahead"},
      {R"({"format":"uri"})", "the format \"uri\""},
      {R"({"$ref":"#/$defs/x"})", "leads nowhere"},
      {R"({"$ref":"other.json"})", "leads out of this schema"},
      {R"({"$ref":"#"})", "refers to itself"},
      {R"({"allOf":[{"$ref":"#/$defs/a"}],"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"allOf":[{"$ref":"#/$defs/a"}]}}})",
       "refers to itself"},
      {R"({"anyOf":[{"$ref":"#"}]})", "matches no text"},
      {R"({"properties":{"a":{"$ref":"#"}},"required":["a"]})", "matches no text"},
      {R"({"enum":[]})", "matches no text"},
      {R"({"type":"string","minLength":3,"maxLength":2})", "matches no text"},
      {R"({"type":"integer","minimum":3,"maximum":2})", "matches no text"},
      {R"({"allOf":[{"type":"string"},{"type":"null"}]})", "matches no text"},
      {"false", "matches no text"}};
  for (const auto& [schema, message] : cases) {
    const std::string error = error_of([&] { compiled(GrammarKind::json_schema, schema); });
    EXPECT_NE(error.find(message), std::string::npos) << schema << ": " << error;
  }
}

TEST(Schema, HostileSchemasAreBounded) {
  std::vector<std::string> hostile;
  std::string deep = "{}", any = R"({"type":"null"})", enumerated = R"({"enum":[0)",
              optional = "{\"properties\":{\"p\":{}";
  for (int i = 0; i < 60; ++i) deep = R"({"items":)" + deep + "}";
  for (int i = 0; i < 25; ++i) any = R"({"anyOf":[)" + any + R"(,{"type":"null"}]})";
  for (int i = 1; i < 60'000; ++i) enumerated += fmt::format(",\"{}\"", i * 7919);
  for (int i = 0; i < 2000; ++i) optional += fmt::format(",\"p{}\":{{\"type\":\"integer\"}}", i);
  std::string doubling = R"({"$ref":"#/$defs/d0","$defs":{)", product = R"({"allOf":[{})";
  for (int i = 0; i < 50; ++i) {
    doubling += fmt::format(
        R"("d{}":{{"prefixItems":[{{"$ref":"#/$defs/d{}"}},{{"$ref":"#/$defs/d{}"}}],"minItems":2}},)",
        i, i + 1, i + 1);
  }
  for (int i = 0; i < 20; ++i)
    product += fmt::format(R"(,{{"anyOf":[{{"minimum":{}}},{{"maximum":{}}}]}})", i, i + 3);
  hostile = {
      deep,
      any,
      enumerated + "]}",
      optional + "}}",
      doubling + R"("d50":{"const":1}}})",
      product + "]}",
      std::string(100'000, '['),
      R"({"minLength":60000,"maxLength":60001})",
      R"({"type":"string","minLength":9000000})",
      R"({"pattern":"^(a|b)*a(a|b){40}$","maxLength":100000})",
      R"({"pattern":"^.{0,5000}$","minLength":4000})",
      R"({"pattern":"^(\\p{L}{1,50} ?){1,50}$","minLength":3,"maxLength":200})",
      R"({"multipleOf":999983,"minimum":0,"maximum":1e15})",
      R"({"type":"array","minItems":10000,"items":{"minItems":10000,"type":"array"}})",
      R"({"type":"array","maxItems":10000000,"items":{"type":"array","maxItems":10000000}})",
      R"({"allOf":[{"pattern":"(a+)+b"},{"pattern":"(b+)+a"},{"pattern":"[ab]*a[ab]{15}"}]})",
      R"({"minimum":4.9406564584124654e-324,"maximum":1e-320})"};
  for (int i = 1; i < 60; ++i) {
    hostile.push_back(fmt::format(R"({{"pattern":"^(.*a){{{}}}$","maxLength":{}}})", i, i * 50));
    hostile.push_back(fmt::format(
        R"({{"anyOf":[{{"properties":{{"a":{{"$ref":"#"}},"b":{{}}}}}},{{"properties":{{"a":{{"$ref":"#"}},"c":{{"maxLength":{}}}}}}}]}})",
        i));
  }
  for (const std::string& schema : hostile) {
    const PeakMemory memory;
    const auto start = std::chrono::steady_clock::now();
    const std::string error = error_of([&] {
      GrammarState state(compiled(GrammarKind::json_schema, schema));
      for (int i = 0; i < 25 && !state.ended(); ++i) {
        const auto allowed = allowed_tokens(state);
        ASSERT_FALSE(allowed.empty());
        state.accept(allowed[static_cast<std::size_t>(i) % allowed.size()]);
      }
    });
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    EXPECT_LT(memory.risen(), kMostHostileBytes) << schema.substr(0, 60);
    EXPECT_LT(took.count(), 20) << schema.substr(0, 80) << ": " << error;
  }
}

}  // namespace
}  // namespace nautile
