//! Revisions that all nodes of a cluster have to serve: tried before they agree, and taken when they have.

use super::canary_rollout::Begun;
use super::canary_run::RolloutOrder;
use super::error::SwapError;
use super::swap::{Rollout, Swapped};
use super::wiring::Clients;
use crate::contract::HeldTo;
use bytes::Bytes;

impl Rollout {
    /// Looks whether the component in `bytes` could serve as `name` here, as a swap does before it changes anything;
    /// where the service has instances, one is started. `rolls_back`: what other services have begun to use may go.
    ///
    /// # Errors
    /// [`SwapError`].
    pub async fn try_component(&self, name: &str, bytes: Bytes, rolls_back: bool) -> Result<(), SwapError> {
        let deployment = &*self.find(name)?;
        let has_component = self.serving().contains_key(name) || deployment.is_left_out();
        if !has_component {
            return Err(SwapError::NoComponent(deployment.spec.name.clone()));
        }
        let clients = if rolls_back { Clients::MayNotice } else { Clients::MustNotNotice };
        self.prepare(deployment, bytes, clients).await.map(drop)
    }

    /// Serves the component in `bytes`, on which the nodes have agreed; `who` has ordered it, and says why.
    ///
    /// # Errors
    /// [`SwapError`]. Nothing has changed then.
    pub async fn take_component(
        &self,
        name: &str,
        bytes: Bytes,
        (rolls_back, who, why): (bool, &str, Option<&str>),
    ) -> Result<Swapped, SwapError> {
        let why = Some(why.unwrap_or("all nodes of the cluster").to_owned());
        // The nodes have agreed on it by their own files, which may have gone on before this node starts again.
        let order = RolloutOrder { who: who.to_owned(), why, held: HeldTo::Names, ..RolloutOrder::default() };
        if rolls_back {
            return self.restore_given(name, bytes, &order).await;
        }
        self.begin(name, bytes, order).await.and_then(Begun::at_once)
    }
}
