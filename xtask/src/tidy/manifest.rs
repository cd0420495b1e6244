//! The dependencies a Cargo.toml declares: as much of TOML as that takes.

/// One dependency of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dependency {
    /// From 1.
    pub(super) line: usize,
    /// The package's name, even where the manifest renames it.
    pub(super) package: String,
}

/// Normal, dev and build dependencies, those of single platforms included.
pub(super) fn dependencies(text: &str) -> Vec<Dependency> {
    let mut found = Vec::new();
    let mut inside = false;
    for (at, line) in text.lines().enumerate() {
        let line_number = at + 1;
        let line = line.split('#').next().unwrap_or_default().trim();
        if let Some(table) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = is_list(table);
            if let Some((list, name)) = table.rsplit_once('.')
                && is_list(list)
            {
                found.push(Dependency { line: line_number, package: unquote(name).to_owned() });
            }
        } else if inside && let Some(key) = line.split(['=', '.']).next().filter(|_| line.contains('=')) {
            let package = renamed(line).unwrap_or_else(|| unquote(key));
            found.push(Dependency { line: line_number, package: package.to_owned() });
        } else if let Some(name) = line.strip_prefix("package").and_then(|_| renamed(line))
            && let Some(last) = found.last_mut()
        {
            // `package = "…"` in a table of its own names what the line of the table renamed.
            name.clone_into(&mut last.package);
        }
    }
    found
}

fn is_list(table: &str) -> bool {
    matches!(table.rsplit('.').next(), Some("dependencies" | "dev-dependencies" | "build-dependencies"))
        && !table.starts_with("workspace")
}

/// The name after `package =`.
fn renamed(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("package")?;
    let value = rest.trim_start().strip_prefix('=')?.trim_start().strip_prefix('"')?;
    value.split('"').next()
}

fn unquote(name: &str) -> &str {
    name.trim().trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_declare_a_dependency() {
        let text = "[package]\nname = \"x\"\n\n[dependencies]\na.workspace = true\nb = \"1\" # why\n\
                    c = { package = \"d\", version = \"1\" }\n\n[dev-dependencies.e]\nversion = \"1\"\n\n\
                    [target.'cfg(unix)'.dependencies]\nf = \"1\"\n\n[build-dependencies]\n\"g\" = \"1\"\n\n[features]\nh = []\n";
        let names: Vec<(usize, String)> =
            dependencies(text).into_iter().map(|dependency| (dependency.line, dependency.package)).collect();
        let expected = [(5, "a"), (6, "b"), (7, "d"), (9, "e"), (13, "f"), (16, "g")];
        assert_eq!(names, expected.map(|(line, name)| (line, name.to_owned())));
    }

    #[test]
    fn the_workspace_table_is_not_a_dependency() {
        assert!(dependencies("[workspace.dependencies]\na = \"1\"\n").is_empty());
    }

    #[test]
    fn a_renamed_table_keeps_its_package() {
        let found = dependencies("[dependencies.a]\npackage = \"b\"\nversion = \"1\"\n");
        assert_eq!(found, [Dependency { line: 1, package: "b".into() }]);
    }
}
