//! The admission of one request by the limits of its route.

use super::keep_quota::KeepQuota;
use super::limit_key::{ClientBytes, LimitedRequest};
use super::rate_fields::{self, LEFT, MeasureKind, POLICY};
use super::rate_limit::{LimitMeasures, RateLimit};
use super::route_limits::RouteLimits;
use super::work_charge::WorkCharge;
use crate::base::{Identity, WorkPayer};
use crate::gateway::problem::Problem;
use crate::limit::{QuotaAnswer, QuotaTable};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Which limits are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitStage {
    /// Those that need not know who calls: before authentication.
    Early,
    /// The others.
    Late,
}

/// What is known of a request before authentication.
#[derive(Clone, Copy)]
pub(crate) struct RequestToAdmit<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) client: IpAddr,
    /// The position of its route.
    pub(crate) route: usize,
}

/// The admission of one request: what it took from the limits so far.
pub(crate) struct RateAdmission<'a> {
    limits: &'a RouteLimits,
    hasher: &'a RandomState,
    request: RequestToAdmit<'a>,
    now: Instant,
    /// Where one request was taken, and under which key.
    taken: Vec<(&'a RateLimit, u64)>,
    taken_quotas: Vec<(&'a QuotaTable, u64)>,
    /// Who pays for the work of guests.
    payers: Vec<(Arc<RateLimit>, u64)>,
    /// What is left, as the items of `RateLimit`.
    left: String,
}

impl<'a> RateAdmission<'a> {
    /// Nothing was looked at yet. Boxed: a request to a route without limits would pay for its size.
    pub(crate) fn begin(
        limits: &'a RouteLimits,
        hasher: &'a RandomState,
        request: RequestToAdmit<'a>,
        now: Instant,
    ) -> Box<Self> {
        let (taken, taken_quotas, payers, left) = (Vec::new(), Vec::new(), Vec::new(), String::new());
        Box::new(Self { limits, hasher, request, now, taken, taken_quotas, payers, left })
    }

    /// Admits the request by the limits of this stage. `identity`: who calls, once that is known.
    ///
    /// It waits for the disk where the count of a quota must be noted there: for one request of a key in a hundred, and
    /// for the first in each window.
    ///
    /// # Errors
    /// 429 with the limit that is used up, and the time until it admits the next request. No limit has lost anything.
    pub(crate) async fn admit(&mut self, stage: LimitStage, identity: Option<&Identity>) -> Result<(), Problem> {
        self.admit_at_once(stage, identity)?;
        if self.of_stage(stage).iter().any(|limit| limit.measures.quota.is_some()) {
            Box::pin(self.admit_by_quotas(stage, identity)).await?;
        }
        Ok(())
    }

    fn admit_at_once(&mut self, stage: LimitStage, identity: Option<&Identity>) -> Result<(), Problem> {
        let RequestToAdmit { headers, client, route } = self.request;
        let (request, client) = (LimitedRequest { headers, identity, route }, ClientBytes::of(client));
        for limit in self.of_stage(stage) {
            let key = self.hasher.hash_one(limit.by.of(&request, &client));
            let LimitMeasures { rate, cpu, memory, .. } = &limit.measures;
            for (limiter, kind) in [(cpu, MeasureKind::Cpu), (memory, MeasureKind::Memory)] {
                let Some(limiter) = limiter else { continue };
                let balance = limiter.ask(key, self.now);
                if !balance.admitted {
                    return Err(self.refuse(limit, kind, balance.reset));
                }
                rate_fields::push_left(&mut self.left, limit, kind, balance.remaining, balance.reset);
            }
            if let Some(rate) = rate {
                let allowance = rate.admit(key, self.now);
                if !allowance.admitted {
                    return Err(self.refuse(limit, MeasureKind::Rate, allowance.reset));
                }
                let (remaining, reset) = (allowance.remaining.into(), allowance.reset);
                rate_fields::push_left(&mut self.left, limit, MeasureKind::Rate, remaining, reset);
            }
            if cpu.is_some() || memory.is_some() {
                self.payers.push((Arc::clone(limit), key));
            }
            limit.admitted.fetch_add(1, Relaxed);
            self.taken.push((limit, key));
        }
        Ok(())
    }

    async fn admit_by_quotas(&mut self, stage: LimitStage, identity: Option<&Identity>) -> Result<(), Problem> {
        let RequestToAdmit { headers, client, route } = self.request;
        let client = ClientBytes::of(client);
        for limit in self.of_stage(stage) {
            let (Some(table), Some(keeper)) = (&limit.measures.quota, limit.keeper.get()) else { continue };
            let request = LimitedRequest { headers, identity, route };
            let key = keeper.key(&limit.by.of(&request, &client).stable());
            match take(limit, table, &**keeper, key).await {
                Ok((remaining, reset)) => {
                    rate_fields::push_left(&mut self.left, limit, MeasureKind::Quota, remaining.into(), reset);
                    self.taken_quotas.push((table, key));
                }
                Err(reset) => return Err(self.refuse(limit, MeasureKind::Quota, reset)),
            }
        }
        Ok(())
    }

    /// Whether there are limits of this stage.
    pub(crate) fn has(&self, stage: LimitStage) -> bool {
        !self.of_stage(stage).is_empty()
    }

    /// The fields of the answer.
    pub(crate) fn fields(&self) -> [(HeaderName, HeaderValue); 2] {
        let left = HeaderValue::from_str(&self.left).expect("names and numbers");
        [(POLICY, self.limits.policy.clone()), (LEFT, left)]
    }

    /// Who pays for the work of the guests; `None`: it is not limited.
    pub(crate) fn payer(self) -> Option<Arc<dyn WorkPayer>> {
        (!self.payers.is_empty()).then(|| Arc::new(WorkCharge(self.payers)) as Arc<dyn WorkPayer>)
    }

    fn of_stage(&self, stage: LimitStage) -> &'a [Arc<RateLimit>] {
        let (early, late) = self.limits.limits.split_at(self.limits.early);
        match stage {
            LimitStage::Early => early,
            LimitStage::Late => late,
        }
    }

    /// Gives everything back: a request that is refused costs its client nothing.
    fn refuse(&mut self, limit: &RateLimit, kind: MeasureKind, reset: Duration) -> Problem {
        for (admitted, key) in self.taken.drain(..) {
            admitted.admitted.fetch_sub(1, Relaxed);
            if let Some(rate) = &admitted.measures.rate {
                rate.give_back(key, self.now);
            }
        }
        let unix = unix_time();
        for (table, key) in self.taken_quotas.drain(..) {
            table.give_back(key, unix);
        }
        self.payers.clear();
        limit.refused.fetch_add(1, Relaxed);
        self.left.clear();
        rate_fields::push_left(&mut self.left, limit, kind, 0, reset);
        rate_fields::refusal(limit, kind, reset)
    }
}

/// Takes one request of `key` out of a quota. Returns what is left until when, or how long nothing is.
async fn take(
    limit: &RateLimit,
    table: &QuotaTable,
    keeper: &dyn KeepQuota,
    key: u64,
) -> Result<(u32, Duration), Duration> {
    loop {
        match table.take(key, unix_time()) {
            QuotaAnswer::Admitted { remaining, reset } => return Ok((remaining, reset)),
            QuotaAnswer::UsedUp { reset } => return Err(reset),
            QuotaAnswer::Save(entry) => {
                if let Err(error) = keeper.save(limit.name(), table.quota().window(), entry).await {
                    // A disk that is full must not close the gateway: the quota holds on, in memory.
                    let limit = limit.name();
                    tracing::warn!(limit, error, "a quota was not saved: a crash now would give some of it back");
                }
                table.saved(entry);
            }
        }
    }
}

/// The time of the system's clock since the beginning of 1970; 0 if it is set to before that.
fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
