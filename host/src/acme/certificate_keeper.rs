//! Keeps one certificate valid, as long as the host runs.

use super::acme_error::AcmeError;
use super::acme_files::AcmeFiles;
use super::acme_schedule::{AcmeSchedule, AcmeStep};
use super::certificate_order::{IssuedCertificate, account, obtain};
use super::directory_client::DirectoryClient;
use super::settings::Settings;
use crate::base::Digest;
use crate::listen::ServerTls;
use instant_acme::CertificateIdentifier;
use rustls::pki_types::CertificateDer;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::task::{block_in_place, spawn_blocking};
use tokio::time::sleep;

/// Orders a certificate if there is none, and renews it in time.
pub struct CertificateKeeper {
    settings: Settings,
    files: AcmeFiles,
    schedule: AcmeSchedule,
    /// A digest of what is ordered.
    ordered: String,
    tls: Arc<ServerTls>,
}

impl CertificateKeeper {
    /// Where the certificate with its key is written, below the folder of [`Settings`].
    pub fn certificate_path(folder: &Path) -> PathBuf {
        AcmeFiles::certificate_path(folder)
    }

    /// Opens the folder. `tls` serves the certificate from its file, and shows the proofs.
    ///
    /// # Errors
    /// The folder cannot be made, or a file in it cannot be read.
    pub fn open(settings: Settings, tls: Arc<ServerTls>) -> Result<Self, AcmeError> {
        let files = AcmeFiles::open(&settings.folder)?;
        let schedule = files.schedule()?;
        let parts = [&settings.directory, settings.profile.as_deref().unwrap_or_default(), settings.challenge.name()];
        let what = parts.into_iter().chain(settings.names.iter().map(String::as_str)).collect::<Vec<_>>().join("\n");
        let ordered = Digest::of(what.as_bytes()).to_string();
        Ok(Self { settings, files, schedule, ordered, tls })
    }

    /// Keeps the certificate valid. It never returns.
    pub async fn keep(mut self) {
        loop {
            let there = block_in_place(|| self.files.certificate(&self.settings.names));
            let life = there.as_ref().map(|(_, life)| *life);
            match self.schedule.step(now(), &self.ordered, life) {
                AcmeStep::Wait(time) => sleep(time).await,
                AcmeStep::Ask => self.ask(there.map(|(certificate, _)| certificate)).await,
                AcmeStep::Order => self.order(there.map(|(certificate, _)| certificate)).await,
            }
        }
    }

    async fn order(&mut self, there: Option<CertificateDer<'static>>) {
        self.schedule.begin(now(), &self.ordered);
        let outcome = self.try_order(there).await;
        self.tls.ordered(outcome.is_ok());
        match outcome {
            Ok(()) => {
                self.schedule.issued(now());
                self.tls.look_now();
                tracing::info!(names = self.settings.names.join(" "), "a certificate was obtained");
            }
            Err(error) => {
                let again = self.schedule.not_before.saturating_sub(now());
                let names = self.settings.names.join(" ");
                tracing::error!(names, %error, again_in_s = again, "a certificate could not be obtained");
            }
        }
        self.remember();
    }

    async fn try_order(&mut self, there: Option<CertificateDer<'static>>) -> Result<(), AcmeError> {
        // On the disk first: a host that is started again and again within an order must not repeat it each time.
        block_in_place(|| self.files.write_schedule(&self.schedule))?;
        let client = self.client().await?;
        let challenges = Arc::clone(self.tls.challenges());
        let ordered = async {
            let account = account(&self.settings, &self.files, &client).await?;
            obtain(&self.settings, &account, &challenges, there.as_ref()).await
        };
        let outcome = Box::pin(ordered).await;
        if let (Err(_), Some(away)) = (&outcome, client.take_retry_after()) {
            self.schedule.send_away(now(), away);
        }
        let IssuedCertificate { chain, key } = outcome?;
        block_in_place(|| self.files.write_certificate(&chain, &key.serialize_der()))
    }

    /// Asks the authority when it wants the certificate to be renewed. An authority that cannot say is asked again
    /// later: two thirds of the life count until then.
    async fn ask(&mut self, there: Option<CertificateDer<'static>>) {
        match self.try_ask(there).await {
            Ok(Some((window, again))) => {
                let fraction = rand::random();
                self.schedule.renewal(now(), window, fraction, again);
                tracing::debug!(renew_at = self.schedule.renew_at, "the authority says when it wants a renewal");
            }
            Ok(None) => self.schedule.not_told(now()),
            Err(error) => {
                self.schedule.not_told(now());
                tracing::warn!(%error, "the authority does not say when it wants a renewal");
            }
        }
        self.remember();
    }

    /// The window of time in which the authority wants a renewal, and when it wants to be asked again. `None`: it knows
    /// no such thing.
    async fn try_ask(
        &self,
        there: Option<CertificateDer<'static>>,
    ) -> Result<Option<((u64, u64), Duration)>, AcmeError> {
        let Some(certificate) = there else { return Ok(None) };
        let Ok(id) = CertificateIdentifier::try_from(&certificate) else { return Ok(None) };
        let client = self.client().await?;
        let asked = async {
            let account = account(&self.settings, &self.files, &client).await?;
            match account.renewal_info(&id).await {
                Ok(told) => Ok(Some(told)),
                Err(instant_acme::Error::Unsupported(_)) => Ok(None),
                Err(error) => Err(AcmeError::from(error)),
            }
        };
        let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
        let told = Box::pin(asked).await?;
        Ok(told.map(|(info, again)| {
            let window = info.suggested_window;
            ((seconds(window.start.unix_timestamp()), seconds(window.end.unix_timestamp())), again)
        }))
    }

    /// A client of the authority. It is made for each order, so that new roots of the system count.
    async fn client(&self) -> Result<DirectoryClient, AcmeError> {
        let settings = self.settings.clone();
        let made = spawn_blocking(move || DirectoryClient::new(&settings)).await;
        made.unwrap_or_else(|error| Err(AcmeError::Key(error.to_string())))
    }

    fn remember(&self) {
        if let Err(error) = block_in_place(|| self.files.write_schedule(&self.schedule)) {
            tracing::error!(%error, "the times of the next orders cannot be kept");
        }
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
