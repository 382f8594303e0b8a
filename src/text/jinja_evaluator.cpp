// jinja_evaluator.cpp — a case per kind of expression.
#include "text/jinja_evaluator.h"

#include "text/jinja_filters.h"
#include "text/jinja_loop.h"
#include "text/jinja_ops.h"
#include "text/jinja_tests.h"

namespace nautile::jinja {

Arguments Evaluator::evaluate(const CallSyntax& call) {
  Arguments arguments;
  for (const ExprPtr& expr : call.positional) arguments.positional.push_back(eval(*expr));
  for (const auto& [name, expr] : call.named) arguments.named.emplace_back(name, eval(*expr));
  if (call.star) {
    for (const Value& item : to_items(machine_, eval(*call.star)))
      arguments.positional.push_back(item);
  }
  if (call.double_star) {
    const Value named = eval(*call.double_star);
    if (!named.is(Kind::dict)) machine_.fail("** expects a mapping, found '{}'", type_name(named));
    for (const auto& [key, value] : named.dict().entries) {
      if (!key.is(Kind::string)) machine_.fail("keywords must be strings");
      for (const auto& [other, unused] : arguments.named) {
        if (other == key.text().bytes())
          machine_.fail("two values for keyword argument '{}'", other);
      }
      arguments.named.emplace_back(key.text().bytes(), value);
    }
  }
  return arguments;
}

Value Evaluator::invoke(const Value& function, const Arguments& arguments) {
  machine_.step();
  if (function.is(Kind::function)) {
    return static_cast<FunctionObject*>(function.object)->call(machine_, arguments);
  }
  if (function.is(Kind::loop)) {
    auto* loop = static_cast<LoopObject*>(function.object);
    const Bound bound(machine_, "loop", arguments, {"iterable"}, 1);
    if (!loop->recurse) machine_.fail("the loop is not marked recursive");
    return loop->recurse(bound[0], loop->depth0 + 1);
  }
  require_defined(machine_, function);
  machine_.fail("'{}' object is not callable", type_name(function));
}

Value Evaluator::eval(const Expr& expr) {
  if (expr.kind == ExprKind::literal) {
    machine_.step();
    return expr.value;
  }
  const Deeper deeper(*this);
  machine_.step();
  machine_.line = expr.line;
  switch (expr.kind) {
    case ExprKind::literal:
      return expr.value;
    case ExprKind::name:
      return name(expr);
    case ExprKind::attribute_target:
      break;
    case ExprKind::tuple:
      return machine_.tuple(kids(expr));
    case ExprKind::list:
      return machine_.list(kids(expr));
    case ExprKind::dict:
      return dict(expr);
    case ExprKind::attribute:
      return get_attribute(machine_, eval(*expr.kids[0]), expr.name);
    case ExprKind::subscript:
      return subscript(expr);
    case ExprKind::slice:
      return slice(expr);
    case ExprKind::call:
      return call(expr);
    case ExprKind::filter:
      return filter(expr);
    case ExprKind::test:
      return test(expr);
    case ExprKind::negate:
      return negate(machine_, eval(*expr.kids[0]));
    case ExprKind::plus:
      return plus(machine_, eval(*expr.kids[0]));
    case ExprKind::logical_not:
      return Value::of(!truthy(eval(*expr.kids[0])));
    case ExprKind::logical_and: {
      const Value left = eval(*expr.kids[0]);
      return truthy(left) ? eval(*expr.kids[1]) : left;
    }
    case ExprKind::logical_or: {
      const Value left = eval(*expr.kids[0]);
      return truthy(left) ? left : eval(*expr.kids[1]);
    }
    case ExprKind::binary:
      return binary(expr);
    case ExprKind::compare:
      return comparison(expr);
    case ExprKind::concat:
      return concat(machine_, kids(expr));
    case ExprKind::condition:
      return condition(expr);
  }
  machine_.fail("expression cannot be evaluated");
}

std::vector<Value> Evaluator::kids(const Expr& expr) {
  std::vector<Value> values;
  values.reserve(expr.kids.size());
  for (const ExprPtr& kid : expr.kids) values.push_back(eval(*kid));
  return values;
}

Value Evaluator::name(const Expr& expr) {
  const Value* found = scope_->find(machine_, expr.symbol);
  if (found != nullptr) return *found;
  return machine_.undefined(fmt::format("'{}' is undefined", expr.name));
}

Value Evaluator::dict(const Expr& expr) {
  DictObject* dict = machine_.new_dict();
  for (std::size_t i = 0; i + 1 < expr.kids.size(); i += 2) {
    const Value key = eval(*expr.kids[i]);
    machine_.put(*dict, key, eval(*expr.kids[i + 1]));
  }
  return Value::of(Kind::dict, dict);
}

Value Evaluator::subscript(const Expr& expr) {
  const Value object = eval(*expr.kids[0]);
  return get_item(machine_, object, eval(*expr.kids[1]));
}

Value Evaluator::slice(const Expr& expr) {
  Value parts[4];
  for (std::size_t i = 0; i < 4; ++i) parts[i] = expr.kids[i] ? eval(*expr.kids[i]) : Value::none();
  return get_slice(machine_, parts[0], parts[1], parts[2], parts[3]);
}

Value Evaluator::call(const Expr& expr) {
  const Value function = eval(*expr.kids[0]);
  const Arguments arguments = evaluate(*expr.call);
  machine_.line = expr.line;
  return invoke(function, arguments);
}

Value Evaluator::filter(const Expr& expr) {
  const Value subject = expr.kids[0] ? eval(*expr.kids[0]) : *captured_;
  const Arguments arguments = evaluate(*expr.call);
  machine_.line = expr.line;
  return run_filter(machine_, expr.name, subject, arguments);
}

Value Evaluator::test(const Expr& expr) {
  const Value subject = eval(*expr.kids[0]);
  const Arguments arguments = evaluate(*expr.call);
  return Value::of(run_test(machine_, expr.name, subject, arguments));
}

Value Evaluator::binary(const Expr& expr) {
  const Value left = eval(*expr.kids[0]);
  const Value right = eval(*expr.kids[1]);
  machine_.line = expr.line;
  return arithmetic(machine_, expr.op, left, right);
}

Value Evaluator::comparison(const Expr& expr) {
  Value left = eval(*expr.kids[0]);
  for (std::size_t i = 0; i < expr.ops.size(); ++i) {
    const Value right = eval(*expr.kids[i + 1]);
    if (!compare(machine_, expr.ops[i], left, right)) return Value::of(false);
    left = right;
  }
  return Value::of(true);
}

Value Evaluator::condition(const Expr& expr) {
  if (truthy(eval(*expr.kids[1]))) return eval(*expr.kids[0]);
  if (expr.kids[2]) return eval(*expr.kids[2]);
  return machine_.undefined("the inline if-expression evaluated to false and no else was defined");
}

}  // namespace nautile::jinja
