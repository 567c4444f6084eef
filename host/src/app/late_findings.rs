//! What is found wrong with a manifest once its components are loaded, sorted by what it concerns.

use crate::base::ServiceName;
use crate::config::{Draft, Finding, LateFindingKey, ManifestErrors};
use crate::contract::HttpBindingError;
use crate::runtime::LoadError;
use std::collections::BTreeMap;

/// The findings, each with the service or the route that cannot be served for it.
pub(in crate::app) struct LateFindings<'a> {
    draft: &'a Draft,
    services: Vec<(ServiceName, Finding)>,
    /// By the route's index in the manifest.
    routes: Vec<(usize, Finding)>,
    /// Of the files of TLS.
    edges: Vec<Finding>,
    /// Of topics and subscriptions.
    topics: Vec<Finding>,
}

impl<'a> LateFindings<'a> {
    /// It begins with the components whose files are not there.
    pub(super) fn new(draft: &'a Draft) -> Self {
        Self { draft, services: draft.absent().to_vec(), routes: Vec::new(), edges: Vec::new(), topics: Vec::new() }
    }

    /// Adds what is wrong with a service at `key`, unless that may be the consequence of another mistake.
    pub(super) fn service(
        &mut self,
        name: &ServiceName,
        key: LateFindingKey,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let finding = self.draft.manifest.diagnose(name, key, message, help);
        if self.draft.is_settled(name) && !self.is_told(&finding) {
            self.services.push((name.clone(), finding));
        }
    }

    /// Adds that a service's component cannot serve. What the component lacks by itself is told even if the service's
    /// keys are not settled.
    pub(super) fn component(&mut self, name: &ServiceName, error: &LoadError) {
        if matches!(error, LoadError::NotGranted { .. }) && !self.draft.is_settled(name) {
            return;
        }
        let subject = if matches!(error, LoadError::Read { .. }) { "" } else { "the component " };
        let message = format!("service `{name}`: {subject}{error}");
        let finding = self.draft.manifest.diagnose(name, LateFindingKey::Component, message, error.help());
        self.services.push((name.clone(), finding));
    }

    /// Adds that a route does not fit its function.
    pub(super) fn route(&mut self, index: usize, error: HttpBindingError) {
        let HttpBindingError { key, message, help } = error;
        self.routes.push((index, self.draft.manifest.diagnose_route(index, key, message, help)));
    }

    /// Adds what is wrong with an edge.
    pub(in crate::app) fn edge(&mut self, finding: Finding) {
        if !self.is_told(&finding) {
            self.edges.push(finding);
        }
    }

    /// Whether the text has a finding at the same place: of a file that is not there, it is told once that it is not
    /// there, and not again that it cannot be read.
    fn is_told(&self, finding: &Finding) -> bool {
        let place = finding.position();
        place.is_some() && self.draft.findings().iter().any(|told| told.position() == place)
    }

    /// Adds what is wrong with a topic or a subscription.
    pub(super) fn topic(&mut self, finding: Finding) {
        self.topics.push(finding);
    }

    /// Whether something is wrong with a topic or a subscription. To leave one out would lose its events.
    pub(super) fn has_topics(&self) -> bool {
        !self.topics.is_empty()
    }

    /// The services that cannot be served, each with the reasons.
    pub(super) fn of_services(&self) -> BTreeMap<ServiceName, String> {
        reasons(&self.services)
    }

    /// The routes that cannot be served, each with the reasons.
    pub(super) fn of_routes(&self) -> BTreeMap<usize, String> {
        reasons(&self.routes)
    }

    /// All findings, those of the text included. `None` if there are none.
    pub(super) fn into_errors(self) -> Option<ManifestErrors> {
        let services = self.services.into_iter().map(|(_, finding)| finding);
        let late =
            services.chain(self.routes.into_iter().map(|(_, finding)| finding)).chain(self.edges).chain(self.topics);
        ManifestErrors::from_findings(self.draft.findings().iter().cloned().chain(late).collect())
    }
}

fn reasons<K: Ord + Clone>(findings: &[(K, Finding)]) -> BTreeMap<K, String> {
    let mut reasons = BTreeMap::<K, String>::new();
    for (key, finding) in findings {
        let text = reasons.entry(key.clone()).or_default();
        if !text.is_empty() {
            text.push_str("; ");
        }
        text.push_str(&finding.to_string());
    }
    reasons
}
