//! The examples below the help of verbs.

pub(super) const REPLAY_EXAMPLES: &str = "\
Examples:
  atoll replay                               List the recorded calls
  atoll replay 4f6c8d…                       Replay the call of this request, the failed one if there is one
  atoll replay 4f6c8d… --save bad.json       Write the recording to a file, masked
  atoll replay --file bad.json --against new.wasm   Show what another component does with it";

pub(super) const APPLY_EXAMPLES: &str = "\
Examples:
  atoll apply --dry-run     Show what ./atoll.toml would change; the exit code is 2 if something would
  atoll apply --yes         Apply it without a question";

pub(super) const ROLLOUT_EXAMPLES: &str = "\
Examples:
  atoll rollout users             Show the rollout under way, or the last one
  atoll rollout users --watch     Follow it; the exit code is 1 if it is not promoted
  atoll rollout users promote     Give the canary all calls
  atoll rollout users rollback    Take the canary back";

pub(super) const BREAKER_EXAMPLES: &str = "\
Examples:
  atoll breaker open users users-1   Refuse the calls of one endpoint; the others serve
  atoll breaker close users          Let every call pass, even if calls fail
  atoll breaker reset users          Let the breakers decide again";

pub(super) const LOGS_EXAMPLES: &str = "\
Examples:
  atoll logs users -f                       What `users` logs, as it comes
  atoll logs --since 5m --level warn        The warnings and errors of the last five minutes
  atoll logs --trace 4bf92f3577b34da6       All lines of one trace, or of one request by its id";
