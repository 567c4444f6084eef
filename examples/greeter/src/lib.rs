//! Greets the person whom a call names. There is no HTTP here: the host makes HTTP from the contract.

wit_bindgen::generate!({ path: "wit" });

use exports::example::greeter::greeter::{Error, Greeting, Guest};

struct Greeter;

export!(Greeter);

impl Guest for Greeter {
    async fn greet(name: String, times: Option<u8>) -> Result<Greeting, Error> {
        if name == "nobody" {
            return Err(Error::NotFound);
        }
        let text = format!("Hello, {name}! ").repeat(times.unwrap_or(1).into());
        Ok(Greeting { text: text.trim_end().to_owned() })
    }
}
