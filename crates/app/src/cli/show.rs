//! What the looking commands share: picking from the API's JSON, lists, and commands that lead on.

use std::process::ExitCode;

use serde_json::Value;

use super::block_on;
use crate::api::{self, Endpoint};
use crate::text::{Style, Table, clean, count, print, print_json, put, short_time};
use crate::usage::DONE;

/// Stands where there is nothing to say.
const NOTHING: &str = "-";

/// A text at a place such as `impact/level`; what is null or missing is a dash.
pub(super) fn text(value: &Value, place: &str) -> String {
    match at(value, place) {
        Some(Value::String(text)) => clean(text),
        Some(Value::Null) | None => NOTHING.to_owned(),
        Some(other) => clean(&other.to_string()),
    }
}

/// A text as it is, for further questions; never to be printed.
pub(super) fn raw<'a>(value: &'a Value, place: &str) -> Option<&'a str> {
    at(value, place)?.as_str()
}

/// A whole number.
pub(super) fn whole(value: &Value, place: &str) -> i64 {
    at(value, place).and_then(Value::as_i64).unwrap_or(0)
}

/// A number, if there is one.
pub(super) fn number(value: &Value, place: &str) -> Option<f64> {
    at(value, place)?.as_f64()
}

/// A number in the words of `show`, or a dash.
pub(super) fn numeric(value: &Value, place: &str, show: impl Fn(f64) -> String) -> String {
    number(value, place).map_or_else(|| NOTHING.to_owned(), show)
}

/// A whole number with groups of digits.
pub(super) fn counted(value: &Value, place: &str) -> String {
    count(whole(value, place))
}

/// A time to the second.
pub(super) fn time(value: &Value, place: &str) -> String {
    raw(value, place).map_or_else(|| NOTHING.to_owned(), |time| short_time(&clean(time)))
}

/// The items of a list.
pub(super) fn items<'a>(value: &'a Value, place: &str) -> &'a [Value] {
    at(value, place).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn at<'a>(value: &'a Value, place: &str) -> Option<&'a Value> {
    if place.is_empty() { Some(value) } else { place.split('/').try_fold(value, |value, part| value.get(part)) }
}

/// `agent/support`: the name of an entity with its type.
pub(super) fn entity(value: &Value) -> String {
    format!("{}/{}", text(value, "entity_type"), text(value, "entity_name"))
}

/// Asks for `path` and shows the answer, as JSON or in the words of `show`.
pub(super) fn ask(
    look: &api::Args,
    path: &Endpoint,
    show: impl FnOnce(&Value, Style) -> String,
) -> anyhow::Result<ExitCode> {
    let answer = block_on(async { look.reading().await?.get(path).await })?;
    tell(look, &answer, show)
}

/// Shows an answer, as JSON or in the words of `show`.
pub(super) fn tell(
    look: &api::Args,
    answer: &Value,
    show: impl FnOnce(&Value, Style) -> String,
) -> anyhow::Result<ExitCode> {
    if look.json {
        print_json(answer)?;
    } else {
        print(&show(answer, Style::of_stdout()))?;
    }
    Ok(ExitCode::from(DONE))
}

/// A page of a list as a table, with a word where it is empty or goes on.
pub(super) fn page(page: &Value, style: Style, table: &Table, empty: &str) -> String {
    if table.is_empty() {
        return format!("{empty}\n");
    }
    let more = match raw(page, "next") {
        Some(_) => format!("{}\n", style.dim("… and more: raise --limit, or narrow the list down")),
        None => String::new(),
    };
    table.render(style) + &more
}

/// Lines of `name  value`, aligned and indented.
pub(super) fn facts<'a>(lines: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let lines: Vec<_> = lines.into_iter().collect();
    let widest = lines.iter().map(|(name, _)| crate::text::width(name)).max().unwrap_or(0);
    let mut shown = String::new();
    for (name, value) in &lines {
        put!(&mut shown, "  {name:widest$}  {value}\n");
    }
    shown
}

/// A command that leads on: with the arguments quoted, and asking the same database. None where an argument holds
/// something that no terminal should be given to paste.
pub(super) fn command(look: &api::Args, words: &[&str]) -> Option<String> {
    let place = match (&look.server, &look.database.database) {
        (Some(server), _) => format!(" --server {}", quote(server)?),
        (None, Some(path)) => format!(" --database {}", quote(path.to_str()?)?),
        (None, None) => String::new(),
    };
    // An id that begins with a dash would be read as an option: it comes last, behind two of them.
    let shielded =
        words.iter().skip(2).any(|id| id.starts_with('-')) && !words.iter().any(|word| word.starts_with("--"));
    let (before, ids) = words.split_at(if shielded { 2 } else { words.len() });
    let mut line = String::from("uplift");
    for word in before {
        put!(&mut line, " {}", quote(word)?);
    }
    line.push_str(&place);
    if shielded {
        line.push_str(" --");
        for id in ids {
            put!(&mut line, " {}", quote(id)?);
        }
    }
    Some(line)
}

/// A word as shells take it.
fn quote(word: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,#".contains(c);
    if clean(word) != word || word.is_empty() {
        None
    } else if word.chars().all(plain) && !word.starts_with('#') {
        Some(word.to_owned())
    } else {
        Some(format!("'{}'", word.replace('\'', r"'\''")))
    }
}

/// `TYPE/NAME` as an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EntityArgument {
    /// `agent`, `tool`, `context` or `process`.
    pub(super) entity_type: String,
    /// Its name, or its number.
    pub(super) entity: String,
}

impl std::str::FromStr for EntityArgument {
    type Err = String;

    fn from_str(argument: &str) -> Result<Self, Self::Err> {
        // Names may hold slashes, types do not; a bare name is an agent's.
        match argument.split_once('/') {
            Some((kind, name)) if !name.is_empty() && kind.parse::<uplift_model::EntityType>().is_ok() => {
                Ok(Self { entity_type: kind.to_owned(), entity: name.to_owned() })
            }
            _ if argument.is_empty() || argument.ends_with('/') => {
                Err("name an entity as TYPE/NAME, such as agent/support".to_owned())
            }
            _ => Ok(Self { entity_type: "agent".to_owned(), entity: argument.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_picked_and_cleaned() {
        let value = json!({"a": {"b": "x\u{1b}[2Jy"}, "n": 1234, "t": "2026-01-05T10:00:00.5Z", "none": null});
        assert_eq!(text(&value, "a/b"), "xy");
        assert_eq!(
            (counted(&value, "n"), text(&value, "none"), text(&value, "a/c/d")),
            ("1,234".into(), "-".into(), "-".into())
        );
        assert_eq!(time(&value, "t"), "2026-01-05 10:00:00");
    }

    #[test]
    fn commands_to_paste_cannot_do_anything_else() {
        let look = api::Args::default();
        assert_eq!(command(&look, &["tasks", "show", "a/b:0"]).unwrap(), "uplift tasks show a/b:0");
        assert_eq!(command(&look, &["tasks", "$(rm -r ~)"]).unwrap(), "uplift tasks '$(rm -r ~)'");
        assert_eq!(command(&look, &["it's"]).unwrap(), r"uplift 'it'\''s'");
        assert_eq!(command(&look, &["two\nlines"]), None);
        let there = api::Args { server: Some("http://localhost:1".into()), ..api::Args::default() };
        let dashed = command(&there, &["events", "show", "-24", "e"]).unwrap();
        assert_eq!(dashed, "uplift events show --server http://localhost:1 -- -24 e");
    }

    #[test]
    fn entities_are_named_by_type_and_name() {
        for (argument, expected) in [
            ("tool/search", Some(("tool", "search"))),
            ("agent/team/writer", Some(("agent", "team/writer"))),
            ("support", Some(("agent", "support"))),
            ("team/writer", Some(("agent", "team/writer"))),
            ("agent/", None),
            ("", None),
        ] {
            let parsed = argument.parse::<EntityArgument>().ok();
            let parsed = parsed.as_ref().map(|entity| (entity.entity_type.as_str(), entity.entity.as_str()));
            assert_eq!(parsed, expected, "{argument}");
        }
    }
}
