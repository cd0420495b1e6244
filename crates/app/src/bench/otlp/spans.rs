//! Spans to send: what a fleet of agents exports with message capture off, encoded once, with the parts that differ
//! between spans patched in. The generator must not take the server's share of the machine.

/// Spans of one trace: a request, an agent in it, an agent called by that one, their calls.
pub(super) const TRACE_SPANS: u64 = 21;
/// Bytes of the ids of a trace and of a span.
const TRACE_ID: usize = 16;
const SPAN_ID: usize = 8;
/// Nanoseconds between the ends of two spans of a trace, and between two traces.
const STEP_NS: u64 = 40_000_000;
const TRACE_NS: u64 = 1_000_000;
/// Where the times begin: 2026-01-01T00:00:00Z.
const START_NS: u64 = 1_767_225_600_000_000_000;
/// Traces of one conversation.
const CONVERSATION: u64 = 3;

/// Protobuf as it is written.
#[derive(Default, Clone)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// A field of bytes. Gives back where they begin.
    fn bytes(&mut self, field: u64, bytes: &[u8]) -> usize {
        self.varint((field << 3) | 2);
        self.varint(bytes.len() as u64);
        let at = self.0.len();
        self.0.extend_from_slice(bytes);
        at
    }

    fn number(&mut self, field: u64, value: u64) {
        self.varint(field << 3);
        self.varint(value);
    }

    /// A field of eight bytes. Gives back where they begin.
    fn fixed(&mut self, field: u64, value: u64) -> usize {
        self.varint((field << 3) | 1);
        let at = self.0.len();
        self.0.extend_from_slice(&value.to_le_bytes());
        at
    }

    fn attribute(&mut self, field: u64, key: &str, value: &Self) -> usize {
        let mut pair = Self::default();
        pair.bytes(1, key.as_bytes());
        let at = pair.bytes(2, &value.0);
        self.bytes(field, &pair.0) + at
    }

    /// An attribute with a text. Gives back where the text begins.
    fn text(&mut self, field: u64, key: &str, text: &str) -> usize {
        let mut value = Self::default();
        let at = value.bytes(1, text.as_bytes());
        self.attribute(field, key, &value) + at
    }

    /// An attribute with a number from 128 to 16,383, which takes two bytes. Gives back where they begin.
    fn count(&mut self, field: u64, key: &str, count: u64) -> usize {
        let mut value = Self::default();
        value.varint(3 << 3);
        let at = value.0.len();
        value.varint(count);
        self.attribute(field, key, &value) + at
    }
}

/// The field of a span's attributes.
const ATTRIBUTES: u64 = 9;

/// A span of the trace, encoded, and where what differs stands.
struct Template {
    bytes: Vec<u8>,
    id: u64,
    parent: Option<u64>,
    trace_at: usize,
    id_at: usize,
    parent_at: Option<usize>,
    start_at: usize,
    end_at: usize,
    /// Steps from start to end.
    lasts: u64,
    patched: Patched,
}

/// Where attributes that differ stand.
#[derive(Default)]
#[allow(clippy::struct_field_names, reason = "each is where something stands")]
struct Patched {
    /// Sixteen letters that are this span's alone.
    own_at: Option<usize>,
    /// Counts of tokens.
    counts_at: Vec<usize>,
    session_at: Option<usize>,
}

/// What a span is.
#[derive(Clone, Copy)]
enum Kind {
    Request,
    Agent(&'static str),
    Model(&'static str),
    Tool(&'static str),
    Broken(&'static str),
}

/// Kind, parent and duration of each span in the order in which they end; ids are places, from 1.
const TRACE: [(Kind, u64, u64); TRACE_SPANS as usize] = [
    (Kind::Model("gpt-4.1"), 20, 1),
    (Kind::Tool("search_orders"), 20, 1),
    (Kind::Tool("get_customer"), 20, 1),
    (Kind::Model("gpt-4.1"), 20, 1),
    (Kind::Model("gpt-4.1-mini"), 11, 1),
    (Kind::Tool("search_policies"), 11, 1),
    (Kind::Tool("read_policy"), 11, 1),
    (Kind::Model("gpt-4.1-mini"), 11, 1),
    (Kind::Broken("read_policy"), 11, 1),
    (Kind::Model("gpt-4.1-mini"), 11, 1),
    (Kind::Agent("researcher"), 20, 6),
    (Kind::Model("gpt-4.1"), 20, 1),
    (Kind::Tool("get_order"), 20, 1),
    (Kind::Tool("check_refund"), 20, 1),
    (Kind::Model("gpt-4.1"), 20, 1),
    (Kind::Tool("issue_refund"), 20, 1),
    (Kind::Model("gpt-4.1"), 20, 1),
    (Kind::Tool("send_mail"), 20, 1),
    (Kind::Model("gpt-4.1"), 20, 1),
    (Kind::Agent("support"), 21, 19),
    (Kind::Request, 0, 20),
];

fn template(place: usize) -> Template {
    let (kind, parent, lasts) = TRACE[place];
    let mut span = Message::default();
    let trace_at = span.bytes(1, &[0; TRACE_ID]);
    let id_at = span.bytes(2, &[0; SPAN_ID]);
    let parent_at = (parent > 0).then(|| span.bytes(4, &[0; SPAN_ID]));
    let name = match kind {
        Kind::Request => "POST /chat".to_owned(),
        Kind::Agent(agent) => format!("invoke_agent {agent}"),
        Kind::Model(model) => format!("chat {model}"),
        Kind::Tool(tool) | Kind::Broken(tool) => format!("execute_tool {tool}"),
    };
    span.bytes(5, name.as_bytes());
    span.number(6, if matches!(kind, Kind::Model(_)) { 3 } else { 1 });
    let start_at = span.fixed(7, 0);
    let end_at = span.fixed(8, 0);
    let patched = attributes(kind, &mut span);
    let id = place as u64 + 1;
    let parent = (parent > 0).then_some(parent);
    Template { bytes: span.0, id, parent, trace_at, id_at, parent_at, start_at, end_at, lasts, patched }
}

/// Writes a span's attributes and status.
fn attributes(kind: Kind, span: &mut Message) -> Patched {
    let mut patched = Patched::default();
    let a = ATTRIBUTES;
    match kind {
        Kind::Request => {
            span.text(a, "http.request.method", "POST");
            span.text(a, "url.path", "/chat");
            span.count(a, "http.response.status_code", 200);
        }
        Kind::Agent(agent) => {
            span.text(a, "gen_ai.operation.name", "invoke_agent");
            span.text(a, "gen_ai.provider.name", "openai");
            span.text(a, "gen_ai.agent.name", agent);
            span.text(a, "gen_ai.agent.id", &format!("asst_{agent}"));
            patched.session_at = Some(span.text(a, "gen_ai.conversation.id", "0000000000000000"));
        }
        Kind::Model(model) => {
            span.text(a, "gen_ai.operation.name", "chat");
            span.text(a, "gen_ai.provider.name", "openai");
            span.text(a, "gen_ai.request.model", model);
            span.text(a, "gen_ai.response.model", model);
            patched.own_at = Some(span.text(a, "gen_ai.response.id", "0000000000000000"));
            patched.counts_at.push(span.count(a, "gen_ai.usage.input_tokens", 1_000));
            patched.counts_at.push(span.count(a, "gen_ai.usage.output_tokens", 200));
            span.text(a, "server.address", "models.internal");
            span.count(a, "server.port", 443);
        }
        Kind::Tool(tool) | Kind::Broken(tool) => {
            span.text(a, "gen_ai.operation.name", "execute_tool");
            span.text(a, "gen_ai.tool.name", tool);
            span.text(a, "gen_ai.tool.type", "function");
            patched.own_at = Some(span.text(a, "gen_ai.tool.call.id", "0000000000000000"));
            if matches!(kind, Kind::Broken(_)) {
                span.text(a, "error.type", "TimeoutError");
                let mut status = Message::default();
                status.bytes(2, b"no answer within 30 s");
                status.number(3, 2);
                span.bytes(15, &status.0);
            }
        }
    }
    patched
}

/// Writes requests.
pub(super) struct Spans {
    templates: Vec<Template>,
    /// The resource, the scope, as fields of their messages.
    resource: Vec<u8>,
    scope: Vec<u8>,
}

impl Spans {
    pub(super) fn new() -> Self {
        let mut resource = Message::default();
        for (key, value) in [
            ("service.name", "support-service"),
            ("deployment.environment.name", "production"),
            ("telemetry.sdk.language", "python"),
            ("telemetry.sdk.name", "opentelemetry"),
            ("telemetry.sdk.version", "1.38.0"),
        ] {
            resource.text(1, key, value);
        }
        let mut scope = Message::default();
        scope.bytes(1, b"agents.instrumentation");
        scope.bytes(2, b"1.4.0");
        let field = |message: Message| {
            let mut outer = Message::default();
            outer.bytes(1, &message.0);
            outer.0
        };
        Self { templates: (0..TRACE.len()).map(template).collect(), resource: field(resource), scope: field(scope) }
    }

    /// Mean size of a span, bytes.
    pub(super) fn mean_bytes(&self) -> f64 {
        self.templates.iter().map(|template| template.bytes.len()).sum::<usize>() as f64 / TRACE.len() as f64
    }

    /// Writes the spans `from..to` of what `sender` exports: one trace after another, each in the order in which its
    /// spans end, cut into requests wherever they are full.
    pub(super) fn write(&self, sender: u64, from: u64, to: u64, body: &mut Vec<u8>) {
        let mut spans = Message::default();
        for number in from..to {
            let (trace, place) = (number / TRACE_SPANS, (number % TRACE_SPANS) as usize);
            let Some(template) = self.templates.get(place) else { continue };
            let at = spans.bytes(2, &template.bytes);
            template.patch(&mut spans.0[at..], sender, trace, place);
        }
        let mut scoped = Message(self.scope.clone());
        scoped.0.extend_from_slice(&spans.0);
        let mut resourced = Message(self.resource.clone());
        resourced.bytes(2, &scoped.0);
        let mut request = Message(std::mem::take(body));
        request.0.clear();
        request.bytes(1, &resourced.0);
        *body = request.0;
    }
}

impl Template {
    fn patch(&self, span: &mut [u8], sender: u64, trace: u64, place: usize) {
        let mut put = |at: usize, bytes: &[u8]| span[at..at + bytes.len()].copy_from_slice(bytes);
        // Ids as random as real ones.
        let seed = mix((sender << 40) | trace);
        put(self.trace_at, &[mix(seed ^ 1).to_be_bytes(), mix(seed ^ 2).to_be_bytes()].concat());
        let id = |number: u64| mix(seed.wrapping_add(number << 8)).to_be_bytes();
        put(self.id_at, &id(self.id));
        if let Some((at, parent)) = self.parent_at.zip(self.parent) {
            put(at, &id(parent));
        }
        let end = START_NS + trace * TRACE_NS + (place as u64 + 2) * STEP_NS + seed % STEP_NS;
        put(self.start_at, &(end - self.lasts * STEP_NS + seed % (STEP_NS / 2)).to_le_bytes());
        put(self.end_at, &end.to_le_bytes());
        if let Some(at) = self.patched.own_at {
            put(at, format!("{:016x}", mix(seed ^ (self.id << 32))).as_bytes());
        }
        if let Some(at) = self.patched.session_at {
            put(at, format!("{:016x}", mix((sender << 40) | (trace / CONVERSATION) | (1 << 63))).as_bytes());
        }
        for (which, at) in self.patched.counts_at.iter().enumerate() {
            let count = 128 + mix(seed ^ (self.id << 16) ^ which as u64) % 16_000;
            put(*at, &[count as u8 | 0x80, (count >> 7) as u8]);
        }
    }
}

/// A number as good as random (the finaliser of `SplitMix64`, Steele, Lea and Flood 2014).
fn mix(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use uplift_intake::otlp::{Encoding, OtlpContext, Signal, decode};
    use uplift_model::Time;
    use uplift_model::event::EventKind;
    use uplift_model::policy::{IntakePolicy, OtlpPolicy};

    use super::*;

    #[test]
    fn the_spans_are_what_they_should_be() {
        let (policy, intake) = (OtlpPolicy::default(), IntakePolicy::default());
        let received_at = Time::from_micros(START_NS as i64 / 1_000 + 3_600_000_000);
        let context = OtlpContext { received_at, policy: &policy, intake: &intake, prices: &[] };
        let spans = Spans::new();
        let mut body = Vec::new();
        let mut ids = BTreeSet::new();
        let mut kinds = std::collections::BTreeMap::<&str, usize>::new();
        for (sender, from, to) in [(0, 0, 100), (0, 100, 105), (1, 0, 21)] {
            spans.write(sender, from, to, &mut body);
            let export = decode(Signal::Traces, Encoding::Protobuf, &body, &context).unwrap();
            assert_eq!((export.events.len() as u64, export.rejected), (to - from, 0), "{:?}", export.notes);
            for event in export.events {
                *kinds.entry(event.kind.as_str()).or_default() += 1;
                assert!(event.duration_ms.is_some_and(|ms| ms > 0.0));
                assert!(event.kind != EventKind::LlmCall || event.tokens_in.is_some());
                ids.insert((event.trace_id, event.id));
            }
        }
        assert_eq!(ids.len(), 126);
        let kinds: Vec<_> = kinds.into_iter().collect();
        // Six traces: two agents and a request each, nine calls of models, nine of tools.
        assert_eq!(kinds, [("LLM_CALL", 54), ("TASK_COMPLETED", 18), ("TOOL_EXECUTED", 54)]);
    }
}
