//! The fleet at work: it asks the server what to run, over HTTP, plays its tasks, and reports what happened.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use anyhow::{Context, bail};
use futures::{StreamExt, TryStreamExt};
use reqwest::{Client, Response};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use uplift_model::revision::Configuration;
use uplift_sim::fleet::planted::Harm;
use uplift_sim::fleet::traffic::Arrival;
use uplift_sim::fleet::{AGENTS, Processes, Served, play};

/// Questions on their way at once.
const AT_ONCE: usize = 16;
/// Characters of an answer that are repeated in an error.
const MOST_REPEATED: usize = 500;

/// The fleet.
pub(crate) struct World {
    client: Client,
    url: String,
    /// Configurations by their address.
    known: BTreeMap<String, Arc<Configuration>>,
    processes: Processes,
    /// When an agent was first served a revision, microseconds since the Unix epoch.
    first_served: BTreeMap<(&'static str, String), i64>,
    /// What has happened and is not reported yet: by its moment, then in the order in which it was played.
    unreported: BinaryHeap<Reverse<(i64, u64, String)>>,
    played: u64,
    /// Tasks begun.
    pub(crate) tasks: u64,
    /// Events that the server took.
    pub(crate) events: u64,
}

/// What is needed of an answer to "what am I to run?".
#[derive(Deserialize)]
struct Answer {
    revision: String,
    configuration: Box<RawValue>,
    exposure: Option<Value>,
}

/// What is needed of an answer to events.
#[derive(Deserialize)]
struct Taken {
    accepted: u64,
    duplicates: u64,
    rejected_count: u64,
}

impl World {
    /// A fleet that talks to the server at `url`.
    pub(crate) fn new(url: String) -> anyhow::Result<Self> {
        Ok(Self {
            client: Client::builder().no_proxy().build()?,
            url,
            known: BTreeMap::new(),
            processes: Processes::new(),
            first_served: BTreeMap::new(),
            unreported: BinaryHeap::new(),
            played: 0,
            tasks: 0,
            events: 0,
        })
    }

    /// Every agent says which configuration its code brings along.
    pub(crate) async fn introduce(&mut self) -> anyhow::Result<()> {
        for agent in AGENTS {
            let url = format!("{}/api/resolve/agent/{}", self.url, agent.name);
            let body = json!({ "defaults": agent.defaults() });
            let answer = self.client.post(url).json(&body).send().await?;
            answered(answer).await.with_context(|| format!("{} was not taken in", agent.name))?;
        }
        Ok(())
    }

    /// Each task asks what to run and is played with that. The server's clock stands at `now_us`; no task begins before.
    pub(crate) async fn work(&mut self, arrivals: Vec<Arrival>, now_us: i64) -> anyhow::Result<()> {
        let (client, url) = (&self.client, &self.url);
        let answers: Vec<(Arrival, Answer)> = futures::stream::iter(arrivals)
            .map(|arrival| async move {
                let place = format!("{url}/api/resolve/agent/{}?unit={}", arrival.agent.name, arrival.task.task_id);
                let bytes = answered(client.get(place).send().await?).await?;
                anyhow::Ok((arrival, serde_json::from_slice::<Answer>(&bytes)?))
            })
            // In the order of the tasks, whichever answer comes first.
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        for (mut arrival, answer) in answers {
            arrival.task.started_us = arrival.task.started_us.max(now_us);
            let configuration = self.configuration(&answer).await?;
            self.play(&arrival, answer, &configuration);
        }
        Ok(())
    }

    fn play(&mut self, arrival: &Arrival, answer: Answer, configuration: &Configuration) {
        let (agent, task) = (arrival.agent, &arrival.task);
        let first_us = *self.first_served.entry((agent.name, answer.revision)).or_insert(task.started_us);
        let exposures = answer.exposure.map(|exposure| json!([exposure]));
        let served = Served {
            configuration,
            processes: &self.processes,
            exposures: exposures.as_ref(),
            age_us: task.started_us - first_us,
        };
        for record in play(agent, &served, task).records {
            self.unreported.push(Reverse((record.ts.micros(), self.played, record.line())));
            self.played += 1;
        }
        self.tasks += 1;
    }

    /// The configuration of an answer, with what its processes do.
    async fn configuration(&mut self, answer: &Answer) -> anyhow::Result<Arc<Configuration>> {
        if let Some(known) = self.known.get(&answer.revision) {
            return Ok(Arc::clone(known));
        }
        let configuration: Configuration = serde_json::from_str(answer.configuration.get())?;
        for name in &configuration.processes {
            if !self.processes.contains_key(name) {
                let steps = self.steps(name).await?;
                self.processes.insert(name.clone(), steps);
            }
        }
        let configuration = Arc::new(configuration);
        self.known.insert(answer.revision.clone(), Arc::clone(&configuration));
        Ok(configuration)
    }

    async fn steps(&self, process: &str) -> anyhow::Result<Vec<String>> {
        let place = format!("{}/api/resolve/process/{process}", self.url);
        let bytes = answered(self.client.get(place).send().await?).await?;
        let answer: Answer = serde_json::from_slice(&bytes)?;
        let configuration: Value = serde_json::from_str(answer.configuration.get())?;
        Ok(serde_json::from_value(configuration["steps"].clone()).unwrap_or_default())
    }

    /// Reports what has happened up to `now_us`.
    pub(crate) async fn report(&mut self, now_us: i64) -> anyhow::Result<()> {
        let mut body = String::new();
        while let Some(Reverse((ts, _, line))) = self.unreported.peek() {
            if *ts > now_us {
                break;
            }
            body.push_str(line);
            body.push('\n');
            self.unreported.pop();
        }
        if body.is_empty() {
            return Ok(());
        }
        let request = self.client.post(format!("{}/api/events", self.url));
        let answer = request.header("content-type", "application/x-ndjson").body(body).send().await?;
        let taken: Taken = serde_json::from_slice(&answered(answer).await?)?;
        if taken.rejected_count > 0 || taken.duplicates > 0 {
            bail!("{} events were refused, {} were known already", taken.rejected_count, taken.duplicates);
        }
        self.events += taken.accepted;
        Ok(())
    }

    /// An operator proposes a change.
    pub(crate) async fn propose(&self, harm: &Harm) -> anyhow::Result<()> {
        let body = json!({
            "entity_type": "agent",
            "entity": harm.agent,
            "improvement_type": harm.improvement_type,
            "edits": harm.edits,
            "rationale": harm.rationale,
            "proposed_by": "operator",
        });
        let answer = self.client.post(format!("{}/api/improvements", self.url)).json(&body).send().await?;
        answered(answer).await.with_context(|| format!("the change of {} was not taken", harm.agent)).map(drop)
    }

    /// What processes do, as far as anybody was served one.
    pub(crate) fn processes(&self) -> &Processes {
        &self.processes
    }
}

async fn answered(response: Response) -> anyhow::Result<bytes::Bytes> {
    let status = response.status();
    let bytes = response.bytes().await?;
    if !status.is_success() {
        let text: String = String::from_utf8_lossy(&bytes).chars().take(MOST_REPEATED).collect();
        bail!("the server answered {status}: {text}");
    }
    Ok(bytes)
}
