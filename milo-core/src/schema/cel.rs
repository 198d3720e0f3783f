//! The CEL environment: one shared context with the functions that Kubernetes offers.
//!
//! Some functions are replaced: `size` counts characters as CEL says, `matches` keeps compiled
//! patterns, `lists.range` has a limit, `a.?b` works where `b` is absent. `type` and the names of
//! types are added, which the library lacks.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, LazyLock},
};

use kube_cel::{
    KubeCelExt as _,
    cel::{
        Context, ExecutionError, IdedExpr, Value,
        common::ast::{CallExpr, Expr},
        extractors::This,
        objects::{KeyRef, Opaque, OptionalValue, ValueType},
    },
};
use parking_lot::RwLock;
use regex::Regex;

/// Names of types, as `type(self) == string` uses them.
const TYPES: [&str; 10] =
    ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

/// What `a.?b` calls; no rule can spell it.
pub(super) const OPTIONAL_SELECT: &str = "@optional_select";

/// Longest list that `lists.range` makes.
const MAX_RANGE: i64 = 10_000;

/// Compiled patterns that are kept. Rules use literal patterns; those that are made from data must
/// not fill the memory.
const MAX_PATTERNS: usize = 256;

/// Longest error text of the library that is passed on: it may quote whole values.
const MAX_ERROR: usize = 256;

static SHARED: LazyLock<Context<'static>> = LazyLock::new(|| {
    let mut context = Context::default().with_all();
    context.add_function("matches", matches);
    context.add_function("size", size);
    context.add_function("type", type_of);
    context.add_function("lists.range", range);
    context.add_function(OPTIONAL_SELECT, optional_select);
    for name in TYPES {
        context.add_variable_from_value(name, type_value(name));
    }
    context
});

/// A fresh scope for variables, above all functions.
pub(super) fn scope() -> Context<'static> {
    SHARED.new_inner_scope()
}

/// Evaluates; the error is a short text.
pub(super) fn evaluate(tree: &IdedExpr, context: &Context<'_>) -> Result<Value, String> {
    match guard(|| Value::resolve(tree, context)) {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(error_text(&error)),
        None => Err("the expression cannot be evaluated".to_owned()),
    }
}

/// Runs code of the library, which still panics in a few corners (dates at the ends of time).
pub(super) fn guard<T>(run: impl FnOnce() -> T) -> Option<T> {
    // Unwind safe: what the library was working on is thrown away.
    catch_unwind(AssertUnwindSafe(run)).ok()
}

/// An optional value, as `oldSelf` is under `optionalOldSelf`.
pub(super) fn optional(value: Option<Value>) -> Value {
    Value::Opaque(Arc::new(value.map_or_else(OptionalValue::none, OptionalValue::of)))
}

/// Whether rules may call a function. The library offers no look-up, so it is called without
/// arguments: only an unknown function is an undeclared reference then.
pub(super) fn has_function(name: &str) -> bool {
    let call = CallExpr { func_name: name.to_owned(), target: None, args: Vec::new() };
    let tree = IdedExpr { id: 0, expr: Expr::Call(call) };
    let result = guard(|| Value::resolve(&tree, &SHARED));
    !matches!(result, Some(Err(ExecutionError::UndeclaredReference(_))))
}

/// Whether a name is that of a type.
pub(super) fn is_type(name: &str) -> bool {
    TYPES.contains(&name)
}

fn error_text(error: &ExecutionError) -> String {
    if matches!(error, ExecutionError::NoSuchOverload) {
        return "no such overload".to_owned();
    }
    let mut text = error.to_string();
    if let Some((end, _)) = text.char_indices().nth(MAX_ERROR) {
        text.truncate(end);
        text.push_str("...");
    }
    // In the words of upstream, errors begin in lower case.
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    text
}

/// What `type(x)` returns.
#[derive(Debug, PartialEq, Eq)]
struct TypeName(&'static str);

impl Opaque for TypeName {
    fn runtime_type_name(&self) -> &str {
        "type"
    }
}

fn type_value(name: &'static str) -> Value {
    Value::Opaque(Arc::new(TypeName(name)))
}

fn type_of(value: Value) -> Result<Value, ExecutionError> {
    Ok(type_value(match value.type_of() {
        ValueType::List => "list",
        ValueType::Map => "map",
        ValueType::Function => "function",
        ValueType::Int => "int",
        ValueType::UInt => "uint",
        ValueType::Float => "double",
        ValueType::String => "string",
        ValueType::Bytes => "bytes",
        ValueType::Bool => "bool",
        ValueType::Duration => "google.protobuf.Duration",
        ValueType::Timestamp => "google.protobuf.Timestamp",
        ValueType::Null => "null_type",
        ValueType::Opaque => match value {
            Value::Opaque(inner) if inner.downcast_ref::<TypeName>().is_some() => "type",
            _ => "opaque",
        },
    }))
}

fn size(This(this): This<Value>) -> Result<Value, ExecutionError> {
    let size = match &this {
        Value::List(list) => list.len(),
        Value::Map(map) => map.map.len(),
        Value::String(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        _ => return Err(ExecutionError::NoSuchOverload),
    };
    Ok(Value::Int(i64::try_from(size).unwrap_or(i64::MAX)))
}

/// `value.?field`, where the value may be optional itself.
#[expect(clippy::needless_pass_by_value, reason = "the signature that the interpreter calls")]
fn optional_select(value: Value, field: Arc<String>) -> Result<Value, ExecutionError> {
    let value = match <&OptionalValue>::try_from(&value) {
        Ok(inner) => match inner.value() {
            Some(inner) => inner.clone(),
            None => return Ok(optional(None)),
        },
        Err(_) => value,
    };
    match value {
        Value::Map(map) => Ok(optional(map.get(&KeyRef::String(&field)).cloned())),
        _ => Err(ExecutionError::NoSuchOverload),
    }
}

fn range(length: i64) -> Result<Value, ExecutionError> {
    if !(0..=MAX_RANGE).contains(&length) {
        let problem = format!("{length} is not between 0 and {MAX_RANGE}");
        return Err(ExecutionError::function_error("lists.range", problem));
    }
    Ok(Value::List(Arc::new((0..length).map(Value::Int).collect())))
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that the interpreter calls")]
fn matches(This(this): This<Arc<String>>, pattern: Arc<String>) -> Result<bool, ExecutionError> {
    static PATTERNS: LazyLock<RwLock<HashMap<String, Regex>>> = LazyLock::new(RwLock::default);
    if let Some(regex) = PATTERNS.read().get(pattern.as_str()) {
        return Ok(regex.is_match(&this));
    }
    let regex =
        Regex::new(&pattern).map_err(|error| ExecutionError::function_error("matches", error))?;
    let result = regex.is_match(&this);
    let mut patterns = PATTERNS.write();
    if patterns.len() >= MAX_PATTERNS {
        patterns.clear();
    }
    patterns.insert(pattern.to_string(), regex);
    Ok(result)
}
