//! A service is withdrawn from the discovery table while another one calls it. The rooms up to the mesh are built
//! inside the test, because no verb withdraws a service yet.

use crate::it::components::{component, workspace};
use crate::it::in_process_mesh::plan;
use host::base::{CallContext, RequestId, ServiceName};
use host::contract::FunctionName;
use host::contract::InterfaceName;
use host::mesh::{Mesh, Service};
use host::registry::Registry;
use host::rollout::{GrantSettings, Offers, Rollout, ServiceSpec, wire};
use host::runtime::{Outcall, Runtime, Settings, Value};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

struct CallerAndCallee {
    mesh: Arc<Mesh>,
    registry: Arc<Registry<Service>>,
}

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

impl CallerAndCallee {
    fn new() -> Self {
        let cache = workspace().join("target/test-cache");
        let runtime = Arc::new(Runtime::new(&Settings { cache, instances: 0 }, 64, 64 << 20).unwrap());
        let registry = Arc::new(Registry::default());
        let rollout = Rollout::new(Arc::clone(&runtime), Arc::clone(&registry), Vec::new());
        let mut offers = Offers::new();
        for (service, fixture) in [("types", "fixture-types"), ("relay", "fixture-relay")] {
            let component = runtime.load(&component(fixture)).unwrap();
            let calls = if service == "relay" { vec![name("types")] } else { Vec::new() };
            let links = wire(&name(service), component.contract(), &calls, &offers).unwrap();
            offers.insert(name(service), Arc::clone(component.contract()));
            let grants = GrantSettings { calls, ..GrantSettings::default() };
            let plan = ServiceSpec { grants, ..plan(service) };
            rollout.launch(plan, Some((&component, &links)), None).unwrap();
        }
        let mesh = Arc::new(Mesh::new(Arc::clone(&registry), host::mesh::Settings::default()));
        let outcall: Weak<dyn Outcall> = Arc::downgrade(&mesh) as _;
        runtime.connect(outcall);
        Self { mesh, registry }
    }

    async fn report(&self, function: &str, arguments: Vec<Value>) -> Result<String, String> {
        let interface = InterfaceName::new("atoll:fixture-relay/reports@1.0.0");
        let function = FunctionName { interface, function: function.into() };
        let context = CallContext::new(RequestId::from_random(1), Instant::now(), Duration::from_secs(30));
        match self.mesh.invoke(&name("relay"), &function, arguments, &context).await {
            Ok(Some(Value::String(report))) => Ok(report),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_of_a_withdrawn_service_returns_unavailable_and_a_call_in_flight_finishes() {
    let services = CallerAndCallee::new();
    assert_eq!(services.report("sleep", vec![Value::U32(3)]).await.unwrap(), "ok: 3");
    let sleeping = services.report("sleep", vec![Value::U32(300)]);
    let (slept, types) = tokio::join!(sleeping, async {
        let in_flight = || {
            services.registry.snapshot().get("types").unwrap().group.endpoints[0].stats.state(Instant::now()).in_flight
        };
        while in_flight() == 0 {
            tokio::task::yield_now().await;
        }
        services.registry.withdraw(&name("types")).unwrap()
    });
    assert_eq!(slept.unwrap(), "ok: 300", "a call in flight must end normally");
    for function in ["trap-result", "sync-trap-result", "refuse"] {
        let report = services.report(function, Vec::new()).await.unwrap();
        assert_eq!(report, "unavailable: service `types` did not answer: no-endpoint", "{function}");
    }
    let ended = services.report("trap", Vec::new()).await.unwrap_err();
    assert!(ended.contains("failed (no-endpoint), and its type has no error case"), "{ended}");
    let Ok(types) = Arc::try_unwrap(types) else { panic!("nothing may hold a withdrawn service") };
    services.registry.publish(&name("types"), types);
    assert_eq!(
        services.report("sleep", vec![Value::U32(4)]).await.unwrap(),
        "ok: 4",
        "a service that is published again must answer"
    );
}
