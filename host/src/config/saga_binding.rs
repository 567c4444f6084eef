//! Arguments of a saga's calls: `{ key = "$saga.key", lines = "$input.lines" }`.

use super::reader::finding::Span;
use super::reader::kind::{KindError, ValueKind, refused};
use crate::saga::{Binding, BindingPath};
use toml::Spanned;
use toml::de::DeValue;

/// An argument, and where it is written.
#[derive(Debug, Clone)]
pub(super) struct BoundArgument {
    /// The name of the parameter.
    pub(super) param: String,
    /// Its value.
    pub(super) binding: Binding,
    pub(super) span: Span,
}

/// One value: a path, a literal, a table or a list.
pub(super) struct BindingKind;

impl ValueKind for BindingKind {
    type Value = Binding;

    fn accepts(&self) -> String {
        "a path, a literal, a table or a list".into()
    }

    fn help(&self) -> String {
        "write a path in quotes: \"$input.order\"".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Self::Value, Vec<KindError>> {
        binding(value, DEEPEST).map_err(|error| vec![error])
    }
}

/// A table of arguments by the names of the parameters.
pub(super) struct BindingsKind;

/// The most arguments, and the most parts of one.
const MOST: usize = 64;
/// How deep tables and lists may lie in each other.
const DEEPEST: usize = 8;

impl ValueKind for BindingsKind {
    type Value = Vec<BoundArgument>;

    fn accepts(&self) -> String {
        format!("a table of at most {MOST} arguments, each a path, a literal, a table or a list")
    }

    fn help(&self) -> String {
        "write them in braces: { key = \"$saga.key\", lines = \"$input.lines\" }".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Self::Value, Vec<KindError>> {
        let table = value.get_ref().as_table().filter(|table| table.len() <= MOST);
        let table = table.ok_or_else(|| refused(self, value))?;
        let (mut arguments, mut errors) = (Vec::new(), Vec::new());
        for (name, value) in table {
            let param: String = name.get_ref().to_string();
            match binding(value, DEEPEST) {
                Ok(binding) => arguments.push(BoundArgument { param, binding, span: value.span() }),
                Err(error) => errors.push(error.of(&param)),
            }
        }
        if errors.is_empty() { Ok(arguments) } else { Err(errors) }
    }
}

fn binding(value: &Spanned<DeValue<'_>>, depth: usize) -> Result<Binding, KindError> {
    let wrong = |message: String, help: &str| KindError { span: value.span(), message, help: help.to_owned() };
    let Some(deeper) = depth.checked_sub(1) else {
        return Err(wrong(format!("has more than {DEEPEST} levels"), "let the service put the value together"));
    };
    match value.get_ref() {
        DeValue::String(text) => match text.strip_prefix('$') {
            // `$$` is a dollar sign.
            Some(rest) if rest.starts_with('$') => Ok(Binding::Literal(quoted(rest))),
            Some(_) => BindingPath::parse(text).map(Binding::Path).map_err(|error| {
                let help = "write a path, as \"$input.lines\"; a text that begins with a dollar sign begins with two";
                wrong(format!("is wrong: {error}"), help)
            }),
            None => Ok(Binding::Literal(quoted(text))),
        },
        DeValue::Boolean(flag) => Ok(Binding::Literal(flag.to_string())),
        DeValue::Integer(number) => {
            let read = i128::from_str_radix(number.as_str(), number.radix());
            let read = read.map_err(|_| wrong("is no whole number".into(), "write a number of at most 64 bits"))?;
            Ok(Binding::Literal(read.to_string()))
        }
        DeValue::Float(number) => {
            let read: Option<f64> = number.as_str().parse().ok().filter(|read: &f64| read.is_finite());
            let read = read.ok_or_else(|| wrong("is no number of JSON".into(), "write a finite number"))?;
            Ok(Binding::Literal(serde_json::Value::from(read).to_string()))
        }
        DeValue::Datetime(_) => {
            Err(wrong("is a date".into(), "write it as the text or number that the contract wants"))
        }
        DeValue::Array(items) if items.len() <= MOST => {
            let items = items.iter().map(|item| binding(item, deeper));
            Ok(Binding::List(items.collect::<Result<_, _>>()?))
        }
        DeValue::Table(table) if table.len() <= MOST => {
            let field = |(name, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| -> Result<_, KindError> {
                let name: &std::borrow::Cow<'_, str> = name.get_ref();
                Ok((name.to_string(), binding(value, deeper)?))
            };
            Ok(Binding::Record(table.iter().map(field).collect::<Result<_, _>>()?))
        }
        DeValue::Array(_) | DeValue::Table(_) => {
            Err(wrong(format!("has more than {MOST} parts"), "let the service put the value together"))
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
