//! How much of what agents read and write is kept, and what is masked before anything is stored.

use serde::{Deserialize, Serialize};

use super::{PolicyError, require};

/// How much of the text of events is kept: their content, and the attributes that hold messages, arguments and
/// results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContentCapture {
    /// All of it.
    #[default]
    Full,
    /// The beginning of each, [`max_bytes`](ContentPolicy::max_bytes) long.
    Truncated,
    /// None of it. Names, numbers, types and hashes of arguments are kept.
    None,
}

/// What is kept of texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContentPolicy {
    /// How much of it.
    pub capture: ContentCapture,
    /// Longest text under `truncated`, bytes.
    pub max_bytes: usize,
    /// Regular expressions; what they match in any text is replaced by `[masked]` before anything is stored.
    pub mask: Vec<String>,
}

/// Credentials as widely used services write them: not a search for everything secret, only for what is certain.
const CREDENTIALS: [&str; 5] = [
    r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{20,}",
    r"\bgh[pousr]_[A-Za-z0-9]{36,}",
    r"\bAKIA[0-9A-Z]{16}\b",
    r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    r"(?i)\bbearer [A-Za-z0-9._~+/-]{20,}=*",
];

impl Default for ContentPolicy {
    fn default() -> Self {
        Self { capture: ContentCapture::default(), max_bytes: 2_048, mask: CREDENTIALS.map(str::to_owned).to_vec() }
    }
}

impl ContentPolicy {
    pub(super) fn check(&self) -> Result<(), PolicyError> {
        require(self.max_bytes >= 16, "content.max_bytes", "at least 16", self.max_bytes)?;
        require(self.mask.len() <= 100, "content.mask", "at most 100 patterns", self.mask.len())
    }
}
