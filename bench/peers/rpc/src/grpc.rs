//! The record by gRPC, with tonic. Its code is written here, since its generator needs `protoc`.

use crate::callers::{Extent, Seen, all};
use crate::record::{Person, person};
use anyhow::ensure;
use http::uri::PathAndQuery;
use std::convert::Infallible;
use std::fs;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::{NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

type Codec = ProstCodec<Person, Person>;

/// The function.
struct Echo;

impl UnaryService<Person> for Echo {
    type Response = Person;
    type Future = Ready<Result<Response<Person>, Status>>;

    fn call(&mut self, request: Request<Person>) -> Self::Future {
        ready(Ok(Response::new(request.into_inner())))
    }
}

/// The service with this one function.
#[derive(Debug, Clone)]
struct EchoService;

impl NamedService for EchoService {
    const NAME: &'static str = "bench.Echo";
}

impl Service<http::Request<Body>> for EchoService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move { Ok(tonic::server::Grpc::new(Codec::default()).unary(Echo, request).await) })
    }
}

/// What both ends show each other: the certificate of this name, and that of the authority.
fn shown(pki: &str, name: &str) -> anyhow::Result<(Identity, Certificate)> {
    let file = |name: String| fs::read(format!("{pki}/{name}"));
    let identity = Identity::from_pem(file(format!("{name}.pem"))?, file(format!("{name}.key"))?);
    Ok((identity, Certificate::from_pem(file("authority.pem".to_owned())?)))
}

/// Answers with the record that it is given.
pub async fn serve(listener: TcpListener, pki: Option<&str>) -> anyhow::Result<()> {
    let mut server = Server::builder();
    if let Some(pki) = pki {
        let (identity, authority) = shown(pki, "b")?;
        server = server.tls_config(ServerTlsConfig::new().identity(identity).client_ca_root(authority))?;
    }
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Ok(server.add_service(EchoService).serve_with_incoming(incoming).await?)
}

/// Calls over one connection, as a channel has it.
pub async fn call(address: &str, pki: Option<&str>, extent: Extent) -> anyhow::Result<Seen> {
    let scheme = if pki.is_some() { "https" } else { "http" };
    let mut endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))?.tcp_nodelay(true);
    if let Some(pki) = pki {
        let (identity, authority) = shown(pki, "a")?;
        let tls = ClientTlsConfig::new().identity(identity).ca_certificate(authority).domain_name("b");
        endpoint = endpoint.tls_config(tls)?;
    }
    let channel = endpoint.connect().await?;
    all(extent, move || {
        let mut client = tonic::client::Grpc::new(channel.clone());
        async move {
            client.ready().await?;
            let (sent, path) = (person(), PathAndQuery::from_static("/bench.Echo/Echo"));
            let found = client.unary(Request::new(sent.clone()), path, Codec::default()).await?;
            ensure!(*found.get_ref() == sent, "another record came back");
            Ok(())
        }
    })
    .await
}
