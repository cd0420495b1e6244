//! Three ways into one: what a file says now, what it said when it was last applied, and what is in place.
//!
//! A change of one side alone is taken. A change of both sides to the same is taken once. Everything else is a
//! conflict, and nothing is merged in part.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::revision::{Configuration, Guideline, Instruction};

/// A place that both sides changed, each in its own way. What is not there is `None`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Conflict {
    /// Where, such as `parameters.timeout_ms` or `tools[search]`.
    pub path: String,
    /// What was applied last.
    pub base: Option<Value>,
    /// What is in place.
    pub theirs: Option<Value>,
    /// What the file says.
    pub mine: Option<Value>,
}

/// A place where two configurations differ. What is not there is `None`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Where, such as `parameters.timeout_ms` or `tools[search]`.
    pub path: String,
    /// The value in the first.
    pub before: Option<Value>,
    /// The value in the second.
    pub after: Option<Value>,
}

/// The configuration that has both the changes from `base` to `theirs` and those from `base` to `mine`.
///
/// Lists of named things (contexts, tools, guards, processes) are merged by name, guidelines by number, parameters and
/// unknown keys by key; texts and other lists whole. A guideline that `mine` adds under a number that `theirs` has
/// used meanwhile gets the next free one.
///
/// # Errors
/// Every place that both sides changed in different ways, in order.
pub fn merge(
    base: &Configuration,
    theirs: &Configuration,
    mine: &Configuration,
) -> Result<Configuration, Vec<Conflict>> {
    let mut conflicts = Conflicts::default();
    let of =
        |pick: fn(&Configuration) -> &Vec<String>| Sides { base: pick(base), theirs: pick(theirs), mine: pick(mine) };
    let merged = Configuration {
        instruction: conflicts.instruction(&base.instruction, &theirs.instruction, &mine.instruction),
        contexts: conflicts.list("contexts", of(|side| &side.contexts), Clone::clone),
        tools: conflicts.list(
            "tools",
            Sides { base: &base.tools, theirs: &theirs.tools, mine: &mine.tools },
            |tool| tool.name.clone(),
        ),
        model: conflicts.one("model", base.model.as_ref(), theirs.model.as_ref(), mine.model.as_ref()),
        parameters: conflicts.table("parameters", &base.parameters, &theirs.parameters, &mine.parameters),
        guards: conflicts.list(
            "guards",
            Sides { base: &base.guards, theirs: &theirs.guards, mine: &mine.guards },
            |guard| guard.name.clone(),
        ),
        processes: conflicts.list("processes", of(|side| &side.processes), Clone::clone),
        extra: conflicts.table("", &base.extra, &theirs.extra, &mine.extra),
    };
    if conflicts.0.is_empty() { Ok(merged) } else { Err(conflicts.0) }
}

/// Every place where `after` differs from `before`, in order. The order within lists and the number of the next
/// guideline are not looked at.
pub fn differences(before: &Configuration, after: &Configuration) -> Vec<Difference> {
    let (before, mut after) = (places(before), places(after));
    let mut found = Vec::new();
    for (path, value) in before {
        let now = after.remove(&path);
        if now.as_ref() != Some(&value) {
            found.push(Difference { path, before: Some(value), after: now });
        }
    }
    found.extend(after.into_iter().map(|(path, value)| Difference { path, before: None, after: Some(value) }));
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// A configuration as places with values.
fn places(configuration: &Configuration) -> BTreeMap<String, Value> {
    let Configuration { instruction, contexts, tools, model, parameters, guards, processes, extra } = configuration;
    let mut places = BTreeMap::new();
    if !instruction.text.is_empty() {
        places.insert("instruction.text".to_owned(), instruction.text.clone().into());
    }
    for Guideline { number, text } in &instruction.guidelines {
        places.insert(format!("instruction.guidelines[{number}]"), text.clone().into());
    }
    for (list, names) in [("contexts", contexts), ("processes", processes)] {
        places.extend(names.iter().map(|name| (format!("{list}[{name}]"), Value::Bool(true))));
    }
    for tool in tools {
        let kind = if tool.required { "required" } else { "optional" };
        places.insert(format!("tools[{}]", tool.name), kind.into());
    }
    places.extend(model.iter().map(|model| ("model".to_owned(), model.clone().into())));
    for guard in guards {
        places.insert(format!("guards[{}]", guard.name), json(guard));
    }
    for (name, value) in parameters {
        leaves(format!("parameters.{name}"), value, &mut places);
    }
    for (name, value) in extra {
        leaves(name.clone(), value, &mut places);
    }
    places
}

fn leaves(path: String, value: &Value, places: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                leaves(format!("{path}.{name}"), value, places);
            }
        }
        leaf => {
            places.insert(path, leaf.clone());
        }
    }
}

/// The same part of the three.
#[derive(Clone, Copy)]
struct Sides<'a, T> {
    base: &'a T,
    theirs: &'a T,
    mine: &'a T,
}

impl<'a, T: PartialEq> Sides<'a, T> {
    /// The side that holds where at most one of them changed something.
    fn plain(&self) -> Option<&'a T> {
        if self.base == self.theirs || self.theirs == self.mine {
            Some(self.mine)
        } else if self.base == self.mine {
            Some(self.theirs)
        } else {
            None
        }
    }
}

/// What could not be merged so far.
#[derive(Default)]
struct Conflicts(Vec<Conflict>);

impl Conflicts {
    /// One value that is there or not. What is given back for a conflict is never used.
    fn one<T: PartialEq + Clone + Serialize>(
        &mut self,
        path: &str,
        base: Option<&T>,
        theirs: Option<&T>,
        mine: Option<&T>,
    ) -> Option<T> {
        if let Some(plain) = (Sides { base: &base, theirs: &theirs, mine: &mine }).plain() {
            return plain.cloned();
        }
        let [base, theirs, mine] = [base, theirs, mine].map(|side| side.map(json));
        self.0.push(Conflict { path: path.to_owned(), base, theirs, mine });
        None
    }

    /// A list of things with names. Where both sides changed it, what only `theirs` has comes last.
    fn list<T: PartialEq + Clone + Serialize>(
        &mut self,
        path: &str,
        sides: Sides<'_, Vec<T>>,
        name: impl Fn(&T) -> String,
    ) -> Vec<T> {
        if let Some(plain) = sides.plain() {
            return plain.clone();
        }
        let find = |list: &'_ [T], wanted: &str| list.iter().position(|item| name(item) == wanted);
        let mut seen = BTreeSet::new();
        let mut merged = Vec::new();
        for item in sides.mine.iter().chain(sides.theirs).chain(sides.base) {
            let name = name(item);
            if seen.insert(name.clone()) {
                let [base, theirs, mine] = [sides.base, sides.theirs, sides.mine]
                    .map(|side| find(side, &name).and_then(|place| side.get(place)));
                merged.extend(self.one(&format!("{path}[{name}]"), base, theirs, mine));
            }
        }
        merged
    }

    /// Values by key; objects within are merged by key again.
    fn table(
        &mut self,
        path: &str,
        base: &BTreeMap<String, Value>,
        theirs: &BTreeMap<String, Value>,
        mine: &BTreeMap<String, Value>,
    ) -> BTreeMap<String, Value> {
        let keys: BTreeSet<&String> = base.keys().chain(theirs.keys()).chain(mine.keys()).collect();
        let mut merged = BTreeMap::new();
        for key in keys {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let value = self.value(&path, base.get(key), theirs.get(key), mine.get(key));
            merged.extend(value.map(|value| (key.clone(), value)));
        }
        merged
    }

    fn value(
        &mut self,
        path: &str,
        base: Option<&Value>,
        theirs: Option<&Value>,
        mine: Option<&Value>,
    ) -> Option<Value> {
        let (Some(Value::Object(theirs)), Some(Value::Object(mine))) = (theirs, mine) else {
            return self.one(path, base, theirs, mine);
        };
        let nothing = Map::new();
        let base = base.and_then(Value::as_object).unwrap_or(&nothing);
        let keys: BTreeSet<&String> = base.keys().chain(theirs.keys()).chain(mine.keys()).collect();
        let mut merged = Map::new();
        for key in keys {
            let value = self.value(&format!("{path}.{key}"), base.get(key), theirs.get(key), mine.get(key));
            merged.extend(value.map(|value| (key.clone(), value)));
        }
        Some(Value::Object(merged))
    }

    fn instruction(&mut self, base: &Instruction, theirs: &Instruction, mine: &Instruction) -> Instruction {
        let text = self.one("instruction.text", Some(&base.text), Some(&theirs.text), Some(&mine.text));
        let guidelines = self.guidelines(base, theirs, mine);
        // The counter goes up only, so that no number is used twice. A file without one leaves it to what is in place.
        let next_guideline = theirs.next_guideline.max(mine.next_guideline);
        let used = guidelines.iter().map(|guideline| guideline.number.saturating_add(1)).max().unwrap_or(0);
        let next_guideline = if next_guideline == 0 { 0 } else { next_guideline.max(used) };
        Instruction { text: text.unwrap_or_default(), guidelines, next_guideline }
    }

    fn guidelines(&mut self, base: &Instruction, theirs: &Instruction, mine: &Instruction) -> Vec<Guideline> {
        let sides = Sides { base: &base.guidelines, theirs: &theirs.guidelines, mine: &mine.guidelines };
        if let Some(plain) = sides.plain() {
            return plain.clone();
        }
        let text = |side: &'_ [Guideline], number: u32| {
            side.iter().find(|guideline| guideline.number == number).map(|guideline| guideline.text.clone())
        };
        let mut merged: Vec<Guideline> = Vec::new();
        for &Guideline { number, .. } in sides.base {
            let [base, theirs, mine] = [sides.base, sides.theirs, sides.mine].map(|side| text(side, number));
            let path = format!("instruction.guidelines[{number}]");
            let kept = self.one(&path, base.as_ref(), theirs.as_ref(), mine.as_ref());
            merged.extend(kept.map(|text| Guideline { number, text }));
        }
        let is_new = |guideline: &&Guideline| text(sides.base, guideline.number).is_none();
        merged.extend(sides.theirs.iter().filter(is_new).cloned());
        let after = |side: &[Guideline]| side.iter().map(|guideline| guideline.number.saturating_add(1)).max();
        let mut free = after(sides.base).max(after(sides.theirs)).unwrap_or(1).max(theirs.next_guideline);
        for added in sides.mine.iter().filter(is_new) {
            if merged.iter().any(|known| known.text == added.text) {
                continue;
            }
            let number = added.number.max(free);
            free = number.saturating_add(1);
            merged.push(Guideline { number, text: added.text.clone() });
        }
        merged
    }
}

/// As JSON, for showing. What JSON cannot express is shown as null.
fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Configuration {
        serde_json::from_value(value).unwrap()
    }

    fn told(numbered: &[(u32, &str)], next: u32) -> Value {
        let guidelines: Vec<Value> =
            numbered.iter().map(|(number, text)| json!({"number": number, "text": text})).collect();
        json!({"instruction": {"text": "Help.", "guidelines": guidelines, "next_guideline": next}})
    }

    /// Each row: what it is about, base, theirs, mine, and what comes out.
    fn check(table: &[(&str, Value, Value, Value, Value)]) {
        for (what, base, theirs, mine, expected) in table {
            let [base, theirs, mine] = [base, theirs, mine].map(|side| read(side.clone()));
            assert_eq!(merge(&base, &theirs, &mine), Ok(read(expected.clone())), "{what}");
        }
    }

    #[test]
    fn what_can_be_merged() {
        let tool = |name: &str, required: bool| json!({"name": name, "required": required});
        let table = [
            (
                "nothing changed",
                json!({"model": "a"}),
                json!({"model": "a"}),
                json!({"model": "a"}),
                json!({"model": "a"}),
            ),
            (
                "mine changed",
                json!({"model": "a"}),
                json!({"model": "a"}),
                json!({"model": "b"}),
                json!({"model": "b"}),
            ),
            (
                "theirs changed",
                json!({"model": "a"}),
                json!({"model": "b"}),
                json!({"model": "a"}),
                json!({"model": "b"}),
            ),
            (
                "both to the same",
                json!({"model": "a"}),
                json!({"model": "b"}),
                json!({"model": "b"}),
                json!({"model": "b"}),
            ),
            ("mine took it away", json!({"model": "a"}), json!({"model": "a"}), json!({}), json!({})),
            ("theirs took it away", json!({"model": "a"}), json!({}), json!({"model": "a"}), json!({})),
            (
                "different parameters",
                json!({"parameters": {"timeout_ms": 1000, "retries": 1}}),
                json!({"parameters": {"timeout_ms": 3000, "retries": 1}}),
                json!({"parameters": {"timeout_ms": 1000, "retries": 1, "cache": true}}),
                json!({"parameters": {"timeout_ms": 3000, "retries": 1, "cache": true}}),
            ),
            (
                "contexts: one taken out, one put in; the file's order",
                json!({"contexts": ["handbook", "faq"]}),
                json!({"contexts": ["handbook"]}),
                json!({"contexts": ["prices", "handbook", "faq"]}),
                json!({"contexts": ["prices", "handbook"]}),
            ),
            (
                "tools: required here, added there",
                json!({"tools": [tool("search", true)]}),
                json!({"tools": [tool("search", false)]}),
                json!({"tools": [tool("search", true), tool("mail", false)]}),
                json!({"tools": [tool("search", false), tool("mail", false)]}),
            ),
            (
                "unknown keys, deep",
                json!({"graph": {"a": {"x": 1}, "b": 2}}),
                json!({"graph": {"a": {"x": 9}, "b": 2}}),
                json!({"graph": {"a": {"x": 1, "y": 3}}}),
                json!({"graph": {"a": {"x": 9, "y": 3}}}),
            ),
        ];
        check(&table);
    }

    #[test]
    fn instructions_that_can_be_merged() {
        let table = [
            (
                "texts on different sides",
                told(&[], 0),
                told(&[(1, "Cite.")], 2),
                json!({"instruction": {"text": "Help well."}}),
                json!({"instruction": {"text": "Help well.", "guidelines": [{"number": 1, "text": "Cite."}], "next_guideline": 2}}),
            ),
            (
                "both added guideline 2",
                told(&[(1, "Cite.")], 0),
                told(&[(1, "Cite."), (2, "Be brief.")], 3),
                told(&[(1, "Cite."), (2, "Be kind.")], 0),
                told(&[(1, "Cite."), (2, "Be brief."), (3, "Be kind.")], 4),
            ),
            (
                "both added the same guideline",
                told(&[(1, "Cite.")], 0),
                told(&[(1, "Cite."), (2, "Be brief.")], 3),
                told(&[(1, "Cite."), (2, "Be kind."), (3, "Be brief.")], 0),
                told(&[(1, "Cite."), (2, "Be brief."), (3, "Be kind.")], 4),
            ),
            (
                "a withdrawn number is not used again",
                told(&[(1, "Cite.")], 0),
                told(&[], 3),
                told(&[(1, "Cite."), (2, "Be kind.")], 0),
                told(&[(3, "Be kind.")], 4),
            ),
        ];
        check(&table);
    }

    #[test]
    fn what_conflicts_is_named_with_all_three_values() {
        let guard = |max: f64| {
            json!({"guards": [{"name": "g", "tool": "t", "target": "arguments",
                "check": {"check": "range", "field": "f", "min": 0.0, "max": max}}]})
        };
        let table = [
            (json!({"model": "a"}), json!({"model": "b"}), json!({"model": "c"}), "model"),
            (json!({"model": "a"}), json!({}), json!({"model": "c"}), "model"),
            (json!({}), json!({"parameters": {"x": 1}}), json!({"parameters": {"x": 2}}), "parameters.x"),
            (json!({"g": {"a": 1}}), json!({"g": {"a": 2}}), json!({"g": {"a": 3}}), "g.a"),
            (json!({"g": {"a": 1}}), json!({"g": 4}), json!({"g": {"a": 3}}), "g"),
            (told(&[(1, "A")], 0), told(&[(1, "B")], 0), told(&[(1, "C")], 0), "instruction.guidelines[1]"),
            (told(&[(1, "A")], 0), told(&[], 2), told(&[(1, "C")], 0), "instruction.guidelines[1]"),
            (guard(1.0), guard(2.0), guard(3.0), "guards[g]"),
            (
                json!({"instruction": {"text": "a"}}),
                json!({"instruction": {"text": "b"}}),
                json!({"instruction": {"text": "c"}}),
                "instruction.text",
            ),
        ];
        for (base, theirs, mine, path) in table {
            let conflicts = merge(&read(base), &read(theirs), &read(mine)).unwrap_err();
            assert_eq!(conflicts.len(), 1, "{conflicts:?}");
            assert_eq!(conflicts[0].path, path);
        }
        let conflicts =
            merge(&read(json!({"model": "a"})), &read(json!({})), &read(json!({"model": "c"}))).unwrap_err();
        let [conflict] = &conflicts[..] else { panic!("{conflicts:?}") };
        assert_eq!((&conflict.base, &conflict.theirs, &conflict.mine), (&Some(json!("a")), &None, &Some(json!("c"))));
    }

    #[test]
    fn merging_what_did_not_change_gives_the_file_byte_for_byte() {
        let base = read(json!({"contexts": ["b", "a"], "instruction": {"text": "x"}}));
        let mine = read(json!({"contexts": ["c", "b", "a"], "colour": [3, 1]}));
        assert_eq!(merge(&base, &base, &mine), Ok(mine.clone()));
        assert_eq!(merge(&base, &mine, &base), Ok(mine.clone()));
        assert_eq!(merge(&base, &mine, &mine), Ok(mine));
    }

    #[test]
    fn differences_say_where() {
        let before = read(json!({"contexts": ["a"], "parameters": {"x": 1, "y": {"z": 1}}, "model": "m"}));
        let after = read(json!({"contexts": ["b"], "parameters": {"x": 2, "y": {"z": 1}},
            "tools": [{"name": "t", "required": true}], "model": "m"}));
        let found: Vec<(String, Option<Value>, Option<Value>)> =
            differences(&before, &after).into_iter().map(|one| (one.path, one.before, one.after)).collect();
        assert_eq!(
            found,
            [
                ("contexts[a]".to_owned(), Some(json!(true)), None),
                ("contexts[b]".to_owned(), None, Some(json!(true))),
                ("parameters.x".to_owned(), Some(json!(1)), Some(json!(2))),
                ("tools[t]".to_owned(), None, Some(json!("required"))),
            ]
        );
        assert!(differences(&after, &after).is_empty());
    }
}
