// jinja_parser.cpp — the statements of a template and their bodies, with bounded depth.
#include "text/jinja_parser.h"

#include <initializer_list>

#include "text/jinja_expression_parser.h"

namespace nautile::jinja {
namespace {

class Parser : public ExpressionParser {
 public:
  explicit Parser(std::string_view source) : ExpressionParser(source) {}

  Ast run() {
    ast_.loop_symbol = symbol("loop");
    ast_.body = statements({});
    if (!unknown_.empty()) fail_at(unknown_.front().first, "{}", unknown_.front().second);
    return std::move(ast_);
  }

 private:
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

  int for_depth_ = 0;  // for statements being parsed, their headers too
  int loops_ = 0;      // loops that a break here would leave
  std::unordered_map<std::string, int> block_names_;
};

}  // namespace

Ast parse(std::string_view source) {
  return Parser(source).run();
}

}  // namespace nautile::jinja
