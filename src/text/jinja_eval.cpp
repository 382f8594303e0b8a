// jinja_eval.cpp — the interpreter: statements write to an output.
#include "text/jinja_eval.h"

#include <algorithm>

#include "text/jinja_evaluator.h"
#include "text/jinja_globals.h"
#include "text/jinja_loop.h"
#include "text/jinja_ops.h"
#include "text/jinja_scope.h"

namespace nautile::jinja {
namespace {

enum class Flow { next, break_loop, continue_loop };

class Interpreter : private Evaluator {
 public:
  Interpreter(const Ast& ast, const Budgets& budgets, std::time_t now)
      : Evaluator(budgets), ast_(ast), now_(now) {}

  Text render(const std::vector<Variable>& variables) {
    machine_.charge(ast_.symbols.size() * sizeof(Scope::Slot));
    scope_ = machine_.make<Scope>(nullptr, ast_.symbols.size());
    root_ = scope_;
    for (std::size_t i = 0; i < ast_.symbols.size(); ++i) {
      bool found = false;
      const Value global = find_global(machine_, ast_.symbols[i], now_, found);
      if (found) scope_->set(machine_, static_cast<int>(i), global);
      for (const Variable& variable : variables) {
        if (variable.name != ast_.symbols[i]) continue;
        scope_->set(machine_, static_cast<int>(i),
                    from_json(machine_, *variable.value, variable.origin));
      }
    }
    Text output;
    output_ = &output;
    run(ast_.body);
    return output;
  }

 private:
  // ---- helpers of scope
  template <class T>
  class Restore {
   public:
    Restore(T& place, T value) : place_(place), old_(place) { place_ = value; }
    ~Restore() { place_ = old_; }
    Restore(const Restore&) = delete;
    Restore& operator=(const Restore&) = delete;

   private:
    T& place_;
    T old_;
  };

  Scope* inner_scope() { return machine_.make<Scope>(scope_); }

  void write(const Text& text) {
    machine_.scan(text.size());
    written_ += text.size();
    if (written_ > machine_.budgets().output_bytes) {
      machine_.fail("output budget exhausted ({} bytes)", machine_.budgets().output_bytes);
    }
    output_->append(text);
  }

  // Runs statements into a text of their own.
  Text capture(const Body& body, Flow* flow = nullptr) {
    Text text;
    const Restore<Text*> redirect(output_, &text);
    const Flow result = run(body);
    if (flow != nullptr) *flow = result;
    machine_.charge(text.size());
    return text;
  }

  // ---- statements
  Flow run(const Body& body) {
    const Deeper deeper(*this);
    for (const auto& stmt : body) {
      const Flow flow = run(*stmt);
      if (flow != Flow::next) return flow;
    }
    return Flow::next;
  }

  Flow run(const Stmt& stmt) {
    machine_.step();
    machine_.line = stmt.line;
    switch (stmt.kind) {
      case StmtKind::output:
        for (const ExprPtr& expr : stmt.exprs) output(*expr);
        return Flow::next;
      case StmtKind::set:
        assign(*stmt.target, eval(*stmt.expr));
        return Flow::next;
      case StmtKind::set_block:
        return set_block(stmt);
      case StmtKind::for_loop:
        return for_loop(stmt);
      case StmtKind::branch:
        return branch(stmt);
      case StmtKind::macro:
        mark_captured();
        scope_->set(machine_, stmt.symbol, macro_value(*stmt.macro, scope_));
        return Flow::next;
      case StmtKind::call_block:
        call_block(stmt);
        return Flow::next;
      case StmtKind::filter_block:
        return filter_block(stmt);
      case StmtKind::with:
        return with(stmt);
      case StmtKind::scope: {
        const Restore<Scope*> enter(scope_, inner_scope());
        return run(stmt.body);
      }
      case StmtKind::break_loop:
        return Flow::break_loop;
      case StmtKind::continue_loop:
        return Flow::continue_loop;
      case StmtKind::unsupported:
        machine_.unsupported("tag '{}'", stmt.name);
    }
    return Flow::next;
  }

  void output(const Expr& expr) {
    if (expr.kind == ExprKind::literal && expr.owned) {
      machine_.step();
      return write(expr.owned->text);
    }
    const Value value = eval(expr);
    if (value.is(Kind::string)) return write(value.text());
    write(to_text(machine_, value));
  }

  Flow branch(const Stmt& stmt) {
    for (const auto& [test, body] : stmt.branches) {
      if (truthy(eval(*test))) return run(body);
    }
    return run(stmt.orelse);
  }

  Flow set_block(const Stmt& stmt) {
    Flow flow = Flow::next;
    Value value;
    {
      const Restore<Scope*> enter(scope_, inner_scope());
      value = machine_.string(capture(stmt.body, &flow));
    }
    if (flow != Flow::next) return flow;
    if (stmt.expr) value = filtered(*stmt.expr, value);
    assign(*stmt.target, value);
    return flow;
  }

  Flow filter_block(const Stmt& stmt) {
    Flow flow = Flow::next;
    const Restore<Scope*> enter(scope_, inner_scope());
    const Value text = machine_.string(capture(stmt.body, &flow));
    if (flow == Flow::next) write(to_text(machine_, filtered(*stmt.expr, text)));
    return flow;
  }

  Value filtered(const Expr& chain, const Value& text) {
    const Restore<const Value*> subject(captured_, &text);
    return eval(chain);
  }

  Flow with(const Stmt& stmt) {
    std::vector<Value> values;
    for (const ExprPtr& expr : stmt.exprs) values.push_back(eval(*expr));
    const Restore<Scope*> enter(scope_, inner_scope());
    for (std::size_t i = 0; i < values.size(); ++i) assign(*stmt.targets[i], values[i]);
    return run(stmt.body);
  }

  void assign(const Expr& target, const Value& value) {
    machine_.step();
    if (target.kind == ExprKind::name) return scope_->set(machine_, target.symbol, value);
    if (target.kind == ExprKind::attribute_target) return assign_attribute(target, value);
    const std::vector<Value> items = to_items(machine_, value);
    if (items.size() != target.kids.size()) {
      machine_.fail("cannot unpack {} values into {} names", items.size(), target.kids.size());
    }
    for (std::size_t i = 0; i < items.size(); ++i) assign(*target.kids[i], items[i]);
  }

  void assign_attribute(const Expr& target, const Value& value) {
    const Value* names = scope_->find(machine_, target.symbol);
    if (names == nullptr || !names->is(Kind::names)) {
      machine_.fail("cannot assign attribute '{}' on a non-namespace object", target.name);
    }
    if (target.name.starts_with('_')) {
      machine_.fail("a namespace cannot hold '{}': names must not start with '_'", target.name);
    }
    machine_.put(names->dict(), machine_.string(target.name), value);
  }

  Flow for_loop(const Stmt& stmt) {
    if (!stmt.recursive) return loop_over(stmt, eval(*stmt.expr), 0);
    mark_captured();
    return loop_over(stmt, eval(*stmt.expr), 0);
  }

  Flow loop_over(const Stmt& stmt, const Value& iterable, int depth0) {
    Scope* outer = scope_;
    auto* loop = machine_.make<LoopObject>();
    loop->depth0 = depth0;
    loop->items = loop_items(stmt, iterable);
    if (stmt.recursive) {
      loop->recurse = [this, &stmt, outer](const Value& items, int depth) {
        const CallGuard guard(machine_);
        const Restore<Scope*> enter(scope_, outer);
        Text text;
        const Restore<Text*> redirect(output_, &text);
        loop_over(stmt, items, depth);
        return machine_.string(std::move(text));
      };
    }
    if (!run_iterations(stmt, *loop, outer) && !stmt.orelse.empty()) {
      const Restore<Scope*> enter(scope_, inner_scope());
      return run(stmt.orelse);
    }
    return Flow::next;
  }

  // False if no iteration reached its end: jinja2 then runs the else part, also after a break.
  bool run_iterations(const Stmt& stmt, LoopObject& loop, Scope* outer) {
    bool completed = false;
    const Restore<Scope*> enter(scope_, inner_scope());
    for (loop.at = 0; loop.at < loop.items.size(); ++loop.at) {
      machine_.step();
      if (scope_->captured) {
        scope_ = machine_.make<Scope>(outer);
      } else {
        scope_->reset();
      }
      scope_->set(machine_, ast_.loop_symbol, Value::of(Kind::loop, &loop));
      assign(*stmt.target, loop.items[loop.at]);
      const Flow flow = run(stmt.body);
      if (flow == Flow::break_loop) break;
      completed = completed || flow == Flow::next;
    }
    return completed;
  }

  std::vector<Value> loop_items(const Stmt& stmt, const Value& iterable) {
    std::vector<Value> items = to_items(machine_, iterable);
    if (!stmt.test) return items;
    std::vector<Value> kept;
    const Restore<Scope*> enter(scope_, inner_scope());
    for (const Value& item : items) {
      assign(*stmt.target, item);
      if (truthy(eval(*stmt.test))) kept.push_back(item);
    }
    return kept;
  }

  // ---- macros
  // Scopes up the chain outlive their loop iteration: a macro refers to them.
  void mark_captured() {
    for (Scope* scope = scope_; scope != nullptr && !scope->captured; scope = scope->parent) {
      scope->captured = true;
    }
  }

  Value macro_value(const Macro& macro, Scope* definition) {
    return machine_.function(macro.name,
                             [this, &macro, definition](Machine&, const Arguments& arguments) {
                               return call_macro(macro, definition, arguments);
                             });
  }

  Value call_macro(const Macro& macro, Scope* definition, const Arguments& arguments) {
    const CallGuard guard(machine_);
    machine_.step(8);  // a call costs as much as several nodes
    const int line = machine_.line;
    Scope* scope = machine_.make<Scope>(definition);
    bind(macro, *scope, arguments);
    const Restore<Scope*> enter(scope_, scope);
    Text text;
    const Restore<Text*> redirect(output_, &text);
    bind_defaults(macro, *scope);
    run(macro.body);
    machine_.line = line;
    return machine_.string(std::move(text));
  }

  void bind(const Macro& macro, Scope& scope, const Arguments& arguments) {
    const std::size_t count = macro.parameters.size();
    const std::size_t given = std::min(arguments.positional.size(), count);
    for (std::size_t i = 0; i < given; ++i) {
      scope.set(machine_, macro.parameters[i], arguments.positional[i]);
    }
    bool has_caller = false;
    DictObject* extra = macro.uses_kwargs ? machine_.new_dict() : nullptr;
    for (const auto& [name, value] : arguments.named) {
      std::size_t i = given;
      while (i < count && macro.parameter_names[i] != name) ++i;
      if (i < count) {
        scope.set(machine_, macro.parameters[i], value);
      } else if (name == "caller" && macro.uses_caller) {
        has_caller = true;
        scope.set(machine_, macro.caller_symbol, value);
      } else if (extra != nullptr) {
        machine_.put(*extra, machine_.string(name), value);
      } else {
        machine_.fail("macro '{}' takes no keyword argument '{}'", macro.name, name);
      }
    }
    bind_specials(macro, scope, arguments, extra, has_caller);
  }

  void bind_specials(const Macro& macro, Scope& scope, const Arguments& arguments,
                     DictObject* extra, bool has_caller) {
    const std::size_t count = macro.parameters.size();
    const auto is_parameter = [&](int symbol) {
      return std::find(macro.parameters.begin(), macro.parameters.end(), symbol) !=
             macro.parameters.end();
    };
    if (extra != nullptr) scope.set(machine_, macro.kwargs_symbol, Value::of(Kind::dict, extra));
    if (macro.uses_varargs) {
      std::vector<Value> rest;
      if (arguments.positional.size() > count) {
        rest.assign(arguments.positional.begin() + static_cast<std::ptrdiff_t>(count),
                    arguments.positional.end());
      }
      scope.set(machine_, macro.varargs_symbol, machine_.tuple(std::move(rest)));
    } else if (arguments.positional.size() > count) {
      machine_.fail("macro '{}' takes not more than {} arguments", macro.name, count);
    }
    if (macro.uses_caller && !has_caller && !is_parameter(macro.caller_symbol)) {
      scope.set(machine_, macro.caller_symbol, machine_.undefined("no caller defined"));
    }
  }

  // Defaults are evaluated in the macro's scope, so that they may refer to earlier parameters.
  void bind_defaults(const Macro& macro, Scope& scope) {
    const std::size_t first = macro.parameters.size() - macro.defaults.size();
    for (std::size_t i = 0; i < macro.parameters.size(); ++i) {
      const int symbol = macro.parameters[i];
      bool bound = false;
      for (const auto& [name, value] : scope.sparse) bound = bound || name == symbol;
      if (bound) continue;
      if (i >= first) {
        scope.set(machine_, symbol, eval(*macro.defaults[i - first]));
      } else {
        scope.set(machine_, symbol,
                  machine_.undefined(
                      fmt::format("parameter '{}' was not provided", macro.parameter_names[i])));
      }
    }
  }

  void call_block(const Stmt& stmt) {
    mark_captured();
    const Expr& call = *stmt.expr;
    const Value function = eval(*call.kids[0]);
    Arguments arguments = evaluate(*call.call);
    arguments.named.emplace_back("caller", macro_value(*stmt.macro, scope_));
    write(to_text(machine_, invoke(function, arguments)));
  }

  const Ast& ast_;
  std::time_t now_;
  Scope* root_ = nullptr;
  Text* output_ = nullptr;
  std::size_t written_ = 0;  // bytes, into captures too
};

}  // namespace

Text run(const Ast& ast, const std::vector<Variable>& variables, const Budgets& budgets,
         std::time_t now) {
  return Interpreter(ast, budgets, now).render(variables);
}

}  // namespace nautile::jinja
