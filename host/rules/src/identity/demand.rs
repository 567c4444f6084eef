//! What a route demands of its callers, beyond that one of its policies proves them.

use crate::base::Identity;
use serde_json::{Map, Value};

/// Scopes and claims that a caller must have: all of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Demand {
    /// All of these scopes.
    pub scopes: Vec<String>,
    /// All of these claims.
    pub claims: Vec<DemandedClaim>,
}

/// A claim that a caller must have.
#[derive(Debug, Clone, PartialEq)]
pub struct DemandedClaim {
    /// Its name.
    pub name: String,
    /// Its value: one of these. If the claim is a list, one of its items.
    pub values: Vec<Value>,
}

/// What a caller lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// These scopes.
    Scopes(Vec<String>),
    /// This claim, or one of its values.
    Claim(String),
}

impl Demand {
    /// Whether `identity` has all that is demanded.
    ///
    /// # Errors
    /// What it lacks.
    pub fn check(&self, identity: &Identity) -> Result<(), Lack> {
        let missing = self.scopes.iter().filter(|scope| !identity.scopes.contains(*scope));
        let missing: Vec<_> = missing.cloned().collect();
        if !missing.is_empty() {
            return Err(Lack::Scopes(missing));
        }
        if self.claims.is_empty() {
            return Ok(());
        }
        let claims: Map<String, Value> = serde_json::from_str(&identity.claims).unwrap_or_default();
        match self.claims.iter().find(|demanded| !demanded.is_met(claims.get(&demanded.name))) {
            Some(demanded) => Err(Lack::Claim(demanded.name.clone())),
            None => Ok(()),
        }
    }
}

impl DemandedClaim {
    fn is_met(&self, claim: Option<&Value>) -> bool {
        match claim {
            Some(Value::Array(items)) => items.iter().any(|item| self.values.contains(item)),
            Some(value) => self.values.contains(value),
            None => false,
        }
    }
}
