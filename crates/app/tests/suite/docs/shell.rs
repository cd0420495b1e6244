//! Commands and their output, as pages show them.

use super::page::Block;

/// How many digits of a hash a page shows at the least.
const HASH_BEGINS: usize = 4;

/// A command of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Where it stands, from 1.
    pub line: usize,
    /// As typed, continued lines included.
    pub text: String,
    /// What the page shows of its output; nothing if it shows none.
    pub output: String,
}

/// The commands of a block; none where it holds something else.
pub fn commands(block: &Block) -> Vec<Command> {
    match block.language.as_str() {
        "console" => read(block, Some("$ ")),
        "sh" | "bash" | "shell" => read(block, None),
        _ => Vec::new(),
    }
}

/// Reads commands that begin with a prompt, and their output; without a prompt each line is a command.
fn read(block: &Block, prompt: Option<&str>) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    let mut open = false;
    let mut fresh = true;
    for (number, line) in block.text.lines().enumerate() {
        let begun = match prompt {
            Some(prompt) => line.strip_prefix(prompt),
            None => Some(line).filter(|line| !line.trim().is_empty() && !line.starts_with('#')),
        };
        match (open, begun, commands.last_mut()) {
            (true, _, Some(command)) => command.text.extend(["\n", line]),
            (_, Some(text), _) => {
                let line = block.line + 1 + number;
                commands.push(Command { line, text: text.to_owned(), output: String::new() });
            }
            // A remark between two commands.
            _ if line.trim().is_empty() || fresh && line.starts_with("# ") => {}
            (_, None, Some(command)) => command.output.extend([line, "\n"]),
            (_, None, None) => panic!("line {}: output before any command", block.line + 1 + number),
        }
        open = commands.last().is_some_and(|command| command.output.is_empty() && is_open(&command.text));
        fresh = line.trim().is_empty();
    }
    commands
}

/// Whether a command goes on in the next line.
fn is_open(text: &str) -> bool {
    let mut quote = None;
    let mut characters = text.chars().peekable();
    let mut before = ' ';
    while let Some(character) = characters.next() {
        match (quote, character) {
            (None | Some('"'), '\\') => {
                // At the end of everything it joins the next line.
                match characters.next() {
                    None => return true,
                    Some('\n') if characters.peek().is_none() => return true,
                    Some(_) => {}
                }
            }
            (None, '\'' | '"') => quote = Some(character),
            (None, '#') if before.is_whitespace() => while characters.next_if(|next| *next != '\n').is_some() {},
            (Some(open), _) if open == character => quote = None,
            _ => {}
        }
        before = character;
    }
    quote.is_some()
}

/// The parts of a pipe.
pub fn pipe(text: &str) -> Vec<String> {
    let mut stages = vec![String::new()];
    let mut quote = None;
    for character in text.chars() {
        match (quote, character) {
            (None, '|') => {
                stages.push(String::new());
                continue;
            }
            (None, '\'' | '"') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            _ => {}
        }
        stages.last_mut().expect("there is one").push(character);
    }
    stages.into_iter().map(|stage| stage.trim().to_owned()).collect()
}

/// What a pattern of a page leaves open. `...` stands for anything, alone on a line also for lines; numbers for numbers;
/// an arm for either.
pub fn matches(shown: &str, output: &str) -> bool {
    let lines = |text: &str| -> Vec<String> { text.lines().map(loose).filter(|line| !line.is_empty()).collect() };
    lines_match(&lines(shown), &lines(output))
}

fn lines_match(shown: &[String], output: &[String]) -> bool {
    match shown.split_first() {
        None => output.is_empty(),
        Some((first, rest)) if first == "..." => {
            (0..=output.len()).any(|skipped| lines_match(rest, &output[skipped..]))
        }
        Some((first, rest)) => {
            output.split_first().is_some_and(|(line, others)| line_matches(first, line) && lines_match(rest, others))
        }
    }
}

/// A line without what differs from run to run.
fn loose(line: &str) -> String {
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ").replace('…', "...");
    let mut parts: Vec<&str> = line.split("...").collect();
    let last = parts.len() - 1;
    for part in &mut parts[..last] {
        *part = without_address(part);
    }
    let line = parts.join("...");
    let mut words = String::new();
    let mut characters = line.chars().peekable();
    let mut number = false;
    while let Some(character) = characters.next() {
        // 1,234 and 1.5 are numbers like 7.
        let goes_on = number && ",.".contains(character) && characters.peek().is_some_and(char::is_ascii_digit);
        match (character.is_ascii_digit() || goes_on, number) {
            (true, false) => words.push('#'),
            (true, true) => {}
            (false, _) => words.push(character),
        }
        number = character.is_ascii_digit() || goes_on;
    }
    words.replace("candidate", "control")
}

/// A text without the beginning of a hash at its end: what is left open includes it.
fn without_address(text: &str) -> &str {
    let rest = text.trim_end_matches(|letter: char| letter.is_ascii_digit() || ('a'..='f').contains(&letter));
    if text.len() - rest.len() < HASH_BEGINS { text } else { rest }
}

fn line_matches(shown: &str, line: &str) -> bool {
    let mut parts = shown.split("...");
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(language: &str, text: &str) -> Block {
        Block { line: 1, language: language.to_owned(), file: None, text: text.to_owned() }
    }

    #[test]
    fn commands_go_on_in_the_next_line_where_they_are_open() {
        let text = "$ a -d '{\n  it goes on}'   # that's it\nout\n$ b \\\n  c\n\n# A remark.\n$ d # don't\n";
        let read = commands(&block("console", text));
        let texts: Vec<_> = read.iter().map(|command| (command.line, command.text.as_str())).collect();
        assert_eq!(texts, [(2, "a -d '{\n  it goes on}'   # that's it"), (5, "b \\\n  c"), (9, "d # don't")]);
        assert_eq!(read[0].output, "out\n");
        assert_eq!(commands(&block("sh", "a \\\n  b\nc\n")).len(), 2);
        assert!(commands(&block("json", "$ a\n")).is_empty());
    }

    #[test]
    fn what_is_left_open_may_differ_and_nothing_else() {
        for (shown, output, same) in [
            ("9 events: 9 taken", "12 events:  1,000 taken", true),
            ("9 events: 9 taken", "9 events: none taken", false),
            ("a\n...\nz\n", "a\nb\nc\nz\n", true),
            ("a\n...\n", "a\n", true),
            ("a\n", "a\nb\n", false),
            ("{\"id\":1,...,\"arm\":\"candidate\"}", "{\"id\":3,\"x\":2,\"arm\":\"control\"}", true),
            ("one ... two", "one three", false),
            ("revision e1a4... \"9c1e...\"", "revision 71634d19 \"5b\"", true),
            ("revision e1a4b", "revision 71634", false),
            ("{\"id\":1,...,\"status\":\"new\",...}", "{\"id\":22,\"a\":[1,2],\"status\":\"new\",\"z\":0.5}", true),
        ] {
            assert_eq!(matches(shown, output), same, "{shown} / {output}");
        }
    }

    #[test]
    fn pipes_are_cut_outside_of_quotes() {
        assert_eq!(pipe("a 'x|y' | b \"|\" | c"), ["a 'x|y'", "b \"|\"", "c"]);
    }
}
