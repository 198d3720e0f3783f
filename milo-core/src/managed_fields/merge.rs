//! Merging a configuration into a live object.

use serde_json::{Map, Value};

use super::{element::Element, item, problem::Problem, text::same};
use crate::schema::shape::{ListKind, ListShape, MapShape, Shape, Tracking};

/// Merges into whole objects, or objects anywhere. Tells whether anything changed.
pub(super) fn objects(
    shape: &MapShape,
    live: &mut Map<String, Value>,
    config: &Map<String, Value>,
) -> Result<bool, Problem> {
    let mut changed = false;
    for (name, value) in config {
        let declared = shape.fields.get(name);
        // Go writes `creationTimestamp: null` for a time that is not set.
        let is_own = declared.is_some_and(|field| field.tracking == Tracking::Never);
        if is_own && value.is_null() {
            continue;
        }
        let field = declared.map(|field| &field.shape);
        let field = field.or(shape.others.as_deref()).unwrap_or(&Shape::Deduced);
        changed |= match live.get_mut(name) {
            Some(live) => values(field, live, value)
                .map_err(|problem| problem.below(&Element::field(name)))?,
            None => {
                live.insert(name.clone(), value.clone());
                true
            }
        };
    }
    Ok(changed)
}

fn values(shape: &Shape, live: &mut Value, config: &Value) -> Result<bool, Problem> {
    match shape {
        Shape::Map(shape) if !shape.atomic => match (&mut *live, config) {
            (Value::Object(live), Value::Object(config)) if !live.is_empty() => {
                objects(shape, live, config)
            }
            (Value::Object(live), Value::Null) if !live.is_empty() => Ok(false),
            _ => Ok(replace(live, config)),
        },
        Shape::List(shape) if !matches!(shape.kind, ListKind::Atomic) => {
            match (&mut *live, config) {
                (Value::Array(live), Value::Array(config)) if !live.is_empty() => {
                    lists(shape, live, config)
                }
                (Value::Array(live), Value::Null) if !live.is_empty() => Ok(false),
                _ => Ok(replace(live, config)),
            }
        }
        Shape::Deduced => Ok(deduced(live, config)),
        Shape::Map(_) | Shape::List(_) | Shape::Scalar(_) => Ok(replace(live, config)),
    }
}

fn deduced(live: &mut Value, config: &Value) -> bool {
    match (&mut *live, config) {
        (Value::Object(live), Value::Object(config)) if !live.is_empty() => {
            let mut changed = false;
            for (name, value) in config {
                changed |= match live.get_mut(name) {
                    Some(live) => deduced(live, value),
                    None => {
                        live.insert(name.clone(), value.clone());
                        true
                    }
                };
            }
            changed
        }
        (Value::Object(live), Value::Null) if !live.is_empty() => false,
        _ => replace(live, config),
    }
}

fn replace(live: &mut Value, config: &Value) -> bool {
    let changed = !same(live, config);
    if changed {
        *live = config.clone();
    }
    changed
}

/// Merges items by their keys. Items of the configuration come in its order, live ones that it
/// does not have keep their place between them.
fn lists(shape: &ListShape, live: &mut Vec<Value>, config: &[Value]) -> Result<bool, Problem> {
    if config.is_empty() {
        return Ok(false);
    }
    let live_steps = item::elements(&shape.kind, live)?;
    let config_steps = item::elements(&shape.kind, config)?;
    if live_steps == config_steps {
        let mut changed = false;
        for ((live, config), step) in live.iter_mut().zip(config).zip(&config_steps) {
            changed |= values(&shape.items, live, config).map_err(|problem| problem.below(step))?;
        }
        return Ok(changed);
    }
    let places = Places::find(&live_steps, &config_steps);
    let mut items: Vec<Option<Value>> = std::mem::take(live).into_iter().map(Some).collect();
    let mut changed = false;
    for (place, source) in places.order().into_iter().enumerate() {
        let (from, merged) = match source {
            Source::Live(at) => (Some(at), items[at].take().unwrap_or_default()),
            Source::Config(at) => {
                let from = places.in_live[at];
                match from.and_then(|from| items[from].take()) {
                    None => (None, config[at].clone()),
                    Some(mut item) => {
                        changed |= values(&shape.items, &mut item, &config[at])
                            .map_err(|problem| problem.below(&config_steps[at]))?;
                        (from, item)
                    }
                }
            }
        };
        changed |= from != Some(place);
        live.push(merged);
    }
    Ok(changed || live.len() != items.len())
}

/// Which items of two lists are the same.
struct Places {
    /// For each live item, its place in the configuration.
    in_config: Vec<Option<usize>>,
    /// For each item of the configuration, its place in the live list, unless it is there twice.
    in_live: Vec<Option<usize>>,
}

#[derive(Clone, Copy)]
enum Source {
    /// Only there.
    Live(usize),
    /// There, and perhaps in the live list too.
    Config(usize),
}

impl Places {
    fn find(live: &[Element<'_>], config: &[Element<'_>]) -> Self {
        let mut sorted: Vec<usize> = (0..config.len()).collect();
        sorted.sort_unstable_by(|&left, &right| config[left].cmp(&config[right]));
        let find = |step: &Element<'_>| {
            let found = sorted.binary_search_by(|&at| config[at].cmp(step));
            found.ok().map(|found| sorted[found])
        };
        let in_config: Vec<Option<usize>> = live.iter().map(find).collect();
        let mut in_live = vec![None; config.len()];
        let mut seen = vec![false; config.len()];
        for (place, found) in in_config.iter().enumerate() {
            if let Some(found) = *found {
                in_live[found] = (!seen[found]).then_some(place);
                seen[found] = true;
            }
        }
        Self { in_config, in_live }
    }

    /// The order of the merged list. A shared item waits for its turn in the configuration; what
    /// comes only from the live list stands before the shared items that follow it there.
    fn order(&self) -> Vec<Source> {
        let mut order = Vec::with_capacity(self.in_config.len().max(self.in_live.len()));
        let is_shared = {
            let mut shared = vec![false; self.in_live.len()];
            self.in_config.iter().flatten().for_each(|&at| shared[at] = true);
            shared
        };
        let mut waiting = (0..is_shared.len()).filter(|&at| is_shared[at]).peekable();
        let (mut live, mut config) = (0, 0);
        while live < self.in_config.len() || config < self.in_live.len() {
            match self.in_config.get(live) {
                Some(None) => {
                    order.push(Source::Live(live));
                    live += 1;
                    continue;
                }
                Some(&Some(at)) if config < self.in_live.len() && at != config => {
                    if waiting.peek().is_some_and(|&next| next != at) {
                        live += 1;
                        continue;
                    }
                    // Its turn has passed already: the configuration came to it first.
                    live += usize::from(at < config);
                }
                Some(Some(_)) => live += 1,
                None => {}
            }
            if config < self.in_live.len() {
                order.push(Source::Config(config));
                waiting.next_if_eq(&config);
                config += 1;
            }
        }
        order
    }
}
