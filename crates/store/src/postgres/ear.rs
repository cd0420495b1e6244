//! Hearing what other servers tell: a connection that listens, made anew whenever it ends.

use std::time::Duration;

use futures::StreamExt;
use tokio::sync::broadcast;
use tokio::task::AbortHandle;
use tokio_postgres::AsyncMessage;
use uplift_model::entity::EntityKey;

use super::session::reason_of;
use super::tls::Server;
use crate::notices::{LAG, Notice};

/// Entities in one notice: PostgreSQL takes 8,000 bytes.
const ENTITIES: usize = 100;
/// How long to wait before listening again after the connection ended.
const PAUSE: Duration = Duration::from_secs(1);

/// A connection that listens, until it is dropped.
pub(crate) struct Ear {
    channel: String,
    heard: broadcast::Sender<Notice>,
    task: AbortHandle,
}

impl Ear {
    /// Begins to listen for the servers of a schema.
    pub(super) fn open(server: Server, schema: &str) -> Self {
        let channel = channel(schema);
        let heard = broadcast::Sender::new(LAG);
        let task = tokio::spawn(listen(server, channel.clone(), heard.clone())).abort_handle();
        Self { channel, heard, task }
    }

    /// Where it listens.
    pub(crate) fn channel(&self) -> &str {
        &self.channel
    }

    /// What is heard from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Notice> {
        self.heard.subscribe()
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The channel of a schema: databases are apart by themselves.
fn channel(schema: &str) -> String {
    format!("uplift_{schema}")
}

/// A notice as texts that are short enough.
pub(crate) fn texts(notice: Notice) -> Vec<String> {
    let parts: Vec<Notice> = match notice {
        Notice::Touched(entities) if entities.len() > ENTITIES => {
            entities.chunks(ENTITIES).map(|some: &[EntityKey]| Notice::Touched(some.to_vec())).collect()
        }
        notice => vec![notice],
    };
    parts.iter().filter_map(|part| serde_json::to_string(part).ok()).collect()
}

async fn listen(server: Server, channel: String, heard: broadcast::Sender<Notice>) {
    loop {
        if let Err(error) = listen_once(&server, &channel, &heard).await {
            tracing::debug!(reason = reason_of(&error), "listening for other servers is begun anew");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn listen_once(
    server: &Server,
    channel: &str,
    heard: &broadcast::Sender<Notice>,
) -> Result<(), tokio_postgres::Error> {
    let (client, mut connection) = server.connect().await?;
    let mut messages = futures::stream::poll_fn(move |context| connection.poll_message(context));
    let asked = format!("LISTEN \"{}\"", channel.replace('"', "\"\""));
    let begin = client.batch_execute(&asked);
    tokio::pin!(begin);
    let mut begun = false;
    loop {
        tokio::select! {
            done = &mut begin, if !begun => {
                done?;
                begun = true;
                // What was told before nobody heard here. An error means that nobody is interested.
                let _ = heard.send(Notice::Anything);
            }
            message = messages.next() => match message {
                None => return Ok(()),
                Some(Err(error)) => return Err(error),
                Some(Ok(AsyncMessage::Notification(told))) => {
                    let notice = serde_json::from_str(told.payload()).unwrap_or(Notice::Anything);
                    let _ = heard.send(notice);
                }
                Some(Ok(_)) => {}
            },
        }
    }
}
