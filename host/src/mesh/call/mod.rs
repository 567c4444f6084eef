//! One call under way: the engine that runs its tries, the policies of HTTP and of typed calls, the guard of each try,
//! the bodies. Always: each try gets one verdict at most, and none means neutral; no try begins once an answer is on
//! its way to the caller. Never: it chooses no endpoint by itself (the table does), and opens no connection (the
//! targets do).

pub(super) mod answer_body;
pub(super) mod answer_head;
pub(super) mod call_in_progress;
pub(super) mod engine;
pub(super) mod http_call;
pub(super) mod mesh;
pub(super) mod outcall;
pub(super) mod replay;
pub(super) mod try_guard;
pub(super) mod typed_call;
pub(super) mod upload_watch;
