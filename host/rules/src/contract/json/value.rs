//! The trait of the values that the JSON mapping makes and reads.

use super::integer::Integer;

/// A value of a WIT type. The engine's own value implements it, so JSON becomes the arguments of a guest in one pass;
/// the tests of this room have an implementation of their own.
///
/// A value does not know its type. A reader calls the method for the type that the contract has, and gets `None` if the
/// value is of another kind.
pub trait Value: Sized + Send + 'static {
    /// A `bool`.
    fn bool(value: bool) -> Self;
    /// A whole number of this kind; `value` is within the kind's bounds.
    fn integer(kind: Integer, value: i128) -> Self;
    /// An `f32`.
    fn f32(value: f32) -> Self;
    /// An `f64`.
    fn f64(value: f64) -> Self;
    /// A `char`.
    fn char(value: char) -> Self;
    /// A `string`.
    fn string(value: String) -> Self;
    /// A `list`.
    fn list(items: Vec<Self>) -> Self;
    /// A `list` of fixed length.
    fn fixed_list(items: Vec<Self>) -> Self;
    /// A `map`.
    fn map(entries: Vec<(Self, Self)>) -> Self;
    /// A `record`: all of its fields, in the order of the contract.
    fn record(fields: Vec<(String, Self)>) -> Self;
    /// A `tuple`.
    fn tuple(items: Vec<Self>) -> Self;
    /// A `variant`.
    fn variant(case: String, payload: Option<Self>) -> Self;
    /// An `enum`.
    fn enumeration(case: String) -> Self;
    /// An `option`.
    fn option(value: Option<Self>) -> Self;
    /// A `result`.
    fn result(value: Result<Option<Self>, Option<Self>>) -> Self;
    /// `flags`: the names of those that are set, in the order of the contract.
    fn flags(names: Vec<String>) -> Self;

    /// Reads a `bool`.
    fn as_bool(&self) -> Option<bool>;
    /// Reads a whole number of any kind.
    fn as_integer(&self) -> Option<i128>;
    /// Reads an `f32`.
    fn as_f32(&self) -> Option<f32>;
    /// Reads an `f64`.
    fn as_f64(&self) -> Option<f64>;
    /// Reads a `char`.
    fn as_char(&self) -> Option<char>;
    /// Reads a `string`.
    fn as_string(&self) -> Option<&str>;
    /// Reads a `list`, of fixed length or not.
    fn as_list(&self) -> Option<&[Self]>;
    /// Reads a `map`.
    fn as_map(&self) -> Option<&[(Self, Self)]>;
    /// Reads a `record`.
    fn as_record(&self) -> Option<&[(String, Self)]>;
    /// Reads a `tuple`.
    fn as_tuple(&self) -> Option<&[Self]>;
    /// Reads a `variant`.
    fn as_variant(&self) -> Option<(&str, Option<&Self>)>;
    /// Reads an `enum`.
    fn as_enumeration(&self) -> Option<&str>;
    /// Reads an `option`.
    fn as_option(&self) -> Option<Option<&Self>>;
    /// Reads a `result`.
    fn as_result(&self) -> Option<Result<Option<&Self>, Option<&Self>>>;
    /// Reads `flags`: the names of those that are set.
    fn as_flags(&self) -> Option<&[String]>;
}
