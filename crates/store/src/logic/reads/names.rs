//! Hints for names that nobody has: what else could be meant.

use crate::sql::Connection;
use uplift_model::EntityType;

use super::list;
use crate::logic::fault::Fault;

/// Most names in a hint.
const SHOWN: usize = 5;
/// Most names that are compared.
const COMPARED: i64 = 10_000;

/// Says which entities of this type have similar names; empty where none has.
pub(super) fn hint(
    connection: &Connection,
    kind: EntityType,
    environment: Option<&str>,
    wanted: &str,
) -> Result<String, Fault> {
    let sql = "SELECT DISTINCT name FROM entities
        WHERE entity_type = ?1 AND (CAST(?2 AS text) IS NULL OR environment = ?2) ORDER BY name LIMIT ?3";
    let names: Vec<String> =
        list::all(connection, "an entity", sql, (kind.as_str(), environment, COMPARED), |row| Ok(row.get(0)?))?;
    let similar = similar(&names, wanted);
    if similar.is_empty() {
        return Ok(String::new());
    }
    let listed = similar.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    Ok(format!("; similar: {listed}"))
}

/// The names nearest to `wanted`, nearest first.
fn similar<'n>(names: &'n [String], wanted: &str) -> Vec<&'n str> {
    let wanted = wanted.to_lowercase();
    let mut ranked: Vec<(usize, &str)> =
        names.iter().filter_map(|name| Some((distance(&name.to_lowercase(), &wanted)?, name.as_str()))).collect();
    ranked.sort_unstable();
    ranked.into_iter().take(SHOWN).map(|(_, name)| name).collect()
}

/// How far a name is from the one that is wanted: nothing where it is another name altogether.
fn distance(name: &str, wanted: &str) -> Option<usize> {
    if wanted.is_empty() {
        return None;
    }
    if name.starts_with(wanted) || wanted.starts_with(name) {
        return Some(0);
    }
    if name.contains(wanted) || wanted.contains(name) {
        return Some(1);
    }
    let edits = edits(name, wanted);
    (edits <= (wanted.chars().count() / 3).max(1)).then_some(1 + edits)
}

/// Letters to change, add or take away to get from one text to the other.
fn edits(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (place, wanted) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *wanted);
            diagonal = row[place + 1];
            row[place + 1] = changed.min(diagonal + 1).min(row[place] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_counted() {
        for (one, other, count) in [("", "abc", 3), ("kitten", "sitting", 3), ("same", "same", 0), ("ab", "ba", 2)] {
            assert_eq!(edits(one, other), count, "{one} {other}");
            assert_eq!(edits(other, one), count, "{other} {one}");
        }
    }

    #[test]
    fn the_nearest_come_first_and_strangers_not_at_all() {
        let names = ["researcher", "research-lead", "Planner", "reseacher", "coder"].map(String::from);
        assert_eq!(similar(&names, "researcher"), ["researcher", "reseacher"]);
        assert_eq!(similar(&names, "research"), ["research-lead", "researcher"]);
        assert_eq!(similar(&names, "planer"), ["Planner"]);
        assert!(similar(&names, "").is_empty());
    }
}
