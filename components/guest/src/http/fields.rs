//! Reads the fields of a JSON object one by one, and collects every mistake instead of only the first.

use serde_json::{Map, Value};

use super::problem::Problem;
use crate::failure::FieldError;

/// Which fields must be present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// All fields that are read: for POST and PUT.
    All,
    /// Any of them: for PATCH.
    Some,
}

/// A JSON object whose fields are taken one by one. A field that is not taken is unknown, and [`Fields::finish`]
/// refuses it.
#[derive(Debug)]
pub struct Fields {
    object: Map<String, Value>,
    pointer: String,
    expect: Expect,
    errors: Vec<FieldError>,
}

impl Fields {
    pub(crate) fn parse(body: &[u8], expect: Expect) -> Result<Self, Problem> {
        let value = serde_json::from_slice(body)
            .map_err(|error| Problem::bad_json(format!("the body is not JSON: {error}")))?;
        match value {
            Value::Object(object) => Ok(Self { object, pointer: String::new(), expect, errors: Vec::new() }),
            _ => Err(Problem::invalid(vec![FieldError::new("", "must be an object")])),
        }
    }

    /// Takes a string.
    pub fn string(&mut self, name: &str) -> Option<String> {
        let value = self.take(name)?;
        match value {
            Value::String(text) => Some(text),
            _ => self.refuse(name, "must be a string"),
        }
    }

    /// Takes a whole number from `min` to `max`.
    pub fn integer<T: TryFrom<u64>>(&mut self, name: &str, min: u64, max: u64) -> Option<T> {
        let value = self.take(name)?;
        let number = value.as_u64().filter(|number| (min..=max).contains(number));
        match number.and_then(|number| T::try_from(number).ok()) {
            Some(number) => Some(number),
            None => self.refuse(name, format!("must be a whole number from {min} to {max}")),
        }
    }

    /// Takes an object. `read` takes its fields.
    pub fn object<T>(&mut self, name: &str, read: impl FnOnce(&mut Fields) -> T) -> Option<T> {
        let value = self.take(name)?;
        let Value::Object(object) = value else {
            return self.refuse(name, "must be an object");
        };
        let mut inner = Fields { object, pointer: self.point(name), expect: self.expect, errors: Vec::new() };
        let value = read(&mut inner);
        self.errors.extend(inner.into_errors());
        Some(value)
    }

    /// Refuses the body if a field was missing, had the wrong type or is unknown, or if `rules` names a field that
    /// breaks the service's own rules. One answer names all of them.
    pub fn finish(self, rules: impl IntoIterator<Item = FieldError>) -> Result<(), Problem> {
        let mut errors = self.into_errors();
        errors.extend(rules);
        if errors.is_empty() { Ok(()) } else { Err(Problem::invalid(errors)) }
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let value = self.object.remove(name);
        if value.is_none() && self.expect == Expect::All {
            return self.refuse(name, "is required");
        }
        value
    }

    fn refuse<T>(&mut self, name: &str, detail: impl Into<String>) -> Option<T> {
        self.errors.push(FieldError::new(self.point(name), detail));
        None
    }

    /// RFC 6901, section 3: `~` and `/` in a name are escaped.
    fn point(&self, name: &str) -> String {
        format!("{}/{}", self.pointer, name.replace('~', "~0").replace('/', "~1"))
    }

    fn into_errors(mut self) -> Vec<FieldError> {
        let unknown: Vec<_> =
            self.object.keys().map(|name| FieldError::new(self.point(name), "is not known")).collect();
        self.errors.extend(unknown);
        self.errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str, expect: Expect) -> (Option<String>, Option<u32>, Vec<(String, String)>) {
        let mut fields = Fields::parse(body.as_bytes(), expect).expect("the body is an object");
        let name = fields.string("name");
        let amount = fields.object("price", |price| price.integer("amount", 0, 10)).flatten();
        let errors = fields.into_errors().into_iter().map(|error| (error.pointer, error.detail)).collect();
        (name, amount, errors)
    }

    #[test]
    fn fields_of_the_right_type_are_read() {
        let body = r#"{"name": "a", "price": {"amount": 10}}"#;
        assert_eq!(read(body, Expect::All), (Some("a".to_owned()), Some(10), vec![]));
        assert_eq!(read("{}", Expect::Some), (None, None, vec![]));
    }

    #[test]
    fn every_mistake_is_collected_with_its_pointer() {
        let (_, _, errors) = read(r#"{"name": 1, "price": {"amount": 11, "x/y~z": 1}, "id": "7"}"#, Expect::All);
        let pointers: Vec<_> = errors.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(pointers, ["/name", "/price/amount", "/price/x~1y~0z", "/id"]);
        let (_, _, errors) = read("{}", Expect::All);
        assert_eq!(errors.len(), 2);
    }

    #[test]
    fn null_fractions_and_negative_numbers_are_refused() {
        for amount in ["null", "1.5", "-1", "\"1\"", "1e30"] {
            let (_, taken, errors) = read(&format!(r#"{{"price": {{"amount": {amount}}}}}"#), Expect::Some);
            assert_eq!((taken, errors.len()), (None, 1), "{amount}");
        }
    }

    #[test]
    fn a_body_that_is_no_json_gets_400_and_one_that_is_no_object_gets_422() {
        for (body, status) in [("", 400), ("{", 400), ("{\"a\":1}x", 400), ("\u{1}", 400), ("[]", 422), ("null", 422)] {
            let status_found =
                Fields::parse(body.as_bytes(), Expect::All).map(|_| ()).map_err(|problem| problem.status());
            assert_eq!(status_found, Err(status), "{body}");
        }
        assert!(Fields::parse(&b"[".repeat(100_000), Expect::All).is_err(), "deep nesting ends in an error");
    }
}
