//! The migration of a service's data: functions of `atoll:migration/migration`, called where nothing of the guest
//! reaches anybody.

use super::instance_pool::InstancePool;
use crate::base::{CallContext, ErrorKind};
use crate::contract::{Contract, FunctionName};
use crate::runtime::code::revision::Revision;
use crate::runtime::engine::Runtime;
use crate::runtime::error::InvokeError;
use crate::runtime::settings::{Isolation, Limits};
use crate::runtime::tape::call_tape::CallTape;
use crate::runtime::values::detached::DetachedValues;
use crate::state::Bucket;
use std::sync::Arc;
use wasmtime::component::Val;

/// The functions of the interface.
const FORMAT: &str = "atoll:migration/migration@0.1.0#format";
const MIGRATE: &str = "atoll:migration/migration@0.1.0#migrate";

/// A revision that can migrate data, with data that it works on.
pub struct Migration {
    pool: InstancePool,
    format: FunctionName,
    migrate: FunctionName,
}

impl Migration {
    /// The migration of `revision` on the data of `bucket`, and nothing else; `None`: it has none. `limits`: those of
    /// the service.
    pub fn of(runtime: &Arc<Runtime>, revision: &Revision, limits: &Limits, bucket: Bucket) -> Option<Self> {
        let [format, migrate] = functions(revision.contract())?;
        let confined = Arc::new(revision.confined_to(bucket));
        let limits = Limits { concurrency: 1, ..limits.clone() };
        let pool = InstancePool::new(Arc::clone(runtime), confined, limits, &Isolation::Request);
        Some(Self { pool, format, migrate })
    }

    /// Whether a component with this contract has migrations.
    pub fn is_of(contract: &Contract) -> bool {
        functions(contract).is_some()
    }

    /// The number of the format in which the revision keeps data.
    ///
    /// # Errors
    /// It fails, or its function has another type.
    pub async fn format(&self, context: &CallContext) -> Result<u32, InvokeError> {
        match self.call(&self.format, Vec::new(), context).await?.as_slice() {
            [Val::U32(format)] => Ok(*format),
            _ => Err(misfit("format: func() -> u32")),
        }
    }

    /// Has the revision migrate the data from the format `from`.
    ///
    /// # Errors
    /// It fails, or its function has another type. The inner one is the guest's own.
    pub async fn migrate(&self, from: u32, context: &CallContext) -> Result<Result<(), String>, InvokeError> {
        match self.call(&self.migrate, vec![Val::U32(from)], context).await?.as_slice() {
            [Val::Result(Ok(None))] => Ok(Ok(())),
            [Val::Result(Err(Some(error)))] => match &**error {
                Val::String(error) => Ok(Err(error.clone())),
                _ => Err(misfit("migrate: async func(from: u32) -> result<_, string>")),
            },
            _ => Err(misfit("migrate: async func(from: u32) -> result<_, string>")),
        }
    }

    async fn call(
        &self,
        function: &FunctionName,
        arguments: Vec<Val>,
        context: &CallContext,
    ) -> Result<Vec<Val>, InvokeError> {
        let tape = CallTape::confined();
        let arguments = DetachedValues::new(arguments);
        let values = tokio::select! {
            biased;
            // The guest waits for an answer that will never come.
            what = tape.reached_out() => {
                let detail = format!("a migration reaches its own data alone, and this one would {what}");
                return Err(InvokeError::new(ErrorKind::Trap, detail));
            }
            values = Box::pin(self.pool.call_on(function, arguments, context, tape.clone())) => values?,
        };
        Ok(values.values().to_vec())
    }
}

fn functions(contract: &Contract) -> Option<[FunctionName; 2]> {
    let function = |name| contract.lookup(name).ok().map(|(name, _)| name);
    Some([function(FORMAT)?, function(MIGRATE)?])
}

fn misfit(expected: &str) -> InvokeError {
    InvokeError::new(ErrorKind::Trap, format!("its migration is not of the type `{expected}`"))
}
