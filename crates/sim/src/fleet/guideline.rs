//! The guidelines that the fleet follows: those of a fixed form. Others are read and change nothing.

/// What a guideline demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand<'a> {
    /// Call `first` before `then`.
    Before {
        /// The tool to call first.
        first: &'a str,
        /// The tool to call afterwards.
        then: &'a str,
    },
    /// Do not call `first` right before `then`.
    NotRightBefore {
        /// The tool that must not come right before.
        first: &'a str,
        /// The other tool.
        then: &'a str,
    },
    /// Do not call the tool again with the same arguments in a task.
    NoRepeats {
        /// The tool.
        tool: &'a str,
    },
    /// When the tool fails with such an error, wait a moment and call it once more.
    OnceMore {
        /// The tool.
        tool: &'a str,
        /// The kind of error.
        error_type: &'a str,
    },
    /// Check the arguments of the tool before calling it.
    CheckArguments {
        /// The tool.
        tool: &'a str,
    },
}

/// What a guideline says, if it is of a form that is followed: names stand in backticks, everything else is fixed.
pub fn read(text: &str) -> Option<Demand<'_>> {
    let parts: Vec<&str> = text.trim().split('`').collect();
    match parts[..] {
        ["Call ", first, " before ", then, "."] => Some(Demand::Before { first, then }),
        ["Do not call ", first, " right before ", then, "."] => Some(Demand::NotRightBefore { first, then }),
        ["Check the arguments of ", tool, " before calling it."] => Some(Demand::CheckArguments { tool }),
        ["Do not call ", tool, " again with the same arguments in a task."] => Some(Demand::NoRepeats { tool }),
        ["When ", tool, " fails with ", error_type, ", wait a moment and call it once more."] => {
            Some(Demand::OnceMore { tool, error_type })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_fixed_forms_are_followed() {
        let table = [
            ("Call `a` before `b`.", Some(Demand::Before { first: "a", then: "b" })),
            ("Do not call `a` right before `b`.", Some(Demand::NotRightBefore { first: "a", then: "b" })),
            ("Check the arguments of `a` before calling it.", Some(Demand::CheckArguments { tool: "a" })),
            ("Do not call `a` again with the same arguments in a task.", Some(Demand::NoRepeats { tool: "a" })),
            (
                "When `a` fails with `e`, wait a moment and call it once more.",
                Some(Demand::OnceMore { tool: "a", error_type: "e" }),
            ),
            ("Call a before b.", None),
            ("Please call `a` before `b`.", None),
            ("", None),
        ];
        for (text, demand) in table {
            assert_eq!(read(text), demand, "{text}");
        }
    }
}
