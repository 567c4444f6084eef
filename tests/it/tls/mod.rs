//! TLS at the gateway and the admin: the real binary, with certificates of an authority that each test makes.

mod acme;
mod broken_files;
mod clients;
mod development;
mod handshakes;
mod https_only;
mod openssl;
mod pebble;
mod recipes;
mod reload;
mod websockets;

use super::atoll::{Atoll, Home, TIMEOUT};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod, KeyPair,
    RevokedCertParams,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The request of most tests: the connection ends with its answer.
const GET: &str = "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";

/// An authority, and what it signs.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// A certificate and its key.
pub struct Signed {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// A certificate for these names.
    fn sign(&self, names: &[&str]) -> Signed {
        self.sign_with(names, |_| {})
    }

    fn sign_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Signed {
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Signed { certificate: params.signed_by(&key, &self.issuer).unwrap().der().clone(), key }
    }

    /// Its list of revoked certificates, in PEM, which ends in so many days.
    fn revocation_list(&self, revoked: &[u64], days: i64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let time_of = |days: i64| {
            let at = now.checked_add_signed(days * 86_400).unwrap();
            rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(at)
        };
        let revoked = revoked.iter().map(|serial| RevokedCertParams {
            serial_number: (*serial).into(),
            revocation_time: time_of(-2),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: time_of(-2),
            next_update: time_of(days),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        pem("X509 CRL", list.signed_by(&self.issuer).unwrap().der())
    }

    /// Writes the authority's certificate.
    fn write(&self, path: &Path) {
        fs::write(path, pem("CERTIFICATE", &self.certificate)).unwrap();
    }
}

impl Signed {
    /// Writes `NAME.pem` and `NAME.key`.
    fn write(&self, folder: &Path, name: &str) {
        fs::write(folder.join(format!("{name}.pem")), pem("CERTIFICATE", &self.certificate)).unwrap();
        fs::write(folder.join(format!("{name}.key")), pem("PRIVATE KEY", &self.key.serialize_der())).unwrap();
    }
}

/// PEM text of DER bytes.
pub fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A folder with a manifest, and an authority that signs for it.
pub struct TlsHome {
    pub home: Home,
    pub authority: Authority,
}

impl TlsHome {
    /// The manifest has one service behind every path and the section `[gateway.tls]` with `tls`. There is a
    /// certificate `shop` for `shop.example` and `localhost`.
    fn new(tls: &str) -> Self {
        Self::with(&format!(
            "[gateway.tls]\ncertificates = [{{ cert = 'shop.pem', key = 'shop.key' }}]\nreload = '100ms'\n{tls}\n\
             [service.hello]\ncomponent = '{{component:fixture-hello}}'\n\
             [[route]]\nprefix = '/'\nservice = 'hello'\n"
        ))
    }

    fn with(manifest: &str) -> Self {
        let home = Self { home: Home::new(manifest), authority: Authority::new("servers") };
        home.authority.sign(&["shop.example", "localhost", "127.0.0.1"]).write(home.folder(), "shop");
        home
    }

    fn folder(&self) -> &Path {
        self.home.folder.path()
    }

    /// A client that trusts the authority.
    fn client(&self) -> Client {
        Client::new(&self.authority, None)
    }
}

/// A TLS client. Its clones share the sessions that may be resumed.
#[derive(Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    roots: Arc<RootCertStore>,
}

impl Client {
    fn new(trusted: &Authority, own: Option<&Signed>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.certificate.clone()).unwrap();
        Self::with(Arc::new(roots), rustls::DEFAULT_VERSIONS, own)
    }

    fn with(roots: Arc<RootCertStore>, versions: &[&'static SupportedProtocolVersion], own: Option<&Signed>) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let config = config.with_root_certificates(Arc::clone(&roots));
        let config = match own {
            None => config.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::Pkcs8(own.key.serialize_der().into());
                config.with_client_auth_cert(vec![own.certificate.clone()], key).unwrap()
            }
        };
        Self { config: Arc::new(config), roots }
    }

    /// A client that speaks this version alone, and shows no certificate.
    fn only(&self, version: &'static SupportedProtocolVersion) -> Self {
        Self::with(Arc::clone(&self.roots), &[version], None)
    }

    /// The same client with a changed configuration.
    fn changed(&self, change: impl FnOnce(&mut ClientConfig)) -> Self {
        let mut config = (*self.config).clone();
        change(&mut config);
        Self { config: Arc::new(config), roots: Arc::clone(&self.roots) }
    }

    /// Connects to the gateway, as the host `name`.
    async fn connect(&self, atoll: &Atoll, name: &str) -> io::Result<TlsStream<TcpStream>> {
        self.connect_to(&atoll.secure, name).await
    }

    async fn connect_to(&self, address: &str, name: &str) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(address.strip_prefix("https://").unwrap()).await.unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        timeout(TIMEOUT, TlsConnector::from(Arc::clone(&self.config)).connect(name, stream)).await.unwrap()
    }

    /// Sends `request` on a new connection, and returns all that comes back.
    async fn ask(&self, atoll: &Atoll, name: &str, request: &str) -> io::Result<String> {
        let stream = self.connect(atoll, name).await?;
        exchange(stream, request).await
    }
}

/// Sends `request`, and returns all that comes back until the end of the connection.
async fn exchange(mut stream: TlsStream<TcpStream>, request: &str) -> io::Result<String> {
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    timeout(TIMEOUT, stream.read_to_end(&mut answer)).await.expect("an answer in time")?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The value of a metric of the gateway's TLS, with these labels after the edge's.
async fn metric(atoll: &Atoll, family: &str, labels: &str) -> Option<f64> {
    let text = super::atoll::Http::default().get(&format!("{}/metrics", atoll.admin)).await;
    let text = String::from_utf8(text.body.to_vec()).unwrap();
    let start = format!("atoll_{family}{{edge=\"gateway\"{labels}}} ");
    text.lines().find_map(|line| line.strip_prefix(&start)).map(|value| value.parse().unwrap())
}
