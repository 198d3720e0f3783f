//! One CEL expression: compiled, checked, and its cost bounded.

use std::collections::HashSet;

use kube_cel::cel::{
    IdedExpr,
    common::ast::{CallExpr, EntryExpr, Expr, operators},
    parser::Parser,
};

use super::cel;

/// Longest expression, in bytes.
const MAX_LENGTH: usize = 4096;
/// Deepest expression tree; the interpreter recurses along it.
const MAX_DEPTH: usize = 100;
/// Stack of the thread that parses: what [`MAX_LENGTH`] can make the parser need, several times
/// over. Only what is used costs memory.
const PARSER_STACK: usize = 256 << 20;

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Expression {
    tree: IdedExpr,
    uses_old_self: bool,
    /// Nodes of the tree.
    size: u64,
    /// How deep loops are nested. A loop that builds a list counts twice, since it copies what it
    /// has built in every step.
    nesting: u32,
    /// Calls something that makes a list from a string.
    splits_strings: bool,
}

impl Expression {
    /// Compiles; the error says what is wrong in the library's words or ours.
    pub(super) fn compile(source: &str) -> Result<Self, String> {
        if source.len() > MAX_LENGTH {
            return Err(format!("is longer than {MAX_LENGTH} bytes"));
        }
        // The parser recurses in ways that its own limit does not see (`a.a.a`, `1+1+1`), so it
        // gets a stack on which it cannot fall.
        std::thread::scope(|scope| {
            std::thread::Builder::new()
                .stack_size(PARSER_STACK)
                .spawn_scoped(scope, || Self::parse(source))
                .map_err(|error| format!("no thread to parse it: {error}"))?
                .join()
                .unwrap_or_else(|_| Err("the parser failed".to_owned()))
        })
    }

    fn parse(source: &str) -> Result<Self, String> {
        let parser = Parser::default().enable_optional_syntax(true);
        let tree = cel::guard(|| parser.parse(source))
            .ok_or("the expression cannot be parsed")?
            .map_err(|errors| errors.to_string())?;
        let mut survey = Survey::default();
        survey.visit(&tree)?;
        survey.check_names()?;
        let mut expression = Self {
            uses_old_self: survey.names.contains("oldSelf"),
            size: survey.size,
            nesting: survey.nesting,
            splits_strings: survey.splits_strings,
            tree,
        };
        replace_optional_select(&mut expression.tree);
        Ok(expression)
    }

    pub(super) fn tree(&self) -> &IdedExpr {
        &self.tree
    }

    /// Whether it reads `oldSelf`.
    pub(super) fn uses_old_self(&self) -> bool {
        self.uses_old_self
    }

    /// An upper bound of the steps that it takes for a value, roughly: every loop is taken to run
    /// over the longest list or map.
    pub(super) fn steps(&self, extent: &Extent) -> u64 {
        let mut widest = extent.widest;
        if self.splits_strings {
            widest = widest.max(extent.longest_string);
        }
        let widest = widest.max(1);
        let once = if self.nesting == 0 { self.size } else { self.size + extent.nodes / widest };
        widest.saturating_pow(self.nesting).saturating_mul(once)
    }
}

/// How large a value is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extent {
    pub(super) nodes: u64,
    /// Items of its longest list or map.
    pub(super) widest: u64,
    /// Bytes.
    pub(super) longest_string: u64,
}

/// What a walk over the tree finds.
#[derive(Default)]
struct Survey<'a> {
    names: HashSet<&'a str>,
    bound: HashSet<&'a str>,
    size: u64,
    nesting: u32,
    splits_strings: bool,
}

impl<'a> Survey<'a> {
    /// Does not recurse, since nothing is known of the depth yet.
    fn visit(&mut self, tree: &'a IdedExpr) -> Result<(), String> {
        let mut open = vec![(tree, 1_usize, 0_u32)];
        while let Some((node, depth, loops)) = open.pop() {
            if depth > MAX_DEPTH {
                return Err(format!("is nested deeper than {MAX_DEPTH} levels"));
            }
            self.size += 1;
            self.nesting = self.nesting.max(loops);
            let mut push = |child, loops| open.push((child, depth + 1, loops));
            match &node.expr {
                Expr::Unspecified => return Err("has an empty part".to_owned()),
                Expr::Struct(_) => return Err("must not construct messages".to_owned()),
                Expr::Literal(_) => {}
                Expr::Ident(name) => {
                    self.names.insert(name);
                }
                Expr::Select(select) if is_optional(&select.operand) => {
                    return Err("must read fields of optional values with .?".to_owned());
                }
                Expr::Select(select) => push(&select.operand, loops),
                Expr::List(list) => list.elements.iter().for_each(|item| push(item, loops)),
                Expr::Map(map) => {
                    for entry in &map.entries {
                        let EntryExpr::MapEntry(entry) = &entry.expr else {
                            return Err("must not construct messages".to_owned());
                        };
                        push(&entry.key, loops);
                        push(&entry.value, loops);
                    }
                }
                Expr::Call(call) => {
                    let prefixed = self.check_call(call)?;
                    call.args.iter().for_each(|argument| push(argument, loops));
                    if let Some(target) = &call.target
                        && !prefixed
                    {
                        push(target, loops);
                    }
                }
                Expr::Comprehension(each) => {
                    self.bound.insert(&each.iter_var);
                    self.bound.insert(&each.accu_var);
                    self.bound.extend(each.iter_var2.as_deref());
                    push(&each.iter_range, loops);
                    push(&each.accu_init, loops);
                    push(&each.result, loops);
                    let builds = matches!(each.accu_init.expr, Expr::List(_) | Expr::Map(_));
                    let inner = loops + if builds { 2 } else { 1 };
                    push(&each.loop_cond, inner);
                    push(&each.loop_step, inner);
                }
            }
        }
        Ok(())
    }

    /// Whether the target of a call is part of the function's name, as in `math.abs(x)`.
    fn check_call(&mut self, call: &CallExpr) -> Result<bool, String> {
        let name = call.func_name.as_str();
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Ok(false); // An operator.
        }
        self.splits_strings |= matches!(name, "split" | "findAll" | "range");
        if let Some(IdedExpr { expr: Expr::Ident(prefix), .. }) = call.target.as_deref()
            && cel::has_function(&format!("{prefix}.{name}"))
        {
            return Ok(true);
        }
        if cel::has_function(name) {
            return Ok(false);
        }
        Err(format!("calls {name}, which is not a function here"))
    }

    fn check_names(&self) -> Result<(), String> {
        let known = |name: &str| {
            matches!(name, "self" | "oldSelf") || self.bound.contains(name) || cel::is_type(name)
        };
        match self.names.iter().find(|name| !known(name)) {
            Some(name) => Err(format!("refers to {name}, which is not a variable here")),
            None => Ok(()),
        }
    }
}

/// Whether an expression is `a.?b` or `a[?b]`. The library takes a field of it for false.
fn is_optional(expression: &IdedExpr) -> bool {
    matches!(&expression.expr, Expr::Call(call)
        if matches!(call.func_name.as_str(), operators::OPT_SELECT | operators::OPT_INDEX))
}

/// Makes `a.?b` a call of our own: the library's fails where `b` is absent. The tree is known not
/// to be deep.
fn replace_optional_select(tree: &mut IdedExpr) {
    match &mut tree.expr {
        Expr::Unspecified | Expr::Struct(_) | Expr::Literal(_) | Expr::Ident(_) => {}
        Expr::Select(select) => replace_optional_select(&mut select.operand),
        Expr::List(list) => list.elements.iter_mut().for_each(replace_optional_select),
        Expr::Map(map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    replace_optional_select(&mut entry.key);
                    replace_optional_select(&mut entry.value);
                }
            }
        }
        Expr::Call(call) => {
            if call.func_name == operators::OPT_SELECT {
                call.func_name = cel::OPTIONAL_SELECT.to_owned();
            }
            let target = call.target.as_deref_mut().into_iter();
            target.chain(&mut call.args).for_each(replace_optional_select);
        }
        Expr::Comprehension(each) => {
            for part in [
                &mut each.iter_range,
                &mut each.accu_init,
                &mut each.loop_cond,
                &mut each.loop_step,
                &mut each.result,
            ] {
                replace_optional_select(part);
            }
        }
    }
}
