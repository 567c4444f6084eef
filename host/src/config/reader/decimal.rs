//! Numbers with a fraction.

use super::kind::{KindError, ValueKind, refused};
use toml::Spanned;
use toml::de::DeValue;

/// A number from `min` to `max`.
pub(crate) struct DecimalKind {
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl ValueKind for DecimalKind {
    type Value = f64;

    fn accepts(&self) -> String {
        format!("a number of {} to {}", self.min, self.max)
    }

    fn help(&self) -> String {
        format!("write a number of {} to {}, without quotes", self.min, self.max)
    }

    #[cfg(test)]
    fn schema(&self) -> serde_json::Value {
        serde_json::json!({ "type": "number", "minimum": self.min, "maximum": self.max })
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<f64, Vec<KindError>> {
        let value_of = value.get_ref();
        let text = value_of.as_float().map(|float| float.as_str().to_owned());
        let text = text.or_else(|| value_of.as_integer().map(|number| number.as_str().to_owned()));
        let number = text.and_then(|text| text.parse::<f64>().ok());
        number.filter(|number| (self.min..=self.max).contains(number)).ok_or_else(|| refused(self, value))
    }
}
