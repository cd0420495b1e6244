//! `uplift config`.

use std::process::ExitCode;

use anyhow::Context;
use serde_json::{Map, Value};
use uplift_model::Policy;

use super::block_on;
use super::show::tell;
use crate::api::{self, Endpoint};
use crate::config;
use crate::text::{clean, print, print_json, put};
use crate::usage::{DONE, Misuse};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Every setting, with the default beside what was changed; with --server, as that server has them
    Show {
        #[command(flatten)]
        look: api::Args,
    },
    /// Change settings of the engine, at once and for good, in the database
    Set {
        #[arg(
            value_name = "NAME=VALUE",
            required = true,
            help = "Such as min_confidence_score=0.9 or cooldown_period=2h; an empty value goes back to the file's"
        )]
        settings: Vec<String>,
        #[command(flatten)]
        look: api::Args,
    },
}

/// Shows or sets.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.action {
        Action::Show { look } => show(&look),
        Action::Set { settings, look } => set(&look, &settings),
    }
}

fn place() -> Endpoint {
    Endpoint::new(["api", "improvements", "config"])
}

fn show(look: &api::Args) -> anyhow::Result<ExitCode> {
    if let Some(server) = look.server() {
        let answer = block_on(async { look.reading().await?.get(&place()).await })?;
        let policy = policy_in(&answer)?;
        let text = format!("# As {} has them{}\n\n{}", clean(&server), run_time(&answer), config::as_toml(&policy)?);
        return tell(look, &answer, |_, _| text);
    }
    let settings = look.settings.load()?;
    if look.json {
        print_json(&settings.policy)?;
        return Ok(ExitCode::from(DONE));
    }
    let from = match &settings.file {
        Some(file) => {
            format!("# {} and variables UPLIFT__*; what neither names is as by default\n\n", file.display())
        }
        None => "# No settings file; variables UPLIFT__* and defaults\n\n".to_owned(),
    };
    print(&format!("{from}{}", config::as_toml(&settings.policy)?))?;
    Ok(ExitCode::from(DONE))
}

/// The policy in an answer, without what is said beside it.
fn policy_in(answer: &Value) -> anyhow::Result<Policy> {
    let mut fields = answer.as_object().cloned().unwrap_or_default();
    for beside in ["paused", "set_at_run_time"] {
        fields.remove(beside);
    }
    serde_json::from_value(Value::Object(fields))
        .context("the server's settings cannot be read: is it another version?")
}

fn run_time(answer: &Value) -> String {
    let mut said = String::new();
    let set = answer["set_at_run_time"].as_object().filter(|set| !set.is_empty());
    for (name, value) in set.into_iter().flatten() {
        put!(&mut said, "\n# set at run time: {} = {}", clean(name), clean(&value.to_string()));
    }
    if answer["paused"].as_bool() == Some(true) {
        said.push_str("\n# paused: no trial starts until `uplift resume`");
    }
    said
}

fn set(look: &api::Args, settings: &[String]) -> anyhow::Result<ExitCode> {
    let patch = patch(settings)?;
    let names: Vec<String> = patch.keys().cloned().collect();
    let answer = block_on(look.writing(async |api| api.put(&place(), &Value::Object(patch)).await))?;
    tell(look, &answer, |answer, _| {
        let mut said = String::new();
        for name in &names {
            put!(&mut said, "engine.{} = {}\n", clean(name), clean(&answer["engine"][name.as_str()].to_string()));
        }
        said
    })
}

/// Settings as a partial table of the engine.
fn patch(settings: &[String]) -> anyhow::Result<Map<String, Value>> {
    let mut patch = Map::new();
    for setting in settings {
        let (name, value) = setting
            .split_once('=')
            .ok_or_else(|| Misuse::error(format!("`{setting}` is not NAME=VALUE, such as test_duration_hours=12")))?;
        let name = name.trim().trim_start_matches("engine.");
        let value = match value.trim() {
            "" => Value::Null,
            // Numbers and flags are JSON; all else is a text.
            value => serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned())),
        };
        if patch.insert(name.to_owned(), value).is_some() {
            return Err(Misuse::error(format!("`{name}` is set twice")));
        }
    }
    Ok(patch)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_read_by_their_kind() {
        let words = |words: &[&str]| patch(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        let table =
            words(&["min_confidence_score=0.9", "engine.cooldown_period = 2h", "mode=", "auto_register=false"]);
        assert_eq!(
            Value::Object(table.unwrap()),
            json!({"min_confidence_score": 0.9, "cooldown_period": "2h", "mode": null, "auto_register": false})
        );
        for wrong in [&["mode"][..], &["mode=auto", "engine.mode=auto"]] {
            assert!(words(wrong).unwrap_err().is::<Misuse>());
        }
    }

    #[test]
    fn a_servers_answer_is_a_policy_with_something_beside() {
        let mut answer = json!(Policy::default());
        answer["paused"] = json!(true);
        answer["set_at_run_time"] = json!({"mode": "observe"});
        assert_eq!(policy_in(&answer).unwrap(), Policy::default());
        assert_eq!(
            run_time(&answer),
            "\n# set at run time: mode = \"observe\"\n# paused: no trial starts until `uplift resume`"
        );
    }
}
