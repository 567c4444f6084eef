//! Implements the contract `shop:mailer`.

use std::fmt::Write;
use std::marker::PhantomData;

use atoll_guest::{Failure, Platform, list, record_key, transact};
use serde::{Deserialize, Serialize};

use crate::bindings::exports::shop::mailer::mailer::{Error, FieldError, Guest, Mail, MailPage, OrderPlaced};

const KIND: &str = "mail";

/// The mails, stored on the platform `P`.
#[derive(Debug)]
pub struct Mailer<P>(PhantomData<P>);

/// A mail as it is stored. The id of its order is part of its key.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    user: u64,
    subject: String,
    text: String,
    written: u64,
}

impl Record {
    fn confirming(order: &OrderPlaced, now: u64) -> Self {
        let mut text = String::from("Thank you for your order:\n");
        for line in &order.lines {
            // Writing into a text cannot fail.
            _ = writeln!(text, "{} x {} ({})", line.quantity, line.name, line.sku);
        }
        _ = writeln!(text, "Total: {} {} in minor units", order.total.amount, order.total.currency);
        Self { user: order.user, subject: format!("Your order {}", order.id), text, written: now }
    }

    fn about(self, order: u64) -> Mail {
        let Self { user, subject, text, written } = self;
        Mail { order, user, subject, text, written }
    }
}

impl<P: Platform> Guest for Mailer<P> {
    /// An event may be delivered twice: the mail's key is the order, so the second delivery finds it there.
    async fn confirm(order: OrderPlaced) -> Result<(), Error> {
        let platform = P::current();
        let key = record_key(KIND, order.id);
        transact(&platform, async |transaction| {
            let [found] = transaction.read([key.clone()]).await?;
            if found.is_none() {
                transaction.put(key.clone(), &Record::confirming(&order, platform.now()));
            }
            Ok::<_, Failure>(())
        })
        .await?;
        Ok(())
    }

    async fn list(limit: Option<u32>, cursor: Option<String>) -> Result<MailPage, Error> {
        let page = list::<Record>(&P::current(), KIND, limit, cursor.as_deref()).await?;
        let items = page.items.into_iter().map(|(order, record)| record.about(order)).collect();
        Ok(MailPage { items, next_cursor: page.next_cursor })
    }
}

atoll_guest::errors!(Error { invalid: FieldError, unavailable, internal });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::shop::orders_events::events::{OrderLine, Price};
    use atoll_guest::memory::{Memory, block_on};

    fn order(id: u64) -> OrderPlaced {
        let price = |amount| Price { amount, currency: "EUR".to_owned() };
        let (sku, name) = ("mug".to_owned(), "A mug".to_owned());
        let lines = vec![OrderLine { product: 1, sku, name, quantity: 2, price: price(100) }];
        OrderPlaced { id, user: 7, lines, total: price(200), placed: 1 }
    }

    #[test]
    fn an_order_has_one_mail_however_often_its_event_comes() {
        let _memory = Memory::fresh();
        for id in [2, 1, 2] {
            block_on(Mailer::<Memory>::confirm(order(id))).expect("confirmed");
        }
        let page = block_on(Mailer::<Memory>::list(None, None)).expect("a page");
        assert_eq!(page.items.iter().map(|mail| (mail.order, mail.user)).collect::<Vec<_>>(), [(1, 7), (2, 7)]);
        assert_eq!(page.items[1].subject, "Your order 2");
        assert!(page.items[1].text.contains("2 x A mug (mug)\nTotal: 200 EUR"), "{}", page.items[1].text);
    }

    #[test]
    fn what_cannot_be_stored_now_is_unavailable_so_that_the_event_waits() {
        let memory = Memory::fresh();
        memory.set_down(true);
        assert!(matches!(block_on(Mailer::<Memory>::confirm(order(1))), Err(Error::Unavailable(_))));
    }
}
