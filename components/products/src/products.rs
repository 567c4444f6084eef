//! Implements the contract `shop:products` with the platform's transactions.

use std::marker::PhantomData;

use atoll_guest::{Platform, decode, find_many, list, new_id, record_key, transact};
use serde::{Deserialize, Serialize};

use crate::bindings::exports::shop::products::products::{
    Error, FieldError, Guest, Line, NewProduct, Price, PriceChanges, Product, ProductChanges, ProductId, ProductPage,
    ReservationRequest, ReservedLine, ReservedProduct,
};
use crate::{reservations, rules};

const KIND: &str = "product";

/// The products, stored on the platform `P`.
#[derive(Debug)]
pub struct Products<P>(PhantomData<P>);

/// A product as it is stored. Its id is part of its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) sku: String,
    pub(crate) name: String,
    pub(crate) amount: u64,
    pub(crate) currency: String,
    pub(crate) stock: u32,
}

impl Record {
    pub(crate) fn price(&self) -> Price {
        Price { amount: self.amount, currency: self.currency.clone() }
    }

    fn with_id(self, id: ProductId) -> Product {
        Product { id, price: self.price(), sku: self.sku, name: self.name, stock: self.stock }
    }

    fn changed(self, changes: ProductChanges) -> Self {
        let price = changes.price.unwrap_or(PriceChanges { amount: None, currency: None });
        Self {
            sku: changes.sku.unwrap_or(self.sku),
            name: changes.name.unwrap_or(self.name),
            amount: price.amount.unwrap_or(self.amount),
            currency: price.currency.unwrap_or(self.currency),
            stock: changes.stock.unwrap_or(self.stock),
        }
    }
}

impl<P: Platform> Guest for Products<P> {
    async fn create(product: NewProduct) -> Result<Product, Error> {
        let record = accept_new(product)?;
        let platform = P::current();
        transact(&platform, async |transaction| {
            let [owner] = transaction.read([sku_key(&record.sku)]).await?;
            if owner.is_some() {
                return Err(sku_taken(&record.sku));
            }
            let id = new_id(&platform);
            transaction.claim(product_key(id));
            transaction.put(product_key(id), &record);
            transaction.put(sku_key(&record.sku), &id);
            Ok(record.clone().with_id(id))
        })
        .await
    }

    async fn get(id: ProductId) -> Result<Product, Error> {
        let mut found = Self::get_many(vec![id]).await?;
        found.pop().flatten().ok_or(Error::NotFound)
    }

    async fn get_many(ids: Vec<ProductId>) -> Result<Vec<Option<Product>>, Error> {
        let found = find_many::<Record>(&P::current(), KIND, &ids).await?;
        Ok(found.into_iter().zip(ids).map(|(record, id)| record.map(|record| record.with_id(id))).collect())
    }

    async fn list(limit: Option<u32>, cursor: Option<String>) -> Result<ProductPage, Error> {
        let page = list::<Record>(&P::current(), KIND, limit, cursor.as_deref()).await?;
        let items = page.items.into_iter().map(|(id, record)| record.with_id(id)).collect();
        Ok(ProductPage { items, next_cursor: page.next_cursor })
    }

    async fn update(id: ProductId, changes: ProductChanges) -> Result<Product, Error> {
        let changes = rules::accept(changes)?;
        let key = product_key(id);
        transact(&P::current(), async |transaction| {
            let mut keys = vec![key.clone()];
            keys.extend(changes.sku.as_deref().map(sku_key));
            // One snapshot for both keys. With two reads, an update to the same SKU between them would look like
            // another product that has taken the SKU.
            let mut found = transaction.read_many(keys).await?.into_iter();
            let stored: Record = decode(&key, &found.next().flatten().ok_or(Error::NotFound)?)?;
            let owner = found.next().flatten();
            let changed = stored.clone().changed(changes.clone());
            if changed.sku != stored.sku {
                if owner.is_some() {
                    return Err(sku_taken(&changed.sku));
                }
                transaction.delete(sku_key(&stored.sku));
                transaction.put(sku_key(&changed.sku), &id);
            }
            if changed != stored {
                transaction.put(key.clone(), &changed);
            }
            Ok(changed.with_id(id))
        })
        .await
    }

    async fn replace(id: ProductId, product: NewProduct) -> Result<Product, Error> {
        Self::update(id, all_fields(product)).await
    }

    async fn remove(id: ProductId) -> Result<(), Error> {
        let key = product_key(id);
        transact(&P::current(), async |transaction| {
            let [stored] = transaction.read([key.clone()]).await?;
            let stored: Record = decode(&key, &stored.ok_or(Error::NotFound)?)?;
            transaction.delete(key.clone());
            // The SKU key needs no check of its own: it changes only together with the product, which is checked.
            transaction.delete(sku_key(&stored.sku));
            Ok(())
        })
        .await
    }

    async fn reserve(key: String, lines: Vec<Line>) -> Result<Vec<ReservedLine>, Error> {
        reservations::reserve(&P::current(), &key, &lines).await
    }

    async fn reserve_one(id: ProductId, key: String, wanted: ReservationRequest) -> Result<ReservedProduct, Error> {
        reservations::reserve_one(&P::current(), id, &key, wanted.quantity).await
    }

    async fn release(key: String) -> Result<(), Error> {
        reservations::release(&P::current(), &key).await
    }
}

fn accept_new(product: NewProduct) -> Result<Record, Error> {
    let nothing = Record { sku: String::new(), name: String::new(), amount: 0, currency: String::new(), stock: 0 };
    Ok(nothing.changed(rules::accept(all_fields(product))?))
}

/// Changes that replace every field.
fn all_fields(product: NewProduct) -> ProductChanges {
    let NewProduct { sku, name, price: Price { amount, currency }, stock } = product;
    ProductChanges {
        sku: Some(sku),
        name: Some(name),
        price: Some(PriceChanges { amount: Some(amount), currency: Some(currency) }),
        stock: Some(stock),
    }
}

pub(crate) fn product_key(id: ProductId) -> String {
    record_key(KIND, id)
}

fn sku_key(sku: &str) -> String {
    format!("sku/{sku}")
}

fn sku_taken(sku: &str) -> Error {
    Error::Conflict(format!("the SKU {sku} is taken"))
}

impl From<Vec<FieldError>> for Error {
    fn from(errors: Vec<FieldError>) -> Self {
        Self::Invalid(errors)
    }
}

atoll_guest::errors!(Error { invalid: FieldError, unavailable, internal });

#[cfg(test)]
mod tests {
    use atoll_guest::memory::{Memory, block_on, interleave};

    use super::*;

    type Service = Products<Memory>;

    fn new_product(sku: &str, stock: u32) -> NewProduct {
        let price = Price { amount: 1250, currency: "EUR".to_owned() };
        NewProduct { sku: sku.to_owned(), name: " Mug ".to_owned(), price, stock }
    }

    fn create(sku: &str) -> Result<Product, Error> {
        block_on(Service::create(new_product(sku, 3)))
    }

    fn nothing() -> ProductChanges {
        ProductChanges { sku: None, name: None, price: None, stock: None }
    }

    #[test]
    fn a_product_is_created_changed_and_removed_without_a_trace() {
        let memory = Memory::fresh();
        let mug = create("mug").expect("created");
        assert_eq!((mug.name.as_str(), mug.stock, mug.price.amount), ("Mug", 3, 1250));
        assert_eq!(block_on(Service::get(mug.id)), Ok(mug.clone()));
        let price = Some(PriceChanges { amount: Some(999), currency: None });
        let cheaper = block_on(Service::update(mug.id, ProductChanges { price, ..nothing() }));
        assert_eq!(cheaper.map(|mug| mug.price), Ok(Price { amount: 999, currency: "EUR".to_owned() }));
        assert_eq!(block_on(Service::remove(mug.id)), Ok(()));
        assert_eq!(memory.keys(), Vec::<String>::new());
        assert_eq!(block_on(Service::remove(mug.id)), Err(Error::NotFound));
        assert_eq!(block_on(Service::update(mug.id, nothing())), Err(Error::NotFound));
    }

    #[test]
    fn an_sku_is_unique_and_free_again_once_given_up() {
        let memory = Memory::fresh();
        let (mug, cup) = (create("mug").expect("created"), create("cup").expect("created"));
        assert!(matches!(create("mug"), Err(Error::Conflict(_))));
        let rename = |id, sku: &str| {
            block_on(Service::update(id, ProductChanges { sku: Some(sku.to_owned()), ..nothing() })).map(|_| ())
        };
        assert!(matches!(rename(cup.id, "mug"), Err(Error::Conflict(_))));
        assert_eq!(rename(mug.id, "mug"), Ok(()));
        assert_eq!(rename(mug.id, "jug"), Ok(()));
        assert_eq!(rename(cup.id, "mug"), Ok(()));
        let skus: Vec<_> = memory.keys().into_iter().filter(|key| key.starts_with("sku/")).collect();
        assert_eq!(skus, ["sku/jug", "sku/mug"]);
    }

    #[test]
    fn replacing_a_product_replaces_every_field_and_checks_them_all() {
        let _memory = Memory::fresh();
        let (mug, cup) = (create("mug").expect("created"), create("cup").expect("created"));
        let price = Price { amount: 1, currency: "JPY".to_owned() };
        let jug = NewProduct { sku: "jug".to_owned(), name: " Jug ".to_owned(), price: price.clone(), stock: 0 };
        let replaced = block_on(Service::replace(mug.id, jug.clone())).expect("replaced");
        let expected = Product { id: mug.id, sku: jug.sku.clone(), name: "Jug".to_owned(), price, stock: 0 };
        assert_eq!((&replaced, block_on(Service::get(mug.id))), (&expected, Ok(expected.clone())));
        assert!(matches!(block_on(Service::replace(cup.id, jug.clone())), Err(Error::Conflict(_))));
        let wrong = NewProduct { sku: "a b".to_owned(), name: String::new(), ..jug.clone() };
        assert!(matches!(block_on(Service::replace(cup.id, wrong)), Err(Error::Invalid(errors)) if errors.len() == 2));
        assert_eq!(block_on(Service::replace(7, jug)), Err(Error::NotFound));
    }

    #[test]
    fn concurrent_creations_never_share_an_sku() {
        for seed in 0..200 {
            let memory = Memory::fresh();
            let created = interleave(seed, (0..5).map(|_| Service::create(new_product("mug", 1))).collect());
            assert_eq!(created.iter().filter(|product| product.is_ok()).count(), 1, "seed {seed}");
            assert_eq!(memory.keys().len(), 2, "seed {seed}");
        }
    }

    #[test]
    fn a_new_product_is_refused_with_every_wrong_field() {
        let _memory = Memory::fresh();
        let price = Price { amount: u64::MAX, currency: "Euro".to_owned() };
        let wrong = NewProduct { sku: String::new(), name: String::new(), price, stock: u32::MAX };
        assert!(matches!(block_on(Service::create(wrong)), Err(Error::Invalid(errors)) if errors.len() == 5));
    }
}
