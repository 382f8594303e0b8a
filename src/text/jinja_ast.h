// jinja_ast.h — the parsed template: expressions and statements.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja_value.h"

namespace nautile::jinja {

enum class ExprKind : std::uint8_t {
  literal,           // value (a string's bytes are owned by `owned`)
  name,              // symbol
  attribute_target,  // namespace attribute as assignment target: symbol . name
  tuple,             // kids
  list,              // kids
  dict,              // kids: key, value, key, value, …
  attribute,         // kids[0] . name
  subscript,         // kids[0] [ kids[1] ]
  slice,             // kids[0] [ kids[1] : kids[2] : kids[3] ], the latter three may be null
  call,              // kids[0] ( call )
  filter,            // kids[0] | name ( call ); a null kids[0] is the captured text of a block
  test,              // kids[0] is name ( call )
  negate,
  plus,
  logical_not,
  logical_and,
  logical_or,
  binary,     // kids[0] op kids[1]
  compare,    // kids[0] ops[0] kids[1] ops[1] kids[2] …
  concat,     // kids joined as text
  condition,  // kids[0] if kids[1] else kids[2], which may be null
};

enum class Op : std::uint8_t {
  add,
  sub,
  mul,
  div,
  floordiv,
  mod,
  pow,
  eq,
  ne,
  lt,
  le,
  gt,
  ge,
  in,
  not_in
};

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct CallSyntax {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr star;         // *args
  ExprPtr double_star;  // **kwargs
};

struct Expr {
  ExprKind kind = ExprKind::literal;
  int line = 0;
  int height = 1;  // of the tree below; bounded by the parser, so that walks may recurse
  int symbol = -1;
  Op op = Op::add;
  std::string name;
  std::vector<ExprPtr> kids;
  std::vector<Op> ops;
  std::unique_ptr<CallSyntax> call;
  Value value;
  std::unique_ptr<StringObject> owned;
};

enum class StmtKind : std::uint8_t {
  output,        // exprs printed in order
  set,           // target = expr
  set_block,     // target = captured body, through `expr` (a filter chain) if there is one
  for_loop,      // for target in expr if test: body else orelse
  branch,        // branches, then orelse
  macro,         // macro
  call_block,    // {% call(…) expr %}: macro holds the caller's signature and body
  filter_block,  // body through expr
  with,          // targets = values in a scope of its own: body
  scope,         // body in a scope of its own (block, generation)
  break_loop,
  continue_loop,
  unsupported,  // fails when it is reached; name says what it is
};

struct Stmt;
using Body = std::vector<std::unique_ptr<Stmt>>;

struct Macro {
  std::string name;
  std::vector<int> parameters;  // symbols
  std::vector<std::string> parameter_names;
  std::vector<ExprPtr> defaults;  // of the last parameters
  Body body;
  bool uses_varargs = false, uses_kwargs = false, uses_caller = false;
  int varargs_symbol = -1, kwargs_symbol = -1, caller_symbol = -1;
};

struct Stmt {
  StmtKind kind = StmtKind::output;
  int line = 0;
  int symbol = -1;  // of a macro's name
  std::string name;
  bool recursive = false;
  ExprPtr target, expr, test;
  std::vector<ExprPtr> exprs;    // outputs; values of `with`
  std::vector<ExprPtr> targets;  // of `with`
  std::vector<std::pair<ExprPtr, Body>> branches;
  Body body, orelse;
  std::unique_ptr<Macro> macro;
};

// A parsed template. Symbols number its variable names.
struct Ast {
  Body body;
  std::vector<std::string> symbols;
  int loop_symbol = -1;
};

}  // namespace nautile::jinja
