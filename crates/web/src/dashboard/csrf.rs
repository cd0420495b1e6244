//! Forms that only our own pages can send: each carries a token that is bound to who looks at the page.

use std::collections::BTreeMap;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, FromRequest, FromRequestParts, Request};
use maud::{Markup, html};

use super::failed::{OnPage, PageError};
use super::visit::Visit;
use crate::error::{ErrorCode, WebError};
use crate::extract::soon;
use crate::state::AppState;

/// The field of a form that carries its token.
pub(crate) const FIELD: &str = "form_token";

/// The field that every form has.
pub(crate) fn field(visit: &Visit) -> Markup {
    html! { input type="hidden" name=(FIELD) value=(visit.form_token); }
}

/// A form that one of our pages sent.
pub(crate) struct Posted {
    pub(crate) visit: Visit,
    fields: BTreeMap<String, String>,
}

impl Posted {
    /// What was written into a field; none where it is missing or blank.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.fields.get(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// Everything that was filled in.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.trim())).filter(|(name, _)| *name != FIELD)
    }
}

impl FromRequest<AppState> for Posted {
    type Rejection = PageError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Self::Rejection> {
        let (mut parts, body) = request.into_parts();
        let visit = Visit::from_request_parts(&mut parts, state).await?;
        let headers = parts.headers.clone();
        let form = Form::<Vec<(String, String)>>::from_request(Request::from_parts(parts, body), state);
        let fields: BTreeMap<String, String> = match soon(form).await.on(&visit)? {
            Ok(Form(fields)) => fields.into_iter().collect(),
            Err(FormRejection::BytesRejection(error)) => {
                return Err(PageError::new(&visit, WebError::new(ErrorCode::BodyTooLarge, error.body_text())));
            }
            Err(error) => {
                return Err(PageError::new(&visit, WebError::new(ErrorCode::InvalidBody, error.body_text())));
            }
        };
        let given = fields.get(FIELD).map_or("", String::as_str);
        if !state.access.keys.is_form_token(given, &visit.caller, &headers, state.access.guarding.tls) {
            let detail = "this form is not one that was made for you, or it is too old: load its page again, and send \
                          it from there";
            return Err(PageError::new(&visit, WebError::new(ErrorCode::Forbidden, detail)));
        }
        Ok(Self { visit, fields })
    }
}
