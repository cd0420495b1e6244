//! The edits that lead from one configuration to another.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::edit::{Edit, MODEL};
use crate::improvement::ImprovementType;
use crate::revision::Configuration;

/// A difference that no edit can express.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no edit can change {}: declare the configuration instead of trying it", .keys.join(", "))]
pub struct Inexpressible {
    /// What differs beyond the edits, as names of keys.
    pub keys: Vec<String>,
}

/// The edits that turn `base` into `target`, removals before additions. Guidelines are compared by their texts: their
/// numbers are given out anew. The order of contexts and tools is no difference.
///
/// # Errors
/// When they differ in keys that no edit knows.
pub fn between(base: &Configuration, target: &Configuration) -> Result<Vec<Edit>, Inexpressible> {
    let keys: Vec<String> = base
        .extra
        .keys()
        .chain(target.extra.keys())
        .filter(|key| base.extra.get(*key) != target.extra.get(*key))
        .map(|key| format!("`{key}`"))
        .collect();
    if !keys.is_empty() {
        let mut keys = keys;
        keys.dedup();
        return Err(Inexpressible { keys });
    }
    let mut edits = Vec::new();
    instruction(base, target, &mut edits);
    contexts(base, target, &mut edits);
    // A guard needs its tool: guards go before tools do, and come after they came.
    guards_removed(base, target, &mut edits);
    tools(base, target, &mut edits);
    guards_added(base, target, &mut edits);
    parameters(base, target, &mut edits);
    for name in base.processes.iter().filter(|name| !target.processes.contains(name)) {
        edits.push(Edit::DetachProcess { name: name.clone() });
    }
    for name in target.processes.iter().filter(|name| !base.processes.contains(name)) {
        edits.push(Edit::AttachProcess { name: name.clone() });
    }
    Ok(edits)
}

/// The type of improvement that may make all these edits; the first in the order of types where several may. What comes
/// with a guideline is not taken for performance tuning: a guideline is mostly about success, and who means it to save
/// time says so by naming the type.
pub fn type_of(edits: &[Edit]) -> Option<ImprovementType> {
    let guided = edits.iter().any(|edit| matches!(edit, Edit::AppendGuideline { .. }));
    let fits = |kind: ImprovementType| edits.iter().all(|edit| edit.allowed_for(kind));
    let kinds = ImprovementType::ALL.iter().copied();
    kinds.filter(|kind| !(guided && *kind == ImprovementType::PerformanceTuning)).find(|kind| fits(*kind))
}

fn instruction(base: &Configuration, target: &Configuration, edits: &mut Vec<Edit>) {
    if base.instruction.text != target.instruction.text {
        edits.push(Edit::ReplaceInstruction { text: target.instruction.text.clone() });
    }
    let mut wanted: Vec<&str> = target.instruction.guidelines.iter().map(|line| line.text.as_str()).collect();
    for line in &base.instruction.guidelines {
        match wanted.iter().position(|text| *text == line.text) {
            Some(place) => drop(wanted.remove(place)),
            None => edits.push(Edit::WithdrawGuideline { number: line.number }),
        }
    }
    edits.extend(wanted.into_iter().map(|text| Edit::AppendGuideline { text: text.to_owned() }));
}

fn contexts(base: &Configuration, target: &Configuration, edits: &mut Vec<Edit>) {
    for name in base.contexts.iter().filter(|name| !target.contexts.contains(name)) {
        edits.push(Edit::RemoveContext { name: name.clone() });
    }
    for name in target.contexts.iter().filter(|name| !base.contexts.contains(name)) {
        edits.push(Edit::AddContext { name: name.clone() });
    }
}

fn tools(base: &Configuration, target: &Configuration, edits: &mut Vec<Edit>) {
    for tool in &base.tools {
        match target.tools.iter().find(|other| other.name == tool.name) {
            None => {
                if tool.required {
                    edits.push(Edit::MakeToolOptional { name: tool.name.clone() });
                }
                edits.push(Edit::UnassignTool { name: tool.name.clone() });
            }
            Some(other) if other.required && !tool.required => {
                edits.push(Edit::MakeToolRequired { name: tool.name.clone() });
            }
            Some(other) if !other.required && tool.required => {
                edits.push(Edit::MakeToolOptional { name: tool.name.clone() });
            }
            Some(_) => {}
        }
    }
    for tool in target.tools.iter().filter(|tool| !base.tools.iter().any(|other| other.name == tool.name)) {
        edits.push(Edit::AssignTool { name: tool.name.clone(), required: tool.required });
    }
}

fn guards_removed(base: &Configuration, target: &Configuration, edits: &mut Vec<Edit>) {
    for guard in base.guards.iter().filter(|guard| !target.guards.contains(guard)) {
        edits.push(Edit::RemoveGuard { name: guard.name.clone() });
    }
}

fn guards_added(base: &Configuration, target: &Configuration, edits: &mut Vec<Edit>) {
    for guard in target.guards.iter().filter(|guard| !base.guards.contains(guard)) {
        edits.push(Edit::AddGuard { guard: guard.clone() });
    }
}

fn parameters(base: &Configuration, target: &Configuration, edits: &mut Vec<Edit>) {
    let all = |of: &Configuration| -> BTreeMap<String, Value> {
        let model = of.model.iter().map(|model| (MODEL.to_owned(), Value::from(model.clone())));
        of.parameters.clone().into_iter().chain(model).collect()
    };
    let (before, after) = (all(base), all(target));
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        edits.push(Edit::SetParameter { name: name.clone(), value: Value::Null });
    }
    for (name, value) in after.iter().filter(|(name, value)| before.get(*name) != Some(value)) {
        edits.push(Edit::SetParameter { name: name.clone(), value: value.clone() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edit::apply;
    use crate::revision::Revision;

    fn read(text: &str) -> Configuration {
        serde_json::from_str(text).unwrap()
    }

    const BASE: &str = r#"{"instruction":{"text":"Help.","guidelines":[{"number":1,"text":"Be brief."}]},
        "contexts":["handbook"],"tools":[{"name":"search","required":true},{"name":"book"}],"model":"small",
        "guards":[{"name":"g","tool":"book","target":"arguments","check":{"check":"required","field":"day"}}],
        "parameters":{"timeout_ms":1000,"retries":1},"processes":["triage"]}"#;

    #[test]
    fn applying_the_edits_gives_the_target() {
        let targets = [
            r#"{"instruction":{"text":"Help well."},"model":"large"}"#,
            r#"{"instruction":{"text":"Help.","guidelines":[{"number":1,"text":"Be brief."}]},"contexts":["handbook","faq"],
                "tools":[{"name":"search"},{"name":"book","required":true},{"name":"mail"}],"parameters":{"retries":2},
                "guards":[{"name":"g","tool":"mail","target":"arguments","check":{"check":"required","field":"to"}}]}"#,
            r#"{"instruction":{"text":"Help."}}"#,
        ];
        let base = Revision::seal(read(BASE)).unwrap();
        for target in targets {
            let target = read(target);
            let edits = between(base.configuration(), &target).unwrap();
            let got = apply(&base, &edits).unwrap_or_else(|error| panic!("{error}: {edits:?}"));
            let (got, target) = (got.configuration(), &target);
            assert_eq!(got.model, target.model);
            assert_eq!(got.parameters, target.parameters);
            assert_eq!(got.tools, target.tools);
            assert_eq!(got.guards, target.guards);
            assert_eq!((&got.contexts, &got.processes), (&target.contexts, &target.processes));
            assert!(between(got, target).unwrap().is_empty());
        }
    }

    #[test]
    fn what_no_edit_can_change_is_named() {
        let error = between(&read("{}"), &read(r#"{"graph":{"nodes":1}}"#)).unwrap_err();
        assert_eq!(error.to_string(), "no edit can change `graph`: declare the configuration instead of trying it");
    }

    #[test]
    fn the_type_follows_from_the_edits() {
        let edits = |target: &str| between(&read(BASE), &read(target)).unwrap();
        let longer = BASE.replace("1000", "2000");
        assert_eq!(type_of(&edits(&longer)), Some(ImprovementType::PerformanceTuning));
        assert_eq!(type_of(&edits("{}")), None);
        let guideline = Edit::AppendGuideline { text: "Be brief.".to_owned() };
        assert_eq!(type_of(std::slice::from_ref(&guideline)), Some(ImprovementType::InstructionUpdate));
        assert_eq!(type_of(&[edits(&longer), vec![guideline]].concat()), None);
    }
}
