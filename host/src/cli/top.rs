//! `atoll top`: all services live, on the whole terminal.

use super::client::Client;
use super::observed_text;
use super::terminal::{FullScreen, without_control};
use crate::admin::{ChangeView, OverviewView};
use crate::base::counted;
use anyhow::Context;
use std::collections::VecDeque;
use std::io::IsTerminal;
use std::time::Duration;

/// How many changes are remembered for the lower part of the screen.
const CHANGES: usize = 64;
/// How long a broken stream rests before it is opened again.
const AGAIN: Duration = Duration::from_secs(1);

/// Shows the services until the user quits: with q, Escape or Ctrl-C. Without a terminal it prints one picture.
///
/// # Errors
/// The admin cannot be reached at the start; the terminal cannot be written.
pub(super) async fn top(client: &Client) -> anyhow::Result<String> {
    let mut picture = TopPicture { host: client.to_string(), ..TopPicture::default() };
    // The admin has the newest first.
    let changes: Vec<ChangeView> = client.read(&client.get("/v1/changes?limit=64").await?)?;
    picture.changes = changes.into_iter().rev().collect();
    if !std::io::stdout().is_terminal() {
        picture.services = client.read(&client.get("/v1/overview").await?)?;
        return Ok(picture.lines(usize::MAX, picture.services.len() + 8).join("\n"));
    }
    let mut screen = FullScreen::enter().context("cannot use the terminal")?;
    loop {
        tokio::select! {
            () = screen.quit() => return Ok(String::new()),
            shown = show(client, &mut picture) => shown?,
        }
        // The host is gone, or has ended the stream: it may come back.
        picture.trouble = Some("the host does not answer".into());
        FullScreen::draw(|columns, rows| picture.lines(columns, rows))?;
        tokio::select! {
            () = screen.quit() => return Ok(String::new()),
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

/// Draws the picture anew with each report of the host, until the stream breaks off.
async fn show(client: &Client, picture: &mut TopPicture) -> anyhow::Result<()> {
    let last = picture.changes.back().map(|change| change.id.to_string());
    let Ok(mut stream) = client.stream("/v1/stream", last.as_deref()).await else { return Ok(()) };
    while let Some(events) = stream.next().await {
        for event in events {
            match event.kind.as_str() {
                "rates" => picture.services = serde_json::from_str(&event.data)?,
                "change" => picture.note(serde_json::from_str(&event.data)?),
                _ => continue,
            }
            picture.trouble = None;
        }
        FullScreen::draw(|columns, rows| picture.lines(columns, rows))?;
    }
    Ok(())
}

/// What is on the screen.
#[derive(Debug, Default)]
struct TopPicture {
    host: String,
    services: Vec<OverviewView>,
    changes: VecDeque<ChangeView>,
    trouble: Option<String>,
}

impl TopPicture {
    fn note(&mut self, change: ChangeView) {
        self.changes.push_back(change);
        if self.changes.len() > CHANGES {
            self.changes.pop_front();
        }
    }

    /// The picture for a terminal of this size: a line of totals, the services with most trouble first, and below them
    /// the newest changes. No line is longer than the terminal is wide, and there are no more lines than it has rows.
    fn lines(&self, columns: usize, rows: usize) -> Vec<String> {
        let rate: f64 = self.services.iter().map(|one| one.requests_per_second).sum();
        let failing = self.services.iter().filter(|one| one.failed_percent > 0.0 || one.refused > 0).count();
        let open: u64 = self.services.iter().map(|one| one.open_circuits.used).sum();
        let mut head = format!(
            "atoll top - {}   {}, {rate:.1} req/s, {failing} with failures, {}   q quits",
            self.host,
            counted(self.services.len(), "service", "services"),
            counted(open, "open circuit", "open circuits")
        );
        if let Some(trouble) = &self.trouble {
            head = format!("atoll top - {}   {trouble}", self.host);
        }
        let mut services = self.services.clone();
        services.sort_by(|one, other| {
            let trouble =
                |view: &OverviewView| (view.open_circuits.used, view.failed_percent, view.requests_per_second);
            trouble(other).partial_cmp(&trouble(one)).unwrap_or(std::cmp::Ordering::Equal)
        });
        let mut lines = vec![head, String::new()];
        let table = observed_text::overview(&services);
        let mut table = table.lines();
        lines.extend(table.next().map(|headings| format!("{headings}  CIRCUITS")));
        lines.extend(table.zip(&services).map(|(row, view)| match view.open_circuits.used {
            0 => row.to_owned(),
            open => format!("{row}  {open} of {} open", view.open_circuits.limit),
        }));
        // The changes get what is left, and a quarter at least.
        let least = if self.changes.is_empty() { 0 } else { rows / 4 };
        lines.truncate(rows.saturating_sub(least).max(1));
        if lines.len() + 2 < rows && !self.changes.is_empty() {
            lines.push(String::new());
            let free = rows - lines.len();
            let newest = self.changes.iter().rev().take(free);
            lines.extend(newest.map(|change| observed_text::change(change).trim_end().to_owned()));
        }
        let cut = |line: String| without_control(&line).chars().take(columns).collect();
        lines.into_iter().map(cut).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::UseView;

    fn service(name: &str, rate: f64, failed: f64, open: u64) -> OverviewView {
        OverviewView {
            service: name.into(),
            requests_per_second: rate,
            failed_percent: failed,
            open_circuits: UseView { used: open, limit: 2 },
            ..OverviewView::default()
        }
    }

    fn change(number: u64) -> ChangeView {
        ChangeView {
            id: number,
            time: 7,
            seconds_ago: 1,
            kind: "circuit-opened".into(),
            service: "users".into(),
            endpoint: None,
            reason: format!("number {number}\u{1b}[2J"),
            by: None,
        }
    }

    #[test]
    fn the_service_with_most_trouble_is_on_top_and_the_newest_change_first() {
        let mut picture = TopPicture { host: "http://a:1".into(), ..TopPicture::default() };
        picture.services =
            vec![service("calm", 9.0, 0.0, 0), service("ill", 1.0, 50.0, 0), service("shut", 0.0, 0.0, 1)];
        (1..=100).for_each(|number| picture.note(change(number)));
        assert_eq!(picture.changes.len(), CHANGES);
        let lines = picture.lines(200, 20);
        assert!(lines[0].contains("3 services, 10.0 req/s, 1 with failures, 1 open circuit "), "{}", lines[0]);
        let names: Vec<_> = lines[3..6].iter().map(|line| line.split_whitespace().next().unwrap()).collect();
        assert_eq!(names, ["shut", "ill", "calm"]);
        assert!(lines[3].ends_with("1 of 2 open"));
        assert!(lines[7].contains("number 100") && lines[8].contains("number 99"), "{lines:#?}");
        assert!(lines.iter().all(|line| !line.contains('\u{1b}')));
    }

    #[test]
    fn a_picture_fits_its_terminal_whatever_its_size() {
        let mut picture = TopPicture { host: "http://a:1".into(), ..TopPicture::default() };
        picture.services = (0..200).map(|number| service(&format!("service-{number}"), 1.0, 0.0, 0)).collect();
        picture.note(change(1));
        for (columns, rows) in [(80, 24), (20, 5), (1, 1), (400, 300), (80, 2)] {
            let lines = picture.lines(columns, rows);
            assert!(lines.len() <= rows, "{columns}x{rows}: {}", lines.len());
            assert!(lines.iter().all(|line| line.chars().count() <= columns));
        }
        let small = picture.lines(120, 24);
        assert!(small.last().unwrap().contains("circuit-opened"), "the changes have their place: {small:#?}");
    }
}
