// jinja_expression_parser.h — jinja2's expression grammar, by recursive descent.
#pragma once

#include "text/jinja_filters.h"
#include "text/jinja_parser_base.h"
#include "text/jinja_tests.h"

namespace nautile::jinja {

enum class Conditional { allowed, forbidden };  // x if y else z
enum class Parens { none, explicit_ones };      // () is a tuple only in parentheses

// Lowest precedence first: condition, or, and, not, comparison, sum, ~, product, power, unary.
class ExpressionParser : public ParserBase {
 protected:
  using ParserBase::ParserBase;

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
};

}  // namespace nautile::jinja
