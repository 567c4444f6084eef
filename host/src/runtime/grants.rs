//! The grants of a service: what its instances may reach.

use super::error::LoadError;
use crate::base::ServiceName;
use crate::egress::Allow;
use crate::events::Topic;
use crate::state::Bucket;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use wasmtime_wasi_config::WasiConfigVariables;

/// What the manifest grants to a service's instances. They can reach nothing else.
pub struct Grants {
    /// The service.
    pub service: ServiceName,
    /// The service's own data; `None` refuses every component that imports a store.
    pub state: Option<Bucket>,
    /// The services that it may call, by typed imports and by HTTP.
    pub calls: Vec<ServiceName>,
    /// The hosts outside that it may send requests to.
    pub egress: Allow,
    /// The topics on which it may publish; `None` refuses every component that imports `atoll:events/publisher`.
    pub publish: Option<PublishGrant>,
    config: WasiConfigVariables,
    /// The same, for whoever notes what a guest is handed.
    config_values: GuestEnv,
    /// The names in it whose values are secrets.
    secret_names: Vec<String>,
    env: GuestEnv,
}

/// The right to publish events.
#[derive(Debug, Clone)]
pub struct PublishGrant {
    /// The topics.
    pub topics: Vec<Arc<Topic>>,
    /// The service's own data, through which it commits. A service may publish without reading or writing data.
    pub bucket: Bucket,
}

/// Texts for a service's guests, by their names: environment variables, or values of their configuration. They may be
/// secrets: no debug output shows them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct GuestEnv(BTreeMap<String, String>);

impl GuestEnv {
    /// The names of the variables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The variables with their values.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for GuestEnv {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl fmt::Debug for GuestEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The interfaces that open a service's own data: they need the grant `state`.
const STATE: [&str; 4] =
    ["atoll:state/transactions@", "wasi:keyvalue/atomics@", "wasi:keyvalue/batch@", "wasi:keyvalue/store@"];

impl Grants {
    /// Grants for `service`: its data if it has any, the services that it may call, the hosts outside that it may
    /// reach, and its configuration (`wasi:config/store`).
    pub fn new(
        service: ServiceName,
        state: Option<Bucket>,
        calls: Vec<ServiceName>,
        egress: Allow,
        config: &BTreeMap<String, String>,
    ) -> Self {
        let config_values = GuestEnv(config.clone());
        let config = config_values.variables().collect();
        Self {
            service,
            state,
            calls,
            egress,
            publish: None,
            config,
            config_values,
            secret_names: Vec::new(),
            env: GuestEnv::default(),
        }
    }

    /// The same grants with these environment variables.
    pub fn with_env(self, env: GuestEnv) -> Self {
        Self { env, ..self }
    }

    /// The same grants with the right to publish.
    pub fn with_publish(self, publish: Option<PublishGrant>) -> Self {
        Self { publish, ..self }
    }

    /// The same grants with these secrets beside the configuration.
    pub fn with_secrets(mut self, secrets: &GuestEnv) -> Self {
        for (name, value) in secrets.variables() {
            self.config.insert(name, value);
            self.config_values.0.insert(name.to_owned(), value.to_owned());
            self.secret_names.push(name.to_owned());
        }
        self
    }

    /// What a migration of the service gets: its settings, and the data of `bucket` in place of its own.
    pub(crate) fn confined_to(&self, bucket: Bucket) -> Self {
        let publish = self.publish.as_ref().map(|_| PublishGrant { topics: Vec::new(), bucket: bucket.clone() });
        Self {
            service: self.service.clone(),
            state: Some(bucket),
            calls: Vec::new(),
            egress: Allow::default(),
            publish,
            config: self.config_values.variables().collect(),
            config_values: self.config_values.clone(),
            secret_names: self.secret_names.clone(),
            env: self.env.clone(),
        }
    }

    /// The service's environment variables.
    pub(crate) fn env(&self) -> &GuestEnv {
        &self.env
    }

    /// The service's configuration.
    pub(crate) fn config(&self) -> &WasiConfigVariables {
        &self.config
    }

    /// Whether the value of the configuration with this name is a secret.
    pub(crate) fn is_secret(&self, name: &str) -> bool {
        self.secret_names.iter().any(|secret| secret == name)
    }

    /// The values of the service's configuration. They may be secrets.
    pub(crate) fn config_values(&self) -> &GuestEnv {
        &self.config_values
    }
}

/// The interface that publishes events: it needs the grant `publish`.
const PUBLISHER: &str = "atoll:events/publisher@";

/// Checks that a component with these imports may be loaded for `service`, which has a store of its own if `state`, and
/// may publish events if `publish`.
///
/// # Errors
/// The first import that needs a grant which the manifest does not give.
pub(crate) fn check(
    service: &ServiceName,
    (state, publish): (bool, bool),
    imports: impl Iterator<Item = String>,
) -> Result<(), LoadError> {
    for interface in imports {
        let grant = match &*interface {
            import if !state && is_state(import) => "state = true",
            import if !publish && is_publisher(import) => "publish = [\"TOPIC\"]",
            _ => continue,
        };
        return Err(LoadError::NotGranted { interface, grant, service: service.to_string() });
    }
    Ok(())
}

/// Whether this interface publishes events.
pub fn is_publisher(import: &str) -> bool {
    import.starts_with(PUBLISHER)
}

/// Whether this interface opens the service's own data.
pub fn is_state(import: &str) -> bool {
    STATE.iter().any(|package| import.starts_with(package))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_the_names_of_variables_and_never_their_values() {
        let env: GuestEnv = [("TOKEN".to_owned(), "s3cret".to_owned())].into_iter().collect();
        assert_eq!(format!("{env:?}"), r#"{"TOKEN"}"#);
    }

    #[test]
    fn a_component_that_imports_a_store_is_refused_without_the_grant() {
        let users = ServiceName::new("users").unwrap();
        assert!(
            check(&users, (false, false), ["wasi:http/types@0.3.0".into(), "wasi:cli/stdout@0.2.6".into()].into_iter())
                .is_ok()
        );
        for import in ["atoll:state/transactions@0.1.0", "wasi:keyvalue/store@0.2.0-draft"] {
            assert!(check(&users, (true, false), [import.to_owned()].into_iter()).is_ok());
            let error = check(&users, (false, true), [import.to_owned()].into_iter()).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("imports {import}, which needs `state = true` in [service.users] of the manifest")
            );
        }
    }

    #[test]
    fn a_component_that_publishes_is_refused_without_the_grant() {
        let users = ServiceName::new("users").unwrap();
        let imports =
            || ["atoll:events/delivery@0.1.0".to_owned(), "atoll:events/publisher@0.1.0".to_owned()].into_iter();
        assert!(check(&users, (false, true), imports()).is_ok());
        let error = check(&users, (true, false), imports()).unwrap_err().to_string();
        assert!(
            error.starts_with("imports atoll:events/publisher@0.1.0, which needs `publish = [\"TOPIC\"]` in"),
            "{error}"
        );
    }
}
