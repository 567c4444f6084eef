//! Policies with issuers that count their questions, under a paused clock.

mod issuers;
mod routes;
