//! What operators do: set targets, try them out, take up what was given up.

use uplift_model::notification::{DeliveryState, Message, NewTarget, NotificationKind, Target};
use uplift_store::writes::attention::NotificationWrite;
use uplift_store::{StoreError, Write};

use super::{sending, sign};
use crate::control::ControlError;
use crate::engine::Engine;

/// A target that was set, with its secret: told this once.
#[derive(Clone, PartialEq, Eq)]
pub struct SetTarget {
    /// The target.
    pub target: Target,
    /// The secret that messages are signed with.
    pub secret: String,
}

/// How a trial of a target went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Whether it said that it has the message.
    pub delivered: bool,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// What went wrong.
    pub error: Option<String>,
    /// The id of the message that was sent.
    pub message_id: String,
}

impl Engine {
    /// Sets a target. Where it has no secret, one is made.
    ///
    /// # Errors
    /// When it cannot be a target, its name is taken, or there are too many.
    pub async fn set_target(&self, mut target: NewTarget, by: &str) -> Result<SetTarget, ControlError> {
        let invalid = |reason: String| ControlError::Invalid { reason };
        target.check().map_err(invalid)?;
        sending::address(&target.url, &self.policy().notifications).map_err(invalid)?;
        let secret = match target.secret.take() {
            Some(secret) => secret,
            None => sign::new_secret()
                .map_err(|error| StoreError::Engine { context: "making a secret", reason: error.to_string() })?,
        };
        if sign::key(&secret).is_none() {
            return Err(invalid("a secret is `whsec_` and 24 to 64 bytes in base64".to_owned()));
        }
        target.secret = Some(secret.clone());
        let name = target.name.clone();
        let put = NotificationWrite::PutTarget { target: Box::new(target), by: by.to_owned() };
        self.commit(vec![Write::Notifications(put)]).await?;
        Ok(SetTarget { target: self.target(&name).await?, secret })
    }

    /// Removes a target, and what is on its way to it.
    ///
    /// # Errors
    /// When there is none of this name.
    pub async fn remove_target(&self, name: &str) -> Result<(), ControlError> {
        let id = self.target(name).await?.id;
        self.commit(vec![Write::Notifications(NotificationWrite::RemoveTarget { id })]).await?;
        Ok(())
    }

    /// Sends a message to a target, once, and says how it went.
    ///
    /// # Errors
    /// When there is none of this name.
    pub async fn try_target(&self, name: &str, by: &str) -> Result<Trial, ControlError> {
        let target = self.target(name).await?;
        let now = self.now();
        let message = Message {
            id: format!("test-{}-{}", target.id, now.micros()),
            kind: NotificationKind::Test,
            at: now,
            subject: "test".to_owned(),
            summary: format!("{by} tries the target {name} out: all is well if you can read this"),
            data: serde_json::json!({ "by": by, "target": name }),
        };
        let sender = sending::sender(&self.policy().notifications)?;
        let (status, error) = match sender.send(&target.target, &message, now).await {
            Ok(status) => (Some(status), None),
            Err(failure) => (failure.status, Some(failure.error)),
        };
        Ok(Trial { delivered: error.is_none(), status, error, message_id: message.id })
    }

    /// Takes up a delivery that was given up.
    ///
    /// # Errors
    /// When there is none with this number, or it was not given up.
    pub async fn revive_delivery(&self, id: i64) -> Result<DeliveryState, ControlError> {
        self.commit(vec![Write::Notifications(NotificationWrite::Revive { id })]).await?;
        Ok(DeliveryState::Pending)
    }

    async fn target(&self, name: &str) -> Result<Target, StoreError> {
        let found = self.store().targets().await?.into_iter().find(|target| target.target.name == name);
        found.ok_or_else(|| StoreError::NotFound {
            what: "notification target",
            name: name.chars().take(200).collect(),
            hint: String::new(),
        })
    }
}
