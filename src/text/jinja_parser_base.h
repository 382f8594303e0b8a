// jinja_parser_base.h — what both halves of the parser share: the token cursor and the making of
// nodes.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "text/jinja_ast.h"
#include "text/jinja_lexer.h"

namespace nautile::jinja {

// Brackets, signs and blocks inside one another; each level costs a dozen stack frames.
inline constexpr int kMaxNesting = 100;
// Height of an expression tree: long chains of + lean to the left.
inline constexpr int kMaxHeight = 1000;

class ParserBase {
 protected:
  explicit ParserBase(std::string_view source) : tokens_(lex(source)) {}

  // ---- tokens
  const Token& current() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  const Token& next() {
    const Token& token = tokens_[at_];
    if (at_ + 1 < tokens_.size()) ++at_;
    return token;
  }
  bool op(std::string_view symbol) const { return current().is_op(symbol); }
  bool word(std::string_view name) const { return current().is_name(name); }
  bool skip_op(std::string_view symbol) {
    if (!op(symbol)) return false;
    next();
    return true;
  }
  bool skip_word(std::string_view name) {
    if (!word(name)) return false;
    next();
    return true;
  }

  static std::string describe(const Token& token) {
    switch (token.type) {
      case TokenType::data:
        return "template text";
      case TokenType::print_begin:
        return "'{{'";
      case TokenType::print_end:
        return "'}}'";
      case TokenType::tag_begin:
        return "'{%'";
      case TokenType::tag_end:
        return "'%}'";
      case TokenType::end:
        return "the end of the template";
      case TokenType::string:
        return "a string";
      default:
        return "'" + token.text.substr(0, 60) + "'";
    }
  }

  template <class... Args>
  [[noreturn]] static void fail_at(int line, fmt::format_string<Args...> format, Args&&... args) {
    nautile::fail(ErrorKind::bad_input, "template line {}: {}", line,
                  fmt::format(format, std::forward<Args>(args)...));
  }
  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    fail_at(current().line, format, std::forward<Args>(args)...);
  }

  void expect_op(std::string_view symbol) {
    if (!skip_op(symbol)) fail("expected '{}', found {}", symbol, describe(current()));
  }
  void expect_word(std::string_view name) {
    if (!skip_word(name)) fail("expected '{}', found {}", name, describe(current()));
  }
  const Token& expect(TokenType type, const char* what) {
    if (current().type != type) fail("expected {}, found {}", what, describe(current()));
    return next();
  }

  class Nesting {
   public:
    explicit Nesting(ParserBase& parser) : parser_(parser) {
      if (++parser_.nesting_ > kMaxNesting) {
        parser_.fail("nesting is deeper than the {} levels allowed", kMaxNesting);
      }
    }
    ~Nesting() { --parser_.nesting_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    ParserBase& parser_;
  };

  // ---- nodes
  int symbol(const std::string& name) {
    auto [it, inserted] = symbols_.try_emplace(name, static_cast<int>(ast_.symbols.size()));
    if (inserted) ast_.symbols.push_back(name);
    return it->second;
  }

  ExprPtr node(ExprKind kind, int line) const {
    auto expr = std::make_unique<Expr>();
    expr->kind = kind;
    expr->line = line;
    return expr;
  }

  void grow(Expr& parent, const Expr* kid) const {
    if (kid == nullptr) return;
    parent.height = std::max(parent.height, kid->height + 1);
    if (parent.height > kMaxHeight) {
      fail("expression is deeper than the {} levels allowed", kMaxHeight);
    }
  }
  void add(Expr& parent, ExprPtr kid) const {
    grow(parent, kid.get());
    parent.kids.push_back(std::move(kid));
  }
  ExprPtr pair(ExprKind kind, int line, ExprPtr left, ExprPtr right) const {
    ExprPtr expr = node(kind, line);
    add(*expr, std::move(left));
    add(*expr, std::move(right));
    return expr;
  }

  static ExprPtr literal_text(int line, std::string text) {
    auto expr = std::make_unique<Expr>();
    expr->line = line;
    expr->owned = std::make_unique<StringObject>(Text(std::move(text)));
    expr->value = Value::of(Kind::string, expr->owned.get());
    return expr;
  }
  ExprPtr literal(int line, Value value) const {
    ExprPtr expr = node(ExprKind::literal, line);
    expr->value = value;
    return expr;
  }

  ExprPtr name_load(const Token& token) {
    ExprPtr expr = node(ExprKind::name, token.line);
    expr->name = token.text;
    expr->symbol = symbol(token.text);
    for (Macro* macro : macros_) {
      macro->uses_varargs = macro->uses_varargs || token.text == "varargs";
      macro->uses_kwargs = macro->uses_kwargs || token.text == "kwargs";
      macro->uses_caller = macro->uses_caller || token.text == "caller";
    }
    return expr;
  }

  // jinja2 refuses unknown filters when it compiles, but not those inside of conditions.
  void check_known(bool known, int line, const char* what, const std::string& name) {
    if (known || soft_) return;
    if (unknown_.size() < 100)
      unknown_.emplace_back(line, fmt::format("no {} named '{}'", what, name));
  }

  // Runs with another value of a member, restored on every way out.
  template <class T>
  class With {
   public:
    With(T& place, T value) : place_(place), old_(place) { place_ = value; }
    ~With() { place_ = old_; }
    With(const With&) = delete;
    With& operator=(const With&) = delete;

   private:
    T& place_;
    T old_;
  };

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int nesting_ = 0;
  bool soft_ = false;  // inside of a condition
  Ast ast_;
  std::unordered_map<std::string, int> symbols_;
  std::vector<Macro*> macros_;  // around the current token
  std::vector<std::pair<int, std::string>> unknown_;
};

}  // namespace nautile::jinja
