//! What is known of a span: names with values, and the texts that they are made of.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A text of a span: one of the host's own, one that many spans share, or one of its own.
#[derive(Clone)]
pub enum SpanText {
    /// A word of the host.
    Static(&'static str),
    /// A text that was made once, for example for a route.
    Shared(Arc<str>),
    /// A text for this span alone.
    Owned(Box<str>),
}

impl Deref for SpanText {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Static(text) => text,
            Self::Shared(text) => text,
            Self::Owned(text) => text,
        }
    }
}

impl fmt::Debug for SpanText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl From<&'static str> for SpanText {
    fn from(text: &'static str) -> Self {
        Self::Static(text)
    }
}

impl From<String> for SpanText {
    fn from(text: String) -> Self {
        Self::Owned(text.into())
    }
}

impl From<Arc<str>> for SpanText {
    fn from(text: Arc<str>) -> Self {
        Self::Shared(text)
    }
}

/// The value of an attribute.
#[derive(Debug, Clone)]
pub enum SpanValue {
    /// A text.
    Text(SpanText),
    /// A whole number.
    Whole(i64),
    /// A number.
    Decimal(f64),
    /// Yes or no.
    Flag(bool),
    /// A list, an object or bytes of a guest's, in JSON; bytes as a `data:` address.
    Json(SpanText),
}

/// A name of an attribute, and its value. The names are those of OpenTelemetry's semantic conventions, or begin with
/// `atoll.`.
pub type SpanAttribute = (SpanText, SpanValue);

/// What the attributes take of the memory, in bytes.
pub(super) fn attribute_bytes(attributes: &Vec<SpanAttribute>) -> usize {
    let value = |value: &SpanValue| match value {
        SpanValue::Text(text) | SpanValue::Json(text) => text_bytes(text),
        SpanValue::Whole(_) | SpanValue::Decimal(_) | SpanValue::Flag(_) => 0,
    };
    let texts = attributes.iter().map(|(name, own)| text_bytes(name) + value(own));
    attributes.capacity() * size_of::<SpanAttribute>() + texts.sum::<usize>()
}

/// What a text takes beside its own place, in bytes.
pub(super) fn text_bytes(text: &SpanText) -> usize {
    if let SpanText::Owned(text) = text { text.len() } else { 0 }
}
