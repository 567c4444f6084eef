//! The verbs that show what happens in a running host: its log, the traps of its guests, its changes, and why a service
//! does not fare well.

use super::client::{Client, percent_encoded};
use super::output::Output;
use super::{observed_text, terminal};
use crate::admin::{ChangeView, LineView, LinesView, TrapView};
use crate::base::ServiceName;
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// How long a broken stream rests before it is opened again.
const AGAIN: Duration = Duration::from_secs(1);

/// Which lines of the log.
#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// Only lines about this service
    #[arg(value_parser = ServiceName::new)]
    service: Option<ServiceName>,
    /// Go on with the lines that come
    #[arg(short, long)]
    follow: bool,
    /// Only lines of the last so many seconds, or 30s, 5m, 2h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only lines of this level, or of a worse one
    #[arg(long, value_enum)]
    level: Option<LevelArg>,
    /// Only lines of this trace, or of the request with this id
    #[arg(long, value_name = "ID")]
    trace: Option<String>,
    /// How many lines at most, the newest ones
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
    #[command(flatten)]
    output: Output,
}

/// Which changes.
#[derive(Debug, Args)]
pub(super) struct ChangesArgs {
    /// Only changes of this service
    #[arg(long, value_parser = ServiceName::new)]
    service: Option<ServiceName>,
    /// Only changes of this kind, such as circuit-opened
    #[arg(long)]
    kind: Option<String>,
    /// Only changes of the last so many seconds, or 30s, 5m, 2h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Go on with the changes that come
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    output: Output,
}

/// Which traps.
#[derive(Debug, Args)]
pub(super) struct TrapsArgs {
    /// Only those of this service
    #[arg(value_parser = ServiceName::new)]
    service: Option<ServiceName>,
    #[command(flatten)]
    output: Output,
}

/// The service that does not fare well, if one is known.
#[derive(Debug, Args)]
pub(super) struct WhyArgs {
    /// The service; without it: all that do not fare well
    #[arg(value_parser = ServiceName::new)]
    service: Option<ServiceName>,
    #[command(flatten)]
    output: Output,
}

/// The level of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LevelArg {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LevelArg {
    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// The lines of the log. With `follow` it returns when the host ends the stream for good.
pub(super) async fn logs(client: &Client, args: LogsArgs) -> anyhow::Result<String> {
    let LogsArgs { service, follow, since, level, trace, limit, output } = args;
    let path = resource(
        "/v1/logs",
        &[
            ("service", service.map(|service| service.to_string())),
            ("since", since),
            ("level", level.map(|level| level.as_str().to_owned())),
            ("trace", trace),
            ("limit", Some(limit.to_string())),
            ("follow", follow.then(|| "true".to_owned())),
        ],
    );
    if follow {
        return follow_stream::<LineView>(client, &path, "line", output, |_| true, observed_text::line).await;
    }
    let LinesView { lines } = client.read(&client.get(&path).await?)?;
    lines.iter().map(|line| output.line(line, observed_text::line)).collect()
}

/// The changes of the host.
pub(super) async fn changes(client: &Client, args: ChangesArgs) -> anyhow::Result<String> {
    let ChangesArgs { service, kind, since, follow, output } = args;
    let service = service.map(|service| service.to_string());
    let parameters = [("service", service.clone()), ("kind", kind.clone()), ("since", since)];
    let path = resource("/v1/changes", &parameters);
    let changes: Vec<ChangeView> = client.read(&client.get(&path).await?)?;
    // The admin has the newest first, and a terminal the newest last.
    let text: String =
        changes.iter().rev().map(|one| output.line(one, observed_text::change)).collect::<anyhow::Result<_>>()?;
    if !follow {
        return Ok(if text.is_empty() && !output.is_json() { "no changes\n".into() } else { text });
    }
    if !text.is_empty() && !terminal::print_on(&text)? {
        return Ok(String::new());
    }
    let is_meant = move |change: &ChangeView| {
        service.as_ref().is_none_or(|service| change.service == *service)
            && kind.as_ref().is_none_or(|kind| change.kind == *kind)
    };
    follow_stream(client, "/v1/stream", "change", output, is_meant, observed_text::change).await
}

/// The trap reports.
pub(super) async fn traps(client: &Client, TrapsArgs { service, output }: TrapsArgs) -> anyhow::Result<String> {
    let path = resource("/v1/traps", &[("service", service.map(|service| service.to_string()))]);
    client.list::<TrapView>(&path, output, observed_text::traps).await
}

/// Why a service does not fare well, or what is wrong in the whole host.
pub(super) async fn why(client: &Client, WhyArgs { service, output }: WhyArgs) -> anyhow::Result<String> {
    match service {
        Some(service) => client.show(&format!("/v1/services/{service}/why"), output, observed_text::why).await,
        None => client.show("/v1/why", output, observed_text::host_why).await,
    }
}

/// A resource with the parameters that have a value.
fn resource(path: &str, parameters: &[(&str, Option<String>)]) -> String {
    let mut text = path.to_owned();
    let mut separator = '?';
    for (name, value) in parameters {
        let Some(value) = value else { continue };
        text.push(separator);
        text.push_str(name);
        text.push('=');
        text.push_str(&percent_encoded(value));
        separator = '&';
    }
    text
}

/// Prints the events of a stream as they come. When it breaks off it is opened again, and goes on where it stopped.
async fn follow_stream<T: DeserializeOwned + Serialize>(
    client: &Client,
    path: &str,
    kind: &str,
    output: Output,
    is_meant: impl Fn(&T) -> bool,
    text: fn(&T) -> String,
) -> anyhow::Result<String> {
    let mut last = None;
    loop {
        let mut stream = client.stream(path, last.as_deref()).await?;
        while let Some(events) = stream.next().await {
            for event in events.into_iter().filter(|event| event.kind == kind) {
                let item: T = serde_json::from_str(&event.data)?;
                last = event.id.or(last);
                if is_meant(&item) && !terminal::print_on(&output.line(&item, text)?)? {
                    return Ok(String::new());
                }
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_has_the_parameters_that_have_a_value_encoded() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(resource("/v1/logs", &[("a", None), ("b", None)]), "/v1/logs");
        let path = resource("/v1/logs", &[("service", some("users")), ("a", None), ("trace", some("a b&c=é"))]);
        assert_eq!(path, "/v1/logs?service=users&trace=a%20b%26c%3D%C3%A9");
    }
}
