//! Bytes of a recording: any bytes in memory, readable text in a file where they are text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Bytes that a guest got or gave. In JSON they are a string if they are UTF-8, and otherwise an object with the member
/// `base64`. Its debug output shows the length alone: the bytes may be a secret.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blob(pub Bytes);

impl Blob {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text; `None` if it is not UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Into<Vec<u8>>> From<T> for Blob {
    fn from(bytes: T) -> Self {
        Self(Bytes::from(bytes.into()))
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// Bytes that are no text, as a file has them.
#[derive(Serialize, Deserialize)]
struct EncodedBlob {
    base64: String,
}

/// A blob, as a file has it.
#[derive(Deserialize)]
#[serde(untagged)]
enum BlobForm {
    Text(String),
    Encoded(EncodedBlob),
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.text() {
            Some(text) => serializer.serialize_str(text),
            None => EncodedBlob { base64: STANDARD.encode(&self.0) }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match BlobForm::deserialize(deserializer)? {
            BlobForm::Text(text) => Ok(text.into()),
            BlobForm::Encoded(EncodedBlob { base64 }) => {
                STANDARD.decode(base64).map(Self::from).map_err(|error| D::Error::custom(format!("base64: {error}")))
            }
        }
    }
}
