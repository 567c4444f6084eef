//! The OpenAPI document of the typed routes and of those that lead to sagas: as the host starts, and again after each
//! swap.

use crate::base::ServiceName;
use crate::config::{Manifest, ServiceConfig};
use crate::contract::{
    BoundFunction, Contract, DocsError, HeldTo, Info, Names, Operation, SagaOperation, Type, document, rebound,
};
use crate::gateway::{Answerer, Gateway, Target};
use crate::mesh::{Mesh, Service};
use crate::registry::Registry;
use crate::rollout::Rollout;
use bytes::Bytes;
use http::Method;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// What the document has of the manifest; the functions come from the components.
pub(in crate::app) struct ApiDescription {
    info: Info,
    routes: Vec<DescribedRoute>,
    sagas: Vec<DescribedSaga>,
    /// How the gateway writes names in JSON.
    names: Names,
    /// The folders of the services' WIT files, which have the docs.
    folders: BTreeMap<ServiceName, PathBuf>,
}

/// A typed route.
struct DescribedRoute {
    method: Method,
    path: String,
    host: Option<String>,
    service: ServiceName,
    /// Its place among the typed routes of the service.
    at: usize,
}

/// A route to a saga.
struct DescribedSaga {
    methods: Vec<Method>,
    path: String,
    host: Option<String>,
    saga: Arc<str>,
    /// The type of its input, as of the start: a saga is checked by it until the host starts again.
    input: Option<Type>,
}

/// A service as it serves now.
pub(in crate::app) struct DescribedService {
    /// The contract of its component.
    pub(super) contract: Arc<Contract>,
    /// The functions that routes call.
    pub(super) routed: Arc<[BoundFunction]>,
}

impl ApiDescription {
    /// The description of the manifest's typed routes and sagas, whose inputs have the types that `input` gives; `None`
    /// if the manifest wants none.
    pub(super) fn of<'t>(
        manifest: &Manifest,
        targets: &[Target],
        input: impl Fn(&str) -> Option<&'t Type>,
    ) -> Option<Self> {
        let info = manifest.gateway.openapi.clone()?;
        let routes = manifest.routes.iter().zip(targets).filter_map(|(route, target)| {
            Some(DescribedRoute {
                method: route.call.as_ref()?.method.clone(),
                path: route.rule.path(),
                host: route.rule.host().map(str::to_owned),
                service: target.service()?.clone(),
                at: target.typed?,
            })
        });
        let sagas = manifest.routes.iter().zip(targets).filter_map(|(route, target)| {
            let Answerer::Saga(saga) = &target.answerer else { return None };
            let methods = route.rule.methods();
            // A route that names no method has both: POST starts a saga, and anything else shows one.
            let matches = |method: &Method| methods.is_empty() || methods.contains(method);
            (!route.rule.is_prefix()).then(|| DescribedSaga {
                methods: [Method::GET, Method::POST].into_iter().filter(matches).collect(),
                path: route.rule.path(),
                host: route.rule.host().map(str::to_owned),
                saga: Arc::clone(&saga.saga),
                input: input(&saga.saga).cloned(),
            })
        });
        let folder = |service: &ServiceConfig| Some((service.spec.name.clone(), service.spec.wit.clone()?));
        Some(Self {
            info,
            routes: routes.collect(),
            sagas: sagas.collect(),
            names: manifest.gateway.names,
            folders: manifest.services.iter().filter_map(folder).collect(),
        })
    }

    /// The document. `service` gives a service as it serves now. Reads the WIT files of the manifest's folders.
    pub(in crate::app) fn document(&self, service: impl Fn(&ServiceName) -> Option<DescribedService>) -> Bytes {
        let mut services: BTreeMap<&ServiceName, Option<DescribedService>> = BTreeMap::new();
        for route in &self.routes {
            let described = || {
                let DescribedService { contract, routed } = service(&route.service)?;
                Some(DescribedService { contract: self.with_docs(&route.service, contract), routed })
            };
            services.entry(&route.service).or_insert_with(described);
        }
        let functions = self.routes.iter().filter_map(|route| {
            let DescribedService { contract, routed } = services.get(&route.service)?.as_ref()?;
            let function = routed.get(BoundFunction::position(routed, route.at)?)?;
            // Bound again for the docs of the folder: the component's own contract has none.
            let function = rebound(function, contract).map_or(Cow::Borrowed(function), Cow::Owned);
            Some((route, contract, function))
        });
        let functions: Vec<_> = functions.collect();
        let operations = functions.iter().map(|(route, contract, function)| Operation {
            method: route.method.clone(),
            path: route.path.clone(),
            host: route.host.clone(),
            service: route.service.as_str(),
            interface: &function.name.interface,
            docs: contract.exports.get(&function.name.interface).and_then(|interface| interface.docs.as_deref()),
            binding: &function.binding,
        });
        let sagas: Vec<_> = self.sagas.iter().flat_map(|saga| saga.operations(self.names)).collect();
        document(&self.info, &operations.collect::<Vec<_>>(), &sagas).to_string().into()
    }

    /// The contract with the docs of the service's WIT files. A component that was swapped in may be built from other
    /// files: then its functions have no docs.
    fn with_docs(&self, service: &ServiceName, contract: Arc<Contract>) -> Arc<Contract> {
        let Some(folder) = self.folders.get(service) else { return contract };
        let Ok((described, lacks)) = HeldTo::Names.describe(&contract, folder) else { return contract };
        if let Some(error) = lacks.filter(|error| !matches!(error, DocsError::Differs { .. })) {
            tracing::warn!(%service, %error, "the OpenAPI document has no docs of this service");
        }
        described.into()
    }
}

impl DescribedSaga {
    /// One for each of its methods.
    fn operations(&self, names: Names) -> impl Iterator<Item = SagaOperation<'_>> {
        self.methods.iter().map(move |method| SagaOperation {
            method: method.clone(),
            path: self.path.clone(),
            host: self.host.clone(),
            saga: &self.saga,
            input: self.input.as_ref(),
            names,
        })
    }
}

/// The OpenAPI document, which follows the components that serve.
pub(in crate::app) struct LiveDescription {
    description: ApiDescription,
    gateway: Arc<Gateway<Mesh>>,
    /// Held while a document is made and published. Otherwise the older document of two could be published last.
    turn: Mutex<()>,
}

impl LiveDescription {
    pub(in crate::app) fn new(description: ApiDescription, gateway: Arc<Gateway<Mesh>>) -> Self {
        Self { description, gateway, turn: Mutex::default() }
    }

    /// Makes the document of the components that serve now, and publishes it.
    pub(in crate::app) fn renew(&self, rollout: &Rollout, registry: &Registry<Service>) {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.gateway.describe(self.description.document(|name| now(rollout, registry, name)));
        drop(turn);
    }
}

/// A service as it serves now.
pub(in crate::app) fn now(
    rollout: &Rollout,
    registry: &Registry<Service>,
    name: &ServiceName,
) -> Option<DescribedService> {
    let routed = Arc::clone(&registry.snapshot().get(name.as_str())?.routed);
    Some(DescribedService { contract: rollout.contract(name.as_str())?, routed })
}
