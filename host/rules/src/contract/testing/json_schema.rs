//! Whether a JSON value fits a schema of an OpenAPI document of this crate: only the keywords that such a document has.

use serde_json::Value as Json;

/// Why `value` does not fit `schema`; `None` if it fits. A reference is looked up in `document`. Unknown keywords, and
/// the keywords that only describe, are passed over.
pub fn misfit(document: &Json, schema: &Json, value: &Json) -> Option<String> {
    let wrong = |keyword: &str| Some(format!("{keyword}: {value} is not of {schema}"));
    let fits = |schema: &Json, value: &Json| misfit(document, schema, value).is_none();
    let Some(schema_members) = schema.as_object() else {
        return if schema == &Json::Bool(false) { wrong("false") } else { None };
    };
    for (keyword, rule) in schema_members {
        let number = || rule.as_f64().unwrap_or_default();
        let ok = match keyword.as_str() {
            "$ref" => {
                let pointer = rule.as_str().unwrap_or_default().trim_start_matches('#');
                fits(document.pointer(pointer).expect("it is there"), value)
            }
            "type" => match rule.as_str().unwrap_or_default() {
                "integer" => value.is_i64() || value.is_u64(),
                "null" => value.is_null(),
                "boolean" => value.is_boolean(),
                "number" => value.is_number(),
                "string" => value.is_string(),
                "array" => value.is_array(),
                "object" => value.is_object(),
                other => panic!("type {other}"),
            },
            "const" => rule == value,
            "enum" => rule.as_array().expect("a list").contains(value),
            "minimum" => value.as_f64().is_none_or(|value| value >= number()),
            "maximum" => value.as_f64().is_none_or(|value| value <= number()),
            "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= rule.as_u64().expect("a count")),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().expect("a count")),
            "anyOf" => rule.as_array().expect("a list").iter().any(|one| fits(one, value)),
            "oneOf" => rule.as_array().expect("a list").iter().filter(|one| fits(one, value)).count() == 1,
            "items" => {
                let prefix = schema["prefixItems"].as_array().map_or(0, Vec::len);
                value.as_array().is_none_or(|items| items.iter().skip(prefix).all(|item| fits(rule, item)))
            }
            "prefixItems" => {
                let rules = rule.as_array().expect("a list").iter();
                value.as_array().is_none_or(|items| rules.zip(items).all(|(rule, item)| fits(rule, item)))
            }
            "required" => value.as_object().is_none_or(|members| {
                rule.as_array().expect("a list").iter().all(|name| members.contains_key(name.as_str().expect("a name")))
            }),
            "properties" => value.as_object().is_none_or(|members| {
                members.iter().all(|(name, member)| rule.get(name).is_none_or(|rule| fits(rule, member)))
            }),
            "additionalProperties" => value.as_object().is_none_or(|members| {
                let known = |name: &String| schema["properties"].get(name).is_some();
                members.iter().all(|(name, member)| known(name) || fits(rule, member))
            }),
            "propertyNames" => value
                .as_object()
                .is_none_or(|members| members.keys().all(|name| fits(rule, &Json::from(name.as_str())))),
            "maxLength" => {
                value.as_str().is_none_or(|text| text.chars().count() as u64 <= rule.as_u64().expect("a count"))
            }
            "minLength" => {
                value.as_str().is_none_or(|text| text.chars().count() as u64 >= rule.as_u64().expect("a count"))
            }
            "$schema" | "title" | "default" | "format" | "pattern" | "contentEncoding" | "description"
            | "uniqueItems" => true,
            other => panic!("the keyword `{other}`"),
        };
        if !ok {
            return wrong(keyword);
        }
    }
    None
}
