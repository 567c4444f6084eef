//! The verbs of topics, events and dead letters.

use super::client::Client;
use super::layout::Side::{Left, Right};
use super::layout::{Side, age, lay_out, none};
use super::output::Output;
use super::terminal;
use crate::admin::{
    BridgeView, DeadLetterView, EventPageView, EventView, PublishRequest, PublishedView, RebuildRequest, RebuiltView,
    RetryRequest, SentView, SubscriptionView, TopicView,
};
use crate::base::ServiceName;
use crate::config;
use crate::events::TopicName;
use clap::{Args, Subcommand};
use serde_json::value::RawValue;
use std::io::Read;
use std::time::{Duration, SystemTime};
use tokio::time::sleep;

/// What can be asked of topics.
#[derive(Debug, Subcommand)]
pub(super) enum EventsVerb {
    /// List topics and subscriptions: how far each is behind, what is stuck, dead letters
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Print the events of a topic, one CloudEvent in each line
    ///
    /// Without --from or --since, the last ten. With --follow it goes on until it is stopped.
    #[command(verbatim_doc_comment)]
    Tail(TailArgs),
    /// Publish an event; it is on disk when this returns
    #[command(verbatim_doc_comment)]
    Publish {
        /// The topic
        #[arg(value_parser = TopicName::new)]
        topic: TopicName,
        /// The payload, JSON; `-` reads it from standard input
        payload: String,
        /// What orders it: events of one key are handled one after the other
        #[arg(long)]
        key: Option<String>,
    },
    /// List the dead letters of a subscription, with why each failed
    ///
    /// As JSON with all failures, and with the events themselves.
    #[command(verbatim_doc_comment)]
    Dead {
        /// The topic
        #[arg(value_parser = TopicName::new)]
        topic: TopicName,
        /// The service that subscribes
        #[arg(value_parser = ServiceName::new)]
        service: ServiceName,
        #[command(flatten)]
        output: Output,
    },
    /// Send a dead letter again, or all of a subscription
    ///
    /// It stays a dead letter until the service has handled it.
    #[command(verbatim_doc_comment)]
    Retry {
        /// The topic
        #[arg(value_parser = TopicName::new)]
        topic: TopicName,
        /// The service that subscribes
        #[arg(value_parser = ServiceName::new)]
        service: ServiceName,
        /// The number of the letter [default: all]
        number: Option<u64>,
    },
    /// Make a service's data again from its events, while all other services serve
    ///
    /// Its data are erased, and the events of its topics are delivered to it from the
    /// first one on. If retention has taken some of them, that is refused: --from or
    /// --since says that the rest is meant. What its handlers publish or send is
    /// published and sent again.
    #[command(verbatim_doc_comment)]
    Rebuild(RebuildArgs),
}

/// What is made again.
#[derive(Debug, Args)]
pub(super) struct RebuildArgs {
    /// The service that subscribes
    #[arg(value_parser = ServiceName::new)]
    service: ServiceName,
    /// The topic of one subscription [default: all of the service]
    #[arg(value_parser = TopicName::new)]
    topic: Option<TopicName>,
    /// The number of the first event
    #[arg(long, value_name = "NUMBER", conflicts_with = "since")]
    from: Option<u64>,
    /// Begin with the events of so long ago: `10m`, `24h`, `7d`
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    since: Option<Duration>,
    /// Erase nothing: only deliver the events again
    #[arg(long)]
    keep_data: bool,
    /// That this is meant
    #[arg(long, required_unless_present = "keep_data")]
    yes: bool,
}

/// Which events are printed.
#[derive(Debug, Args)]
pub(super) struct TailArgs {
    /// The topic
    #[arg(value_parser = TopicName::new)]
    topic: TopicName,
    /// The number of the first event; 1 is the first of the topic
    #[arg(long, value_name = "NUMBER", conflicts_with = "since")]
    from: Option<u64>,
    /// Begin with the events of so long ago: `10m`, `24h`, `7d`
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    since: Option<Duration>,
    /// The most events
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
    /// Go on with events that are published later
    #[arg(long, short)]
    follow: bool,
}

/// Where the next page begins.
#[derive(Clone, Copy)]
enum EventRange {
    After(u64),
    Since(u64),
    Latest(u64),
}

/// The time between two questions whether there are further events.
const POLL: Duration = Duration::from_millis(500);
/// The events that are asked for at once.
const PAGE: u64 = 500;
/// The events that are shown if nothing else is asked for.
const LAST: u64 = 10;

fn duration(text: &str) -> Result<Duration, String> {
    config::duration(text).ok_or_else(|| "write a whole number with its unit: 10m, 24h or 7d".into())
}

/// Asks about topics, or changes something.
pub(super) async fn events(client: &Client, verb: EventsVerb) -> anyhow::Result<String> {
    match verb {
        EventsVerb::List { output } => client.list("/v1/topics", output, topics).await,
        EventsVerb::Tail(args) => tail(client, args).await,
        EventsVerb::Publish { topic, payload, key } => {
            let text = if payload == "-" { standard_input()? } else { payload };
            let payload = RawValue::from_string(text.trim().to_owned())
                .map_err(|error| anyhow::anyhow!("the payload is no JSON: {error}"))?;
            let order = PublishRequest { key, payload };
            let published: PublishedView = client.post(&format!("/v1/topics/{topic}/events"), &order).await?;
            Ok(format!("{topic}: event {} is published", published.number))
        }
        EventsVerb::Dead { topic, service, output } => {
            let path = format!("/v1/topics/{topic}/subscriptions/{service}/dead?limit=1000");
            client.list(&path, output, dead_letters).await
        }
        EventsVerb::Retry { topic, service, number } => {
            let path = format!("/v1/topics/{topic}/subscriptions/{service}/dead/retry");
            let SentView { sent } = client.post(&path, &RetryRequest { number }).await?;
            let letters = if sent == 1 { "letter is" } else { "letters are" };
            Ok(format!("{topic}: {sent} dead {letters} sent to `{service}` again"))
        }
        EventsVerb::Rebuild(args) => rebuild(client, args).await,
    }
}

async fn rebuild(client: &Client, args: RebuildArgs) -> anyhow::Result<String> {
    let RebuildArgs { service, topic, from, since, keep_data, yes: _ } = args;
    let order = RebuildRequest {
        topic: topic.map(|topic| topic.to_string()),
        after: from.map(|from| from.saturating_sub(1)),
        since: since.map(|since| unix_ms().saturating_sub(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))),
        keep_data,
    };
    let rebuilt: Vec<RebuiltView> = client.post(&format!("/v1/services/{service}/rebuild"), &order).await?;
    let data = if keep_data { "its data stay" } else { "its data are erased" };
    let again = |one: &RebuiltView| {
        let noun = if one.events == 1 { "event" } else { "events" };
        format!("{} {noun} of `{}`", one.events, one.topic)
    };
    let topics: Vec<_> = rebuilt.iter().map(again).collect();
    Ok(format!("{service}: {data}, and it gets {} again", topics.join(" and ")))
}

fn standard_input() -> anyhow::Result<String> {
    let mut text = String::new();
    // One more than a payload may have: the host says which bound it is.
    std::io::stdin().take(1 << 20).read_to_string(&mut text)?;
    Ok(text)
}

async fn tail(client: &Client, TailArgs { topic, from, since, limit, follow }: TailArgs) -> anyhow::Result<String> {
    let mut range = match (from, since) {
        (Some(from), _) => EventRange::After(from.saturating_sub(1)),
        (None, Some(since)) => EventRange::Since(unix_ms().saturating_sub(u64::try_from(since.as_millis())?)),
        (None, None) => EventRange::Latest(limit.unwrap_or(LAST)),
    };
    let mut left = limit.unwrap_or(u64::MAX);
    loop {
        let (name, value) = match range {
            EventRange::After(number) => ("after", number),
            EventRange::Since(time) => ("since", time),
            EventRange::Latest(count) => ("latest", count),
        };
        let path = format!("/v1/topics/{topic}/events?{name}={value}&limit={}", PAGE.min(left));
        let EventPageView { events, more } = client.read(&client.get(&path).await?)?;
        left -= events.len() as u64;
        if let Some(last) = events.last() {
            range = EventRange::After(last.number);
        }
        let lines: String = events.iter().map(line).collect();
        if !lines.is_empty() {
            terminal::print(lines.trim_end())?;
        }
        if left == 0 || !(more || follow) {
            return Ok(String::new());
        }
        if !more {
            sleep(POLL).await;
        }
    }
}

fn line(EventView { number, event }: &EventView) -> String {
    match event {
        Some(event) => format!("{event}\n"),
        None => format!("event {number} is damaged\n"),
    }
}

fn topics(topics: &[TopicView]) -> String {
    const COLUMNS: [(&str, Side); 9] = [
        ("TOPIC", Left),
        ("EVENTS", Right),
        ("KIB", Right),
        ("SUBSCRIBER", Left),
        ("LAG", Right),
        ("BEHIND", Right),
        ("IN-FLIGHT", Right),
        ("DEAD", Right),
        ("STUCK", Left),
    ];
    if topics.is_empty() {
        return "no topics\n".into();
    }
    let rows = topics.iter().flat_map(|topic| {
        let mut first = [topic.name.clone(), topic.last.to_string(), topic.bytes.div_ceil(1024).to_string()];
        if topic.subscriptions.is_empty() {
            let [name, last, bytes] = first;
            return vec![[name, last, bytes, none(), none(), none(), none(), none(), none()]];
        }
        let row = |one: &SubscriptionView| {
            let [name, last, bytes] = std::mem::take(&mut first);
            let stuck = match (one.stuck, &one.stuck_key) {
                (Some(number), Some(key)) => format!("{number} (key {key})"),
                (Some(number), None) => number.to_string(),
                (None, _) => none(),
            };
            let behind = one.lag_seconds.map_or_else(none, age);
            let [lag, in_flight, dead] =
                [one.lag, one.in_flight as u64, one.dead as u64].map(|count| count.to_string());
            [name, last, bytes, one.service.clone(), lag, behind, in_flight, dead, stuck]
        };
        topic.subscriptions.iter().map(row).collect()
    });
    let bridges = topics.iter().flat_map(|topic| topic.bridges.iter().map(|one| bridge(&topic.name, one)));
    lay_out(COLUMNS, rows) + &topics.iter().filter_map(outbox).chain(bridges).collect::<String>()
}

/// What a bridge does.
fn bridge(topic: &str, BridgeView { name, direction, place, copied, lag, error }: &BridgeView) -> String {
    let waiting = match lag {
        Some(0) => "none wait".to_owned(),
        Some(1) => "1 waits".to_owned(),
        Some(lag) => format!("{lag} wait"),
        None => "nobody knows how many wait".to_owned(),
    };
    let error = error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
    format!("{topic}: bridge {name} {direction} {place}: {copied} copied, {waiting}{error}\n")
}

/// What waits for the broker, and why; `None` if nothing does and nothing is wrong.
fn outbox(topic: &TopicView) -> Option<String> {
    let events = topic.outbox_events?;
    let since = topic.outbox_seconds.map(|seconds| format!(", the oldest for {}", age(seconds)));
    let waiting = match events {
        0 => "nothing waits for the broker".to_owned(),
        1 => format!("1 event waits for the broker{}", since.unwrap_or_default()),
        _ => format!("{events} events wait for the broker{}", since.unwrap_or_default()),
    };
    let failure = topic.broker_error.as_ref().map(|error| format!(": {error}"));
    (events > 0 || failure.is_some()).then(|| format!("{}: {waiting}{}\n", topic.name, failure.unwrap_or_default()))
}

fn dead_letters(letters: &[DeadLetterView]) -> String {
    const COLUMNS: [(&str, Side); 4] = [("NUMBER", Right), ("TRIES", Right), ("LAST", Right), ("REASON", Left)];
    if letters.is_empty() {
        return "no dead letters\n".into();
    }
    let now = unix_ms();
    let row = |letter: &DeadLetterView| {
        let last = letter.failures.last();
        let ago = last.map_or_else(none, |last| age(now.saturating_sub(last.at) / 1000));
        let reason = last.map_or_else(none, |last| last.reason.lines().next().unwrap_or_default().to_owned());
        [letter.number.to_string(), letter.tries.to_string(), ago, reason]
    };
    lay_out(COLUMNS, letters.iter().map(row))
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_shown_with_a_row_for_each_subscriber() {
        let one = SubscriptionView {
            service: "mailer".into(),
            function: "order-placed".into(),
            lag: 12,
            lag_seconds: Some(75),
            stuck: Some(7),
            stuck_key: Some("o-1".into()),
            in_flight: 2,
            dead: 1,
            handled: 5,
            failures: 3,
            cpu_ms: 4,
        };
        let two = SubscriptionView {
            service: "sales".into(),
            lag: 0,
            lag_seconds: None,
            stuck: None,
            stuck_key: None,
            in_flight: 0,
            dead: 0,
            ..one.clone()
        };
        let topic = |name: &str, subscriptions| TopicView {
            name: name.into(),
            payload: None,
            last: 19,
            bytes: 2049,
            outbox_bytes: None,
            outbox_events: None,
            outbox_seconds: None,
            broker_error: None,
            subscriptions,
            bridges: Vec::new(),
        };
        let expected = "\
TOPIC          EVENTS  KIB  SUBSCRIBER  LAG  BEHIND  IN-FLIGHT  DEAD  STUCK
orders.placed      19    3  mailer       12      1m          2     1  7 (key o-1)
                            sales         0       -          0     0  -
quiet              19    3  -             -       -          -     -  -
";
        assert_eq!(topics(&[topic("orders.placed", vec![one, two]), topic("quiet", vec![])]), expected);
        let waiting = |outbox_events, outbox_seconds, error: Option<&str>| {
            let broker_error = error.map(str::to_owned);
            outbox(&TopicView { outbox_events, outbox_seconds, broker_error, ..topic("t", vec![]) })
        };
        for (events, seconds, error, expected) in [
            (Some(0), None, None, None),
            (Some(1), Some(75), None, Some("t: 1 event waits for the broker, the oldest for 1m\n")),
            (Some(7), Some(5), Some("away"), Some("t: 7 events wait for the broker, the oldest for 5s: away\n")),
            (Some(0), None, Some("away"), Some("t: nothing waits for the broker: away\n")),
            (None, None, None, None),
        ] {
            assert_eq!(waiting(events, seconds, error).as_deref(), expected);
        }
        let place = "nats://a:4222/t".to_owned();
        let (name, direction, error) = ("east".to_owned(), "to".to_owned(), Some("away".to_owned()));
        let told = bridge("t", &BridgeView { name, direction, place, copied: 2, lag: Some(7), error });
        assert_eq!(told, "t: bridge east to nats://a:4222/t: 2 copied, 7 wait: away\n");
        assert_eq!((topics(&[]), dead_letters(&[])), ("no topics\n".into(), "no dead letters\n".into()));
    }
}
