//! Keeps the links.

atoll_guest::service!(Links, path: "../wit", world: "links-service");
atoll_guest::errors!(Error { invalid: FieldError, unavailable, internal }, from checker::Error);

use atoll_guest::{Table, Validation};
use bindings::example::shortener::checker;
use bindings::exports::example::shortener::links::{Error, FieldError, Guest, Link};
use serde::{Deserialize, Serialize};

struct Links;

const LINKS: Table<Record> = Table::new("link");

#[derive(Serialize, Deserialize)]
struct Record {
    target: String,
    visits: u64,
}

impl Guest for Links {
    async fn create(target: String) -> Result<Link, Error> {
        let status = checker::look(target.clone()).await?;
        Validation::new().check(status < 400, "/target", format!("answers with {status}")).finish()?;
        loop {
            let slug = format!("{:08x}", atoll_guest::random() >> 32);
            if LINKS.insert_new(&*slug, &Record { target: target.clone(), visits: 0 }).await? {
                return Ok(Link { slug, target, visits: 0 });
            }
        }
    }

    async fn get(slug: String) -> Result<Link, Error> {
        let Record { target, visits } = LINKS.get(&*slug).await?.ok_or(Error::NotFound)?;
        Ok(Link { slug, target, visits })
    }

    async fn follow(slug: String) -> Result<String, Error> {
        let link = LINKS.update(&*slug, |link| link.visits += 1).await?.ok_or(Error::NotFound)?;
        Ok(link.target)
    }
}
