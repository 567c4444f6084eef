//! Floor 7: the operators' HTTP edge.
//!
//! Owns the admin's resources, their wire types (which the CLI reads), and the checks before them. It reads and changes
//! the host through [`Operations`], which `app` implements.
//!
//! What always holds:
//! - No web page reaches it. While it listens on loopback, a `Host` that is not this machine is refused, which defeats
//!   DNS rebinding. Every `Origin` but its own is refused.
//! - Beyond loopback only the two probes and the files of the dashboard answer without a token, whatever the
//!   configuration says. An operator's token does what its role may do, and nothing else.
//! - The body of a swap or a trial is `application/wasm`, at most [`MAX_COMPONENT`] bytes. Only a few are held in
//!   memory at the same time.
//! - The body of an order (a change of circuits or faults) is `application/json`, at most 4 KiB (an event 516 KiB). An
//!   unknown member is refused, so a typing error changes nothing.
//! - A change that was begun is finished, even if the operator disconnects.
//! - Every answer carries `x-request-id` and is never cached. Every refusal has a problem body (RFC 9457). Operators
//!   may read internal messages, but no secret.
//!
//! Never: it decides what a swap is, touches the discovery table or the runtime, or opens a socket.
//!
//! From the top: `admin` → `guard`, `router` → `dashboard`, `traffic`, `traces`, `keys`, `cache`, `guards`, `data`,
//! `nodes`, `observed`, `rollouts`, `apply`, `audit`, `recordings`, `sagas`, `topics`, `admin_document` →
//! `answer_schema`, `order`, `query`, `upload`, `handler` → `problem` → `operations`, `guard_operations`,
//! `data_operations`, `node_operations` → `view`, `node_view`, `limit_view`, `data_view`, `apply_view`, `rollout_view`,
//! `saga_view`, `schedule_view` → `recording_view`, `topic_view`, `trace_view`, `observed_view`. Tests: `tests.rs` and
//! `traffic_tests.rs` call the whole edge in memory with the host of `fake.rs`; small tests stand in the files.

#[expect(clippy::module_inception, reason = "a file is named for its main noun")]
mod admin;
mod admin_document;
mod answer_schema;
mod apply;
mod apply_view;
mod audit;
mod cache;
mod change;
mod dashboard;
#[cfg(test)]
mod dashboard_types;
mod data;
mod data_operations;
mod data_view;
#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod fake_data;
#[cfg(test)]
mod fake_nodes;
mod guard;
mod guard_operations;
mod guards;
mod handler;
mod keys;
mod limit_view;
mod node_operations;
mod node_view;
mod nodes;
mod observed;
mod observed_view;
mod operation_error;
mod operations;
mod operator;
mod order;
mod problem;
mod query;
mod recording_view;
mod recordings;
mod rollout_view;
mod rollouts;
mod router;
mod saga_view;
mod sagas;
mod schedule_view;
mod settings;
#[cfg(test)]
mod tests;
mod token;
mod topic_view;
mod topics;
mod trace_view;
mod traces;
mod traffic;
#[cfg(test)]
mod traffic_tests;
mod upload;
mod view;

pub use admin::Admin;
pub use apply_view::{ApplyView, PlannedChangeView};
pub use data_operations::{DataOperations, DataPieces, DataSource};
pub use data_view::{ImportedView, SnapshotView};
pub use guard_operations::{GuardOperations, MaintenanceOrder};
pub use limit_view::{ErasedView, KeyReplacedView, LimitView, MaintenanceRequest, MaintenanceView};
pub use node_operations::NodeOperations;
pub use node_view::{NodeServiceView, NodeView, NodesView};
pub use observed_view::{
    CallerView, CauseView, ChangeView, HostWhyView, LastErrorView, LineView, LinesView, OverviewView, RequestShapeView,
    TrapView, UseView, WhyView,
};
pub use operation_error::{OperationError, OperationErrorKind};
pub use operations::{ApplyOrder, FaultOrder, HostReadiness, KeyOrder, Operations, RolloutEnd, RolloutWish};
pub use operator::{Operator, Role};
pub use recording_view::{DifferenceView, RecordingView, ShadowView};
pub use rollout_view::{AdoptedView, BegunView, CanaryView, EvidenceView, HistoryView, RolloutView, SideView};
pub use saga_view::{SagaAnswer, SagaCommand, SagaStart, SagaStartView};
pub use schedule_view::{FiringView, ScheduleView};
pub use settings::Settings;
pub use token::Token;
pub use topic_view::{
    BridgeView, DeadLetterView, EventPageView, EventStart, EventView, FailureView, PublishRequest, PublishedView,
    RebuildRequest, RebuiltView, RetryRequest, SentView, SubscriptionView, TopicAnswer, TopicOrder, TopicView,
};
pub use trace_view::{SpanView, TraceSummaryView, TraceView};
pub use upload::MAX_COMPONENT;
pub use view::{
    BreakerAction, BreakerRequest, BreakerView, CacheDiskView, CacheView, ClearedView, EndpointView, FaultRequest,
    FaultView, GrantView, KeyRequest, KeyView, NewKeyView, OriginView, OutsideView, PoolView, ProblemView,
    PurgeRequest, PurgedView, RouteView, ServiceView, SourceView, SwapView, TrialView,
};
