//! The format of the log, as an argument.

use crate::telemetry;
use clap::ValueEnum;

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormatArg {
    /// Text for people
    Pretty,
    /// One JSON object in each line, for log collectors
    Json,
}

impl From<LogFormatArg> for telemetry::LogFormat {
    fn from(format: LogFormatArg) -> Self {
        match format {
            LogFormatArg::Pretty => Self::Pretty,
            LogFormatArg::Json => Self::Json,
        }
    }
}
