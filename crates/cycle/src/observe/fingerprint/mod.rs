//! Which errors are the same: a type, a tool, and a message with everything that varies masked.
//!
//! The work is stateless: one error at a time, the same answer whatever came before, on whatever node. So there
//! is no miner that learns; masks do the work. The parts:
//!
//! 1. `line`: the one line that says what went wrong (the exception under a traceback, the first
//!    `...: No such file or directory` among a tool's output).
//! 2. `mask`: that line with quotes, numbers, ids, paths, names and lists replaced by `<*>`, in lower case, clipped.
//! 3. `kinds`: types of error that need no message.
//! 4. `words`: the vocabulary both need, and the set phrases of shells and system libraries.
//!
//! Event text is hostile. A template is shown to people and to models, so it holds words of letters and masks only.

mod kinds;
mod line;
mod mask;
mod words;

use uplift_model::fingerprint::{ErrorTemplate, Fingerprint};

/// The template of an error that says nothing.
pub const NO_MESSAGE: &str = "<no message>";
/// The template of an error whose text is output with no message in it.
pub const OUTPUT: &str = "<output>";

/// Longest error type or tool that is looked at, in bytes.
const MAX_NAME_BYTES: usize = 200;

/// The group an error belongs to.
///
/// `error_type` and `tool` appear in the answer as they are where they are plain names, else masked like messages.
/// The fingerprint is over the type, the tool as reported and the template. Outside of tools, a type that says the
/// cause by itself (`FormatError`, `max_steps`) is the whole identity, whatever text comes with it: such errors are
/// the agent's own, and their text is often what it wrote. An umbrella type (`ValueError`, `APIError`) is not.
pub fn template(error_type: Option<&str>, tool: Option<&str>, content: Option<&str>) -> ErrorTemplate {
    let kind = error_type.map(str::trim).filter(|kind| !kind.is_empty()).map(shown);
    let tool = tool.map(|tool| clip(tool, MAX_NAME_BYTES)).filter(|tool| !tool.is_empty());
    let shell = tool.is_some_and(is_shell);
    if let (Some(kind), None) = (&kind, tool)
        && kinds::says_the_cause(kind)
    {
        let fingerprint = Fingerprint::of(&[kind, "", ""]);
        let template = mask::spread(kind);
        return ErrorTemplate { fingerprint, error_type: Some(kind.clone()), tool: None, template };
    }
    let template = match line::informative(content.unwrap_or_default(), kind.as_deref(), shell) {
        line::Informative::Message(message) => mask::mask(&message, kind.as_deref()),
        line::Informative::OfProgram(message) => of_program(&mask::mask(message, kind.as_deref())),
        line::Informative::Phrase(phrase) => format!("{}: {phrase}", mask::MASK),
        line::Informative::Output => OUTPUT.to_owned(),
        line::Informative::Nothing => NO_MESSAGE.to_owned(),
    };
    let fingerprint = Fingerprint::of(&[kind.as_deref().unwrap_or_default(), tool.unwrap_or_default(), &template]);
    ErrorTemplate { fingerprint, error_type: kind, tool: tool.map(shown), template }
}

/// A program's message behind a mask for which program it was.
fn of_program(message: &str) -> String {
    if message.starts_with("<*>: ") { message.to_owned() } else { format!("{}: {message}", mask::MASK) }
}

/// Whether a tool runs a shell, by a word of its name.
fn is_shell(tool: &str) -> bool {
    tool.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| {
        matches!(word, "bash" | "sh" | "zsh" | "shell" | "terminal" | "command" | "commands" | "cmd" | "powershell")
    })
}

/// A name as it may be shown: itself where it is an identifier, else masked.
fn shown(name: &str) -> String {
    let plain = (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte));
    if plain { name.to_owned() } else { mask::mask(clip(name, MAX_NAME_BYTES), None) }
}

/// The first `most` bytes of a text, less where that would cut a character.
fn clip(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests;
