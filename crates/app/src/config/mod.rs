//! The policy in force: defaults, then a TOML file, then variables of the environment.

mod show;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use config::{Environment, File, FileFormat};
use serde_json::Value;
use uplift_intake::redact::Redactor;
use uplift_model::Policy;

pub(crate) use show::as_toml;

use crate::usage::Misuse;

/// Read when it lies in the working directory and no other file is named.
const DEFAULT_FILE: &str = "uplift.toml";
/// What the variables that override single settings begin with: `UPLIFT__ENGINE__MODE=observe`.
const PREFIX: &str = "UPLIFT";
/// What stands between the parts of such a name.
const SEPARATOR: &str = "__";

/// Where to read settings.
#[derive(Debug, Clone, Default, clap::Args)]
// Without a group of their own: the names of groups must differ within a command.
#[group(skip)]
pub(crate) struct Args {
    /// Settings in TOML; without it, uplift.toml in the working directory if there is one
    #[arg(long, value_name = "FILE", env = "UPLIFT_CONFIG", global = true)]
    pub(crate) config: Option<PathBuf>,
}

/// A policy and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// The policy, checked.
    pub(crate) policy: Policy,
    /// The file that was read, if any.
    pub(crate) file: Option<PathBuf>,
}

impl Args {
    /// Reads and checks the settings.
    pub(crate) fn load(&self) -> anyhow::Result<Settings> {
        let file = self.config.clone().or_else(|| {
            let here = PathBuf::from(DEFAULT_FILE);
            here.is_file().then_some(here)
        });
        // A variable that is not Unicode is none of ours, and no reason to fail.
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        load(file.as_deref(), variables.collect())
    }
}

/// Reads settings from `file` and `environment`; what is wrong is the user's to correct.
fn load(file: Option<&Path>, environment: HashMap<String, String>) -> anyhow::Result<Settings> {
    let policy = read(file, environment).map_err(|error| Misuse::error(format!("{error:#}")))?;
    Ok(Settings { policy, file: file.map(Path::to_path_buf) })
}

fn read(file: Option<&Path>, environment: HashMap<String, String>) -> anyhow::Result<Policy> {
    let prefix = format!("{PREFIX}{SEPARATOR}");
    let variables: HashMap<String, String> =
        environment.into_iter().filter(|(name, _)| name.to_ascii_uppercase().starts_with(&prefix)).collect();
    let mut builder = config::Config::builder();
    if let Some(path) = file {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("the settings file {} cannot be read", path.display()))?;
        builder = builder.add_source(File::from_str(&text, FileFormat::Toml));
    }
    let source = Environment::with_prefix(PREFIX)
        .prefix_separator(SEPARATOR)
        .separator(SEPARATOR)
        .try_parsing(true)
        .source(Some(variables.clone()));
    let place = place(file, &variables);
    let merged = builder
        .add_source(source)
        .build()
        .with_context(|| format!("the settings in {place} cannot be understood"))?;
    let plain: Value = merged.try_deserialize().with_context(|| format!("the settings in {place} cannot be read"))?;
    // Through JSON, which converts nothing: the library would round 5.5 to 6 and take "yes" for true.
    let mut track = serde_path_to_error::Track::new();
    let typed: Result<Policy, _> =
        serde::Deserialize::deserialize(serde_path_to_error::Deserializer::new(plain, &mut track));
    let policy = match typed {
        Ok(policy) => policy,
        Err(error) => bail!("{}", describe(&track.path().to_string(), &error.to_string(), &place, &variables)),
    };
    policy.check().map_err(|error| {
        anyhow::anyhow!("{}: {error}", culprit(error.setting, &variables).unwrap_or_else(|| place.clone()))
    })?;
    // The model knows no patterns, so it cannot check them.
    Redactor::new(&policy.content).map_err(|error| anyhow::anyhow!("{place}: {error}"))?;
    Ok(policy)
}

/// Where the settings come from, in words.
fn place(file: Option<&Path>, variables: &HashMap<String, String>) -> String {
    match (file, variables.is_empty()) {
        (Some(path), true) => path.display().to_string(),
        (Some(path), false) => format!("{} and the variables {PREFIX}{SEPARATOR}*", path.display()),
        (None, _) => format!("the variables {PREFIX}{SEPARATOR}*"),
    }
}

/// The variable that set `setting`, if one did.
fn culprit(setting: &str, variables: &HashMap<String, String>) -> Option<String> {
    let wanted = format!("{PREFIX}{SEPARATOR}{}", setting.replace('.', SEPARATOR));
    variables.keys().find(|name| name.eq_ignore_ascii_case(&wanted)).map(|name| format!("the variable {name}"))
}

/// What is wrong with a setting, where it was set, and what to do.
fn describe(path: &str, reason: &str, place: &str, variables: &HashMap<String, String>) -> String {
    let from = culprit(path, variables).unwrap_or_else(|| place.to_owned());
    let remedy = if reason.starts_with("unknown field") {
        "; `uplift config show` lists every setting"
    } else if reason.starts_with("invalid type") || reason.starts_with("invalid value") {
        "; `uplift config show` shows the form of every setting"
    } else {
        ""
    };
    match path {
        "." | "?" => format!("{from}: {reason}{remedy}"),
        path => format!("{from}: `{path}`: {reason}{remedy}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_text(text: &str, variables: &[(&str, &str)]) -> anyhow::Result<Settings> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fleet.toml");
        std::fs::write(&path, text).unwrap();
        load(Some(&path), variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn without_anything_the_defaults_hold() {
        let settings = load(None, HashMap::from([("UPLIFT_DATABASE".to_owned(), "x.db".to_owned())])).unwrap();
        assert_eq!(settings.policy, Policy::default());
    }

    #[test]
    fn partial_tables_keep_the_other_defaults_and_variables_stand_above_the_file() {
        let text = "[engine]\nmode = \"observe\"\ncooldown_period = \"30m\"\n[detection]\nerror_threshold = 9\n";
        let variables = [("UPLIFT__ENGINE__MODE", "propose"), ("UPLIFT__INTAKE__CHUNK_EVENTS", "500")];
        let policy = from_text(text, &variables).unwrap().policy;
        assert_eq!(policy.engine.mode.as_str(), "propose");
        assert_eq!(policy.engine.cooldown_period.as_mins(), 30);
        assert_eq!((policy.detection.error_threshold, policy.intake.chunk_events), (9, 500));
        assert_eq!(policy.engine.improvement_batch_size, 5);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place_and_a_remedy() {
        for (text, variables, expected) in [
            ("[engine]\nmin_confidence = 1", &[][..], ["fleet.toml", "engine.min_confidence", "config show"]),
            ("[motor]\n", &[], ["fleet.toml", "motor", "config show"]),
            ("[engine]\nimprovement_batch_size = 5.5", &[], ["fleet.toml", "improvement_batch_size", "5.5"]),
            ("[engine]\nauto_register = \"yes\"", &[], ["fleet.toml", "engine.auto_register", "boolean"]),
            ("[engine]\nmode = \"fast\"", &[], ["engine.mode", "fast", "observe"]),
            ("[engine]\nrollback_threshold = 0.2", &[], ["fleet.toml", "engine.rollback_threshold", "from -1 to 0"]),
            ("[engine\n", &[], ["fleet.toml", "TOML", "line 1"]),
            (
                "[content]\nmask = ['a+', 'b(']",
                &[],
                ["fleet.toml: content.mask, pattern 2", "unclosed", "take it out"],
            ),
            ("[content]\ncapture = \"some\"", &[], ["fleet.toml", "content.capture", "truncated"]),
            ("", &[("UPLIFT__ENGINE__MIN_CONFIDENCE_SCORE", "7")], ["UPLIFT__ENGINE__MIN", "from 0 to 1", "7"]),
            ("", &[("UPLIFT__ENGINE__SPEED", "7")], ["UPLIFT__ENGINE__SPEED", "engine.speed", "unknown field"]),
        ] {
            let error = from_text(text, variables).unwrap_err();
            assert!(error.is::<Misuse>());
            let message = error.to_string();
            for part in expected {
                assert!(message.contains(part), "{part} is not in: {message}");
            }
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let message = load(Some(Path::new("/nowhere/fleet.toml")), HashMap::new()).unwrap_err().to_string();
        assert!(message.contains("/nowhere/fleet.toml"), "{message}");
    }
}
