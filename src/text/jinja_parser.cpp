// jinja_parser.cpp — recursive descent over jinja2's grammar, with bounded depth.
#include "text/jinja_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <unordered_map>

#include "base/error.h"
#include "text/jinja_filters.h"
#include "text/jinja_lexer.h"
#include "text/jinja_tests.h"

namespace nautile::jinja {
namespace {

// Brackets, signs and blocks inside one another; each level costs a dozen stack frames.
constexpr int kMaxNesting = 100;
// Height of an expression tree: long chains of + lean to the left.
constexpr int kMaxHeight = 1000;

enum class Conditional { allowed, forbidden };
enum class Parens { none, explicit_ones };

class Parser {
 public:
  explicit Parser(std::string_view source) : tokens_(lex(source)) {}

  Ast run() {
    ast_.loop_symbol = symbol("loop");
    ast_.body = statements({});
    if (!unknown_.empty()) {
      fail_at(unknown_.front().first, "{}", unknown_.front().second);
    }
    return std::move(ast_);
  }

 private:
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
    explicit Nesting(Parser& parser) : parser_(parser) {
      if (++parser_.nesting_ > kMaxNesting) {
        parser_.fail("nesting is deeper than the {} levels allowed", kMaxNesting);
      }
    }
    ~Nesting() { --parser_.nesting_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    Parser& parser_;
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

  // ---- statements
  Body statements(std::initializer_list<std::string_view> ends) {
    const Nesting nesting(*this);
    Body body;
    std::unique_ptr<Stmt> output;
    const auto flush = [&] {
      if (output) body.push_back(std::move(output));
    };
    const auto print = [&](ExprPtr expr) {
      if (!output) output = statement(StmtKind::output, expr->line);
      output->exprs.push_back(std::move(expr));
    };
    while (current().type != TokenType::end) {
      const Token& token = current();
      if (token.type == TokenType::data) {
        print(literal_text(token.line, token.text));
        next();
      } else if (token.type == TokenType::print_begin) {
        next();
        print(tuple(Conditional::allowed, Parens::none));
        expect(TokenType::print_end, "'}}'");
      } else {
        flush();
        expect(TokenType::tag_begin, "a tag");
        if (std::any_of(ends.begin(), ends.end(), [&](auto end) { return word(end); })) return body;
        body.push_back(tag());
        expect(TokenType::tag_end, "'%}'");
      }
    }
    flush();
    if (ends.size() > 0) fail("unexpected end of template, looking for '{}'", *ends.begin());
    return body;
  }

  // The body of a block tag: an optional colon, the tag's end, statements up to one of `ends`.
  Body block(std::initializer_list<std::string_view> ends) {
    skip_op(":");
    expect(TokenType::tag_end, "'%}'");
    return statements(ends);
  }
  Body block_to(std::string_view end) {
    Body body = block({end});
    next();
    return body;
  }

  static std::unique_ptr<Stmt> statement(StmtKind kind, int line) {
    auto stmt = std::make_unique<Stmt>();
    stmt->kind = kind;
    stmt->line = line;
    return stmt;
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

  std::unique_ptr<Stmt> tag() {
    if (current().type != TokenType::name)
      fail("expected a tag name, found {}", describe(current()));
    const std::string& name = current().text;
    if (name == "if") return branch();
    if (name == "for") return for_loop();
    if (name == "set") return set();
    if (name == "macro") return macro();
    if (name == "call") return call_block();
    if (name == "filter") return filter_block();
    if (name == "with") return with();
    if (name == "print") return print();
    if (name == "generation") return scope("endgeneration");
    if (name == "block") return named_block();
    if (name == "break" || name == "continue") return loop_control();
    if (name == "autoescape") return autoescape();
    if (name == "include" || name == "import" || name == "from" || name == "extends") {
      return unsupported();
    }
    fail("unknown tag '{}'", name.substr(0, 60));
  }

  std::unique_ptr<Stmt> branch() {
    auto stmt = statement(StmtKind::branch, next().line);
    const With<bool> soft(soft_, true);
    for (;;) {
      ExprPtr test = tuple(Conditional::forbidden, Parens::none);
      Body body = block({"endif", "elif", "else"});
      stmt->branches.emplace_back(std::move(test), std::move(body));
      const std::string end = next().text;
      if (end == "elif") continue;
      if (end == "else") stmt->orelse = block_to("endif");
      return stmt;
    }
  }

  std::unique_ptr<Stmt> for_loop() {
    auto stmt = statement(StmtKind::for_loop, next().line);
    ++for_depth_;
    stmt->target = target();
    expect_word("in");
    stmt->expr = tuple(Conditional::forbidden, Parens::none);
    if (skip_word("if")) stmt->test = expression();
    stmt->recursive = skip_word("recursive");
    {
      const With<bool> soft(soft_, false);
      const With<int> loops(loops_, loops_ + 1);
      stmt->body = block({"endfor", "else"});
    }
    if (next().text == "else") {
      const With<bool> soft(soft_, false);
      stmt->orelse = block_to("endfor");
    }
    --for_depth_;
    return stmt;
  }

  std::unique_ptr<Stmt> loop_control() {
    const Token& token = next();
    if (loops_ == 0) fail_at(token.line, "'{}' outside of a loop", token.text);
    return statement(token.text == "break" ? StmtKind::break_loop : StmtKind::continue_loop,
                     token.line);
  }

  std::unique_ptr<Stmt> set() {
    auto stmt = statement(StmtKind::set, next().line);
    stmt->target = target(NamespaceTarget::allowed);
    if (skip_op("=")) {
      stmt->expr = tuple(Conditional::allowed, Parens::none);
      return stmt;
    }
    stmt->kind = StmtKind::set_block;
    stmt->expr = filters(nullptr);
    const With<bool> soft(soft_, false);
    stmt->body = block_to("endset");
    return stmt;
  }

  void signature(Macro& macro) {
    expect_op("(");
    while (!op(")")) {
      if (!macro.parameters.empty()) expect_op(",");
      const Token& token = expect(TokenType::name, "a parameter name");
      check_assignable(token);
      macro.parameters.push_back(symbol(token.text));
      macro.parameter_names.push_back(token.text);
      if (skip_op("=")) {
        macro.defaults.push_back(expression());
      } else if (!macro.defaults.empty()) {
        fail("parameter without default follows one with default");
      }
    }
    expect_op(")");
  }

  void macro_body(Macro& macro, std::string_view end) {
    const With<bool> soft(soft_, false);
    const With<int> loops(loops_, 0);
    macros_.push_back(&macro);
    macro.body = block_to(end);
    macros_.pop_back();
    for (std::size_t i = 0; i < macro.parameters.size(); ++i) {
      const std::string& name = macro.parameter_names[i];
      if (name == "varargs") macro.uses_varargs = false;
      if (name == "kwargs") macro.uses_kwargs = false;
      const bool has_default = i + macro.defaults.size() >= macro.parameters.size();
      if (name == "caller" && macro.uses_caller && !has_default) {
        fail("the special parameter 'caller' must have a default");
      }
    }
    macro.varargs_symbol = symbol("varargs");
    macro.kwargs_symbol = symbol("kwargs");
    macro.caller_symbol = symbol("caller");
  }

  std::unique_ptr<Stmt> macro() {
    auto stmt = statement(StmtKind::macro, next().line);
    const Token& token = expect(TokenType::name, "a macro name");
    check_assignable(token);
    stmt->symbol = symbol(token.text);
    stmt->macro = std::make_unique<Macro>();
    stmt->macro->name = token.text;
    signature(*stmt->macro);
    macro_body(*stmt->macro, "endmacro");
    return stmt;
  }

  std::unique_ptr<Stmt> call_block() {
    auto stmt = statement(StmtKind::call_block, next().line);
    stmt->macro = std::make_unique<Macro>();
    stmt->macro->name = "caller";
    if (op("(")) signature(*stmt->macro);
    stmt->expr = expression();
    if (stmt->expr->kind != ExprKind::call) fail_at(stmt->line, "expected a call");
    macro_body(*stmt->macro, "endcall");
    return stmt;
  }

  std::unique_ptr<Stmt> filter_block() {
    auto stmt = statement(StmtKind::filter_block, next().line);
    stmt->expr = filters(one_filter(nullptr));
    const With<bool> soft(soft_, false);
    stmt->body = block_to("endfilter");
    return stmt;
  }

  std::unique_ptr<Stmt> with() {
    auto stmt = statement(StmtKind::with, next().line);
    while (current().type != TokenType::tag_end) {
      if (!stmt->targets.empty()) expect_op(",");
      stmt->targets.push_back(target());
      expect_op("=");
      stmt->exprs.push_back(expression());
    }
    const With<bool> soft(soft_, false);
    stmt->body = block_to("endwith");
    return stmt;
  }

  std::unique_ptr<Stmt> print() {
    auto stmt = statement(StmtKind::output, next().line);
    while (current().type != TokenType::tag_end) {
      if (!stmt->exprs.empty()) expect_op(",");
      stmt->exprs.push_back(expression());
    }
    return stmt;
  }

  std::unique_ptr<Stmt> scope(std::string_view end) {
    auto stmt = statement(StmtKind::scope, next().line);
    const With<bool> soft(soft_, false);
    const With<int> loops(loops_, 0);
    stmt->body = block_to(end);
    return stmt;
  }

  std::unique_ptr<Stmt> named_block() {
    const int line = next().line;
    const std::string name = expect(TokenType::name, "a block name").text;
    if (!block_names_.emplace(name, line).second) fail("block '{}' defined twice", name);
    skip_word("scoped");
    skip_word("required");
    auto stmt = statement(StmtKind::scope, line);
    const With<bool> soft(soft_, false);
    const With<int> loops(loops_, 0);
    stmt->body = block_to("endblock");
    skip_word(name);
    return stmt;
  }

  std::unique_ptr<Stmt> autoescape() {
    auto stmt = statement(StmtKind::unsupported, next().line);
    stmt->name = "autoescape";
    expression();
    stmt->body = block_to("endautoescape");
    return stmt;
  }

  std::unique_ptr<Stmt> unsupported() {
    const Token& token = next();
    auto stmt = statement(StmtKind::unsupported, token.line);
    stmt->name = token.text;
    while (current().type != TokenType::tag_end && current().type != TokenType::end) next();
    return stmt;
  }

  // ---- assignment targets
  enum class NamespaceTarget { forbidden, allowed };

  void check_assignable(const Token& token) const {
    for (const char* constant : {"true", "false", "none", "True", "False", "None"}) {
      if (token.text == constant) fail_at(token.line, "cannot assign to '{}'", token.text);
    }
    if (token.text == "loop" && for_depth_ > 0) {
      fail_at(token.line, "cannot assign to the special variable 'loop' in a for loop");
    }
  }

  ExprPtr target(NamespaceTarget namespaces = NamespaceTarget::forbidden) {
    const int line = current().line;
    ExprPtr tuple_node;
    ExprPtr first;
    for (;;) {
      if (first != nullptr || tuple_node != nullptr) {
        if (!op(",")) break;
        next();
        if (!tuple_node) {
          tuple_node = node(ExprKind::tuple, line);
          add(*tuple_node, std::move(first));
        }
      }
      if (tuple_end()) break;
      ExprPtr item = one_target(namespaces);
      if (tuple_node) {
        add(*tuple_node, std::move(item));
      } else {
        first = std::move(item);
      }
    }
    if (tuple_node) return tuple_node;
    if (!first) fail("expected an assignment target, found {}", describe(current()));
    return first;
  }

  ExprPtr one_target(NamespaceTarget namespaces) {
    const Nesting nesting(*this);
    if (skip_op("(")) {
      // Inside of brackets jinja2 parses a full expression and then asks whether it can be
      // assigned.
      ExprPtr inner = target();
      expect_op(")");
      return inner;
    }
    const Token& token = current();
    if (token.type != TokenType::name) fail("cannot assign to {}", describe(token));
    check_assignable(token);
    next();
    if (namespaces == NamespaceTarget::allowed && op(".")) {
      next();
      ExprPtr expr = node(ExprKind::attribute_target, token.line);
      expr->symbol = symbol(token.text);
      expr->name = expect(TokenType::name, "an attribute name").text;
      return expr;
    }
    ExprPtr expr = node(ExprKind::name, token.line);
    expr->name = token.text;
    expr->symbol = symbol(token.text);
    return expr;
  }

  // ---- expressions
  bool tuple_end() const {
    return current().type == TokenType::print_end || current().type == TokenType::tag_end ||
           op(")");
  }

  ExprPtr tuple(Conditional conditional, Parens parens) {
    const int line = current().line;
    std::vector<ExprPtr> items;
    bool is_tuple = false;
    for (;;) {
      if (!items.empty()) expect_op(",");
      if (tuple_end()) break;
      items.push_back(conditional == Conditional::allowed ? expression() : logical_or());
      if (!op(",")) break;
      is_tuple = true;
    }
    if (!is_tuple) {
      if (!items.empty()) return std::move(items.front());
      if (parens == Parens::none) fail("expected an expression, found {}", describe(current()));
    }
    ExprPtr expr = node(ExprKind::tuple, line);
    for (ExprPtr& item : items) add(*expr, std::move(item));
    return expr;
  }

  ExprPtr expression() {
    const Nesting nesting(*this);
    const std::size_t unknown_before = unknown_.size();
    const int line = current().line;
    ExprPtr value = logical_or();
    while (skip_word("if")) {
      unknown_.resize(unknown_before);  // they stand in a condition, so jinja2 lets them pass
      const With<bool> soft(soft_, true);
      ExprPtr expr = node(ExprKind::condition, line);
      add(*expr, std::move(value));
      add(*expr, logical_or());
      add(*expr, skip_word("else") ? expression() : nullptr);
      value = std::move(expr);
    }
    return value;
  }

  ExprPtr logical_or() {
    const int line = current().line;
    ExprPtr left = logical_and();
    while (skip_word("or")) left = pair(ExprKind::logical_or, line, std::move(left), logical_and());
    return left;
  }

  ExprPtr logical_and() {
    const int line = current().line;
    ExprPtr left = logical_not();
    while (skip_word("and"))
      left = pair(ExprKind::logical_and, line, std::move(left), logical_not());
    return left;
  }

  ExprPtr logical_not() {
    if (!word("not")) return comparison();
    const Nesting nesting(*this);
    ExprPtr expr = node(ExprKind::logical_not, next().line);
    add(*expr, logical_not());
    return expr;
  }

  bool comparison_op(Op& found) {
    static const std::pair<std::string_view, Op> kComparisons[] = {{"==", Op::eq}, {"!=", Op::ne},
                                                                   {"<", Op::lt},  {"<=", Op::le},
                                                                   {">", Op::gt},  {">=", Op::ge}};
    for (const auto& [text, value] : kComparisons) {
      if (skip_op(text)) {
        found = value;
        return true;
      }
    }
    if (skip_word("in")) {
      found = Op::in;
      return true;
    }
    if (word("not") && ahead().is_name("in")) {
      next();
      next();
      found = Op::not_in;
      return true;
    }
    return false;
  }

  ExprPtr comparison() {
    const int line = current().line;
    ExprPtr left = sum();
    Op op = Op::eq;
    if (!comparison_op(op)) return left;
    ExprPtr expr = node(ExprKind::compare, line);
    add(*expr, std::move(left));
    do {
      expr->ops.push_back(op);
      add(*expr, sum());
    } while (comparison_op(op));
    return expr;
  }

  ExprPtr arithmetic(int line, Op op, ExprPtr left, ExprPtr right) const {
    ExprPtr expr = pair(ExprKind::binary, line, std::move(left), std::move(right));
    expr->op = op;
    return expr;
  }

  ExprPtr sum() {
    const int line = current().line;
    ExprPtr left = concat();
    while (op("+") || op("-")) {
      const Op kind = next().text == "+" ? Op::add : Op::sub;
      left = arithmetic(line, kind, std::move(left), concat());
    }
    return left;
  }

  ExprPtr concat() {
    const int line = current().line;
    ExprPtr first = product();
    if (!op("~")) return first;
    ExprPtr expr = node(ExprKind::concat, line);
    add(*expr, std::move(first));
    while (skip_op("~")) add(*expr, product());
    return expr;
  }

  ExprPtr product() {
    const int line = current().line;
    ExprPtr left = power();
    while (op("*") || op("/") || op("//") || op("%")) {
      const std::string& text = next().text;
      const Op kind = text == "*"    ? Op::mul
                      : text == "/"  ? Op::div
                      : text == "//" ? Op::floordiv
                                     : Op::mod;
      left = arithmetic(line, kind, std::move(left), power());
    }
    return left;
  }

  ExprPtr power() {
    const int line = current().line;
    ExprPtr left = unary(Filters::allowed);
    while (skip_op("**"))
      left = arithmetic(line, Op::pow, std::move(left), unary(Filters::allowed));
    return left;
  }

  enum class Filters { allowed, forbidden };

  ExprPtr unary(Filters mode) {
    ExprPtr expr;
    if (op("-") || op("+")) {
      const Nesting nesting(*this);
      const Token& token = next();
      expr = node(token.text == "-" ? ExprKind::negate : ExprKind::plus, token.line);
      add(*expr, unary(Filters::forbidden));
    } else {
      expr = primary();
    }
    expr = postfix(std::move(expr));
    return mode == Filters::allowed ? filters_and_tests(std::move(expr)) : std::move(expr);
  }

  ExprPtr primary() {
    const Token& token = current();
    switch (token.type) {
      case TokenType::name:
        next();
        return name_or_constant(token);
      case TokenType::string: {
        std::string text;
        while (current().type == TokenType::string) text += next().text;
        return literal_text(token.line, std::move(text));
      }
      case TokenType::integer:
        next();
        return literal(token.line, Value::of(token.integer));
      case TokenType::real:
        next();
        return literal(token.line, Value::of(token.real));
      case TokenType::op:
        return bracketed(token);
      default:
        fail("unexpected {}", describe(token));
    }
  }

  ExprPtr name_or_constant(const Token& token) {
    if (token.text == "true" || token.text == "True") return literal(token.line, Value::of(true));
    if (token.text == "false" || token.text == "False")
      return literal(token.line, Value::of(false));
    if (token.text == "none" || token.text == "None") return literal(token.line, Value::none());
    return name_load(token);
  }

  ExprPtr bracketed(const Token& token) {
    if (skip_op("(")) {
      const Nesting nesting(*this);
      ExprPtr expr = tuple(Conditional::allowed, Parens::explicit_ones);
      expect_op(")");
      return expr;
    }
    if (skip_op("[")) {
      ExprPtr expr = node(ExprKind::list, token.line);
      while (!op("]")) {
        if (!expr->kids.empty()) expect_op(",");
        if (op("]")) break;
        add(*expr, expression());
      }
      expect_op("]");
      return expr;
    }
    if (skip_op("{")) {
      ExprPtr expr = node(ExprKind::dict, token.line);
      while (!op("}")) {
        if (!expr->kids.empty()) expect_op(",");
        if (op("}")) break;
        add(*expr, expression());
        expect_op(":");
        add(*expr, expression());
      }
      expect_op("}");
      return expr;
    }
    fail("unexpected {}", describe(token));
  }

  ExprPtr postfix(ExprPtr expr) {
    for (;;) {
      if (op(".")) {
        expr = dotted(std::move(expr));
      } else if (op("[")) {
        expr = subscript(std::move(expr));
      } else if (op("(")) {
        expr = call(std::move(expr));
      } else {
        return expr;
      }
    }
  }

  ExprPtr dotted(ExprPtr object) {
    const int line = next().line;
    const Token& token = next();
    if (token.type == TokenType::name) {
      ExprPtr expr = node(ExprKind::attribute, line);
      expr->name = token.text;
      add(*expr, std::move(object));
      return expr;
    }
    if (token.type != TokenType::integer)
      fail_at(token.line, "expected a name or number after '.'");
    return pair(ExprKind::subscript, line, std::move(object),
                literal(token.line, Value::of(token.integer)));
  }

  ExprPtr subscript(ExprPtr object) {
    const int line = next().line;
    std::vector<ExprPtr> arguments;
    ExprPtr slice;
    while (!op("]")) {
      if (!arguments.empty() || slice) expect_op(",");
      ExprPtr first = op(":") ? nullptr : expression();
      if (!op(":")) {
        arguments.push_back(std::move(first));
        continue;
      }
      if (slice || !arguments.empty()) fail("only one slice is allowed in a subscript");
      slice = node(ExprKind::slice, line);
      slice->kids.resize(1);
      add(*slice, std::move(first));
      slice_rest(*slice);
    }
    expect_op("]");
    if (slice) {
      if (!arguments.empty()) fail_at(line, "only one slice is allowed in a subscript");
      grow(*slice, object.get());
      slice->kids[0] = std::move(object);
      return slice;
    }
    if (arguments.size() == 1) {
      return pair(ExprKind::subscript, line, std::move(object), std::move(arguments.front()));
    }
    ExprPtr key = node(ExprKind::tuple, line);
    for (ExprPtr& argument : arguments) add(*key, std::move(argument));
    return pair(ExprKind::subscript, line, std::move(object), std::move(key));
  }

  // After the first bound: ":stop" and ":step", each possibly empty.
  void slice_rest(Expr& slice) {
    const auto bound = [&] { add(slice, op("]") || op(",") || op(":") ? nullptr : expression()); };
    expect_op(":");
    bound();
    if (skip_op(":")) {
      bound();
    } else {
      add(slice, nullptr);
    }
  }

  std::unique_ptr<CallSyntax> call_arguments(Expr& owner) {
    auto call = std::make_unique<CallSyntax>();
    const auto value = [&] {
      ExprPtr expr = expression();
      grow(owner, expr.get());
      return expr;
    };
    const auto ensure = [&](bool condition) {
      if (!condition) fail("invalid syntax for a call");
    };
    expect_op("(");
    bool comma = false;
    while (!op(")")) {
      if (comma) {
        expect_op(",");
        if (op(")")) break;
      }
      comma = true;
      if (skip_op("*")) {
        ensure(!call->star && !call->double_star);
        call->star = value();
      } else if (skip_op("**")) {
        ensure(!call->double_star);
        call->double_star = value();
      } else if (current().type == TokenType::name && ahead().is_op("=")) {
        ensure(!call->double_star);
        std::string name = next().text;
        next();
        for (const auto& [other, expr] : call->named) ensure(other != name);
        call->named.emplace_back(std::move(name), value());
      } else {
        ensure(!call->star && !call->double_star && call->named.empty());
        call->positional.push_back(value());
      }
    }
    expect_op(")");
    return call;
  }

  ExprPtr call(ExprPtr function) {
    ExprPtr expr = node(ExprKind::call, current().line);
    add(*expr, std::move(function));
    expr->call = call_arguments(*expr);
    return expr;
  }

  ExprPtr filters_and_tests(ExprPtr expr) {
    for (;;) {
      if (op("|")) {
        expr = filters(std::move(expr));
      } else if (word("is")) {
        expr = test(std::move(expr));
      } else if (op("(")) {
        expr = call(std::move(expr));
      } else {
        return expr;
      }
    }
  }

  std::string dotted_name() {
    std::string name = expect(TokenType::name, "a name").text;
    while (skip_op(".")) name += "." + expect(TokenType::name, "a name").text;
    return name;
  }

  ExprPtr one_filter(ExprPtr subject) {
    ExprPtr expr = node(ExprKind::filter, current().line);
    expr->name = dotted_name();
    check_known(is_filter(expr->name), expr->line, "filter", expr->name);
    add(*expr, std::move(subject));
    expr->call = op("(") ? call_arguments(*expr) : std::make_unique<CallSyntax>();
    return expr;
  }

  ExprPtr filters(ExprPtr expr) {
    while (skip_op("|")) expr = one_filter(std::move(expr));
    return expr;
  }

  ExprPtr test(ExprPtr subject) {
    const int line = next().line;
    const bool negated = skip_word("not");
    ExprPtr expr = node(ExprKind::test, line);
    expr->name = dotted_name();
    check_known(is_test(expr->name), line, "test", expr->name);
    add(*expr, std::move(subject));
    if (op("(")) {
      expr->call = call_arguments(*expr);
    } else {
      expr->call = std::make_unique<CallSyntax>();
      if (test_argument_follows()) {
        if (word("is")) fail("tests cannot be chained with 'is'");
        const Nesting nesting(*this);
        expr->call->positional.push_back(postfix(primary()));
        grow(*expr, expr->call->positional.back().get());
      }
    }
    if (!negated) return expr;
    ExprPtr inverse = node(ExprKind::logical_not, line);
    add(*inverse, std::move(expr));
    return inverse;
  }

  bool test_argument_follows() const {
    switch (current().type) {
      case TokenType::name:
        return !word("else") && !word("or") && !word("and");
      case TokenType::string:
      case TokenType::integer:
      case TokenType::real:
        return true;
      case TokenType::op:
        return op("(") || op("[") || op("{");
      default:
        return false;
    }
  }

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int nesting_ = 0;
  int for_depth_ = 0;  // for statements being parsed, their headers too
  int loops_ = 0;      // loops that a break here would leave
  bool soft_ = false;  // inside of a condition
  Ast ast_;
  std::unordered_map<std::string, int> symbols_;
  std::unordered_map<std::string, int> block_names_;
  std::vector<Macro*> macros_;  // around the current token
  std::vector<std::pair<int, std::string>> unknown_;
};

}  // namespace

Ast parse(std::string_view source) {
  return Parser(source).run();
}

}  // namespace nautile::jinja
