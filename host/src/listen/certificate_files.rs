//! The files of certificates, keys and client authorities: how they are read, and what is wrong with them.

use super::certificate_facts::{CertificateFacts, now};
use super::tls_settings::{CertificateFiles, TlsSettings};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

/// The longest file that is read, in bytes: a bundle of all public authorities has 250 KB.
const LONGEST: u64 = 4 << 20;

/// Which file of the settings something is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsFile {
    /// The certificate at this index.
    Cert(usize),
    /// The key at this index.
    Key(usize),
    /// The authorities of the clients.
    ClientCa,
    /// The clients' certificates that are revoked.
    ClientCrl,
}

/// What is wrong with a file. It names the file and never its content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", path.display())]
pub struct TlsFileError {
    /// Which file of the settings it is.
    pub file: TlsFile,
    /// Its path.
    pub path: PathBuf,
    message: String,
    help: &'static str,
}

impl TlsFileError {
    fn new(file: TlsFile, path: &Path, message: impl Into<String>, help: &'static str) -> Self {
        Self { file, path: path.to_owned(), message: message.into(), help }
    }

    /// How to correct it.
    pub fn help(&self) -> &'static str {
        self.help
    }
}

/// A certificate that was read, and the names that it is for.
#[derive(Debug)]
pub(super) struct ReadCertificate {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) facts: CertificateFacts,
    /// The file that it is of.
    pub(super) path: PathBuf,
}

/// The bytes of one file, or why there are none.
type FileContent = io::Result<Vec<u8>>;

/// The bytes of all files, so that a change is seen by their content: a replaced link, as Kubernetes swaps mounted
/// secrets, changes neither a path nor perhaps a length.
pub(super) struct TlsFileContents {
    /// The certificate and the key of each pair.
    certificates: Vec<(CertificateFiles, FileContent, FileContent)>,
    /// Whether the certificate is there that the host obtains by itself.
    pub(super) has_obtained: bool,
    client_ca: Option<FileContent>,
    client_crl: Option<FileContent>,
}

impl TlsFileContents {
    /// Reads the files of the settings. A certificate that the host obtains by itself is left out as long as it is not
    /// there.
    pub(super) fn read(settings: &TlsSettings) -> Self {
        let obtained = settings.obtained.iter().filter(|path| path.exists());
        let obtained = obtained.map(|path| CertificateFiles { cert: path.clone(), key: path.clone() });
        let pair = |files: CertificateFiles| {
            let (cert, key) = (read(&files.cert), read(&files.key));
            (files, cert, key)
        };
        let certificates: Vec<_> = settings.certificates.iter().cloned().chain(obtained).map(pair).collect();
        let has_obtained = certificates.len() > settings.certificates.len();
        let (client_ca, client_crl) = (settings.client_ca.as_deref(), settings.client_crl.as_deref());
        Self { certificates, has_obtained, client_ca: client_ca.map(read), client_crl: client_crl.map(read) }
    }

    /// A digest of all of them. A file that cannot be read has its error for content.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        let pairs = self.certificates.iter().flat_map(|(_, cert, key)| [cert, key]);
        for content in pairs.chain(&self.client_ca).chain(&self.client_crl) {
            match content {
                Ok(bytes) => {
                    digest.update((bytes.len() as u64).to_le_bytes());
                    digest.update(bytes);
                }
                Err(error) => digest.update(error.to_string()),
            }
        }
        digest.finalize().into()
    }

    /// The certificates, in the order of the settings; or everything that is wrong with them.
    pub(super) fn certificates(&self, provider: &CryptoProvider) -> Result<Vec<ReadCertificate>, Vec<TlsFileError>> {
        let (mut all, mut errors) = (Vec::new(), Vec::new());
        for (index, (files, cert, key)) in self.certificates.iter().enumerate() {
            match (chain(index, &files.cert, cert), private_key(index, &files.key, key)) {
                (Ok((chain, facts)), Ok(key)) => match certified(index, files, chain, key, provider) {
                    Ok(key) => all.push(ReadCertificate { key: Arc::new(key), facts, path: files.cert.clone() }),
                    Err(error) => errors.push(error),
                },
                (chain, key) => errors.extend(chain.err().into_iter().chain(key.err())),
            }
        }
        if errors.is_empty() { Ok(all) } else { Err(errors) }
    }

    /// The authorities of the clients, if the settings name some.
    pub(super) fn client_authorities(&self, path: Option<&Path>) -> Result<Option<RootCertStore>, TlsFileError> {
        let (Some(path), Some(content)) = (path, &self.client_ca) else { return Ok(None) };
        let help = "name a PEM file with the certificates of the authorities that sign your clients' certificates";
        let wrong = |message: String| TlsFileError::new(TlsFile::ClientCa, path, message, help);
        let certificates = pem_certificates(content).map_err(wrong)?;
        let mut roots = RootCertStore::empty();
        for (index, certificate) in certificates.into_iter().enumerate() {
            let refused = |error| wrong(format!("its certificate {} cannot be an authority: {error}", index + 1));
            roots.add(certificate).map_err(refused)?;
        }
        Ok(Some(roots))
    }

    /// The lists of revoked certificates, if the settings name some.
    pub(super) fn revocation_lists(
        &self,
        path: Option<&Path>,
    ) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsFileError> {
        let (Some(path), Some(content)) = (path, &self.client_crl) else { return Ok(Vec::new()) };
        let bytes = content.as_ref().map_err(|error| wrong_lists(path, format!("it cannot be read: {error}")))?;
        let lists: Result<Vec<_>, pem::Error> = CertificateRevocationListDer::pem_slice_iter(bytes).collect();
        let lists = lists.map_err(|error| wrong_lists(path, format!("it is no right PEM: {error}")))?;
        match lists.first() {
            Some(_) => Ok(lists),
            None => Err(wrong_lists(path, "it holds no revocation list in PEM".into())),
        }
    }
}

/// The certificate that the host had obtained is gone.
pub(super) fn gone(settings: &TlsSettings) -> TlsFileError {
    let (file, path) = (TlsFile::Cert(settings.certificates.len()), settings.obtained.clone().unwrap_or_default());
    TlsFileError::new(file, &path, "the certificate that was obtained is gone", "leave the file to the host")
}

/// What is wrong with the file of revocation lists.
pub(super) fn wrong_lists(path: &Path, message: String) -> TlsFileError {
    let help = "name a PEM file with the lists of the authorities in `client_ca`, one of each; `openssl crl -inform \
                der` turns DER into PEM";
    TlsFileError::new(TlsFile::ClientCrl, path, message, help)
}

/// A warning about revocation lists that can be used: one has expired, and so refuses every client of its authority
/// (RFC 5280, section 6.3.3).
pub(super) fn expired_list_warning(lists: &[CertificateRevocationListDer<'_>]) -> Option<String> {
    let now = now();
    let end = |list: &CertificateRevocationListDer<'_>| {
        let (_, list) = CertificateRevocationList::from_der(list).ok()?;
        Some(list.next_update()?.timestamp())
    };
    let expired = lists.iter().filter_map(end).find(|end| *end < now)?;
    let days = (now - expired) / 86_400;
    Some(format!("a revocation list has expired, {days} days ago: no client of its authority is let in"))
}

/// A warning about a certificate that can be used: it is not valid now.
pub(super) fn validity_warning(facts: &CertificateFacts) -> Option<String> {
    let (now, day) = (now(), 86_400);
    if now > facts.not_after {
        return Some(format!("the certificate has expired, {} days ago", (now - facts.not_after) / day));
    }
    let ahead = facts.not_before - now;
    (ahead > 0).then(|| format!("the certificate is not valid yet, for {ahead} s"))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe would be waited for without end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::other("it is longer than 4 MiB"));
    }
    Ok(bytes)
}

/// The certificates of a PEM text, at least one; or what is wrong with it.
fn pem_certificates(content: &io::Result<Vec<u8>>) -> Result<Vec<CertificateDer<'static>>, String> {
    let bytes = content.as_ref().map_err(|error| format!("it cannot be read: {error}"))?;
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(bytes).collect();
    let found = found.map_err(|error| format!("it is no right PEM: {error}"))?;
    if found.is_empty() {
        // DER begins with the tag of a sequence.
        let what =
            if bytes.first() == Some(&0x30) { "it is DER and not PEM" } else { "it holds no certificate in PEM" };
        return Err(what.into());
    }
    Ok(found)
}

fn chain(
    index: usize,
    path: &Path,
    content: &io::Result<Vec<u8>>,
) -> Result<(Vec<CertificateDer<'static>>, CertificateFacts), TlsFileError> {
    let wrong = |message: String, help| TlsFileError::new(TlsFile::Cert(index), path, message, help);
    let help = "name a PEM file: the certificate first, then its chain; `openssl x509 -inform der` turns DER into PEM";
    let chain = pem_certificates(content).map_err(|message| wrong(message, help))?;
    let Some(facts) = CertificateFacts::read(&chain[0]) else {
        return Err(wrong("its first certificate is broken".into(), help));
    };
    if facts.names.is_empty() {
        let help = "have it made with its host names as subject alternative names; a common name alone counts no more";
        return Err(wrong("its first certificate names no host (it has no subject alternative name)".into(), help));
    }
    Ok((chain, facts))
}

fn private_key(
    index: usize,
    path: &Path,
    content: &io::Result<Vec<u8>>,
) -> Result<PrivateKeyDer<'static>, TlsFileError> {
    let wrong = |message: String, help| TlsFileError::new(TlsFile::Key(index), path, message, help);
    let help = "name a PEM file with one private key: PKCS #8, SEC 1 or PKCS #1, not encrypted";
    let bytes = content.as_ref().map_err(|error| wrong(format!("it cannot be read: {error}"), help))?;
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    if holds("ENCRYPTED") {
        let help = "decrypt it, `openssl pkey -in KEY -out PLAIN`, and let nobody but the host read the file";
        return Err(wrong("the key is encrypted".into(), help));
    }
    match PrivateKeyDer::from_pem_slice(bytes) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => Err(wrong("it holds no private key in PEM".into(), help)),
        // The error would quote the file.
        Err(_) => Err(wrong("it is no right PEM".into(), help)),
    }
}

fn certified(
    index: usize,
    files: &CertificateFiles,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsFileError> {
    let wrong = |message: &str, help| TlsFileError::new(TlsFile::Key(index), &files.key, message, help);
    let help = "take an ECDSA key of P-256 or P-384, an Ed25519 key, or an RSA key of 2,048 to 8,192 bits";
    let key =
        provider.key_provider.load_private_key(key).map_err(|_| wrong("this kind of key cannot be used", help))?;
    let certified = CertifiedKey::new(chain, key);
    if certified.keys_match().is_err() {
        let message = format!("the key does not belong to the certificate {}", files.cert.display());
        let help = "name the key that the certificate was made for; in its file that certificate comes first";
        return Err(wrong(&message, help));
    }
    Ok(certified)
}
