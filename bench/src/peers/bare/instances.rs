//! The instances of the bare server: its engine, and what `ProxyHandler` needs for each instance.

use host::runtime::{Limits, Settings};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::{Sleep, sleep_until};
use wasmtime::component::{Component, GuestTaskId, Linker};
use wasmtime::{Engine, Store, StoreContextMut};
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, ProxyPre, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView, p2, p3,
};

/// As in the host: guests that compute let other guests run.
const EPOCH: Duration = Duration::from_millis(10);

/// How long an instance may be idle: Atoll's default.
const IDLE: Duration = Duration::from_secs(1);

/// Makes instances of one component.
pub(super) struct Instances {
    engine: Engine,
    component: ProxyPre<Data>,
    life: Bounds,
}

/// How long an instance lives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    requests: usize,
    concurrent: usize,
}

/// The data of an instance.
pub(super) struct Data {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: DenyOutbound,
}

impl Instances {
    /// Compiles the component, with the engine that Atoll would have for one service of this component.
    ///
    /// # Errors
    /// If it is not a component that serves WASI HTTP.
    pub(super) fn load(component: &Path, requests: usize, concurrent: usize) -> anyhow::Result<Self> {
        let limits = Limits::default();
        let slots = Settings::default().slots(std::iter::once((1, &limits)));
        let engine = Engine::new(&host::runtime::engine_config(slots, limits.memory))?;
        let mut linker = Linker::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        p2::add_only_http_to_linker_async(&mut linker)?;
        p3::add_to_linker(&mut linker)?;
        let component = linker.instantiate_pre(&Component::from_file(&engine, component)?)?;
        let component = match p3::bindings::ServicePre::new(component.clone()) {
            Ok(service) => ProxyPre::P3(service),
            Err(_) => ProxyPre::P2(p2::bindings::ProxyPre::new(component)?),
        };
        tick(&engine)?;
        Ok(Self { engine, component, life: Bounds { requests, concurrent } })
    }
}

/// Starts the thread that ends the guests' time slices.
fn tick(engine: &Engine) -> std::io::Result<()> {
    let engine = engine.clone();
    let run = move || {
        loop {
            #[expect(clippy::disallowed_methods, reason = "this thread has nothing else to do")]
            std::thread::sleep(EPOCH);
            engine.increment_epoch();
        }
    };
    std::thread::Builder::new().name("epoch".into()).spawn(run).map(drop)
}

impl HandlerState for Instances {
    type StoreData = Data;
    type WorkerExpiration = IdleTimeout;
    type WorkerState = Bounds;

    async fn instantiate(&self) -> wasmtime::Result<Instance<Data, IdleTimeout, Bounds>> {
        let data = Data {
            table: ResourceTable::new(),
            wasi: WasiCtx::builder().build(),
            http: WasiHttpCtx::new(),
            hooks: DenyOutbound,
        };
        let mut store = Store::new(&self.engine, data);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        let proxy = self.component.instantiate_async(&mut store).await?;
        Ok(Instance { store, proxy, view: WasiHttpView::http, expiration: IdleTimeout(None), state: self.life })
    }
}

impl WorkerState for Bounds {
    type StoreData = Data;
    type RequestData = ();

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        if total >= self.requests {
            ShouldAccept::Never
        } else if concurrent >= self.concurrent {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _store: StoreContextMut<'_, Data>,
        (): (),
        _task: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        Box::pin(std::future::pending())
    }

    fn drop(&self, store: Store<Data>, _result: Result<(), wasmtime::Error>) {
        drop(store);
    }
}

/// When an instance has been idle for too long. While it works it has no deadline.
pub(super) struct IdleTimeout(Option<(Instant, Pin<Box<Sleep>>)>);

impl WorkerExpiration for IdleTimeout {
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>, status: WorkerStatus, start: Instant) -> Poll<()> {
        if status != WorkerStatus::Idle {
            return Poll::Pending;
        }
        let idle_timeout = match self.0.take() {
            Some((since, sleep)) if since == start => (since, sleep),
            _ => (start, Box::pin(sleep_until((start + IDLE).into()))),
        };
        self.0.insert(idle_timeout).1.as_mut().poll(cx)
    }
}

/// Denies all outbound requests of the guests.
struct DenyOutbound;

type Transmission = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Answer = Result<(http::Response<WasiBody>, Transmission), Error>;

impl WasiHttpHooks for DenyOutbound {
    fn send_request(
        &mut self,
        _request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _transmission: Transmission,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }
}

impl WasiView for Data {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for Data {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}
