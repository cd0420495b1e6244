//! `/api`: what there is, for whoever opens the address in a browser.

use std::fmt::Write;

use utoipa::openapi::OpenApi;

/// The page that lists every route.
pub(crate) fn index(api: &OpenApi) -> String {
    let mut page = String::from(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Uplift</title></head><body>\n\
         <h1>Uplift</h1>\n<p>Described in <a href=\"/api/openapi.json\">/api/openapi.json</a>.</p>\n<table>\n",
    );
    for (path, item) in &api.paths.paths {
        let methods = [("GET", &item.get), ("POST", &item.post), ("PUT", &item.put), ("DELETE", &item.delete)];
        for (method, operation) in methods {
            let Some(operation) = operation else { continue };
            let summary = operation.summary.as_deref().or(operation.description.as_deref()).unwrap_or_default();
            let shown = escape(path);
            let shown = if method == "GET" && !path.contains('{') {
                format!("<a href=\"{shown}\">{shown}</a>")
            } else {
                shown
            };
            // Writing to a String cannot fail.
            let _ = writeln!(page, "<tr><td>{method}</td><td>{shown}</td><td>{}</td></tr>", escape(summary));
        }
    }
    page.push_str("</table>\n</body></html>\n");
    page
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn nothing_on_the_page_is_markup_by_accident() {
        assert_eq!(escape("<a href=\"x\">'&'</a>"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
    }
}
