//! Names of attributes that mean something to Uplift, by convention and rank.
// tidy: flat table

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::sync::LazyLock;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// Hashes names: the same in every process, because nothing of it is stored and nothing rests on its secrecy.
const HASHES: FixedState = FixedState::with_seed(0x6f74_6c70);

macro_rules! fields {
    ($($(#[doc = $words:literal])+ $field:ident: $($key:literal),+;)+) => {
        /// What an attribute says.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Field { $($(#[doc = $words])+ $field),+ }

        /// How many there are.
        pub(super) const FIELDS: usize = [$(Field::$field),+].len();

        /// Every name with its meaning; among those of one meaning the first that is there counts.
        pub(super) const NAMES: &[(Field, &[&str])] = &[$((Field::$field, &[$($key),+])),+];
    };
}

fields! {
    /// The operation, as OpenTelemetry's conventions call it.
    Operation: "gen_ai.operation.name";
    /// The kind of span, as `OpenInference` calls it.
    Inference: "openinference.span.kind";
    /// The operation, as Vercel's AI SDK calls it.
    Vercel: "ai.operationId";
    /// The kind of span, as Traceloop calls it.
    Traceloop: "traceloop.span.kind";
    /// The kind of span, as Langfuse calls it.
    Langfuse: "langfuse.observation.type";
    /// The kit or the provider that the span is about.
    Provider: "gen_ai.provider.name";
    /// A model was called, in the words of older instrumentations.
    RequestType: "llm.request.type";
    /// The agent.
    Agent: "gen_ai.agent.name", "agent.name", "agent_name", "ai.telemetry.functionId", "gen_ai.agent.id";
    /// Who hands over.
    HandoffFrom: "gen_ai.handoff.from_agent";
    /// Who takes over.
    HandoffTo: "gen_ai.handoff.to_agent";
    /// Traceloop's name for an agent, a tool or a step.
    EntityName: "traceloop.entity.name";
    /// The tool.
    Tool: "gen_ai.tool.name", "tool.name", "ai.toolCall.name";
    /// The conversation.
    Session: "gen_ai.conversation.id", "session.id", "langfuse.session.id", "langfuse.trace.session_id",
        "traceloop.association.properties.session_id", "traceloop.association.properties.thread_id",
        "ai.telemetry.metadata.sessionId", "gcp.vertex.agent.session_id";
    /// The model that was asked for.
    RequestModel: "gen_ai.request.model", "llm.request.model", "embedding.model_name", "ai.model.id",
        "langfuse.observation.model.name";
    /// The model that answered.
    ResponseModel: "gen_ai.response.model", "llm.response.model", "llm.model_name", "ai.response.model";
    /// Tokens read.
    TokensIn: "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt",
        "llm.usage.prompt_tokens", "ai.usage.inputTokens", "ai.usage.promptTokens", "ai.usage.tokens",
        "gen_ai.response.prompt_token_count";
    /// Tokens written.
    TokensOut: "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion",
        "llm.usage.completion_tokens", "ai.usage.outputTokens", "ai.usage.completionTokens",
        "gen_ai.response.candidates_token_count";
    /// Tokens read from a cache.
    TokensCached: "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.cached_tokens", "llm.token_count.prompt_details.cache_read",
        "llm.usage.cache_read_input_tokens", "ai.usage.cachedInputTokens", "gen_ai.usage.details.cache_read_tokens",
        "gen_ai.response.cached_content_token_count";
    /// What it cost.
    Cost: "gen_ai.usage.cost", "gen_ai.usage.cost_usd", "gen_ai.usage.total_cost", "llm.cost.total",
        "llm.usage.cost";
    /// Tokens by kind, in JSON.
    UsageDetails: "langfuse.observation.usage_details";
    /// Costs by kind, in JSON.
    CostDetails: "langfuse.observation.cost_details";
    /// The kind of error.
    ErrorType: "error.type", "exception.type";
    /// The text of the error.
    ErrorMessage: "exception.message", "error.message";
    /// The tools that a model or an agent was offered, as a list.
    Offered: "gen_ai.tool.definitions", "ai.prompt.tools";
    /// What a tool was called with.
    Arguments: "gen_ai.tool.call.arguments", "ai.toolCall.args", "ai.toolCall.input", "tool_arguments",
        "gcp.vertex.agent.tool_call_args";
    /// What a tool gave back.
    ToolResult: "gen_ai.tool.call.result", "ai.toolCall.result", "ai.toolCall.output", "tool_response",
        "gcp.vertex.agent.tool_response";
    /// What went into a step.
    Input: "gen_ai.task.input", "traceloop.entity.input", "input.value", "langfuse.observation.input";
    /// What came out of a step.
    Output: "gen_ai.task.output", "traceloop.entity.output", "output.value", "langfuse.observation.output";
    /// What a model answered.
    Answer: "gen_ai.output.messages", "ai.response.text", "ai.response.object", "ai.response.toolCalls",
        "gen_ai.completion", "gen_ai.completion.0.content", "llm.output_messages.0.message.content",
        "gcp.vertex.agent.llm_response";
    /// How a step of `LangChain` ended.
    TaskStatus: "gen_ai.task.status";
    /// What a retrieval read from.
    DataSource: "gen_ai.data_source.id";
    /// What was judged.
    EvaluationName: "gen_ai.evaluation.name";
    /// The judgement as a number.
    EvaluationScore: "gen_ai.evaluation.score.value";
    /// The judgement as a word.
    EvaluationLabel: "gen_ai.evaluation.score.label";
    /// Why it was judged so.
    EvaluationReason: "gen_ai.evaluation.explanation";
    /// A trial the unit is in.
    Trial: "uplift.trial";
    /// Its arm.
    Arm: "uplift.arm";
    /// The revision that was served.
    Revision: "uplift.revision";
    /// All of these at once.
    Exposures: "uplift.exposures";
    /// A flag that was evaluated.
    FlagKey: "feature_flag.key";
    /// What it evaluated to.
    FlagVariant: "feature_flag.result.variant", "feature_flag.variant";
    /// The set the flag belongs to.
    FlagSet: "feature_flag.set.id";
    /// The version of its rules.
    FlagVersion: "feature_flag.version";
}

/// A name that is known.
#[derive(Debug)]
struct Known {
    key: &'static str,
    field: Field,
    /// Its place among the names of its field.
    rank: u8,
}

static TABLE: LazyLock<HashTable<Known>> = LazyLock::new(|| {
    let mut table = HashTable::with_capacity(2 * NAMES.len());
    for (field, keys) in NAMES {
        for (rank, key) in keys.iter().enumerate() {
            let known = Known { key, field: *field, rank: rank as u8 };
            table.insert_unique(hash(key), known, |known| hash(known.key));
        }
    }
    table
});

/// The hash of a name.
pub(super) fn hash(key: &str) -> u64 {
    HASHES.hash_one(key)
}

/// What `key` says and its rank, if it says anything.
pub(super) fn known(key: &str, hash: u64) -> Option<(Field, u8)> {
    TABLE.find(hash, |known| known.key == key).map(|known| (known.field, known.rank))
}

/// Up to here a list is searched faster than a set.
const FEW: usize = 48;

/// Names that are taken in one object, by their hashes. Two names with one hash are taken for one: a sender who strives
/// for that loses an attribute of its own.
#[derive(Debug, Default)]
pub(super) struct Seen {
    few: Vec<u64>,
    many: HashSet<u64, FixedState>,
}

impl Seen {
    /// Whether `key` is new.
    pub(super) fn insert(&mut self, key: &str) -> bool {
        self.insert_hash(hash(key))
    }

    /// Whether the name with this hash is new.
    pub(super) fn insert_hash(&mut self, hash: u64) -> bool {
        if self.few.contains(&hash) {
            return false;
        }
        if self.few.len() < FEW {
            self.few.push(hash);
            return true;
        }
        self.many.insert(hash)
    }

    /// Forgets all but those.
    pub(super) fn begin(&mut self, with: &[u64]) {
        self.few.clear();
        self.many.clear();
        for hash in with {
            self.insert_hash(*hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_with_its_rank_and_no_name_means_two_things() {
        let mut names = HashSet::new();
        for (field, keys) in NAMES {
            for (rank, key) in keys.iter().enumerate() {
                assert_eq!(known(key, hash(key)), Some((*field, rank as u8)), "{key}");
                assert!(names.insert(*key), "{key}");
            }
        }
        assert_eq!(known("gen_ai", hash("gen_ai")), None);
        assert_eq!(NAMES.len(), FIELDS);
    }

    #[test]
    fn every_name_is_in_the_documentation() {
        let documentation = include_str!("../../../../docs/opentelemetry.md");
        for key in NAMES.iter().flat_map(|(_, keys)| *keys) {
            assert!(documentation.contains(&format!("`{key}`")), "{key}");
        }
    }

    #[test]
    fn names_are_taken_once_however_many_there_are() {
        let mut seen = Seen::default();
        for _ in 0..2 {
            seen.begin(&[hash("7")]);
            for number in 0..200 {
                assert_eq!(seen.insert(&number.to_string()), number != 7);
            }
            assert!((0..200).all(|number| !seen.insert(&number.to_string())));
        }
    }
}
