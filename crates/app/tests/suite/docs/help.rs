//! Whether the binary knows a command that a page names, and its flags.

use std::collections::HashMap;

use crate::support::{run, uplift};

/// What the binary says of its commands, each asked once.
#[derive(Default)]
pub struct Help {
    said: HashMap<Vec<String>, Option<String>>,
}

impl Help {
    /// All commands that it lists.
    pub fn commands(&mut self) -> Vec<String> {
        let mut all = subcommands(self.of(&[]).expect("it has help"));
        all.retain(|name| name != "help");
        all
    }

    /// Checks a line such as `uplift token create NAME --role admin`, in which a word may be several: `create|list`.
    pub fn check(&mut self, line: &str) -> Result<(), String> {
        let words = line.split_whitespace().skip_while(|word| *word != "uplift").skip(1);
        let words: Vec<&str> = words.skip_while(|word| *word == "help").collect();
        let mut path: Vec<String> = Vec::new();
        for word in &words {
            let Some(text) = self.of(&path) else { return Err(format!("there is no command `{}`", path.join(" "))) };
            let known = subcommands(text);
            let names = |word: &str| word.starts_with(|first: char| first.is_ascii_lowercase());
            if known.is_empty() || !word.split('|').all(names) {
                break;
            }
            for one in word.split('|') {
                let one = one.trim_end_matches([',', '.', ';']);
                let hidden = path.is_empty() && self.of(&[one.to_owned()]).is_some();
                if !known.iter().any(|name| name == one) && !hidden {
                    return Err(format!("there is no command `{one}` in `uplift {}`", path.join(" ")));
                }
                if one != *word && word.contains('|') {
                    continue;
                }
                path.push(one.to_owned());
            }
            if word.contains('|') {
                return Ok(());
            }
        }
        let text = self.of(&path).ok_or_else(|| format!("there is no command `uplift {}`", path.join(" ")))?;
        // What follows `--` is somebody else's.
        for word in words.iter().take_while(|word| **word != "--") {
            let flag = word.trim_matches(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
            let flag = flag.split('=').next().unwrap_or_default();
            if flag.starts_with("--") && flag.len() > 2 && !names_flag(text, flag) {
                return Err(format!("`uplift {}` has no flag {flag}", path.join(" ")));
            }
        }
        Ok(())
    }

    fn of(&mut self, path: &[String]) -> Option<&str> {
        let said = self.said.entry(path.to_vec()).or_insert_with(|| {
            let ran = run(path.iter().map(String::as_str).chain(["--help"]));
            (ran.code == 0).then_some(ran.out)
        });
        said.as_deref()
    }
}

fn subcommands(help: &str) -> Vec<String> {
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.trim().is_empty());
    listed.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

fn names_flag(help: &str, flag: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '-');
    help.match_indices(flag).any(|(at, _)| ends(&help[at + flag.len()..]))
}

#[test]
fn commands_and_flags_that_are_not_there_are_found() {
    let mut help = Help::default();
    assert!(uplift().get_program().len() > 1);
    for (line, known) in [
        ("uplift status --json", true),
        ("uplift help status", true),
        ("uplift help sing", false),
        ("uplift token create|list|revoke", true),
        ("uplift token create NAME --role admin,", true),
        ("uplift chaos --list", true),
        ("uplift demo --stay", true),
        ("uplift demo --stays", false),
        ("uplift sing", false),
        ("uplift token sing", false),
        ("uplift token create|sing", false),
        ("uplift replay --items x -- agent --fast", true),
    ] {
        assert_eq!(help.check(line).is_ok(), known, "{line}: {:?}", help.check(line));
    }
}
