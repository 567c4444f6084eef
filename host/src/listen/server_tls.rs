//! The server's side of TLS: one whole configuration, made of files, and replaced as a whole when they change.

use super::acme_challenges::AcmeChallenges;
use super::certificate_facts::now;
use super::certificate_files::{
    ReadCertificate, TlsFile, TlsFileContents, TlsFileError, expired_list_warning, gone, validity_warning, wrong_lists,
};
use super::sni_resolver::SniResolver;
use super::tls_settings::{ClientAuth, TlsSettings};
use crate::telemetry::TlsMetrics;
use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::pki_types::CertificateRevocationListDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

/// The name of HTTP/2 in ALPN (RFC 9113, section 3.2).
const HTTP2: &str = "h2";

/// The protocols that the listener offers by ALPN (RFC 7301), the one that it likes best first.
fn protocols(http2: bool) -> Vec<Vec<u8>> {
    let http2 = http2.then(|| HTTP2.as_bytes().to_vec());
    http2.into_iter().chain([b"http/1.1".to_vec()]).collect()
}

/// How long a pair of files that does not fit may take to become right. Tools write both within milliseconds.
const SETTLE: Duration = Duration::from_secs(1);

/// A listener's TLS. The configuration is replaced when its files change: certificates, keys, the clients' authorities
/// and the sessions that may be resumed, all at once. A session that was made before is not resumed, since it would
/// bring its client's certificate along without a check against the new authorities.
pub struct ServerTls {
    settings: TlsSettings,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<ServerConfig>,
    /// Of the files as they were last looked at.
    seen: Mutex<[u8; 32]>,
    /// Whether the files as they are now cannot be used.
    stale: Mutex<bool>,
    /// Whether there is no certificate yet: the first one is being obtained.
    bare: AtomicBool,
    order_failed: AtomicBool,
    /// Whether the certificate that the host obtains by itself is served.
    has_obtained: AtomicBool,
    /// Wakes [`ServerTls::watch`].
    written: Notify,
    challenges: Arc<AcmeChallenges>,
    metrics: Arc<TlsMetrics>,
    /// Is told of clients whose certificate is refused.
    refusals: OnceLock<RefusalNotice>,
}

/// Is told of a client whose certificate is refused, or who shows none: from where, and why.
pub type RefusalNotice = Box<dyn Fn(SocketAddr, &str) + Send + Sync>;

/// A configuration, when its first certificate expires, and what is doubtful about it.
pub(super) struct LoadedTls {
    config: Arc<ServerConfig>,
    has_obtained: bool,
    /// `None`: there is no certificate yet.
    first_expiry: Option<i64>,
    warnings: Vec<(TlsFile, String)>,
}

/// What a look at the files has found.
pub(super) enum TlsLook {
    Unchanged,
    Changed(LoadedTls),
    /// They have changed, and cannot be used.
    Broken(Vec<TlsFileError>),
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(settings: TlsSettings) -> Result<Self, Vec<TlsFileError>> {
        let provider = Arc::new(default_provider());
        let contents = TlsFileContents::read(&settings);
        let loaded = build(&settings, &provider, &contents)?;
        let metrics = Arc::new(TlsMetrics::default());
        metrics.serves_until(loaded.first_expiry);
        if settings.obtained.is_some() {
            metrics.will_order();
        }
        let (stale, bare) = (Mutex::new(false), AtomicBool::new(loaded.first_expiry.is_none()));
        let has_obtained = AtomicBool::new(loaded.has_obtained);
        let (current, seen) = (ArcSwap::new(loaded.config), Mutex::new(contents.digest()));
        let (order_failed, written, challenges) = (AtomicBool::new(false), Notify::new(), Arc::default());
        Ok(Self {
            settings,
            provider,
            current,
            seen,
            stale,
            bare,
            order_failed,
            has_obtained,
            written,
            challenges,
            metrics,
            refusals: OnceLock::new(),
        })
    }

    /// Reads the files of `settings` and says what is doubtful about them, a certificate that has expired for one.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn check(settings: &TlsSettings) -> Result<Vec<(TlsFile, String)>, Vec<TlsFileError>> {
        let contents = TlsFileContents::read(settings);
        build(settings, &Arc::new(default_provider()), &contents).map(|loaded| loaded.warnings)
    }

    /// Has `notice` told of clients whose certificate is refused. The first one stays.
    pub fn tell_refusals(&self, notice: RefusalNotice) {
        let _ = self.refusals.set(notice);
    }

    /// A client is refused for its certificate.
    pub(super) fn refused(&self, client: SocketAddr, why: &str) {
        if let Some(notice) = self.refusals.get() {
            notice(client, why);
        }
    }

    /// What this listener counts of its TLS.
    pub fn metrics(&self) -> &Arc<TlsMetrics> {
        &self.metrics
    }

    /// Whether the files have changed and cannot be used, so that what they were before is served on.
    pub fn is_stale(&self) -> bool {
        *self.stale.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is no certificate yet, so that no handshake succeeds.
    pub fn is_bare(&self) -> bool {
        self.bare.load(Relaxed)
    }

    /// Notes that an order of a certificate by ACME has ended: it was `issued`, or failed.
    pub fn ordered(&self, issued: bool) {
        self.metrics.ordered(issued);
        self.order_failed.store(!issued, Relaxed);
    }

    /// Whether the last order of a certificate has failed.
    pub fn has_failed_order(&self) -> bool {
        self.order_failed.load(Relaxed)
    }

    /// What is proved to an ACME server at this listener.
    pub fn challenges(&self) -> &Arc<AcmeChallenges> {
        &self.challenges
    }

    /// Has the files looked at now: one of them was written.
    pub fn look_now(&self) {
        self.written.notify_one();
    }

    /// Looks at the files again and again. It never returns. `edge` names the listener in the log.
    ///
    /// Whoever writes a certificate and then its key leaves a pair for a moment that does not fit. So files that cannot
    /// be used are looked at once more, a little later, before they count as wrong.
    pub async fn watch(self: Arc<Self>, edge: &'static str) {
        loop {
            // Whether the time has passed or a file was written, the files are looked at.
            let _ = timeout(self.settings.reload, self.written.notified()).await;
            let mut look = self.look(edge, false).await;
            if matches!(look, TlsLook::Broken(_)) {
                sleep(SETTLE.min(self.settings.reload)).await;
                look = self.look(edge, true).await;
            }
            self.take(edge, look);
        }
    }

    /// Reads the files. Those that have not changed are not looked at closely, unless that is `forced`.
    pub(super) async fn look(self: &Arc<Self>, edge: &'static str, forced: bool) -> TlsLook {
        let own = Arc::clone(self);
        let look = spawn_blocking(move || {
            let contents = TlsFileContents::read(&own.settings);
            let digest = contents.digest();
            let before = std::mem::replace(&mut *own.seen.lock().unwrap_or_else(PoisonError::into_inner), digest);
            if before == digest && !forced {
                return TlsLook::Unchanged;
            }
            // Whoever removes it, the one in memory serves on until the host has obtained another one.
            if own.has_obtained.load(Relaxed) && !contents.has_obtained {
                return TlsLook::Broken(vec![gone(&own.settings)]);
            }
            build(&own.settings, &own.provider, &contents).map_or_else(TlsLook::Broken, TlsLook::Changed)
        });
        look.await.unwrap_or_else(|error| {
            // A bug. What is served stays, and the next look comes.
            tracing::error!(edge, %error, "looking at the certificates panicked");
            TlsLook::Unchanged
        })
    }

    /// Replaces the configuration by what a look has found, if it can be used.
    pub(super) fn take(&self, edge: &'static str, look: TlsLook) {
        if matches!(look, TlsLook::Unchanged) {
            return;
        }
        let broken = matches!(look, TlsLook::Broken(_));
        *self.stale.lock().unwrap_or_else(PoisonError::into_inner) = broken;
        self.metrics.reloaded(!broken);
        match look {
            TlsLook::Unchanged => {}
            TlsLook::Changed(loaded) => {
                self.current.store(loaded.config);
                self.bare.store(loaded.first_expiry.is_none(), Relaxed);
                self.has_obtained.store(loaded.has_obtained, Relaxed);
                self.metrics.serves_until(loaded.first_expiry);
                let days = loaded.first_expiry.map(|expiry| (expiry - now()) / 86_400);
                tracing::info!(edge, days, "the certificates were replaced; the first expires in so many days");
                for (_, warning) in loaded.warnings {
                    tracing::warn!(edge, "{warning}");
                }
            }
            TlsLook::Broken(errors) => {
                for error in errors {
                    let help = error.help();
                    tracing::error!(edge, %error, help, "the new certificates cannot be used; the old ones serve on");
                }
            }
        }
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    pub(super) fn handshake_timeout(&self) -> Duration {
        self.settings.handshake_timeout
    }

    /// Whether clients are asked for certificates.
    pub(super) fn asks_clients(&self) -> bool {
        self.settings.client_ca.is_some()
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("settings", &self.settings).finish_non_exhaustive()
    }
}

fn build(
    settings: &TlsSettings,
    provider: &Arc<CryptoProvider>,
    contents: &TlsFileContents,
) -> Result<LoadedTls, Vec<TlsFileError>> {
    let (certificates, authorities, lists) = match (
        contents.certificates(provider),
        contents.client_authorities(settings.client_ca.as_deref()),
        contents.revocation_lists(settings.client_crl.as_deref()),
    ) {
        (Ok(certificates), Ok(authorities), Ok(lists)) => (certificates, authorities, lists),
        (certificates, authorities, lists) => {
            let others = authorities.err().into_iter().chain(lists.err());
            return Err(certificates.err().into_iter().flatten().chain(others).collect());
        }
    };
    let warning = |(index, certificate): (usize, &ReadCertificate)| {
        let path = certificate.path.display();
        validity_warning(&certificate.facts).map(|text| (TlsFile::Cert(index), format!("{path}: {text}")))
    };
    let expired = settings.client_crl.as_ref().zip(expired_list_warning(&lists));
    let expired = expired.map(|(path, text)| (TlsFile::ClientCrl, format!("{}: {text}", path.display())));
    let warnings = certificates.iter().enumerate().filter_map(warning).chain(expired).collect();
    let first_expiry = certificates.iter().map(|one| one.facts.not_after).min();
    let verifier = authorities.map(|roots| client_verifier(settings, (roots, lists), provider)).transpose();
    let verifier = verifier.map_err(|error| vec![error])?;
    let resolver = SniResolver::new(&certificates);
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    let config = ServerConfig::builder_with_provider(Arc::clone(provider)).with_protocol_versions(&versions);
    let config = config.expect("ring has suites for both versions");
    let config = match verifier {
        Some(verifier) => config.with_client_cert_verifier(verifier),
        None => config.with_no_client_auth(),
    };
    let mut config = config.with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = protocols(settings.http2);
    // Tickets hold the session, encrypted by a key that this ticketer makes and replaces every six hours: the host
    // remembers nothing of a client. A new configuration has a new ticketer, and so accepts no older ticket.
    config.ticketer = Ticketer::new().expect("the system has random numbers");
    let has_obtained = contents.has_obtained;
    Ok(LoadedTls { config: Arc::new(config), has_obtained, first_expiry, warnings })
}

/// With revocation lists the status of each certificate of a chain must be known, and from a list that has not expired
/// (RFC 5280, section 6.3.3), as OpenSSL has it.
fn client_verifier(
    settings: &TlsSettings,
    (roots, lists): (RootCertStore, Vec<CertificateRevocationListDer<'static>>),
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsFileError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let verifier = verifier.with_crls(lists).enforce_revocation_expiration();
    let verifier = match settings.client_auth {
        ClientAuth::Optional => verifier.allow_unauthenticated(),
        ClientAuth::Required => verifier,
    };
    // There is an authority, so the lists alone can be wrong.
    let path = settings.client_crl.clone().unwrap_or_default();
    verifier.build().map_err(|error| wrong_lists(&path, format!("a list cannot be used: {error}")))
}
