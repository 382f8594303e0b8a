// jinja_evaluator.h — Evaluator: expressions give values.
#pragma once

#include <vector>

#include "text/jinja_ast.h"
#include "text/jinja_machine.h"
#include "text/jinja_scope.h"

namespace nautile::jinja {

// Evaluates in the scope that its heir, the interpreter of statements, stands in. Fails in Machine.
class Evaluator {
 protected:
  // Evaluations inside one another, all macros together: what the native stack has to carry.
  static constexpr int kMaxEvalDepth = 1500;

  explicit Evaluator(const Budgets& budgets) : machine_(budgets) {}

  Value eval(const Expr& expr);
  Arguments evaluate(const CallSyntax& call);
  Value invoke(const Value& function, const Arguments& arguments);

  // One more evaluation inside others, for a scope.
  class Deeper {
   public:
    explicit Deeper(Evaluator& evaluator) : evaluator_(evaluator) {
      if (++evaluator_.eval_depth_ > kMaxEvalDepth) {
        --evaluator_.eval_depth_;
        evaluator_.machine_.fail("recursion budget exhausted ({} nested evaluations)",
                                 kMaxEvalDepth);
      }
    }
    ~Deeper() { --evaluator_.eval_depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;

   private:
    Evaluator& evaluator_;
  };

  Machine machine_;
  Scope* scope_ = nullptr;
  const Value* captured_ = nullptr;  // what a filter without a subject is applied to

 private:
  std::vector<Value> kids(const Expr& expr);
  Value name(const Expr& expr);
  Value dict(const Expr& expr);
  Value subscript(const Expr& expr);
  Value slice(const Expr& expr);
  Value call(const Expr& expr);
  Value filter(const Expr& expr);
  Value test(const Expr& expr);
  Value binary(const Expr& expr);
  Value comparison(const Expr& expr);
  Value condition(const Expr& expr);

  int eval_depth_ = 0;
};

}  // namespace nautile::jinja
