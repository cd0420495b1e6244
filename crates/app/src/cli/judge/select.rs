//! Which runs are control and which are the candidate's.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use flate2::read::MultiGzDecoder;
use uplift_cycle::judge::Sample;
use uplift_cycle::trial::unit::is_unrecovered;
use uplift_model::metric::Measure;
use uplift_model::trial::{Arm, UnitOutcome};

use super::args::Args;
use super::fold::{self, Run};

/// The arms.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    /// Control's runs, in order.
    pub(crate) control: Vec<Sample>,
    /// The candidate's runs, in order.
    pub(crate) candidate: Vec<Sample>,
    /// Runs that belong to both arms.
    pub(crate) crossed: u64,
}

impl Chosen {
    /// True where any run reports the measure.
    pub(crate) fn reports(&self, measure: &Measure) -> bool {
        self.control.iter().chain(&self.candidate).any(|run| {
            let outcome = &run.outcome;
            match measure {
                Measure::Success => outcome.success.is_some(),
                Measure::Errors => true,
                Measure::Duration => outcome.duration_ms.is_some(),
                Measure::Tokens => outcome.tokens.is_some(),
                Measure::Cost => outcome.cost.is_some(),
                Measure::Custom(custom) => outcome.scores.contains_key(&custom.name),
            }
        })
    }
}

/// Reads the runs and splits them.
///
/// # Errors
///
/// Files that cannot be read, files without any event, and arms that are not told apart.
pub(crate) fn arms(args: &Args) -> anyhow::Result<Chosen> {
    for path in args.covariate.iter().chain(&args.strata) {
        if args.split.as_ref() == Some(path) {
            bail!("{path} tells the arms apart and so cannot explain anything else");
        }
    }
    Ok(on_logarithms(split(args)?, &args.covariate))
}

fn split(args: &Args) -> anyhow::Result<Chosen> {
    if args.control == args.candidate {
        bail!("control and candidate are the same");
    }
    if args.runs.is_empty() {
        let control = read(&[PathBuf::from(&args.control)])?;
        let candidate = read(&[PathBuf::from(&args.candidate)])?;
        return Ok(Chosen {
            control: samples(&control, args, Arm::Control),
            candidate: samples(&candidate, args, Arm::Candidate),
            crossed: 0,
        });
    }
    let control = filter(&args.control, args.split.as_deref())?;
    let candidate = filter(&args.candidate, args.split.as_deref())?;
    let runs = read(&args.runs)?;
    let (mut ours, mut theirs, mut crossed) = (Vec::new(), Vec::new(), 0);
    for run in runs {
        let (in_control, in_candidate) = (matches(&run, &control), matches(&run, &candidate));
        let moved = control.iter().chain(&candidate).any(|(path, _)| run.disagrees(path));
        if (in_control && in_candidate) || (moved && (in_control || in_candidate)) {
            crossed += 1;
        }
        // Where it was first put is where it counts.
        if in_control {
            ours.push(run);
        } else if in_candidate {
            theirs.push(run);
        }
    }
    Ok(Chosen {
        control: samples(&ours, args, Arm::Control),
        candidate: samples(&theirs, args, Arm::Candidate),
        crossed,
    })
}

/// A filter, `PATH=VALUE,PATH=VALUE`, or a value of the split field. A value may hold commas and equal signs itself: a
/// part that does not begin with a field's name goes on with the value before it.
fn filter(text: &str, split: Option<&str>) -> anyhow::Result<Vec<(String, String)>> {
    let field = |part: &str| {
        part.split_once('=')
            .filter(|(path, _)| {
                path.starts_with("attributes.") || ["agent", "entity", "task_id", "session_id"].contains(path)
            })
            .map(|(path, value)| (path.to_owned(), value.to_owned()))
    };
    let mut wanted: Vec<(String, String)> = Vec::new();
    for part in text.split(',') {
        match (field(part), wanted.last_mut()) {
            (Some(pair), _) => wanted.push(pair),
            (None, Some(last)) => {
                last.1.push(',');
                last.1.push_str(part);
            }
            (None, None) => {
                let split = split.context("--split names the field that tells the arms apart")?;
                return Ok(vec![(split.to_owned(), text.to_owned())]);
            }
        }
    }
    Ok(wanted)
}

fn matches(run: &Run, wanted: &[(String, String)]) -> bool {
    wanted.iter().all(|(path, value)| run.field(path).as_ref() == Some(value))
}

fn samples(runs: &[Run], args: &Args, arm: Arm) -> Vec<Sample> {
    runs.iter()
        .map(|run| Sample {
            item: run.field(&args.pair),
            outcome: UnitOutcome {
                unit: run.task.clone(),
                arm,
                started_us: run.started_us.unwrap_or(0),
                ended: run.ended,
                success: run.success.map(|yes| f64::from(u8::from(yes))),
                errored: is_unrecovered(run.errored, run.success.map(|yes| f64::from(u8::from(yes)))),
                duration_ms: run.duration_ms,
                tokens: run.tokens,
                cost: run.cost,
                scores: run.scores.clone(),
                crossed: false,
                covariates: args
                    .covariate
                    .iter()
                    .filter_map(|path| Some((path.clone(), number(run, path)?)))
                    .collect(),
                stratum: stratum(run, &args.strata),
            },
        })
        .collect()
}

fn number(run: &Run, path: &str) -> Option<f64> {
    run.field(path)?.parse().ok().filter(|number: &f64| number.is_finite())
}

/// The values of the fields that tell kinds of tasks apart; a run without any of them belongs to none.
fn stratum(run: &Run, paths: &[String]) -> Option<String> {
    let values: Vec<String> = paths.iter().filter_map(|path| run.field(path)).collect();
    (!values.is_empty()).then(|| values.join("/"))
}

/// Numbers that are all above 0 (sizes, counts, earlier durations) are taken as logarithms, as the amounts that they are
/// to explain.
fn on_logarithms(mut chosen: Chosen, paths: &[String]) -> Chosen {
    for path in paths {
        let runs = || chosen.control.iter().chain(&chosen.candidate);
        if runs().filter_map(|run| run.outcome.covariates.get(path)).all(|value| *value > 0.0) {
            for run in chosen.control.iter_mut().chain(&mut chosen.candidate) {
                if let Some(value) = run.outcome.covariates.get_mut(path) {
                    *value = value.ln();
                }
            }
        }
    }
    chosen
}

/// The runs of all files together: a task may be spread over several.
fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<Run>> {
    let texts = paths.iter().map(|path| text_of(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let (runs, bad) = fold::runs(texts.iter().flat_map(|text| text.lines()));
    if runs.is_empty() {
        let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        bail!("{} holds no runs ({bad} lines are no events)", names.join(", "));
    }
    Ok(runs)
}

fn text_of(path: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    let mut plain = Vec::new();
    MultiGzDecoder::new(bytes.as_slice())
        .read_to_end(&mut plain)
        .with_context(|| format!("cannot unpack {}", path.display()))?;
    Ok(String::from_utf8_lossy(&plain).into_owned())
}
