//! The record: `person` of `atoll:fixture-types/echo`, with the values of the fixture `relay`.

use serde::{Deserialize, Serialize};

/// Somebody.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
pub struct Person {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, repeated, tag = "3")]
    nick_names: Vec<String>,
    #[prost(message, optional, tag = "4")]
    home: Option<Address>,
    #[prost(message, optional, tag = "5")]
    work: Option<Address>,
    #[prost(uint32, optional, tag = "6")]
    age: Option<u32>,
}

/// Where somebody lives or works.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
pub struct Address {
    #[prost(string, tag = "1")]
    street: String,
    #[prost(string, optional, tag = "2")]
    zip: Option<String>,
    #[prost(message, optional, tag = "3")]
    position: Option<Point>,
}

/// Where that is.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
pub struct Point {
    #[prost(sint32, tag = "1")]
    x: i32,
    #[prost(sint32, tag = "2")]
    y: i32,
}

/// The record that all callers send.
pub fn person() -> Person {
    let home = Address { street: "Rue du Lagon 1".to_owned(), zip: None, position: Some(Point { x: -14, y: 147 }) };
    Person {
        id: 4_711,
        name: "Ariitea Temarii".to_owned(),
        nick_names: vec!["Ari".to_owned(), "Tea".to_owned()],
        work: Some(home.clone()),
        home: Some(home),
        age: Some(34),
    }
}
