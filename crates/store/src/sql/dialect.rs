//! SQLite's statements as PostgreSQL reads them.

/// Translates a statement: parameters `?` and `?1` become `$1`; `CROSS JOIN t ON`, by which SQLite keeps the order of
/// joins, becomes `JOIN t ON`; `INDEXED BY i`, by which it is held to an index, goes. Texts in quotes stay.
pub(crate) fn translate(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 16);
    let mut rest = sql;
    let mut largest = 0;
    while let Some(at) = rest.find(['\'', '?', 'C', 'I']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix('\'') {
            let end = after.find('\'').map_or(rest.len(), |end| end + 2);
            out.push_str(&rest[..end]);
            rest = &rest[end..];
        } else if let Some(after) = rest.strip_prefix('?') {
            let digits = after.len() - after.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
            let number = after[..digits].parse().unwrap_or(largest + 1);
            largest = largest.max(number);
            out.push('$');
            out.push_str(&number.to_string());
            rest = &after[digits..];
        } else if let Some(after) = rest.strip_prefix("CROSS JOIN ") {
            out.push_str("JOIN ");
            rest = after;
        } else if let Some(after) = rest.strip_prefix("INDEXED BY ") {
            rest = after.trim_start_matches(|of: char| of.is_ascii_alphanumeric() || of == '_');
        } else {
            let (first, after) = rest.split_at(1);
            out.push_str(first);
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_translated() {
        for (sqlite, postgres) in [
            ("SELECT 1", "SELECT 1"),
            ("SELECT ?1, ?2, ?1", "SELECT $1, $2, $1"),
            ("SELECT ? WHERE a > ?", "SELECT $1 WHERE a > $2"),
            ("SELECT ?2 LIMIT ?", "SELECT $2 LIMIT $3"),
            ("SELECT '?1 it''s ?' || ?12", "SELECT '?1 it''s ?' || $12"),
            ("FROM a CROSS JOIN b ON b.x = a.x", "FROM a JOIN b ON b.x = a.x"),
            ("FROM a INDEXED BY a_by_x WHERE x = ?", "FROM a  WHERE x = $1"),
            (
                "INSERT INTO Ci VALUES (?1) ON CONFLICT DO NOTHING",
                "INSERT INTO Ci VALUES ($1) ON CONFLICT DO NOTHING",
            ),
            ("SELECT 'open", "SELECT 'open"),
        ] {
            assert_eq!(translate(sqlite), postgres);
        }
    }
}
