//! Implements the contract `shop:payments` with the platform's transactions.
//!
//! The state of a key only moves forward: unused, charged, refunded. It may also go from unused directly to refunded,
//! so that a charge which arrives after its refund takes nothing.

use std::marker::PhantomData;
use std::time::Duration;

use atoll_guest::{Platform, decode, transact};
use serde::{Deserialize, Serialize};

use crate::bindings::exports::shop::payments::payments::{Error, Guest, Mode, Payment, Price};

/// How long a charge waits that hangs.
const HANGING: Duration = Duration::from_secs(60);
const BEHAVIOUR: &str = "behaviour";

/// The payments, stored on the platform `P`.
#[derive(Debug)]
pub struct Payments<P>(PhantomData<P>);

/// What is stored at a key.
#[derive(Debug, Serialize, Deserialize)]
enum Record {
    Charged {
        user: u64,
        amount: u64,
        currency: String,
    },
    /// What was charged before, if anything was.
    Refunded(Option<(u64, u64, String)>),
}

/// How charges fare.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Behaviour {
    mode: u8,
    percent: u32,
}

impl<P: Platform> Guest for Payments<P> {
    async fn charge(key: String, user: u64, amount: Price) -> Result<Payment, Error> {
        let platform = P::current();
        let mode = mode_of_this_charge(&platform).await?;
        match mode {
            Mode::Declines => return Err(Error::Declined("the provider declines it".to_owned())),
            Mode::Hangs => platform.wait(HANGING).await,
            Mode::Works | Mode::LosesAnswers => {}
        }
        let place = place_of(&key);
        let payment = transact(&platform, async |transaction| {
            let [found] = transaction.read([place.clone()]).await?;
            match found.map(|found| decode::<Record>(&place, &found)).transpose()? {
                Some(Record::Refunded(_)) => Err(Error::Conflict("the payment was refunded".to_owned())),
                Some(Record::Charged { user: before, amount: charged, currency })
                    if (before, charged, &currency) != (user, amount.amount, &amount.currency) =>
                {
                    Err(Error::Conflict("the key was used for another payment".to_owned()))
                }
                found => {
                    let Price { amount, currency } = amount.clone();
                    if found.is_none() {
                        let record = Record::Charged { user, amount, currency: currency.clone() };
                        transaction.put(place.clone(), &record);
                    }
                    Ok(payment(&key, (user, amount, currency), false))
                }
            }
        })
        .await?;
        if mode == Mode::LosesAnswers {
            // The caller cannot know that the money was taken.
            platform.wait(HANGING).await;
        }
        Ok(payment)
    }

    async fn refund(key: String) -> Result<(), Error> {
        let place = place_of(&key);
        transact(&P::current(), async |transaction| {
            let [found] = transaction.read([place.clone()]).await?;
            let charged = match found.map(|found| decode::<Record>(&place, &found)).transpose()? {
                Some(Record::Refunded(_)) => return Ok(()),
                Some(Record::Charged { user, amount, currency }) => Some((user, amount, currency)),
                None => None,
            };
            transaction.put(place.clone(), &Record::Refunded(charged));
            Ok(())
        })
        .await
    }

    async fn get(key: String) -> Result<Payment, Error> {
        let place = place_of(&key);
        let found = transact(&P::current(), async |transaction| {
            let [found] = transaction.read([place.clone()]).await?;
            Ok::<_, Error>(found.map(|found| decode::<Record>(&place, &found)).transpose()?)
        })
        .await?;
        match found {
            Some(Record::Charged { user, amount, currency }) => Ok(payment(&key, (user, amount, currency), false)),
            Some(Record::Refunded(Some(charged))) => Ok(payment(&key, charged, true)),
            Some(Record::Refunded(None)) | None => Err(Error::NotFound),
        }
    }

    async fn behave(mode: Mode, percent: u32) -> Result<(), Error> {
        transact(&P::current(), async |transaction| {
            let mode = match mode {
                Mode::Works => 0,
                Mode::Declines => 1,
                Mode::Hangs => 2,
                Mode::LosesAnswers => 3,
            };
            transaction.put(BEHAVIOUR.to_owned(), &Behaviour { mode, percent });
            Ok(())
        })
        .await
    }
}

async fn mode_of_this_charge(platform: &impl Platform) -> Result<Mode, Error> {
    let found = platform.get_many(vec![BEHAVIOUR.to_owned()]).await.map_err(|error| match error {
        atoll_guest::transactions::Error::Unavailable(text) => Error::Unavailable(text),
        other => Error::Internal(format!("{other:?}")),
    })?;
    let Some(found) = found.into_iter().flatten().next() else { return Ok(Mode::Works) };
    let Behaviour { mode, percent } = decode(BEHAVIOUR, &found.value)?;
    if platform.random() % 100 >= u64::from(percent) {
        return Ok(Mode::Works);
    }
    Ok(match mode {
        1 => Mode::Declines,
        2 => Mode::Hangs,
        3 => Mode::LosesAnswers,
        _ => Mode::Works,
    })
}

fn payment(key: &str, (user, amount, currency): (u64, u64, String), refunded: bool) -> Payment {
    Payment { key: key.to_owned(), user, amount: Price { amount, currency }, refunded }
}

fn place_of(key: &str) -> String {
    format!("payment/{key}")
}

atoll_guest::errors!(Error { unavailable, internal });

#[cfg(test)]
mod tests {
    use atoll_guest::memory::{Memory, block_on};

    use super::*;

    type Service = Payments<Memory>;

    fn charge(key: &str, amount: u64) -> Result<Payment, Error> {
        block_on(Service::charge(key.to_owned(), 7, Price { amount, currency: "EUR".to_owned() }))
    }

    fn refund(key: &str) -> Result<(), Error> {
        block_on(Service::refund(key.to_owned()))
    }

    #[test]
    fn a_key_is_charged_once_and_refunded_once() {
        let _memory = Memory::fresh();
        let first = charge("a", 100).expect("charged");
        assert_eq!(charge("a", 100), Ok(first));
        assert!(matches!(charge("a", 101), Err(Error::Conflict(_))));
        assert_eq!((refund("a"), refund("a")), (Ok(()), Ok(())));
        assert!(block_on(Service::get("a".to_owned())).expect("the payment").refunded);
        assert!(matches!(charge("a", 100), Err(Error::Conflict(_))));
    }

    #[test]
    fn a_charge_that_arrives_after_its_refund_takes_nothing() {
        let _memory = Memory::fresh();
        assert_eq!(refund("a"), Ok(()));
        assert!(matches!(charge("a", 100), Err(Error::Conflict(_))));
        assert_eq!(block_on(Service::get("a".to_owned())), Err(Error::NotFound));
    }

    #[test]
    fn it_declines_if_it_is_told_to() {
        let _memory = Memory::fresh();
        block_on(Service::behave(Mode::Declines, 100)).expect("told");
        assert!(matches!(charge("a", 100), Err(Error::Declined(_))));
        block_on(Service::behave(Mode::Declines, 0)).expect("told");
        assert!(charge("a", 100).is_ok());
    }
}
