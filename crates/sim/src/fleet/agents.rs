//! The ten agents. Six have a flaw, four are healthy until somebody proposes to change them.

use super::agent::Kind::{Number, Word};
use super::agent::Step::{Call, OneOf, Read, Think};
use super::agent::{Agent, Argument, Habit, Hazard, LOOK_UP, TOOL, Tool};

/// An agent by its name.
pub fn agent(name: &str) -> Option<&'static Agent> {
    AGENTS.iter().find(|agent| agent.name == name)
}

const fn number(name: &'static str, low: u64, high: u64) -> Argument {
    Argument { name, kind: Number(low, high) }
}

const fn word(name: &'static str, start: &'static str) -> Argument {
    Argument { name, kind: Word(start) }
}

/// All agents.
pub static AGENTS: &[Agent] =
    &[REFUNDS, ANALYST, RESEARCHER, ONBOARDING, REPORTER, DISPATCHER, SUPPORT, SCHEDULER, WRITER, INVOICING];

/// Flaw: refunds issued before the policy was checked are taken back.
const REFUNDS: Agent = Agent {
    name: "refunds",
    tasks_per_hour: 26.0,
    instruction: "You handle refund requests.",
    contexts: &["refund_policy"],
    tools: &[
        Tool { name: "find_order", arguments: &[number("number", 10_000, 99_999)], ..LOOK_UP },
        Tool { name: "find_payment", arguments: &[number("number", 10_000, 99_999)], ..LOOK_UP },
        Tool { name: "find_customer", arguments: &[number("number", 10_000, 99_999)], ..LOOK_UP },
        Tool { name: "find_parcel", arguments: &[number("number", 10_000, 99_999)], ..LOOK_UP },
        Tool { name: "check_policy", median_ms: 200.0, arguments: &[number("section", 1, 60)], ..TOOL },
        Tool { name: "issue_refund", median_ms: 320.0, arguments: &[number("cents", 500, 40_000)], ..TOOL },
    ],
    steps: &[
        Think(700.0),
        Read("refund_policy", 0.7),
        OneOf(&["find_order", "find_payment", "find_customer", "find_parcel"]),
        Think(1_100.0),
        Call("check_policy"),
        Call("issue_refund"),
        Think(1_300.0),
    ],
    habit: Some(Habit { early: "check_policy", late: "issue_refund", share: 0.25 }),
    hazards: &[Hazard::Order { early: "check_policy", late: "issue_refund", failure: 0.45 }],
    failure: 0.03,
};

/// Flaw: a fat document that nobody reads.
const ANALYST: Agent = Agent {
    name: "analyst",
    tasks_per_hour: 15.0,
    instruction: "You answer questions about the numbers.",
    contexts: &["metric_guide", "brand_archive"],
    tools: &[
        Tool { name: "run_query", median_ms: 700.0, arguments: &[word("query", "q")], ..TOOL },
        Tool { name: "plot", required: false, liked: 0.5, arguments: &[word("series", "s")], ..TOOL },
    ],
    steps: &[
        Think(900.0),
        Read("metric_guide", 0.8),
        Call("run_query"),
        Think(1_400.0),
        Call("plot"),
        Think(1_600.0),
    ],
    habit: None,
    hazards: &[],
    failure: 0.05,
};

/// Flaw: the tool that makes its answers right is used in half of the tasks.
const RESEARCHER: Agent = Agent {
    name: "researcher",
    tasks_per_hour: 26.0,
    instruction: "You answer questions from sources on the web.",
    contexts: &["source_guide"],
    tools: &[
        Tool { name: "search_web", arguments: &[word("terms", "topic ")], ..LOOK_UP },
        Tool { name: "search_news", arguments: &[word("terms", "topic ")], ..LOOK_UP },
        Tool { name: "search_papers", arguments: &[word("terms", "topic ")], ..LOOK_UP },
        Tool { name: "search_patents", arguments: &[word("terms", "topic ")], ..LOOK_UP },
        Tool {
            name: "verify_sources",
            required: false,
            liked: 0.5,
            median_ms: 300.0,
            arguments: &[word("claim", "c")],
            ..TOOL
        },
    ],
    steps: &[
        Think(800.0),
        Read("source_guide", 0.7),
        OneOf(&["search_web", "search_news", "search_papers", "search_patents"]),
        Think(2_200.0),
        Call("verify_sources"),
        Think(1_800.0),
    ],
    habit: None,
    hazards: &[Hazard::Without { tool: "verify_sources", failure: 0.22 }],
    failure: 0.03,
};

/// Flaw: it thinks between four steps that are always the same.
const ONBOARDING: Agent = Agent {
    name: "onboarding",
    tasks_per_hour: 15.0,
    instruction: "You set up new colleagues.",
    contexts: &["onboarding_guide"],
    tools: &[
        Tool { name: "create_account", median_ms: 300.0, arguments: &[number("person", 1_000, 9_999)], ..TOOL },
        Tool { name: "assign_license", arguments: &[number("person", 1_000, 9_999)], ..TOOL },
        Tool { name: "send_invite", arguments: &[word("address", "colleague")], ..TOOL },
        Tool { name: "open_ticket", arguments: &[number("person", 1_000, 9_999)], ..TOOL },
    ],
    steps: &[
        Think(1_600.0),
        Read("onboarding_guide", 0.6),
        Call("create_account"),
        Think(900.0),
        Call("assign_license"),
        Think(1_000.0),
        Call("send_invite"),
        Think(1_100.0),
        Call("open_ticket"),
        Think(1_800.0),
    ],
    habit: None,
    hazards: &[],
    failure: 0.04,
};

/// Flaw: the same slow and priced query again and again within a task.
const REPORTER: Agent = Agent {
    name: "reporter",
    tasks_per_hour: 15.0,
    instruction: "You write the daily reports.",
    contexts: &["report_template"],
    tools: &[
        Tool {
            name: "query_metrics",
            median_ms: 1_300.0,
            usd: 0.002,
            arguments: &[word("metric", "m")],
            repeats: Some((0.6, 6)),
            ..TOOL
        },
        Tool { name: "draw_chart", required: false, liked: 0.5, arguments: &[word("chart", "c")], ..TOOL },
    ],
    steps: &[
        Think(800.0),
        Read("report_template", 0.8),
        Call("query_metrics"),
        Think(1_500.0),
        Call("draw_chart"),
        Think(1_700.0),
    ],
    habit: None,
    hazards: &[],
    failure: 0.04,
};

/// Flaw: a third of its bookings lack an argument, and a third of these tasks never get over it.
const DISPATCHER: Agent = Agent {
    name: "dispatcher",
    tasks_per_hour: 26.0,
    instruction: "You book couriers.",
    contexts: &["courier_rules"],
    tools: &[
        Tool { name: "find_route", arguments: &[number("parcel", 1_000, 99_999)], ..LOOK_UP },
        Tool { name: "find_depot", arguments: &[number("parcel", 1_000, 99_999)], ..LOOK_UP },
        Tool { name: "find_slot", arguments: &[number("parcel", 1_000, 99_999)], ..LOOK_UP },
        Tool { name: "find_van", arguments: &[number("parcel", 1_000, 99_999)], ..LOOK_UP },
        Tool {
            name: "book_courier",
            median_ms: 500.0,
            arguments: &[number("parcel", 1_000, 99_999), word("postal_code", "D-")],
            slip: Some(("postal_code", 0.33)),
            loss: 0.32,
            ..TOOL
        },
        Tool { name: "notify_customer", required: false, liked: 0.6, arguments: &[word("text", "t")], ..TOOL },
    ],
    steps: &[
        Think(800.0),
        Read("courier_rules", 0.7),
        OneOf(&["find_route", "find_depot", "find_slot", "find_van"]),
        Think(1_000.0),
        Call("book_courier"),
        Think(1_200.0),
        Call("notify_customer"),
    ],
    habit: None,
    hazards: &[],
    failure: 0.03,
};

/// Healthy. Checking an answer after it was sent is of no use.
const SUPPORT: Agent = Agent {
    name: "support",
    tasks_per_hour: 40.0,
    instruction: "You answer customers.",
    contexts: &["tone_guide"],
    tools: &[
        Tool { name: "find_customer", arguments: &[number("number", 1_000, 9_999)], ..LOOK_UP },
        Tool { name: "find_contract", arguments: &[number("number", 1_000, 9_999)], ..LOOK_UP },
        Tool { name: "find_invoice", arguments: &[number("number", 1_000, 9_999)], ..LOOK_UP },
        Tool { name: "find_ticket", arguments: &[number("number", 1_000, 9_999)], ..LOOK_UP },
        Tool { name: "check_answer", arguments: &[word("draft", "d")], ..TOOL },
        Tool { name: "send_answer", arguments: &[word("draft", "d")], ..TOOL },
    ],
    steps: &[
        Think(800.0),
        Read("tone_guide", 0.7),
        OneOf(&["find_customer", "find_contract", "find_invoice", "find_ticket"]),
        Think(1_200.0),
        Call("check_answer"),
        Call("send_answer"),
    ],
    habit: None,
    hazards: &[Hazard::Order { early: "check_answer", late: "send_answer", failure: 0.083 }],
    failure: 0.04,
};

/// Healthy.
const SCHEDULER: Agent = Agent {
    name: "scheduler",
    tasks_per_hour: 15.0,
    instruction: "You find times for meetings.",
    contexts: &["calendar_rules"],
    tools: &[
        Tool { name: "read_calendar", arguments: &[number("person", 1_000, 9_999)], ..LOOK_UP },
        Tool { name: "read_shifts", arguments: &[number("person", 1_000, 9_999)], ..LOOK_UP },
        Tool { name: "read_holidays", arguments: &[number("person", 1_000, 9_999)], ..LOOK_UP },
        Tool { name: "read_trips", arguments: &[number("person", 1_000, 9_999)], ..LOOK_UP },
        Tool { name: "find_room", required: false, liked: 0.5, arguments: &[number("seats", 2, 40)], ..TOOL },
        Tool { name: "create_meeting", median_ms: 250.0, arguments: &[word("slot", "s")], ..TOOL },
    ],
    steps: &[
        Think(800.0),
        Read("calendar_rules", 0.7),
        OneOf(&["read_calendar", "read_shifts", "read_holidays", "read_trips"]),
        Think(1_100.0),
        Call("find_room"),
        Call("create_meeting"),
    ],
    habit: None,
    hazards: &[],
    failure: 0.05,
};

/// Healthy.
const WRITER: Agent = Agent {
    name: "writer",
    tasks_per_hour: 15.0,
    instruction: "You write product texts.",
    contexts: &["style_guide"],
    tools: &[
        Tool { name: "look_up_product", arguments: &[number("product", 1_000, 9_999)], ..LOOK_UP },
        Tool { name: "look_up_price", arguments: &[number("product", 1_000, 9_999)], ..LOOK_UP },
        Tool { name: "look_up_stock", arguments: &[number("product", 1_000, 9_999)], ..LOOK_UP },
        Tool { name: "look_up_maker", arguments: &[number("product", 1_000, 9_999)], ..LOOK_UP },
        Tool { name: "check_spelling", required: false, liked: 0.6, arguments: &[word("draft", "d")], ..TOOL },
        Tool { name: "publish_text", arguments: &[word("draft", "d")], ..TOOL },
    ],
    steps: &[
        Think(1_600.0),
        Read("style_guide", 0.8),
        OneOf(&["look_up_product", "look_up_price", "look_up_stock", "look_up_maker"]),
        Think(2_200.0),
        Call("check_spelling"),
        Think(2_400.0),
        Call("publish_text"),
    ],
    habit: None,
    hazards: &[],
    failure: 0.05,
};

/// Healthy, as long as its slow tool is given the time it takes.
const INVOICING: Agent = Agent {
    name: "invoicing",
    tasks_per_hour: 15.0,
    instruction: "You write invoices.",
    contexts: &["tax_rules"],
    tools: &[
        Tool { name: "read_contract", arguments: &[number("number", 1_000, 9_999)], ..LOOK_UP },
        Tool { name: "read_order", arguments: &[number("number", 1_000, 9_999)], ..LOOK_UP },
        Tool { name: "read_timesheet", arguments: &[number("number", 1_000, 9_999)], ..LOOK_UP },
        Tool { name: "read_quote", arguments: &[number("number", 1_000, 9_999)], ..LOOK_UP },
        Tool { name: "look_up_rate", required: false, liked: 0.5, arguments: &[word("country", "c")], ..TOOL },
        Tool { name: "post_invoice", median_ms: 3_000.0, arguments: &[number("cents", 500, 400_000)], ..TOOL },
    ],
    steps: &[
        Think(900.0),
        Read("tax_rules", 0.7),
        OneOf(&["read_contract", "read_order", "read_timesheet", "read_quote"]),
        Think(1_200.0),
        Call("look_up_rate"),
        Call("post_invoice"),
    ],
    habit: None,
    hazards: &[],
    failure: 0.04,
};
