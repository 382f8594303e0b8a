// Who is let in: keys, hosts, origins, and what they are told who are not.
#include "server/gate.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "server/ops_endpoints.h"

namespace nautile::server {
namespace {

constexpr Limits kLimits;

RequestHead head_of(const std::string& text) {
  auto parsed = parse_request_head(text + "\r\n", kLimits);
  if (auto* head = std::get_if<RequestHead>(&parsed)) return std::move(*head);
  throw std::logic_error(std::get<Refusal>(parsed).message);
}

RequestHead get(const std::string& path, const std::string& fields = "",
                const std::string& host = "localhost") {
  return head_of("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + fields);
}

std::vector<Endpoint> endpoints() {
  const Handler none = [](const HttpRequest&, const std::shared_ptr<HttpReply>&) {};
  return {{"GET", "/", none, Access::open},
          {"GET", "/v1/models", none},
          {"GET", "/v1/models/*", none},
          {"POST", "/v1/chat/completions", none, Access::key, BodyType::json}};
}

int status(const Gate::Decision& decision) {
  if (decision.refusal) return decision.refusal->status;
  return decision.endpoint == nullptr ? 204 : 200;
}

ApiKeys keys(const std::string& text) {
  ApiKeys keys;
  keys.add(text, "keys");
  return keys;
}

std::string error_of(const std::string& text) {
  try {
    keys(text);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(ApiKeys, NamesAndValues) {
  const ApiKeys some = keys("# team\nalice:sk-0123456789\n\n  bob:a:b:c:d:e \r\nsk-without-name\n");
  EXPECT_EQ(*some.find("sk-0123456789"), "alice");
  EXPECT_EQ(*some.find("a:b:c:d:e"), "bob");
  EXPECT_EQ(*some.find("sk-without-name"), "key-3");
  for (const char* wrong : {"", "sk-012345678", "sk-01234567890", "alice", "alice:sk-0123456789"}) {
    EXPECT_EQ(some.find(wrong), nullptr) << wrong;
  }
  EXPECT_EQ(*keys("one:11111111,two:22222222").find("22222222"), "two");
  const ApiKeys remarked = keys("# renewed in May, password1\nalice:sk-0123456789\n");
  EXPECT_EQ(remarked.find("password1"), nullptr);
  EXPECT_EQ(*remarked.find("sk-0123456789"), "alice");
}

TEST(ApiKeys, ErrorsNameTheLineAndNotTheKey) {
  for (const auto& [text, part] : std::vector<std::pair<std::string, std::string>>{
           {"", "no API key"},
           {"# nothing\n", "no API key"},
           {"a:12345678\nb:short", "line 2"},
           {"a:12345678\n:87654321", "line 2"},
           {"a:12345678\nb:1234 5678", "line 2"},
           {"a:12345678\na:87654321", "'a' is there twice"},
           {"a:12345678\nb:12345678", "as 'a'"}}) {
    const std::string error = error_of(text);
    EXPECT_NE(error.find(part), std::string::npos) << text << " -> " << error;
    EXPECT_EQ(error.find("12345678"), std::string::npos) << error;
  }
}

TEST(Gate, EveryPathAndEveryKey) {
  const Gate gate(endpoints(), {keys("alice:right-key"), {}, {}});
  const std::string right = "Authorization: Bearer right-key\r\n";
  for (const char* path : {"/v1/models", "/v1/models/x", "/v1/chat/completions", "/nothing"}) {
    for (const char* shown :
         {"", "Authorization: Bearer wrong-key\r\n", "Authorization: Bearer \r\n",
          "Authorization: right-key\r\n", "Authorization: Basic right-key\r\n",
          "x-api-key: wrong-key\r\n", "Authorization: Bearer right-key2\r\n",
          // Authorization wins.
          "Authorization: Bearer wrong-key\r\nx-api-key: right-key\r\n"}) {
      const Gate::Decision decision = gate.decide(get(path, shown));
      EXPECT_EQ(status(decision), 401) << path << " " << shown;
      EXPECT_EQ(decision.refusal->type, "authentication_error");
      EXPECT_EQ(decision.endpoint, nullptr);
    }
  }
  for (const char* shown :
       {"Authorization: Bearer right-key\r\n", "authorization: bearer right-key\r\n",
        "x-api-key: right-key\r\n", "Authorization: Bearer right-key\r\nx-api-key: wrong\r\n"}) {
    const Gate::Decision decision = gate.decide(get("/v1/models", shown));
    EXPECT_EQ(status(decision), 200) << shown;
    EXPECT_EQ(decision.key, "alice");
  }
  EXPECT_EQ(status(gate.decide(get("/nothing", right))), 404);
  EXPECT_EQ(status(gate.decide(get("/v1/chat/completions", right))), 405);
  EXPECT_EQ(status(gate.decide(get("/"))), 200);
  EXPECT_EQ(gate.decide(get("/v1/models/a/b", right)).route, "/v1/models/*");
}

TEST(Gate, Hosts) {
  const Gate strict(endpoints(), {});
  for (const char* host :
       {"localhost", "LOCALHOST:8080", "localhost.", "a.localhost", "127.0.0.1", "127.0.0.1:1",
        "127.1.2.3", "[::1]", "[::1]:8080", "10.0.0.7:80", "[fe80::1]"}) {
    EXPECT_EQ(status(strict.decide(get("/", "", host))), 200) << host;
  }
  for (const char* host :
       {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:8080",
        "127.0.0.1.", "1.0.0.127.in-addr.arpa", "xlocalhost", "[::1", "localhost@evil.example",
        "0x7f.1", "[evil]", "localhost evil"}) {
    const Gate::Decision decision = strict.decide(get("/", "", host));
    EXPECT_EQ(status(decision), host == std::string("127.0.0.1.") ? 200 : 403) << host;
  }
  // An absolute target counts before the header.
  EXPECT_EQ(
      status(strict.decide(head_of("GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n"))),
      403);
  const Gate listed(endpoints(), {{}, {"api.example"}, {}});
  EXPECT_EQ(status(listed.decide(get("/", "", "API.example:443"))), 200);
  EXPECT_EQ(status(listed.decide(get("/", "", "b.api.example"))), 403);
  const Gate any(endpoints(), {{}, {"*"}, {}});
  EXPECT_EQ(status(any.decide(get("/", "", "evil.example"))), 200);
}

TEST(Gate, Origins) {
  const auto origin = [](const std::string& text) { return "Origin: " + text + "\r\n"; };
  const auto allowed = [](const Gate::Decision& decision) {
    for (const auto& [name, value] : decision.headers) {
      if (name == "Access-Control-Allow-Origin") return value;
    }
    return std::string();
  };
  const Gate strict(endpoints(), {});
  EXPECT_EQ(
      status(strict.decide(get("/v1/models", origin("http://localhost:8080"), "localhost:8080"))),
      200);
  EXPECT_EQ(status(strict.decide(get("/", origin("http://localhost"), "localhost:80"))), 200);
  EXPECT_EQ(status(strict.decide(get("/", origin("https://localhost:443"), "localhost"))), 200);
  for (const char* foreign :
       {"null", "http://evil.example", "http://localhost:8081", "http://127.0.0.1:8080",
        "https://localhost.evil.example:8080", "file://", "chrome-extension://abc",
        "localhost:8080", "http://localhost:8080.evil.example",
        "http://evil.example/localhost:8080"}) {
    for (const char* path : {"/", "/v1/models"}) {
      const Gate::Decision decision = strict.decide(get(path, origin(foreign), "localhost:8080"));
      EXPECT_EQ(status(decision), 403) << foreign;
      EXPECT_EQ(allowed(decision), "");
    }
  }
  const Gate open(endpoints(), {keys("alice:right-key"), {}, {"https://chat.example"}});
  const Gate::Decision listed =
      open.decide(get("/v1/models", origin("https://chat.example") + "x-api-key: right-key\r\n"));
  EXPECT_EQ(status(listed), 200);
  EXPECT_EQ(allowed(listed), "https://chat.example");
  // A page may read that it has no key; another page may read nothing.
  EXPECT_EQ(allowed(open.decide(get("/v1/models", origin("https://chat.example")))),
            "https://chat.example");
  EXPECT_EQ(status(open.decide(get("/v1/models", origin("http://chat.example")))), 403);
  // Preflights come without a key.
  const Gate::Decision preflight = open.decide(head_of(
      "OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nOrigin: https://chat.example\r\n"
      "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n"));
  EXPECT_EQ(status(preflight), 204);
  EXPECT_EQ(allowed(preflight), "https://chat.example");
  const Gate any(endpoints(), {{}, {}, {"*"}});
  EXPECT_EQ(allowed(any.decide(get("/", origin("null")))), "null");
}

TEST(Gate, TraversalIsNoPath) {
  const Gate gate(endpoints(), {});
  for (const char* path :
       {"/../etc/passwd", "/..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/.", "/..",
        "//etc/passwd", "/v1/../../etc/passwd", "/page/../../etc/passwd", "/%5c..%5cwindows",
        "/v1/models/..", "/static/..;/", "/v1%2fmodels%2f"}) {
    const Gate::Decision decision = gate.decide(get(path));
    // A name below /v1/models/ is looked up among models and opens no file.
    EXPECT_TRUE(status(decision) == 404 || decision.route == "/v1/models/*") << path;
  }
}

TEST(Metrics, TextFormat) {
  Metrics metrics;
  metrics.count("a_total", "Things.", {{"route", "/x"}, {"odd", "q\"b\\n\n"}});
  metrics.count("a_total", "Things.", {{"route", "/x"}, {"odd", "q\"b\\n\n"}}, 2);
  metrics.observe("t_seconds", "Time.", {{"m", "x"}}, 0.003);
  metrics.observe("t_seconds", "Time.", {{"m", "x"}}, 1000);
  const std::string text = metrics.text();
  EXPECT_NE(text.find("# HELP a_total Things.\n# TYPE a_total counter\n"
                      "a_total{route=\"/x\",odd=\"q\\\"b\\\\n\\n\"} 3\n"),
            std::string::npos)
      << text;
  for (const char* line :
       {"# TYPE t_seconds histogram\n", "t_seconds_bucket{m=\"x\",le=\"0.0025\"} 0\n",
        "t_seconds_bucket{m=\"x\",le=\"0.005\"} 1\n", "t_seconds_bucket{m=\"x\",le=\"300\"} 1\n",
        "t_seconds_bucket{m=\"x\",le=\"+Inf\"} 2\n", "t_seconds_sum{m=\"x\"} 1000.003\n",
        "t_seconds_count{m=\"x\"} 2\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
  std::string gauges;
  append_metric(gauges, "g", MetricType::gauge, "Now.", {{{}, 1.5}, {{{"m", "x"}}, 2}});
  EXPECT_EQ(gauges, "# HELP g Now.\n# TYPE g gauge\ng 1.5\ng{m=\"x\"} 2\n");
}

}  // namespace
}  // namespace nautile::server
