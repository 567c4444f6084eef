//! Examples of calls: what is called, and what should come of it.

use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use thiserror::Error;

/// One example.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// What it shows; or else its place.
    pub name: String,
    /// The service that is called, in a file; `None` in the docs of a function.
    pub service: Option<String>,
    /// The function: `get`, or with its interface `users#get`.
    pub function: String,
    /// The arguments by the JSON names of the parameters. An option may be left out.
    pub arguments: Map<String, Value>,
    /// What should come of it.
    pub expected: ExpectedAnswer,
    /// What other services answer meanwhile: `SERVICE/FUNCTION` and its answer.
    pub fakes: BTreeMap<String, Value>,
    /// The services that do not answer meanwhile.
    pub faults: Vec<String>,
}

/// What should come of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum ExpectedAnswer {
    /// Any answer of the type, an error of the contract too.
    Any,
    /// This answer; of a `result` its `ok`.
    Answer(Value),
    /// This error of a `result`.
    Error(Value),
}

/// Why a text has no examples.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ExampleError(pub String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExampleFile {
    #[serde(default)]
    example: Vec<WrittenExample>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenExample {
    name: Option<String>,
    call: String,
    #[serde(default)]
    arguments: Map<String, Value>,
    answer: Option<Value>,
    error: Option<Value>,
    #[serde(default)]
    fake: BTreeMap<String, Value>,
    #[serde(default)]
    fault: Vec<String>,
}

impl Example {
    /// The examples of a TOML file: `[[example]]` with `call = "SERVICE/FUNCTION"`, `arguments`, and `answer` or
    /// `error`; `fake` and `fault` stand in for neighbours.
    ///
    /// # Errors
    /// [`ExampleError`] with line and column.
    pub fn all_of_file(text: &str) -> Result<Vec<Self>, ExampleError> {
        let file: ExampleFile =
            toml::from_str(text).map_err(|error| ExampleError(error.to_string().trim_end().to_owned()))?;
        file.example.into_iter().enumerate().map(|(at, written)| written.example(at + 1)).collect()
    }

    /// The examples in the docs of a function: each line `Example: {"id": 7} => {"name": "Ada"}`; or
    /// `=> error "not_found"`, or without `=>` if any answer is right.
    ///
    /// # Errors
    /// [`ExampleError`]: an example is no JSON.
    pub fn all_of_docs(function: &str, docs: &str) -> Result<Vec<Self>, ExampleError> {
        let lines = docs.lines().filter_map(|line| line.trim().strip_prefix("Example:"));
        lines.enumerate().map(|(at, line)| of_line(function, at + 1, line.trim())).collect()
    }
}

fn of_line(function: &str, number: usize, line: &str) -> Result<Example, ExampleError> {
    let name = format!("example {number} in the docs of {function}");
    let wrong = |error: serde_json::Error| ExampleError(format!("{name}: {error}: {line}"));
    // The arguments are read first: a text in them may hold an arrow.
    let mut values = serde_json::Deserializer::from_str(line).into_iter::<Map<String, Value>>();
    let arguments = values.next().transpose().map_err(wrong)?.unwrap_or_default();
    let rest = line[values.byte_offset()..].trim();
    let expected = match rest.strip_prefix("=>").map(str::trim) {
        None if rest.is_empty() => ExpectedAnswer::Any,
        None => return Err(ExampleError(format!("{name}: `=>` is missing before {rest}"))),
        Some(outcome) => match outcome.strip_prefix("error ") {
            Some(error) => ExpectedAnswer::Error(serde_json::from_str(error).map_err(wrong)?),
            None => ExpectedAnswer::Answer(serde_json::from_str(outcome).map_err(wrong)?),
        },
    };
    let (fakes, faults) = (BTreeMap::new(), Vec::new());
    Ok(Example { name, service: None, function: function.to_owned(), arguments, expected, fakes, faults })
}

impl WrittenExample {
    fn example(self, number: usize) -> Result<Example, ExampleError> {
        let name = self.name.unwrap_or_else(|| format!("example {number}"));
        let Some((service, function)) = self.call.split_once('/') else {
            let call = self.call;
            return Err(ExampleError(format!("{name}: call = {call:?} should be \"SERVICE/FUNCTION\"")));
        };
        let expected = match (self.answer, self.error) {
            (None, None) => ExpectedAnswer::Any,
            (Some(answer), None) => ExpectedAnswer::Answer(answer),
            (None, Some(error)) => ExpectedAnswer::Error(error),
            (Some(_), Some(_)) => {
                return Err(ExampleError(format!("{name}: `answer` and `error` exclude each other")));
            }
        };
        Ok(Example {
            service: Some(service.to_owned()),
            function: function.to_owned(),
            arguments: self.arguments,
            expected,
            fakes: self.fake,
            faults: self.fault,
            name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_file_has_examples_with_fakes_and_faults() {
        let text = r#"
[[example]]
name = "nobody"
call = "users/users#get"
arguments = { id = 7 }
error = "not_found"
fault = ["products"]
fake = { "rates/get" = { rate = 1.5 } }

[[example]]
call = "users/list"
"#;
        let examples = Example::all_of_file(text).unwrap();
        let [first, second] = examples.as_slice() else { panic!("{examples:?}") };
        assert_eq!((first.service.as_deref(), first.function.as_str()), (Some("users"), "users#get"));
        assert_eq!(first.arguments["id"], json!(7));
        assert_eq!(first.expected, ExpectedAnswer::Error(json!("not_found")));
        assert_eq!((&first.faults, &first.fakes["rates/get"]), (&vec!["products".to_owned()], &json!({"rate": 1.5})));
        assert_eq!((second.name.as_str(), &second.expected), ("example 2", &ExpectedAnswer::Any));
    }

    #[test]
    fn a_file_that_is_wrong_says_where() {
        for (text, told) in [
            ("[[example]]\ncall = \"a/b\"\nanser = 1", "line 3"),
            ("[[example]]\ncall = \"users\"", "SERVICE/FUNCTION"),
            ("[[example]]\ncall = \"a/b\"\nanswer = 1\nerror = 2", "exclude each other"),
        ] {
            let error = Example::all_of_file(text).unwrap_err();
            assert!(error.0.contains(told), "{error}");
        }
    }

    #[test]
    fn docs_have_examples_in_lines_of_their_own() {
        let docs = "Greets.\n\nExample: {\"name\": \"a => b\"} => {\"text\": \"x\"}\n  Example: {} => error \"gone\"\n\
                    Example: {\"id\": 1}\nFor Example: no.";
        let examples = Example::all_of_docs("greet", docs).unwrap();
        let expected: Vec<_> = examples.iter().map(|example| &example.expected).collect();
        let (answer, error) = (ExpectedAnswer::Answer(json!({"text": "x"})), ExpectedAnswer::Error(json!("gone")));
        assert_eq!(expected, [&answer, &error, &ExpectedAnswer::Any]);
        assert_eq!(examples[0].arguments["name"], json!("a => b"));
        for wrong in ["Example: [1] => 2", "Example: {} 3", "Example: {} => x"] {
            assert!(Example::all_of_docs("greet", wrong).is_err(), "{wrong}");
        }
    }
}
