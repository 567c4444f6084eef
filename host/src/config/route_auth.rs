//! The keys of a `[[route]]` that say whom it lets in.

use super::auth::{AuthProof, Policies};
use super::auth_names::AuthNamesKind;
use super::reader::key::{ManifestKey, Sourced};
use super::reader::kind::{FlagKind, KindError, ListKind, TableKind, ValueKind, refused, whole};
use super::reader::report::Report;
use super::reader::scope::ScopeKind;
use super::reader::section::Section;
use crate::identity::{Demand, DemandedClaim};
use serde_json::Value;
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::DeValue;

/// Whom a route lets in.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteAuth {
    /// The positions of its policies among those of the manifest; any one of them suffices. Never empty.
    pub policies: Vec<usize>,
    /// What it demands of whom they prove.
    pub demand: Demand,
}

static AUTH: ManifestKey<AuthNamesKind> = ManifestKey::without_default(
    "auth",
    AuthNamesKind,
    "The policies by which callers prove who they are; any one of them suffices. `\"none\"`: everybody is let in. \
     Absent: `default_auth` in `[gateway]`.",
);
static SCOPES: ManifestKey<ListKind<ScopeKind>> = ManifestKey::without_default(
    "scopes",
    ListKind { of: ScopeKind, max: 64 },
    "The scopes that a caller must have, all of them. Otherwise the answer is 403. Only where the route has a policy.",
);
static CLAIMS: ManifestKey<TableKind<ClaimKind>> = ManifestKey::without_default(
    "claims",
    TableKind(ClaimKind),
    "The claims that a caller must have, all of them: `{ tenant = \"acme\", groups = [\"ops\", \"dev\"] }`. Of a list \
     one value suffices; of a claim that is a list, one item. Only where the route has a policy.",
);

/// The values of a claim that are accepted.
struct ClaimKind;

impl ValueKind for ClaimKind {
    type Value = Vec<Value>;

    fn accepts(&self) -> String {
        "a text, a whole number, true or false, or a list of at most 64 of them".into()
    }

    fn help(&self) -> String {
        "write the value that tokens have, or several in square brackets".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Vec<Value>, Vec<KindError>> {
        let one = |value: &Spanned<DeValue<'_>>| match value.get_ref() {
            DeValue::String(text) => Some(Value::from(text.as_ref())),
            DeValue::Boolean(_) => FlagKind.read(value).ok().map(Value::from),
            DeValue::Integer(_) => whole(value.get_ref()).map(Value::from),
            _ => None,
        };
        let all = match value.get_ref().as_array() {
            Some(items) if items.is_empty() || items.len() > 64 => None,
            Some(items) => items.iter().map(one).collect(),
            None => one(value).map(|one| vec![one]),
        };
        all.ok_or_else(|| refused(self, value))
    }
}

/// The values of these keys, as they are written.
pub(super) struct AuthKeys {
    auth: Option<Sourced<Vec<Spanned<String>>>>,
    scopes: Option<Sourced<Vec<Spanned<String>>>>,
    claims: Option<Sourced<BTreeMap<String, Vec<Value>>>>,
}

impl AuthKeys {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self { auth: section.find(&AUTH), scopes: section.find(&SCOPES), claims: section.find(&CLAIMS) }
    }

    /// Whom the route lets in; `None`: everybody. `default` are the policies of a route that names none.
    ///
    /// # Errors
    /// The route is wrong, which is reported.
    pub(super) fn finish(
        self,
        section: &Section<'_>,
        default: &[usize],
        policies: &Policies,
    ) -> Result<Option<RouteAuth>, ()> {
        let report = section.report;
        let before = report.count();
        if self.auth.is_none() && section.has(AUTH.name) {
            return Err(());
        }
        let named = match self.auth {
            Some(auth) => resolve(auth.value, policies, report)?,
            None => default.to_vec(),
        };
        let scopes = self.scopes.as_ref().map(|found| (SCOPES.name, &found.origin));
        let claims = self.claims.as_ref().map(|found| (CLAIMS.name, &found.origin));
        for (name, origin) in scopes.into_iter().chain(claims).filter(|_| named.is_empty()) {
            let help = "add auth = [\"NAME\"], or leave it out: nobody has proved who they are";
            report.push_if_whole(origin.clone(), format!("`{name}` is of no use without a policy"), help);
        }
        // A key of this host has scopes alone.
        let proofs = || named.iter().filter_map(|at| policies.all.get(*at)).map(|policy| &policy.proof);
        let has_claims = |proof: &AuthProof| !matches!(proof, AuthProof::ApiKey);
        let demanded = self.claims.as_ref().filter(|found| !found.value.is_empty() && !named.is_empty());
        if let Some(found) = demanded.filter(|_| !proofs().any(has_claims)) {
            let help = "demand scopes, or add a policy that proves claims (jwt, introspection, certificate)";
            report.push_if_whole(found.origin.clone(), "nobody has these claims: the policies prove none", help);
        }
        if report.count() > before {
            return Err(());
        }
        let scopes = self.scopes.map(|found| found.value).unwrap_or_default();
        let claims = self.claims.map(|found| found.value).unwrap_or_default();
        let demand = Demand {
            scopes: scopes.into_iter().map(Spanned::into_inner).collect(),
            claims: claims.into_iter().map(|(name, values)| DemandedClaim { name, values }).collect(),
        };
        Ok((!named.is_empty()).then_some(RouteAuth { policies: named, demand }))
    }
}

/// The positions of the policies with these names.
///
/// # Errors
/// One of them is not there, which is reported, or is wrong, which was.
pub(super) fn resolve(names: Vec<Spanned<String>>, policies: &Policies, report: &Report) -> Result<Vec<usize>, ()> {
    let spans: Vec<_> = names.iter().map(|name| (name.get_ref().clone(), name.span())).collect();
    let distinct = report.distinct(names, Clone::clone);
    let find = |name: String| {
        let span = spans.iter().find(|(own, _)| *own == name).map_or(0..0, |(_, span)| span.clone());
        policies.find(&Spanned::new(span, name), report)
    };
    let found: Vec<_> = distinct.into_iter().map(find).collect();
    found.into_iter().collect::<Option<_>>().ok_or(())
}
