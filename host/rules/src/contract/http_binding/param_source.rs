//! The source of a parameter in a request.

use http::HeaderName;

/// Where the value of a parameter comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParamSource {
    /// A segment of the path: the parameter's name in the pattern of the path, `id` for `{id}`. The type is textual.
    Path(String),
    /// The query: the parameter's JSON name. The type is textual, or a list of textual items: the query then repeats
    /// the name for each item.
    Query(String),
    /// A header. The type is textual.
    Header(HeaderName),
    /// The whole body, as JSON.
    Body,
}

/// The name of a header as documents and messages show it: `Idempotency-Key`.
pub fn header_title_case(name: &HeaderName) -> String {
    let mut starts_word = true;
    let letters = name.as_str().chars().map(|letter| {
        let first = std::mem::replace(&mut starts_word, letter == '-');
        if first { letter.to_ascii_uppercase() } else { letter }
    });
    letters.collect()
}
