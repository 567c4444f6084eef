//! The layout of the tables.
//!
//! Each service has a table of its own, instead of a prefix in a shared table. So a handle on one table cannot reach
//! the keys of another, whatever range it reads, and a service's data can be measured or dropped as a whole. A table
//! costs one page, and one look-up in each batch.

use crate::base::ServiceName;
use redb::TableDefinition;

/// A bucket's table: from key to version and value.
pub(super) type BucketTable<'a> = TableDefinition<'a, &'static [u8], (u64, &'static [u8])>;

/// The table of facts about the database itself.
pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// The key in [`META`] of the format of all other tables.
pub(super) const FORMAT: &str = "format";

/// The key in [`META`] of the version of the latest commit.
pub(super) const VERSION: &str = "version";

/// The name of a service's table. No such name is `meta`.
pub(super) fn table_name(bucket: &ServiceName) -> String {
    format!("bucket/{bucket}")
}
