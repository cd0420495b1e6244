//! The truths that are planted.

use uplift_model::metric::Purpose;

/// How the candidate differs from control; the default is not at all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    /// Success rate of the candidate over control's.
    pub success: f64,
    /// Error rate of the candidate over control's.
    pub errors: f64,
    /// Duration of the candidate over control's.
    pub duration: f64,
    /// Cost of the candidate over control's.
    pub cost: f64,
    /// Share of the candidate's tasks that take ten times as long.
    pub tail: f64,
    /// Part of the horizon after which the effect begins, in [0, 1].
    pub from: f64,
}

impl Default for Effect {
    fn default() -> Self {
        Self { success: 1.0, errors: 1.0, duration: 1.0, cost: 1.0, tail: 0.0, from: 0.0 }
    }
}

/// What is unusual about the world, for both arms alike (except lost records).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trouble {
    /// Nothing.
    #[default]
    None,
    /// An hour in which tasks fail and take four times as long.
    Incident,
    /// Tasks come in sessions of five that resemble each other (intra-class correlation 0.3).
    Sessions,
    /// Errors come in bursts of neighbouring tasks.
    Bursts,
    /// The share grows from 10 % to 50 % a third into the day.
    Ramp,
    /// Tasks take twenty minutes rather than half a minute.
    Delay,
    /// One in six of the candidate's records is lost.
    LostRecords,
    /// Nothing but durations is reported.
    OnlyDuration,
    /// The change was kept, and a twentieth of a week's traffic stays on the old revision. The week passes in a day.
    HoldBack,
    /// A number known before the start explains half of the variance of log duration.
    Covariate(Known),
}

/// What is recorded of the number that explains durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It is recorded.
    Recorded,
    /// It is not.
    Hidden,
    /// What is recorded in its place explains nothing.
    Useless,
    /// In history it was recorded with the opposite sign.
    Misleading,
}

/// A named truth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scenario {
    /// Name on the command line.
    pub name: &'static str,
    /// What is planted.
    pub effect: Effect,
    /// What else happens.
    pub trouble: Trouble,
    /// What the change is for.
    pub purpose: Purpose,
    /// What it shows, in a few words.
    pub about: &'static str,
}

/// All scenarios, in the order of the tables.
pub fn all() -> Vec<Scenario> {
    let mut list = without_effect();
    list.extend(harmful());
    list.extend(mixed());
    list.extend(at_the_margin());
    list.extend(special());
    list
}

/// The scenario of that name.
pub fn named(name: &str) -> Option<Scenario> {
    all().into_iter().find(|scenario| scenario.name == name)
}

fn plain(name: &'static str, effect: Effect, about: &'static str) -> Scenario {
    Scenario { name, effect, trouble: Trouble::None, purpose: Purpose::InstructionUpdate, about }
}

fn without_effect() -> Vec<Scenario> {
    let troubled = |name, trouble, about| Scenario { trouble, ..plain(name, Effect::default(), about) };
    vec![
        plain("aa", Effect::default(), "no difference"),
        troubled("aa-incident", Trouble::Incident, "no difference, an outage hits both arms"),
        troubled("aa-sessions", Trouble::Sessions, "no difference, tasks in sessions"),
        troubled("aa-clustered", Trouble::Bursts, "no difference, errors in bursts"),
        troubled("aa-ramp", Trouble::Ramp, "no difference, share 10 % then 50 % on a daily swing"),
        troubled("aa-delay", Trouble::Delay, "no difference, tasks of twenty minutes"),
        troubled("lost-records", Trouble::LostRecords, "no difference, the candidate's records get lost"),
    ]
}

fn harmful() -> Vec<Scenario> {
    let success = |factor, from| Effect { success: factor, from, ..Effect::default() };
    let errors = |factor| Effect { errors: factor, ..Effect::default() };
    let duration = |factor, from| Effect { duration: factor, from, ..Effect::default() };
    let cost = |factor| Effect { cost: factor, ..Effect::default() };
    let tail = Effect { tail: 0.05, ..Effect::default() };
    vec![
        plain("err-x1.2", errors(1.2), "errors 10 % to 12 %"),
        plain("err-x1.5", errors(1.5), "errors 10 % to 15 %"),
        plain("succ-10", success(0.9, 0.0), "success 80 % to 72 %"),
        plain("succ-20", success(0.8, 0.0), "success 80 % to 64 %"),
        plain("succ-50", success(0.5, 0.0), "success 80 % to 40 %"),
        plain("dur-x1.1", duration(1.1, 0.0), "10 % slower"),
        plain("dur-x1.2", duration(1.2, 0.0), "20 % slower"),
        plain("dur-x1.5", duration(1.5, 0.0), "50 % slower"),
        plain("cost-x1.2", cost(1.2), "20 % dearer"),
        plain("cost-x1.5", cost(1.5), "50 % dearer"),
        plain("tail", tail, "5 % of the tasks take ten times as long"),
        plain("dur-x1.5-late", duration(1.5, 0.5), "50 % slower from half time"),
        plain("succ-20-late", success(0.8, 0.5), "success 80 % to 64 % from half time"),
    ]
}

fn mixed() -> Vec<Scenario> {
    let none = Effect::default();
    let faster = Effect { duration: 0.7, ..none };
    let tuning = |name, effect, about| Scenario { purpose: Purpose::PerformanceTuning, ..plain(name, effect, about) };
    let preventing =
        |name, effect, about| Scenario { purpose: Purpose::ErrorPrevention, ..plain(name, effect, about) };
    vec![
        preventing(
            "improve",
            Effect { success: 1.1, errors: 0.6, duration: 0.9, cost: 0.9, ..none },
            "success 80 % to 88 %, errors 10 % to 6 %, 10 % faster and cheaper",
        ),
        plain(
            "gain-but-slower",
            Effect { success: 0.93 / 0.8, duration: 1.2, ..none },
            "success 80 % to 93 %, 20 % slower",
        ),
        preventing("fix-but-dearer", Effect { errors: 0.4, cost: 1.1, ..none }, "errors 10 % to 4 %, 10 % dearer"),
        preventing("fix-but-costly", Effect { errors: 0.4, cost: 1.3, ..none }, "errors 10 % to 4 %, 30 % dearer"),
        tuning("faster-but-worse", Effect { success: 0.8, ..faster }, "30 % faster, success 80 % to 64 %"),
        tuning("faster-but-errors", Effect { errors: 1.4, ..faster }, "30 % faster, errors at twice the margin"),
    ]
}

/// A goal is clearly better, and one other metric is worse by exactly its margin: a proven keep is false.
fn at_the_margin() -> Vec<Scenario> {
    let none = Effect::default();
    let faster = Effect { duration: 0.7, ..none };
    let better = Effect { success: 1.15, errors: 0.5, ..none };
    let tuning = |name, effect, about| Scenario { purpose: Purpose::PerformanceTuning, ..plain(name, effect, about) };
    vec![
        tuning("margin-success", Effect { success: 0.9, ..faster }, "30 % faster, success 80 % to 72 %"),
        tuning("margin-errors", Effect { errors: 1.2, ..faster }, "30 % faster, errors 10 % to 12 %"),
        plain("margin-duration", Effect { duration: 1.1, ..better }, "success 80 % to 92 %, 10 % slower"),
        plain("margin-cost", Effect { cost: 1.1, ..better }, "success 80 % to 92 %, 10 % dearer"),
    ]
}

/// Other kinds of watching, and covariates.
fn special() -> Vec<Scenario> {
    let none = Effect::default();
    let bad = Effect { success: 0.8, from: 0.5, ..none };
    let slower = Effect { duration: 1.1, ..none };
    let troubled = |name, trouble, effect, about| Scenario { trouble, ..plain(name, effect, about) };
    vec![
        troubled("aa-one-metric", Trouble::OnlyDuration, none, "no difference, only durations are reported"),
        troubled("hold-back", Trouble::HoldBack, none, "a kept change that stays as it is"),
        troubled("hold-back-bad", Trouble::HoldBack, bad, "a kept change, success 80 % to 64 % from half time"),
        troubled("covariate", Trouble::Covariate(Known::Recorded), slower, "10 % slower, half of it predictable"),
        troubled("covariate-hidden", Trouble::Covariate(Known::Hidden), slower, "the same without the covariate"),
        troubled("aa-covariate", Trouble::Covariate(Known::Recorded), none, "no difference, with the covariate"),
        troubled("aa-covariate-useless", Trouble::Covariate(Known::Useless), none, "no difference, it says nothing"),
        troubled(
            "aa-covariate-wrong",
            Trouble::Covariate(Known::Misleading),
            none,
            "no difference, with coefficients of the wrong sign",
        ),
    ]
}
