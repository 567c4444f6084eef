//! The service. There is no HTTP here: the host makes HTTP from the contract in `wit/`.

atoll_guest::service!(Service);
atoll_guest::errors!(Error { unavailable });

use bindings::exports::example::{{snake}}::{{snake}}::{Error, Greeting, Guest};

struct Service;

impl Guest for Service {
    async fn greet(person: String) -> Result<Greeting, Error> {
        if person == "nobody" {
            return Err(Error::NotFound);
        }
        Ok(Greeting { text: format!("Hello, {person}!") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atoll_guest::memory::block_on;

    #[test]
    fn somebody_is_greeted_and_nobody_is_not() {
        let greeting = block_on(Service::greet("Ada".to_owned())).expect("Ada is greeted");
        assert_eq!(greeting.text, "Hello, Ada!");
        assert_eq!(block_on(Service::greet("nobody".to_owned())), Err(Error::NotFound));
    }
}
