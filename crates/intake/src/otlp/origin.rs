//! Where spans come from: their resource and the library that made them, looked at once for all of their spans.

use std::borrow::Cow;

use uplift_model::entity::DEFAULT_ENVIRONMENT;

use super::keys::hash;
use super::names::name;
use super::text::{clip, string};
use super::view::{Attributes, Scope, Value};

/// The service of spans that name none.
const UNKNOWN_SERVICE: &str = "unknown_service";
/// Most that is kept of a resource and a scope, bytes: it is written once for every task.
const MOST_BYTES: usize = 2_048;
/// Most that is kept of one value of them, bytes.
const MOST_VALUE_BYTES: usize = 512;
/// What is said of a resource by everybody, and helps nobody to make an agent better.
const TRIVIAL: [&str; 3] = ["telemetry.", "process.", "os."];

/// Members of a JSON object with the hashes of their names.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// Without braces; empty, or ends with a comma.
    pub(super) json: String,
    pub(super) hashes: Vec<u64>,
}

impl Members {
    fn put(&mut self, prefix: &str, key: &str, value: &Value<'_>) {
        let before = self.json.len();
        let key = format!("{prefix}{key}");
        let hash = hash(&key);
        if self.hashes.contains(&hash) {
            return;
        }
        string(&mut self.json, &key);
        self.json.push(':');
        match value {
            Value::Text(text) => string(&mut self.json, clip(text, MOST_VALUE_BYTES)),
            Value::Json(json) if json.len() > MOST_VALUE_BYTES => {
                string(&mut self.json, clip(json, MOST_VALUE_BYTES));
            }
            other => other.write(&mut self.json),
        }
        self.json.push(',');
        if self.json.len() > MOST_BYTES {
            self.json.truncate(before);
        } else {
            self.hashes.push(hash);
        }
    }
}

/// The source of the spans that follow.
#[derive(Debug)]
pub(super) struct Origin {
    /// The environment of their entities.
    pub(super) environment: String,
    /// The service, as the name of an agent: it stands in where no span names one.
    pub(super) service: String,
    /// What every event says of it: the service and the library.
    pub(super) brief: Members,
    /// What tasks, and spans with which a trace comes to a service, say of it: all that is kept.
    pub(super) whole: Members,
    resource: Members,
}

impl Default for Origin {
    fn default() -> Self {
        Self {
            environment: DEFAULT_ENVIRONMENT.to_owned(),
            service: UNKNOWN_SERVICE.to_owned(),
            brief: Members::default(),
            whole: Members::default(),
            resource: Members::default(),
        }
    }
}

impl Origin {
    /// Of a resource; the scope is not known yet.
    pub(super) fn of(resource: &Attributes<'_>) -> Self {
        let named = |key| resource.get(key).and_then(Value::text).and_then(name);
        let environment = ["deployment.environment.name", "deployment.environment", "service.namespace"]
            .into_iter()
            .find_map(named)
            .unwrap_or(Cow::Borrowed(DEFAULT_ENVIRONMENT));
        let service = named("service.name").unwrap_or(Cow::Borrowed(UNKNOWN_SERVICE));
        let mut members = Members::default();
        if let Some(value) = resource.get("service.name") {
            members.put("resource.", "service.name", value);
        }
        for attribute in &resource.items {
            if !TRIVIAL.iter().any(|prefix| attribute.key.starts_with(prefix)) {
                members.put("resource.", &attribute.key, &attribute.value);
            }
        }
        let (environment, service) = (environment.into_owned(), service.into_owned());
        Self { environment, service, resource: members, ..Self::default() }
    }

    /// Goes on to the next library of the same resource.
    pub(super) fn scope(&mut self, scope: &Scope<'_>) {
        let text = |text: &Cow<'_, str>| Value::Text(Cow::Owned(text.to_string()));
        self.brief = Members::default();
        self.brief.put("resource.", "service.name", &text(&Cow::Borrowed(&self.service)));
        self.whole = Members { json: self.resource.json.clone(), hashes: self.resource.hashes.clone() };
        if !scope.name.is_empty() {
            for members in [&mut self.brief, &mut self.whole] {
                members.put("otel.scope.", "name", &text(&scope.name));
            }
        }
        if !scope.version.is_empty() {
            self.whole.put("otel.scope.", "version", &text(&scope.version));
        }
        for attribute in &scope.attributes.items {
            self.whole.put("otel.scope.", &attribute.key, &attribute.value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::Attribute;
    use super::*;

    fn resource(pairs: &[(&'static str, &str)]) -> Origin {
        let items = pairs
            .iter()
            .map(|(key, value)| Attribute { key: (*key).into(), value: Value::Text(value.to_string().into()) })
            .collect();
        let mut origin = Origin::of(&Attributes { items, left_out: 0 });
        origin.scope(&Scope { name: "lib".into(), version: "1.2".into(), ..Scope::default() });
        origin
    }

    #[test]
    fn the_environment_is_the_deployment_else_the_namespace_else_the_default() {
        type Row = (&'static [(&'static str, &'static str)], &'static str);
        let table: [Row; 6] = [
            (&[], "default"),
            (&[("service.namespace", "shop")], "shop"),
            (&[("service.namespace", "shop"), ("deployment.environment", "prod")], "prod"),
            (&[("deployment.environment", "old"), ("deployment.environment.name", "new")], "new"),
            (&[("deployment.environment.name", " "), ("service.namespace", "shop")], "shop"),
            (&[("deployment.environment.name", "7")], "id-7"),
        ];
        for (pairs, expected) in table {
            assert_eq!(resource(pairs).environment, expected, "{pairs:?}");
        }
    }

    #[test]
    fn what_is_trivial_or_long_is_left_out() {
        let long = "x".repeat(4_000);
        let origin = resource(&[
            ("service.name", "checkout"),
            ("telemetry.sdk.name", "opentelemetry"),
            ("process.pid", "7"),
            ("host.name", "h\"1"),
            ("big", &long),
        ]);
        let whole = origin.whole.json.trim_end_matches(',');
        assert_eq!(
            whole.replace(&long[..MOST_VALUE_BYTES], "LONG"),
            r#""resource.service.name":"checkout","resource.host.name":"h\"1","resource.big":"LONG","otel.scope.name":"lib","otel.scope.version":"1.2""#
        );
        assert_eq!(origin.brief.json, r#""resource.service.name":"checkout","otel.scope.name":"lib","#);
        assert_eq!(origin.service, "checkout");
    }
}
