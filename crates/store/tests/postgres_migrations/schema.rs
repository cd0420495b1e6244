//! What the schemas consist of, by name.

use std::collections::BTreeSet;

use crate::pair::{Pair, Row};

/// Columns that are JSON to PostgreSQL: statements look into them. All other JSON is text with a check.
const JSON: &[(&str, &str)] = &[("entities", "improvement_config"), ("trials", "trial")];

/// Names of tables, views and triggers, each trigger with its table.
const OBJECTS_HERE: &str = "SELECT type, name, CASE type WHEN 'trigger' THEN tbl_name ELSE '' END FROM sqlite_schema
    WHERE type <> 'index' AND name NOT LIKE 'sqlite_%'";
const OBJECTS_THERE: &str = "SELECT CASE relkind WHEN 'r' THEN 'table' ELSE 'view' END, CAST(relname AS text), ''
    FROM pg_class WHERE relnamespace = CAST(current_schema() AS regnamespace) AND relkind IN ('r', 'v', 'm', 'p')
    UNION ALL
    SELECT 'trigger', CAST(tgname AS text), CAST(relname AS text) FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = tgrelid
    WHERE relnamespace = CAST(current_schema() AS regnamespace) AND NOT tgisinternal";

/// Columns of tables: type, whether something must stand there, default, place in the primary key, collation.
const COLUMNS_HERE: &str = "SELECT m.name, i.cid, i.name,
        CASE i.type WHEN 'INTEGER' THEN 'bigint' WHEN 'REAL' THEN 'double precision' WHEN 'BLOB' THEN 'bytea'
            ELSE lower(i.type) END,
        i.\"notnull\" OR i.pk > 0, coalesce(i.dflt_value, ''), i.pk
    FROM sqlite_schema AS m JOIN pragma_table_info(m.name) AS i
    WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'";
const COLUMNS_THERE: &str = "SELECT CAST(c.relname AS text),
        row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum) - 1, CAST(a.attname AS text),
        CASE WHEN l.collname <> 'C' THEN 'text of another order' ELSE format_type(a.atttypid, a.atttypmod) END,
        CAST(CAST(a.attnotnull AS int) AS bigint),
        coalesce(regexp_replace(pg_get_expr(d.adbin, d.adrelid), '::[a-z ]+$', ''), ''),
        coalesce(CAST(array_position(CAST(k.indkey AS int2[]), a.attnum) AS bigint) + 1, 0)
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
    LEFT JOIN pg_index AS k ON k.indrelid = c.oid AND k.indisprimary
    LEFT JOIN pg_collation AS l ON l.oid = a.attcollation
    WHERE c.relnamespace = CAST(current_schema() AS regnamespace) AND c.relkind = 'r'";

/// Indexes with their columns, primary keys aside: whether an entry stands once, and whether rows are left out. What
/// UNIQUE makes has no name of ours.
const INDEXES_HERE: &str = "SELECT m.name, CASE l.origin WHEN 'c' THEN l.name ELSE '' END, l.\"unique\", l.partial,
        (SELECT group_concat(coalesce(i.name, 'expression'), ' ' ORDER BY i.seqno) FROM pragma_index_info(l.name) AS i)
    FROM sqlite_schema AS m JOIN pragma_index_list(m.name) AS l
    WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND l.origin <> 'pk'";
const INDEXES_THERE: &str =
    "SELECT CAST(c.relname AS text), CASE WHEN o.oid IS NULL THEN CAST(x.relname AS text) ELSE '' END,
        CAST(CAST(i.indisunique AS int) AS bigint), CAST(CAST(i.indpred IS NOT NULL AS int) AS bigint),
        (SELECT string_agg(coalesce(a.attname, 'expression'), ' ' ORDER BY k.at)
            FROM unnest(i.indkey) WITH ORDINALITY AS k (number, at)
            LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.number AND k.number > 0)
    FROM pg_class AS c JOIN pg_index AS i ON i.indrelid = c.oid JOIN pg_class AS x ON x.oid = i.indexrelid
    LEFT JOIN pg_constraint AS o ON o.conindid = x.oid AND o.contype = 'u'
    WHERE c.relnamespace = CAST(current_schema() AS regnamespace) AND c.relkind = 'r' AND NOT i.indisprimary";

/// References, column by column.
const REFERENCES_HERE: &str = "SELECT m.name, f.\"from\", f.\"table\", f.\"to\"
    FROM sqlite_schema AS m JOIN pragma_foreign_key_list(m.name) AS f WHERE m.type = 'table'";
const REFERENCES_THERE: &str = "SELECT CAST(c.relname AS text), CAST(a.attname AS text), CAST(r.relname AS text),
        CAST(b.attname AS text)
    FROM pg_constraint AS o JOIN pg_class AS c ON c.oid = o.conrelid JOIN pg_class AS r ON r.oid = o.confrelid
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = ANY (o.conkey)
    JOIN pg_attribute AS b ON b.attrelid = r.oid AND b.attnum = ANY (o.confkey)
    WHERE o.contype = 'f' AND c.relnamespace = CAST(current_schema() AS regnamespace)";

#[test]
fn both_schemas_consist_of_the_same() {
    let Some(pair) = Pair::current() else { return };
    for (what, here, there) in [
        ("objects", OBJECTS_HERE, OBJECTS_THERE),
        ("columns", COLUMNS_HERE, COLUMNS_THERE),
        ("indexes", INDEXES_HERE, INDEXES_THERE),
        ("references", REFERENCES_HERE, REFERENCES_THERE),
    ] {
        let here: BTreeSet<Row> = pair.rows_of_sqlite(here, |_| false).1.into_iter().map(as_json).collect();
        let there: BTreeSet<Row> = pair.rows_of_server(there).1.into_iter().collect();
        assert!(here.len() > 10, "{what}: {here:?}");
        let missing: Vec<_> = here.difference(&there).collect();
        let extra: Vec<_> = there.difference(&here).collect();
        assert!(
            missing.is_empty() && extra.is_empty(),
            "{what}: only SQLite {missing:#?}, only PostgreSQL {extra:#?}"
        );
    }
}

#[test]
fn columns_of_views_are_in_the_same_order() {
    let Some(pair) = Pair::current() else { return };
    for name in [pair.named("view"), pair.named("table")].concat() {
        let [(here, _), (there, _)] = pair.rows(&format!("SELECT * FROM {name} WHERE 1 = 0"));
        assert_eq!(here, there, "{name}");
    }
}

/// The columns that are JSON on the other side.
fn as_json(mut row: Row) -> Row {
    let is_json =
        |(table, column): &(&str, &str)| row[0] == format!("text {table}") && row[2] == format!("text {column}");
    if row.len() == 7 && JSON.iter().any(is_json) {
        "text json".clone_into(&mut row[3]);
    }
    row
}
