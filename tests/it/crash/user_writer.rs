//! A writer that creates, changes and deletes users, and knows which users must exist.

use super::{Client, Ids, id};
use http::Method;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How many emails one writer gives to its users. Few, so that each is taken, given up and taken again.
const EMAILS: usize = 5;

/// One writer and the users that it has created.
pub(super) struct UserWriter {
    number: usize,
    random: SmallRng,
    ids: Ids,
    known: BTreeMap<u64, Member>,
    /// The change that was sent and not answered yet.
    open: Option<Change>,
    pub(super) acknowledged: usize,
    /// Changes that were in doubt after a crash: how many were stored, and how many were not.
    pub(super) doubts: (usize, usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    name: String,
    email: String,
}

#[derive(Debug, Clone)]
enum Change {
    Create(Member),
    Update(u64, Member),
    Delete(u64),
}

impl UserWriter {
    pub(super) fn new(number: usize, seed: u64, ids: Ids) -> Self {
        let random = SmallRng::seed_from_u64(seed);
        Self { number, random, ids, known: BTreeMap::new(), open: None, acknowledged: 0, doubts: (0, 0) }
    }

    /// Writes until the host dies.
    pub(super) async fn write(&mut self, client: &Client) {
        loop {
            let change = self.next();
            self.open = Some(change.clone());
            let (method, path, body) = self.request(&change);
            let Some(answer) = client.send(&method, &path, None, &body).await else { return };
            self.open = None;
            self.acknowledged += 1;
            match change {
                Change::Create(member) => {
                    assert_eq!(answer.status, 201, "{member:?}: {answer:?}");
                    let id = id(&answer.json());
                    self.ids.note(id);
                    self.known.insert(id, member);
                }
                Change::Update(id, member) => {
                    assert_eq!(answer.status, 200, "{member:?}: {answer:?}");
                    self.known.insert(id, member);
                }
                Change::Delete(id) => {
                    assert_eq!(answer.status, 204, "{id}: {answer:?}");
                    self.known.remove(&id);
                }
            }
        }
    }

    /// Compares this writer's users among `listed` with its ledger, takes over a change that was in doubt, and
    /// returns how many users there are.
    pub(super) fn settle(&mut self, listed: &[Value]) -> usize {
        let text = |user: &Value, field: &str| user[field].as_str().unwrap().to_owned();
        let own = listed.iter().filter(|user| text(user, "email").starts_with(&format!("w{}-", self.number)));
        let found: BTreeMap<u64, Member> =
            own.map(|user| (id(user), Member { name: text(user, "name"), email: text(user, "email") })).collect();
        if let Some(change) = self.open.take() {
            let mut after = self.known.clone();
            match change {
                Change::Create(member) => {
                    if let Some(id) = found.keys().find(|id| !self.known.contains_key(id)) {
                        self.ids.note(*id);
                        after.insert(*id, member);
                    }
                }
                Change::Update(id, member) => _ = after.insert(id, member),
                Change::Delete(id) => _ = after.remove(&id),
            }
            if found == after && after != self.known {
                self.doubts.0 += 1;
                self.known = after;
            } else {
                self.doubts.1 += 1;
            }
        }
        assert_eq!(found, self.known, "the stored users differ from the acknowledged ones of writer {}", self.number);
        found.len()
    }

    /// Each email belongs to the user who has it. An email that no user has can be registered.
    pub(super) async fn check_emails(&mut self, client: &Client) {
        for email in (0..EMAILS).map(|n| self.email(n)) {
            let probe = json!({"name": "Probe", "email": email.to_uppercase()});
            let answer = client.send_expecting_answer(&Method::POST, "/api/users", None, &probe).await;
            match self.known.iter().find(|(_, member)| member.email == email) {
                Some((id, member)) => {
                    assert_eq!(answer.status, 409, "a user has {email}, so it must be taken: {answer:?}");
                    let (method, path, body) = (Method::PUT, format!("/api/users/{id}"), member.json());
                    let answer = client.send_expecting_answer(&method, &path, None, &body).await;
                    assert_eq!(answer.status, 200, "a user must be able to keep its own email {email}: {answer:?}");
                }
                None => {
                    assert_eq!(answer.status, 201, "no user has {email}, so it must be free: {answer:?}");
                    let id = id(&answer.json());
                    self.ids.note(id);
                    let answer = client
                        .send_expecting_answer(&Method::DELETE, &format!("/api/users/{id}"), None, &Value::Null)
                        .await;
                    assert_eq!(answer.status, 204, "{answer:?}");
                }
            }
        }
    }

    fn next(&mut self) -> Change {
        let name = format!("Name {}", self.random.random::<u32>());
        let free: Vec<_> =
            (0..EMAILS).map(|n| self.email(n)).filter(|email| self.known.values().all(|m| m.email != *email)).collect();
        let free = (!free.is_empty()).then(|| free[self.random.random_range(0..free.len())].clone());
        let chosen = (!self.known.is_empty()).then(|| self.random.random_range(0..self.known.len()));
        let chosen = chosen.and_then(|n| self.known.iter().nth(n)).map(|(id, member)| (*id, member.clone()));
        match (self.random.random_range(0..4), free, chosen) {
            (0 | 1, Some(email), _) | (_, Some(email), None) => Change::Create(Member { name, email }),
            (2, Some(email), Some((id, _))) => Change::Update(id, Member { name, email }),
            (2, None, Some((id, member))) => Change::Update(id, Member { name, ..member }),
            (_, _, Some((id, _))) => Change::Delete(id),
            (_, None, None) => unreachable!("without users every email is free"),
        }
    }

    fn request(&self, change: &Change) -> (Method, String, Value) {
        match change {
            Change::Create(member) => (Method::POST, "/api/users".to_owned(), member.json()),
            Change::Update(id, member) if self.known[id].email == member.email => {
                (Method::PATCH, format!("/api/users/{id}"), json!({"name": member.name}))
            }
            Change::Update(id, member) => (Method::PUT, format!("/api/users/{id}"), member.json()),
            Change::Delete(id) => (Method::DELETE, format!("/api/users/{id}"), Value::Null),
        }
    }

    fn email(&self, n: usize) -> String {
        format!("w{}-{n}@example.org", self.number)
    }
}

impl Member {
    fn json(&self) -> Value {
        json!({"name": self.name, "email": self.email})
    }
}
