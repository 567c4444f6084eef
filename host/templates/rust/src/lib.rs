//! The service. There is no HTTP here: the host makes HTTP from the contract in `wit/`.

wit_bindgen::generate!({ path: "wit" });

use exports::example::{{snake}}::{{snake}}::{Error, Greeting, Guest};

struct Service;

export!(Service);

impl Guest for Service {
    async fn greet(person: String) -> Result<Greeting, Error> {
        if person == "nobody" {
            return Err(Error::NotFound);
        }
        Ok(Greeting { text: format!("Hello, {person}!") })
    }
}
