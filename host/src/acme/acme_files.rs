//! The files of one certificate: account, certificate with its key, and times. Each is replaced as a whole, and its
//! owner alone may read it.

use super::acme_error::AcmeError;
use super::acme_schedule::{AcmeSchedule, CertificateLife};
use crate::listen::{CertificateFacts, SubjectName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use instant_acme::AccountCredentials;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The longest file that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// The folder of one certificate.
#[derive(Debug, Clone)]
pub(super) struct AcmeFiles(PathBuf);

/// The account, and whose it is.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredAccount {
    /// The directory of the authority that has made it. Another authority knows nothing of it.
    pub(super) directory: String,
    pub(super) credentials: AccountCredentials,
}

impl AcmeFiles {
    /// Makes the folder, if it is not there.
    pub(super) fn open(folder: &Path) -> Result<Self, AcmeError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|source| AcmeError::File { path: folder.to_owned(), source })?;
        Ok(Self(folder.to_owned()))
    }

    /// The certificate, its chain and its key.
    pub(super) fn certificate_path(folder: &Path) -> PathBuf {
        folder.join("certificate.pem")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The account. `None`: there is none with the authority of `directory`.
    pub(super) fn account(&self, directory: &str) -> Result<Option<AccountCredentials>, AcmeError> {
        let stored: Option<StoredAccount> = self.json("account.json")?;
        Ok(stored.filter(|stored| stored.directory == directory).map(|stored| stored.credentials))
    }

    pub(super) fn write_account(&self, account: &StoredAccount) -> Result<(), AcmeError> {
        self.write_json("account.json", account)
    }

    /// What is remembered of orders. A file that cannot be read as such is as good as none: the certificate is there or
    /// not.
    pub(super) fn schedule(&self) -> Result<AcmeSchedule, AcmeError> {
        match self.json("schedule.json") {
            Ok(schedule) => Ok(schedule.unwrap_or_default()),
            Err(AcmeError::File { source, .. }) if source.kind() == io::ErrorKind::InvalidData => {
                Ok(AcmeSchedule::default())
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn write_schedule(&self, schedule: &AcmeSchedule) -> Result<(), AcmeError> {
        self.write_json("schedule.json", schedule)
    }

    /// The certificate that is there, and its life; `None` if there is none that is for `names`.
    pub(super) fn certificate(&self, names: &[String]) -> Option<(CertificateDer<'static>, CertificateLife)> {
        let bytes = self.read(&Self::certificate_path(&self.0)).ok()??;
        let certificate = CertificateDer::from_pem_slice(&bytes).ok()?;
        let life = life(&certificate, names)?;
        Some((certificate, life))
    }

    /// Replaces the certificate and its key, both at once: they are one file.
    pub(super) fn write_certificate(&self, chain: &str, key: &[u8]) -> Result<(), AcmeError> {
        let text = format!("{}\n{}", chain.trim_end(), pem("PRIVATE KEY", key));
        self.write(&Self::certificate_path(&self.0), text.as_bytes())
    }

    fn json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, AcmeError> {
        let path = self.path(name);
        let Some(bytes) = self.read(&path)? else { return Ok(None) };
        // Without serde's text: it may quote a key.
        let wrong = |_| io::Error::new(io::ErrorKind::InvalidData, "it is damaged: remove it");
        serde_json::from_slice(&bytes).map(Some).map_err(|error| AcmeError::File { path, source: wrong(error) })
    }

    fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), AcmeError> {
        let text = serde_json::to_vec_pretty(value).expect("texts and numbers can be written");
        self.write(&self.path(name), &text)
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, AcmeError> {
        let read = || {
            let mut bytes = Vec::new();
            File::open(path)?.take(LONGEST).read_to_end(&mut bytes)?;
            io::Result::Ok(bytes)
        };
        match read() {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(AcmeError::File { path: path.to_owned(), source }),
        }
    }

    /// Writes into a file beside it, which then takes its place: a crash leaves the old file or the new one.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), AcmeError> {
        let beside = path.with_extension("new");
        let write = || {
            // A file that a crash left would keep its mode.
            let _ = fs::remove_file(&beside);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&beside, path)?;
            File::open(&self.0)?.sync_all()
        };
        write().map_err(|source| AcmeError::File { path: path.to_owned(), source })
    }
}

/// The life of a certificate that is for all of `names`; `None` for any other one.
pub(super) fn life(certificate: &CertificateDer<'_>, names: &[String]) -> Option<CertificateLife> {
    let facts = CertificateFacts::read(certificate)?;
    let is_for = |name: &String| facts.names.contains(&SubjectName::Dns(name.clone()));
    if !names.iter().all(is_for) {
        return None;
    }
    let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
    Some(CertificateLife { not_before: seconds(facts.not_before), not_after: seconds(facts.not_after) })
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line)).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::{ServerTls, TlsSettings};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_certificate_and_its_key_are_one_file_that_its_owner_alone_may_read_and_that_can_be_served() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("acme");
        let files = AcmeFiles::open(&folder).expect("it is made");
        let names = ["shop.example".to_owned()];
        assert!(files.certificate(&names).is_none());
        let made = rcgen::generate_simple_self_signed(names.to_vec()).expect("a certificate");
        let chain = pem("CERTIFICATE", made.cert.der());
        files.write_certificate(&chain, &made.signing_key.serialize_der()).expect("it is written");
        files.write_schedule(&AcmeSchedule::default()).expect("it is written");
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        let path = AcmeFiles::certificate_path(&folder);
        assert_eq!((mode(&folder), mode(&path), mode(&folder.join("schedule.json"))), (0o700, 0o600, 0o600));

        assert!(files.certificate(&names).is_some());
        assert!(files.certificate(&["other.example".to_owned()]).is_none(), "other names are another order");
        let settings = TlsSettings { obtained: Some(path), ..TlsSettings::default() };
        assert_eq!(ServerTls::check(&settings).expect("it can be served"), []);
    }

    #[test]
    fn a_damaged_schedule_is_none_and_a_damaged_account_is_an_error_that_quotes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = AcmeFiles::open(folder.path()).expect("it is there");
        let secret = r#"{ "directory": "a", "credentials": "s3cret" "#;
        for name in ["schedule.json", "account.json"] {
            fs::write(folder.path().join(name), secret).expect("a file");
        }
        assert_eq!(files.schedule().expect("as good as none"), AcmeSchedule::default());
        let error = files.account("a").err().expect("it is damaged").to_string();
        assert!(error.ends_with("account.json: it is damaged: remove it"), "{error}");
    }
}
