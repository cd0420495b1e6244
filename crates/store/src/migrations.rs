//! The numbered migrations, the same for every engine: a migration's number is its place, from 1.

macro_rules! migrations {
    ($($name:literal),+ $(,)?) => {
        /// Name and text of every migration of SQLite, in order.
        pub(crate) const SQLITE: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../../migrations/sqlite/", $name, ".sql")))),+
        ];

        /// Name and text of every migration of PostgreSQL, in order.
        pub(crate) const POSTGRES: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../../migrations/postgres/", $name, ".sql")))),+
        ];
    };
}

migrations![
    "001_add_entity_framework",
    "002_add_event_system",
    "003_add_rolling_reviews",
    "004_add_process_framework",
    "005_add_optional_tools_and_agents",
    "006_add_improvement_history",
    "007_add_self_improvement_context",
    "008_add_trials",
    "009_add_spans",
    "010_add_retention",
    "011_add_nodes",
    "012_add_access",
    "013_add_requests",
    "014_add_notifications",
    "015_add_reading_orders",
];

/// The schema version this code writes.
pub(crate) const LATEST_VERSION: i64 = SQLITE.len() as i64;
