//! Holds `host/schema/atoll.schema.json`, which `atoll schema` prints, against the declarations of the keys and against
//! the parser.

use super::docs::facts;
use super::parse;
use crate::contract::testing::misfit;
use serde_json::{Map, Value as Json, json};
use std::fs;
use std::path::Path;

const EVERY_KEY: &str = include_str!("every_key.toml");
const NOTE: &str = "The manifest of Atoll. Made from the declarations of its keys by `just schema`.";

/// A step from a table to one in it.
#[derive(Debug, PartialEq)]
enum Step<'a> {
    Key(&'a str),
    /// A name that the manifest chooses.
    AnyName,
}

/// The way from the manifest to the section of this title, from the outside.
fn way(title: &str) -> Vec<Step<'_>> {
    if let Some((name, outer)) = title.split_once(" of ") {
        let mut way = way(outer);
        way.push(Step::Key(name));
        return way;
    }
    let Some(path) = title.strip_prefix('[') else { return Vec::new() };
    let parts = path.trim_matches(['[', ']']).split('.');
    parts.map(|part| if part == "NAME" { Step::AnyName } else { Step::Key(part) }).collect()
}

/// The schema of the table at the end of `way`, which is made where it is not yet. `sample` is the same place in a
/// manifest with every key: it says whether a list of tables is meant.
fn table<'a>(schema: &'a mut Json, way: &[Step<'_>], sample: Option<&toml::Value>) -> &'a mut Json {
    let Some((step, rest)) = way.split_first() else { return schema };
    let inner = match (step, sample) {
        (Step::Key(name), Some(sample)) => sample.get(name),
        (Step::AnyName, Some(sample)) => {
            let mut all = sample.as_table().into_iter().flat_map(|all| all.values());
            // Of several services the one that has what comes next.
            all.find(|one| matches!(rest.first(), Some(Step::Key(name)) if one.get(*name).is_some()))
        }
        (_, None) => None,
    };
    let slot = match step {
        Step::Key(name) => object(schema)["properties"].as_object_mut().unwrap().entry(*name).or_insert(json!({})),
        Step::AnyName => {
            let members = schema.as_object_mut().unwrap();
            members.entry("type").or_insert(json!("object"));
            members.entry("additionalProperties").or_insert(json!({}))
        }
    };
    let first = inner.and_then(toml::Value::as_array).map(|items| items.first());
    match first {
        Some(first) => {
            let members = slot.as_object_mut().unwrap();
            members.entry("type").or_insert(json!("array"));
            let items = members.entry("items").or_insert(json!({}));
            table(items, rest, first)
        }
        None => table(slot, rest, inner),
    }
}

/// Makes a schema one of a table with these keys and no others, if it is not yet.
fn object(schema: &mut Json) -> &mut Map<String, Json> {
    let members = schema.as_object_mut().unwrap();
    members.entry("type").or_insert(json!("object"));
    members.entry("properties").or_insert(json!({}));
    members.entry("additionalProperties").or_insert(json!(false));
    members
}

/// What a key accepts, with its meaning and its default, as editors show them.
fn described(schema: &Json, help: &str, default: Option<&str>) -> Json {
    let mut schema = schema.clone();
    let members = schema.as_object_mut().unwrap();
    members.insert("description".into(), help.into());
    let read = default.and_then(|text| toml::from_str::<Map<String, Json>>(&format!("value = {text}")).ok());
    if let Some(default) = read.and_then(|mut table| table.remove("value")) {
        members.insert("default".into(), default);
    }
    schema
}

fn schema() -> Json {
    let sample: toml::Value = toml::from_str(EVERY_KEY).unwrap();
    let mut schema =
        json!({ "$schema": "http://json-schema.org/draft-07/schema#", "title": "atoll.toml", "description": NOTE });
    for key in facts() {
        let section = object(table(&mut schema, &way(&key.section), Some(&sample)));
        let properties = section["properties"].as_object_mut().unwrap();
        let new = described(&key.schema, key.help, key.default);
        match properties.get_mut(key.name) {
            None => _ = properties.insert(key.name.into(), new),
            // One key that is a value or a table, or that two kinds of sections have.
            Some(old) if *old != new => *old = json!({ "anyOf": [old.clone(), new] }),
            Some(_) => {}
        }
    }
    schema
}

/// `just schema` runs this test with the variable set: the schema is written then, and not only compared.
#[test]
#[expect(clippy::disallowed_methods, reason = "the variable is of this test alone")]
fn the_schema_is_that_of_the_declarations() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/atoll.schema.json");
    let text = format!("{:#}\n", schema());
    if std::env::var_os("ATOLL_WRITE_SCHEMA").is_some() {
        fs::write(path, text).unwrap();
    } else {
        let there = fs::read_to_string(path).unwrap_or_default();
        assert!(there == text, "run `just schema`: the keys have changed");
    }
}

fn fits(text: &str) -> bool {
    let manifest: Json = toml::from_str(text).unwrap();
    let schema = schema();
    misfit(&schema, &schema, &manifest).is_none()
}

#[test]
fn what_the_parser_takes_fits_the_schema() {
    let schema = schema();
    let every: Json = toml::from_str(EVERY_KEY).unwrap();
    assert_eq!(misfit(&schema, &schema, &every), None);
    for manifest in [include_str!("../../../../atoll.toml"), include_str!("../../../../examples/shortener/atoll.toml")]
    {
        assert!(fits(manifest), "{manifest}");
    }
    let reference = include_str!("../../../../docs/manifest.md");
    for example in reference.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        assert!(fits(example), "{example}");
    }
}

#[test]
fn what_the_schema_refuses_the_parser_refuses_too() {
    for text in [
        "[gatway]",
        "[service.a]\ncomponent = 7",
        "[service.a]\ncomponent = 'users.wasm'\nstate = 'yes'",
        "[service.a]\ncomponent = 'users.wasm'\nreplicas = -1",
        "[service.a]\ncomponent = 'users.wasm'\ncalls = 'users'",
        "[service.a]\ncomponent = 'users.wasm'\nwatsh = ['src']",
        "[service.a]\ncomponent = 'users.wasm'\nisolation = 'none'",
        "[[route]]\nprefix = '/'\nservise = 'a'",
        "[state]\ncache = true",
    ] {
        assert!(!fits(text), "{text}");
        assert!(parse(text, &[]).is_err(), "{text}");
    }
}
