//! What the JSON mapping makes and reads: a value of a WIT type, whoever keeps it.

/// A value of a WIT type. The engine's own value is one, so JSON becomes what a guest is called with in one pass; the tests of this room
/// have one of their own.
///
/// A value does not know its type: whoever reads one asks for what its type says, and gets `None` when it is something else.
pub trait Value: Sized + Send + 'static {
    /// A `bool`.
    fn bool(value: bool) -> Self;
    /// A whole number: the type says which, and `value` is within its bounds.
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
    /// `flags`: those that are set, in the order of the contract.
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
    /// Reads `flags`: those that are set.
    fn as_flags(&self) -> Option<&[String]>;
}

/// The kinds of whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Integer {
    /// `s8`
    S8,
    /// `u8`
    U8,
    /// `s16`
    S16,
    /// `u16`
    U16,
    /// `s32`
    S32,
    /// `u32`
    U32,
    /// `s64`
    S64,
    /// `u64`
    U64,
}
