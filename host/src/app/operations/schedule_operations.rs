//! What the admin and the metrics ask of schedules, from `delivery`.

use crate::admin::{FiringView, ScheduleView};
use crate::delivery::{FiringEnd, ScheduleReport, Schedules};
use crate::telemetry::{ScheduleSample, ScheduleSource};
use std::sync::Arc;

/// Every schedule, in the order of the manifest.
pub(super) fn views(schedules: &Schedules) -> Vec<ScheduleView> {
    let view = |report: ScheduleReport| {
        let ScheduleReport { schedule, next, under_way, last, done, failures, given_up, skipped } = report;
        let last = last.map(|FiringEnd { due, at, error }| FiringView { due, at, error });
        let (name, when, target) = (schedule.name.clone(), schedule.text.clone(), schedule.target());
        ScheduleView { name, when, target, next, under_way, last, done, failures, given_up, skipped }
    };
    schedules.report().into_iter().map(view).collect()
}

/// Lends the metrics what the schedules report.
pub(in crate::app) struct ScheduleSamples(pub(in crate::app) Arc<Schedules>);

impl ScheduleSource for ScheduleSamples {
    fn schedules(&self) -> Vec<ScheduleSample> {
        let sample = |report: ScheduleReport| ScheduleSample {
            name: report.schedule.name.clone(),
            next: report.next.map(|next| next / 1000),
            under_way: report.under_way.is_some(),
            done: report.done,
            failures: report.failures,
            given_up: report.given_up,
            skipped: report.skipped,
        };
        self.0.report().into_iter().map(sample).collect()
    }
}
