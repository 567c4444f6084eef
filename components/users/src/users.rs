//! Implements the contract `shop:users` with the platform's transactions.

use std::marker::PhantomData;

use atoll_guest::{Platform, decode, find_many, list, new_id, record_key, transact};
use serde::{Deserialize, Serialize};

use crate::bindings::exports::shop::users::users::{
    Error, FieldError, Guest, NewUser, User, UserChanges, UserId, UserPage,
};
use crate::rules;

const KIND: &str = "user";

/// The users, stored on the platform `P`.
#[derive(Debug)]
pub struct Users<P>(PhantomData<P>);

/// A user as it is stored. Its id is part of its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    name: String,
    email: String,
}

impl Record {
    fn with_id(self, id: UserId) -> User {
        User { id, name: self.name, email: self.email }
    }
}

impl<P: Platform> Guest for Users<P> {
    async fn create(user: NewUser) -> Result<User, Error> {
        let changes = rules::accept(UserChanges { name: Some(user.name), email: Some(user.email) })?;
        let platform = P::current();
        transact(&platform, async |transaction| {
            let record = changes.clone().apply(None);
            let [owner] = transaction.read([email_key(&record.email)]).await?;
            if owner.is_some() {
                return Err(email_taken(&record.email));
            }
            let id = new_id(&platform);
            transaction.claim(record_key(KIND, id));
            transaction.put(record_key(KIND, id), &record);
            transaction.put(email_key(&record.email), &id);
            Ok(record.with_id(id))
        })
        .await
    }

    async fn get(id: UserId) -> Result<User, Error> {
        let mut found = Self::get_many(vec![id]).await?;
        found.pop().flatten().ok_or(Error::NotFound)
    }

    async fn get_many(ids: Vec<UserId>) -> Result<Vec<Option<User>>, Error> {
        let found = find_many::<Record>(&P::current(), KIND, &ids).await?;
        Ok(found.into_iter().zip(ids).map(|(record, id)| record.map(|record| record.with_id(id))).collect())
    }

    async fn list(limit: Option<u32>, cursor: Option<String>) -> Result<UserPage, Error> {
        let page = list::<Record>(&P::current(), KIND, limit, cursor.as_deref()).await?;
        let items = page.items.into_iter().map(|(id, record)| record.with_id(id)).collect();
        Ok(UserPage { items, next_cursor: page.next_cursor })
    }

    async fn update(id: UserId, changes: UserChanges) -> Result<User, Error> {
        let changes = rules::accept(changes)?;
        let key = record_key(KIND, id);
        transact(&P::current(), async |transaction| {
            let mut keys = vec![key.clone()];
            keys.extend(changes.email.as_deref().map(email_key));
            // One snapshot for both keys. With two reads, an update to the same email between them would look like
            // another user who has taken the email.
            let mut found = transaction.read_many(keys).await?.into_iter();
            let stored: Record = decode(&key, &found.next().flatten().ok_or(Error::NotFound)?)?;
            let owner = found.next().flatten();
            let changed = changes.clone().apply(Some(stored.clone()));
            let (old_email, new_email) = (email_key(&stored.email), email_key(&changed.email));
            if old_email != new_email {
                if owner.is_some() {
                    return Err(email_taken(&changed.email));
                }
                transaction.delete(old_email);
                transaction.put(new_email, &id);
            }
            if changed != stored {
                transaction.put(key.clone(), &changed);
            }
            Ok(changed.with_id(id))
        })
        .await
    }

    async fn remove(id: UserId) -> Result<(), Error> {
        let key = record_key(KIND, id);
        transact(&P::current(), async |transaction| {
            let [stored] = transaction.read([key.clone()]).await?;
            let stored: Record = decode(&key, &stored.ok_or(Error::NotFound)?)?;
            transaction.delete(key.clone());
            // The email key needs no check of its own: it changes only together with the user, which is checked.
            transaction.delete(email_key(&stored.email));
            Ok(())
        })
        .await
    }
}

impl UserChanges {
    /// The record after these changes. Without a stored record, the changes must give every field.
    fn apply(self, stored: Option<Record>) -> Record {
        let (name, email) = stored.map(|stored| (stored.name, stored.email)).unzip();
        Record {
            name: self.name.or(name).expect("a new user has a name"),
            email: self.email.or(email).expect("a new user has an email"),
        }
    }
}

/// The key of an email: the same for all spellings that differ only in capitals and small letters.
///
/// Lower case alone is not enough: `ß` and `SS`, or `ſ` and `S`, are equal in capitals and different in lower case.
/// Upper case alone is not enough either: it leaves `ẞ` as it is. The folding works letter by letter, because
/// `str::to_lowercase` changes a sigma by its position in the word. A key has at most three times the bytes of its
/// email.
fn email_key(email: &str) -> String {
    let lower = email.chars().flat_map(char::to_lowercase);
    let folded: String = lower.flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect();
    format!("email/{folded}")
}

fn email_taken(email: &str) -> Error {
    Error::Conflict(format!("the email {email} is taken"))
}

impl From<Vec<FieldError>> for Error {
    fn from(errors: Vec<FieldError>) -> Self {
        Self::Invalid(errors)
    }
}

atoll_guest::errors!(Error { invalid: FieldError, unavailable, internal });

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use atoll_guest::memory::{Memory, block_on, interleave};

    use super::*;

    type Service = Users<Memory>;
    type Step = Pin<Box<dyn Future<Output = Result<(), Error>>>>;

    fn new_user(name: &str, email: &str) -> NewUser {
        NewUser { name: name.to_owned(), email: email.to_owned() }
    }

    fn create(name: &str, email: &str) -> Result<User, Error> {
        block_on(Service::create(new_user(name, email)))
    }

    fn email(email: &str) -> UserChanges {
        UserChanges { name: None, email: Some(email.to_owned()) }
    }

    /// Asserts what no crash and no race may break: each email key belongs to an existing user who has this email.
    fn assert_consistent(memory: &Memory, users: usize) {
        let all = block_on(Service::list(Some(100), None)).expect("the list").items;
        assert_eq!(all.len(), users);
        let expected: Vec<_> = all.iter().map(|user| email_key(&user.email)).collect();
        let keys = memory.keys();
        let emails: Vec<_> = keys.iter().filter(|key| key.starts_with("email/")).collect();
        assert_eq!(emails.len(), users, "{keys:?}");
        assert!(expected.iter().all(|key| emails.contains(&key)), "{keys:?}");
    }

    #[test]
    fn a_user_is_created_changed_and_removed_without_a_trace() {
        let memory = Memory::fresh();
        let ada = create(" Ada ", "Ada@Example.org").expect("created");
        assert_eq!((ada.name.as_str(), ada.email.as_str()), ("Ada", "Ada@Example.org"));
        assert_eq!(block_on(Service::get(ada.id)), Ok(ada.clone()));
        let renamed = block_on(Service::update(ada.id, UserChanges { name: Some("A. L.".to_owned()), email: None }));
        assert_eq!(renamed, Ok(User { name: "A. L.".to_owned(), ..ada.clone() }));
        assert_eq!(block_on(Service::remove(ada.id)), Ok(()));
        assert_eq!(memory.keys(), Vec::<String>::new());
        assert_eq!(block_on(Service::get(ada.id)), Err(Error::NotFound));
        assert_eq!(block_on(Service::remove(ada.id)), Err(Error::NotFound));
        assert_eq!(block_on(Service::update(ada.id, email("a@b.co"))), Err(Error::NotFound));
    }

    #[test]
    fn an_email_is_taken_in_any_case_and_free_again_once_given_up() {
        let memory = Memory::fresh();
        let ada = create("Ada", "ada@example.org").expect("created");
        let bob = create("Bob", "bob@example.org").expect("created");
        assert!(matches!(create("Eve", "ADA@example.ORG"), Err(Error::Conflict(_))));
        assert!(matches!(block_on(Service::update(bob.id, email("Ada@example.org"))), Err(Error::Conflict(_))));
        assert_eq!(
            block_on(Service::update(ada.id, email("ADA@example.org"))).map(|ada| ada.email),
            Ok("ADA@example.org".into())
        );
        assert!(block_on(Service::update(ada.id, email("countess@example.org"))).is_ok());
        assert!(block_on(Service::update(bob.id, email("ada@example.org"))).is_ok());
        assert_consistent(&memory, 2);
    }

    #[test]
    fn an_email_is_taken_in_any_case_in_all_scripts() {
        for (first, second) in [
            ("straße@x.org", "STRASSE@x.org"),
            ("straße@x.org", "STRAẞE@x.org"),
            ("ΟΔΥΣΣΕΥΣ@x.org", "οδυσσευς@x.org"),
            ("ΟΔΥΣΣΕΥΣ.A@x.org", "οδυσσευσ.a@x.org"),
            ("ſam@x.org", "Sam@x.org"),
            ("ada@ÉCOLE.org", "ada@école.org"),
        ] {
            let memory = Memory::fresh();
            let ada = create("Ada", first).expect("created");
            assert!(matches!(create("Eve", second), Err(Error::Conflict(_))), "{first} {second}");
            assert!(
                block_on(Service::update(ada.id, email(second))).is_ok(),
                "a user may spell its own email differently"
            );
            assert_consistent(&memory, 1);
        }
    }

    #[test]
    fn upper_and_lower_case_of_every_letter_have_one_key() {
        let has_case = |letter: &char| !letter.to_lowercase().eq([*letter]) || !letter.to_uppercase().eq([*letter]);
        // In higher planes no letter has a case.
        for letter in ('\0'..='\u{1ffff}').filter(has_case).map(String::from) {
            let key = email_key(&letter);
            assert_eq!(email_key(&letter.to_uppercase()), key, "{letter}");
            assert_eq!(email_key(&letter.to_lowercase()), key, "{letter}");
            assert!(key.len() <= "email/".len() + 3 * letter.len(), "{letter}");
        }
    }

    #[test]
    fn concurrent_creations_never_share_an_email_or_an_id() {
        for seed in 0..300 {
            let memory = Memory::fresh();
            let emails = ["a@x.org", "A@x.org", "b@x.org", "a@X.org", "c@x.org", "B@x.org"];
            let created = interleave(seed, emails.map(|email| Service::create(new_user("N", email))).into());
            assert_eq!(created.iter().filter(|user| user.is_ok()).count(), 3, "seed {seed}");
            let refused = created.iter().filter_map(|user| user.as_ref().err());
            assert!(refused.into_iter().all(|error| matches!(error, Error::Conflict(_))), "seed {seed}");
            assert_consistent(&memory, 3);
        }
    }

    #[test]
    fn concurrent_changes_and_removals_leave_a_consistent_state() {
        for seed in 0..300 {
            let memory = Memory::fresh();
            let id = create("Ada", "ada@x.org").expect("created").id;
            let change = |to: &'static str| async move { Service::update(id, email(to)).await.map(|_| ()) };
            let steps: Vec<Step> = vec![
                Box::pin(change("ada@y.org")),
                Box::pin(change("ada@y.org")),
                Box::pin(change("ada@z.org")),
                Box::pin(async move { Service::remove(id).await }),
                Box::pin(async move { Service::create(new_user("Eve", "ada@x.org")).await.map(|_| ()) }),
            ];
            let answers = interleave(seed, steps);
            assert_eq!(answers[3], Ok(()), "seed {seed}");
            for answer in &answers[..3] {
                assert!(matches!(answer, Ok(()) | Err(Error::NotFound)), "seed {seed}: {answer:?}");
            }
            assert_consistent(&memory, usize::from(answers[4].is_ok()));
        }
    }

    #[test]
    fn an_existing_id_is_never_given_again() {
        let memory = Memory::fresh();
        let before = memory.clone();
        let first = create("Ada", "ada@x.org").expect("created").id;
        before.repeat_random();
        let second = create("Bob", "bob@x.org").expect("created").id;
        assert_ne!(first, second);
        assert_consistent(&memory, 2);
    }

    #[test]
    fn a_store_that_is_down_makes_every_call_unavailable() {
        let memory = Memory::fresh();
        memory.set_down(true);
        assert!(matches!(create("Ada", "ada@x.org"), Err(Error::Unavailable(_))));
        assert!(matches!(block_on(Service::list(None, None)), Err(Error::Unavailable(_))));
    }

    #[test]
    fn get_many_returns_users_in_the_order_of_the_ids() {
        let _memory = Memory::fresh();
        let ada = create("Ada", "ada@x.org").expect("created");
        let bob = create("Bob", "bob@x.org").expect("created");
        let found = block_on(Service::get_many(vec![bob.id, 1, ada.id]));
        assert_eq!(found, Ok(vec![Some(bob), None, Some(ada)]));
    }
}
