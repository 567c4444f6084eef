//! A value that nobody reads: what the JSON reader makes where only the check of the text is wanted.

use crate::contract::{Integer, Value};

/// Takes the place of every value of a payload.
pub(super) struct UnreadValue;

impl Value for UnreadValue {
    fn bool(_: bool) -> Self {
        Self
    }
    fn integer(_: Integer, _: i128) -> Self {
        Self
    }
    fn f32(_: f32) -> Self {
        Self
    }
    fn f64(_: f64) -> Self {
        Self
    }
    fn char(_: char) -> Self {
        Self
    }
    fn string(_: String) -> Self {
        Self
    }
    fn list(_: Vec<Self>) -> Self {
        Self
    }
    fn fixed_list(_: Vec<Self>) -> Self {
        Self
    }
    fn map(_: Vec<(Self, Self)>) -> Self {
        Self
    }
    fn record(_: Vec<(String, Self)>) -> Self {
        Self
    }
    fn tuple(_: Vec<Self>) -> Self {
        Self
    }
    fn variant(_: String, _: Option<Self>) -> Self {
        Self
    }
    fn enumeration(_: String) -> Self {
        Self
    }
    fn option(_: Option<Self>) -> Self {
        Self
    }
    fn result(_: Result<Option<Self>, Option<Self>>) -> Self {
        Self
    }
    fn flags(_: Vec<String>) -> Self {
        Self
    }

    fn as_bool(&self) -> Option<bool> {
        None
    }
    fn as_integer(&self) -> Option<i128> {
        None
    }
    fn as_f32(&self) -> Option<f32> {
        None
    }
    fn as_f64(&self) -> Option<f64> {
        None
    }
    fn as_char(&self) -> Option<char> {
        None
    }
    fn as_string(&self) -> Option<&str> {
        None
    }
    fn as_list(&self) -> Option<&[Self]> {
        None
    }
    fn as_map(&self) -> Option<&[(Self, Self)]> {
        None
    }
    fn as_record(&self) -> Option<&[(String, Self)]> {
        None
    }
    fn as_tuple(&self) -> Option<&[Self]> {
        None
    }
    fn as_variant(&self) -> Option<(&str, Option<&Self>)> {
        None
    }
    fn as_enumeration(&self) -> Option<&str> {
        None
    }
    fn as_option(&self) -> Option<Option<&Self>> {
        None
    }
    fn as_result(&self) -> Option<Result<Option<&Self>, Option<&Self>>> {
        None
    }
    fn as_flags(&self) -> Option<&[String]> {
        None
    }
}
