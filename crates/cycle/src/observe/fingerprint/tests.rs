//! Groups on examples of our own, and on real records where they are at hand.

use std::collections::BTreeMap;

use super::*;

fn text(content: &str) -> String {
    template(None, Some("t"), Some(content)).template
}

#[derive(Default)]
struct Groups {
    counts: BTreeMap<(String, String, String), usize>,
    total: usize,
}

/// All error events of a set, grouped; none where the data is not at hand.
fn real(set: &str) -> Option<Groups> {
    let mut groups = Groups::default();
    for event in crate::records::rows(&format!("{set}/events.ndjson.gz"))? {
        let field = |name: &str| event[name].as_str();
        if field("outcome") != Some("ERROR") && field("event_type") != Some("ERROR") && field("error_type").is_none()
        {
            continue;
        }
        let group = template(field("error_type"), field("tool"), field("content"));
        groups.total += 1;
        let key = (group.error_type.unwrap_or_default(), group.tool.unwrap_or_default(), group.template);
        *groups.counts.entry(key).or_default() += 1;
    }
    Some(groups)
}

impl Groups {
    /// The sizes of the groups of one error type, the largest first.
    fn sizes(&self, kind: &str) -> Vec<usize> {
        let mut sizes: Vec<usize> =
            self.counts.iter().filter(|((of, _, _), _)| of == kind || kind.is_empty()).map(|(_, n)| *n).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        sizes
    }

    /// The sizes of the groups whose template starts so, by error type, tool and template.
    fn starting(&self, tool: &str, start: &str) -> Vec<usize> {
        self.counts
            .iter()
            .filter(|((_, of, text), _)| of == tool && text.starts_with(start))
            .map(|(_, n)| *n)
            .collect()
    }

    fn largest_share(&self, most: usize) -> f64 {
        self.sizes("").iter().take(most).sum::<usize>() as f64 / self.total as f64
    }
}

#[test]
fn what_varies_is_masked() {
    for (content, expected) in [
        ("Error: seat 14C on flight ZZ1021 is taken", "seat <*> on flight <*> is taken"),
        (
            "Error: Total does not match, order is 375, but paid 299",
            "total does not match, order is <*>, but paid <*>",
        ),
        ("Unknown field 'a.b' in 'filter list'", "unknown field <*> in <*>"),
        ("table \"x y\" doesn't exist", "table <*> doesn't exist"),
        ("cannot read /var/tmp/a1.txt, \"b\", and c.d", "cannot read <*>"),
        ("no user jo@example.org at https://example.org/a?b=c", "no user <*> at <*>"),
        ("item 7f3e-99ab-0001 expired at 2031-04-05T06:07:08Z", "item <*> expired at <*>"),
        ("load_all() got an unexpected argument 'depth'", "<*> got an unexpected argument <*>"),
        ("User Ada Lovelace not found in the list", "user <*> not found in the list"),
        ("channel random not found", "channel <*> not found"),
        ("no such table: people", "no such table: <*>"),
        ("3 errors and 12 warnings", "<*> error and <*> warning"),
        ("name 'colour' is not defined. Did you mean: 'color'?", "name <*> is not defined"),
        ("context_length_exceeded", "context length exceeded"),
        ("CONNECTION LOST", "connection lost"),
        ("pkg.errors.LoadError: broken index 7", "loaderror: broken index <*>"),
        ("Error: 404 Not Found", "404 not found"),
        ("request failed with status code 429", "request failed with status code 429"),
        ("parse error near 'it's \"not\" so' at line 3", "parse error near <*>"),
        ("{\"error\":{\"message\":\"Daily limit of 5 reached\"}}", "daily limit of <*> reached"),
        ("", NO_MESSAGE),
        ("rc=1 ", NO_MESSAGE),
        ("12 34 56", OUTPUT),
    ] {
        assert_eq!(text(content), expected, "{content}");
    }
}

#[test]
fn a_shells_program_and_place_are_data() {
    let of = |content: &str| template(None, Some("bash"), Some(content)).template;
    assert_eq!(of("ls: cannot access 'a': No such file or directory\n"), "<*>: no such file or directory");
    assert_eq!(of("cat: b c: No such file or directory\n3\n"), "<*>: no such file or directory");
    assert_eq!(of("/bin/sh: line 7: frob: command not found"), "<*>: command not found");
    assert_eq!(of("frob: line 2: cd: too many arguments"), "<*>: too many arguments");
}

#[test]
fn the_reported_type_is_not_repeated_and_tells_groups_apart() {
    let one = template(Some("ValueError"), Some("t"), Some("ValueError: no 7"));
    let other = template(Some("TypeError"), Some("t"), Some("TypeError: no 8"));
    assert_eq!((one.template.as_str(), other.template.as_str()), ("no <*>", "no <*>"));
    assert_ne!(one.fingerprint, other.fingerprint);
    assert_ne!(one.fingerprint, template(Some("ValueError"), Some("u"), Some("ValueError: no 7")).fingerprint);
    assert_eq!(one.fingerprint, Fingerprint::of(&["ValueError", "t", "no <*>"]));
}

#[test]
fn odd_names_are_shown_masked_but_stay_apart() {
    let one = template(None, Some("<script>1</script>"), None);
    let other = template(None, Some("<script>2</script>"), None);
    assert_eq!(one.tool.as_deref(), Some("<*>"));
    assert_ne!(one.fingerprint, other.fingerprint);
}

proptest::proptest! {
    #[test]
    fn a_template_holds_words_and_masks_only(kind in ".{0,40}", content in "(?s).{0,300}") {
        let group = template(Some(&kind), None, Some(&content));
        for text in [group.template.as_str(), group.error_type.as_deref().unwrap_or_default()] {
            let bare = text.replace("<*>", "").replace(NO_MESSAGE, "").replace(OUTPUT, "");
            let odd = bare.chars().find(|c| {
                !c.is_alphanumeric() && !" -'’.,:;_".contains(*c)
            });
            proptest::prop_assert!(odd.is_none(), "{odd:?} in {text}");
            proptest::prop_assert!(text.len() <= 24 * 40);
        }
        proptest::prop_assert_eq!(&group, &template(Some(&kind), None, Some(&content)));
    }

    #[test]
    fn numbers_and_quotes_never_split_a_group(a in 0_u32..1_000_000, b in 0_u32..1_000_000, q in "[a-z ]{1,20}") {
        proptest::prop_assert_eq!(
            text(&format!("limit {a} reached by '{q}' in job {b}")),
            text("limit 5 reached by 'x' in job 2")
        );
    }
}

#[test]
fn thousands_of_names_are_few_groups() {
    let Some(groups) = real("intercode") else { return };
    assert_eq!(groups.total, 38_251);
    let sizes = groups.sizes("");
    // The tail is real: programs that say each its own thing, mostly once.
    assert!(sizes.len() < 125, "{}", sizes.len());
    assert!(sizes.iter().filter(|n| **n > 5).count() <= 65, "{sizes:?}");
    assert!(groups.sizes("MySQLError").len() < 30);
    assert!(groups.largest_share(15) > 0.95, "{}", groups.largest_share(15));
    for (part, count) in [("unknown column <*> in <*>", 11_306), ("table <*> doesn't exist", 17_349)] {
        assert_eq!(groups.starting("mysql", &format!("error executing query: {part}")), [count]);
    }
    assert_eq!(groups.starting("mysql", "error executing query: you have an error in your sql syntax").len(), 1);
}

#[test]
fn one_recurring_format_error() {
    let Some(groups) = real("mini_swe") else { return };
    assert_eq!(groups.sizes("FormatError"), [873]);
    assert_eq!(groups.starting("bash:pytest", "<*>: command not found"), [23]);
}

#[test]
fn customer_service_errors_group_by_cause() {
    let Some(groups) = real("tau_bench") else { return };
    assert_eq!(groups.sizes("ServiceUnavailable"), [123]);
    assert!(groups.sizes("").len() < 25);
    let Some(groups) = real("tau2") else { return };
    assert_eq!(groups.starting("book_reservation", "payment amount does not add up"), [15]);
    assert_eq!(groups.starting("update_reservation_flights", "gift card balance is not enough"), [2]);
    assert!(groups.sizes("").len() < 40);
}

#[test]
fn volume_stays_few_kinds() {
    let Some(groups) = real("agentdojo") else { return };
    let kinds: std::collections::BTreeSet<_> =
        groups.counts.keys().filter(|(_, tool, _)| !tool.is_empty()).map(|(kind, _, text)| (kind, text)).collect();
    assert!(kinds.len() < 40, "{} {kinds:#?}", kinds.len());
}

#[test]
fn outside_of_tools_a_type_that_says_the_cause_is_the_identity() {
    let one = template(Some("FormatError"), None, Some("found 3 actions"));
    assert_eq!(one, template(Some("FormatError"), None, Some("diff --git a/x b/x")));
    assert_eq!(one.template, "format error");
    assert_eq!(template(Some("max_steps"), None, None).template, "max steps");
    let umbrella = |text| template(Some("APIError"), None, Some(text)).fingerprint;
    assert_ne!(umbrella("429 too many requests"), umbrella("500 internal server error"));
    let of_tool = |text| template(Some("FormatError"), Some("parse"), Some(text)).fingerprint;
    assert_ne!(of_tool("missing header"), of_tool("unknown version"));
}
