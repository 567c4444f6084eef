//! Encryption of values: XChaCha20-Poly1305, with one key for each service.
//!
//! Each service has a random key of its own for its values. That key is in the database too, encrypted ("wrapped") with
//! the operator's key, which is not. So the operator's key can be replaced without a change to a value, and without its
//! wrapped key no value of a service can ever be read again.
//!
//! A value is bound to its service, its key and its version: moved to another place of the file, it is no longer valid.
//! The nonce is random; it has 192 bits, so that even 2^64 writes hardly meet the same one (with the 96 bits of the
//! other AEADs a key is spent after 2^32 writes). What stays readable: the names of the services and of their keys, the
//! versions, and the lengths of values.

use crate::base::ServiceName;
use crate::state::state_key::{Encryption, StateKey};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key as CipherKey, XChaCha20Poly1305, XNonce};
use redb::{ReadableTable, StorageError, Table, TableDefinition};
use std::borrow::Cow;

/// From a service's name to its wrapped key.
pub(super) const WRAPPED_KEYS: TableDefinition<&str, &[u8]> = TableDefinition::new("wrapped_keys");
/// The table of wrapped keys, open for writing.
pub(super) type WrappedKeys<'a> = Table<'a, &'static str, &'static [u8]>;

/// The length of a nonce, in bytes.
const NONCE: usize = 24;
/// What a key wraps to show that it is the right one; under a name that no service has.
const CHECK: &str = "";

impl Encryption {
    /// The key of a service's values, wrapped with the operator's key or the one before it: while that key is replaced,
    /// a reader sees the one or the other.
    ///
    /// # Errors
    /// The outer one is the disk's.
    pub(super) fn of_service(
        &self,
        keys: &impl ReadableTable<&'static str, &'static [u8]>,
        service: &ServiceName,
    ) -> Result<Result<ServiceKey, UnwrapError>, StorageError> {
        match (self.key.of_service(keys, service)?, &self.previous) {
            (Err(UnwrapError::Refused), Some(previous)) => previous.of_service(keys, service),
            (key, _) => Ok(key),
        }
    }
}

/// Why a wrapped key was not unwrapped.
#[derive(Debug)]
pub(super) enum UnwrapError {
    /// It is not there.
    Absent,
    /// It was wrapped with another key, or is damaged.
    Refused,
}

/// The key of one service's values.
pub(super) struct ServiceKey {
    cipher: XChaCha20Poly1305,
    /// The service's name and a zero byte, which no name has: what a value is bound to begins with it.
    bound_to: Vec<u8>,
}

impl StateKey {
    fn random() -> Self {
        Self::new(rand::random())
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&CipherKey::from(*self.bytes()))
    }

    /// The wrapped form of `secret` under this name.
    fn wrap(&self, name: &str, secret: &[u8]) -> Vec<u8> {
        seal(&self.cipher(), name.as_bytes(), secret)
    }

    fn unwrap(&self, name: &str, wrapped: Option<&[u8]>) -> Result<Vec<u8>, UnwrapError> {
        let wrapped = wrapped.ok_or(UnwrapError::Absent)?;
        open(&self.cipher(), name.as_bytes(), wrapped).ok_or(UnwrapError::Refused)
    }

    /// Whether the keys in the table are wrapped with this key.
    pub(super) fn fits(&self, keys: &impl ReadableTable<&'static str, &'static [u8]>) -> Result<bool, StorageError> {
        let check = keys.get(CHECK)?;
        Ok(self.unwrap(CHECK, check.as_ref().map(redb::AccessGuard::value)).is_ok())
    }

    /// Writes what [`Self::fits`] looks for.
    pub(super) fn mark(&self, keys: &mut WrappedKeys) -> Result<(), StorageError> {
        keys.insert(CHECK, self.wrap(CHECK, &[]).as_slice()).map(drop)
    }

    /// Wraps all keys of the table with this key instead of `previous`.
    pub(super) fn rewrap(&self, previous: &Self, keys: &mut WrappedKeys) -> Result<(), StorageError> {
        let mut wrapped = Vec::new();
        for entry in keys.iter()? {
            let (name, value) = entry?;
            let Ok(secret) = previous.unwrap(name.value(), Some(value.value())) else { continue };
            wrapped.push((name.value().to_owned(), self.wrap(name.value(), &secret)));
        }
        for (name, value) in wrapped {
            keys.insert(name.as_str(), value.as_slice())?;
        }
        Ok(())
    }

    /// The key of a service's values.
    ///
    /// # Errors
    /// The outer one is the disk's.
    pub(super) fn of_service(
        &self,
        keys: &impl ReadableTable<&'static str, &'static [u8]>,
        service: &ServiceName,
    ) -> Result<Result<ServiceKey, UnwrapError>, StorageError> {
        let wrapped = keys.get(service.as_str())?;
        let secret = self.unwrap(service.as_str(), wrapped.as_ref().map(redb::AccessGuard::value));
        Ok(secret.and_then(|secret| {
            let bytes = <[u8; Self::LENGTH]>::try_from(secret).map_err(|_| UnwrapError::Refused)?;
            Ok(ServiceKey::new(&Self::new(bytes), service))
        }))
    }

    /// The key of a service's values, which is made if the service has none yet.
    ///
    /// # Errors
    /// The outer one is the disk's; the inner one says that this key does not unwrap the service's.
    pub(super) fn of_service_or_new(
        &self,
        keys: &mut WrappedKeys,
        service: &ServiceName,
    ) -> Result<Result<ServiceKey, StorageError>, StorageError> {
        match self.of_service(keys, service)? {
            Ok(key) => Ok(Ok(key)),
            Err(UnwrapError::Absent) => {
                let key = Self::random();
                keys.insert(service.as_str(), self.wrap(service.as_str(), key.bytes()).as_slice())?;
                Ok(Ok(ServiceKey::new(&key, service)))
            }
            Err(UnwrapError::Refused) => Ok(Err(damaged_key(service))),
        }
    }
}

/// The error for a wrapped key that does not unwrap, although the operator's key is the right one.
pub(super) fn damaged_key(service: &ServiceName) -> StorageError {
    StorageError::Corrupted(format!("the key of service `{service}` is damaged"))
}

impl ServiceKey {
    fn new(key: &StateKey, service: &ServiceName) -> Self {
        let bound_to = [service.as_str().as_bytes(), &[0]].concat();
        Self { cipher: key.cipher(), bound_to }
    }

    fn seal(&self, key: &[u8], version: u64, value: &[u8]) -> Vec<u8> {
        seal(&self.cipher, &self.bound_to(key, version), value)
    }

    fn open(&self, key: &[u8], version: u64, sealed: &[u8]) -> Result<Vec<u8>, StorageError> {
        open(&self.cipher, &self.bound_to(key, version), sealed).ok_or_else(|| {
            let key = key.escape_ascii();
            StorageError::Corrupted(format!("the encrypted value of key `{key}` is not the one that was written there"))
        })
    }

    /// The key comes last: no two pairs of key and version make the same bytes.
    fn bound_to(&self, key: &[u8], version: u64) -> Vec<u8> {
        [&self.bound_to, &version.to_be_bytes()[..], key].concat()
    }
}

/// How a bucket's values are written.
pub(super) enum ValueCodec {
    /// As they are.
    Plain,
    /// Encrypted.
    Sealed(ServiceKey),
}

impl ValueCodec {
    /// What is written for `value`.
    pub(super) fn encode<'a>(&self, key: &[u8], version: u64, value: Cow<'a, [u8]>) -> Cow<'a, [u8]> {
        match self {
            Self::Plain => value,
            Self::Sealed(service) => Cow::Owned(service.seal(key, version, &value)),
        }
    }

    /// The value of what was written.
    ///
    /// # Errors
    /// [`StorageError::Corrupted`]: it was not written there, or was altered since.
    pub(super) fn decode<'a>(&self, key: &[u8], version: u64, stored: &'a [u8]) -> Result<Cow<'a, [u8]>, StorageError> {
        match self {
            Self::Plain => Ok(Cow::Borrowed(stored)),
            Self::Sealed(service) => service.open(key, version, stored).map(Cow::Owned),
        }
    }
}

/// A nonce, the text under the key, and its tag: 40 bytes more than the text.
fn seal(cipher: &XChaCha20Poly1305, bound_to: &[u8], text: &[u8]) -> Vec<u8> {
    let nonce: [u8; NONCE] = rand::random();
    let payload = Payload { msg: text, aad: bound_to };
    let sealed = cipher.encrypt(&XNonce::from(nonce), payload).expect("a value is far below the limit of 256 GiB");
    [&nonce[..], &sealed].concat()
}

fn open(cipher: &XChaCha20Poly1305, bound_to: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
    cipher.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: bound_to }).ok()
}
