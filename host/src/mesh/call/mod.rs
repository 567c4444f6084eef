//! One call under way: the engine that runs its tries, the policies of HTTP and of typed calls, the guard of each try.
//! Always: each try gets one verdict at most; no try begins once an answer is on its way to the caller.
//! Never: it chooses no endpoint by itself (the table does), and opens no connection (the targets do).

mod answer_body;
mod answer_head;
mod call_in_progress;
mod engine;
mod http_call;
pub(super) mod mesh;
mod outcall;
pub(super) mod peer_door;
pub(super) mod pinned_function;
mod replay;
mod try_guard;
mod try_trace;
mod typed_call;
mod upload_watch;
