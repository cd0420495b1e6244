//! Whose yes it takes.

use uplift_model::policy::Mode;

use super::{Input, Ruling};

/// `asked` is true when another check wants an operator's yes.
pub(super) fn approval(input: &Input<'_>, asked: bool) -> Ruling {
    let source = input.improvement.proposal.proposed_by;
    let config = &input.entity.improvement_config;
    let mode = config.mode_for(source, &input.policy.engine);
    if mode == Mode::Observe {
        let why = if config.auto_improve_enabled { "the mode is observe" } else { "auto_improve_enabled is false" };
        return Ruling::refused(format!("report only: {why} here for what comes from `{source}`"));
    }
    if let Some(by) = input.approver() {
        return Ruling::passed(format!("approved by {by}"));
    }
    match mode {
        Mode::Observe => Ruling::refused("report only"),
        Mode::Propose => Ruling::asks_operator(format!(
            "proposals only: the mode is propose for what comes from `{source}`, so an operator has to say yes"
        )),
        Mode::Approve => Ruling::asks_operator(format!(
            "the mode is approve for what comes from `{source}`: an operator has to say yes"
        )),
        Mode::Auto if asked => Ruling::asks_operator("another check asks for an operator's yes"),
        Mode::Auto if input.is_own_change() => Ruling::passed("an operator's own change"),
        Mode::Auto => Ruling::passed(format!("the mode is auto for what comes from `{source}`")),
    }
}
