//! The tables, and the statements over them.
//!
//! All buckets share one table, which begins with the bucket in its primary key: the bytes of keys are in the order of
//! bytes, as `bytea` compares. `meta` has one row, with the version of the latest commit and the name of the host that
//! has opened the data last. Whoever writes locks this row first, so commits are in the order of their versions, on
//! however many hosts. `writers` has the number of the last batch that each host has written: after a lost connection,
//! the host reads there whether its batch was written.

/// The format of the tables. 1 had no `holder`, and no release has written it.
pub(super) const FORMAT: i64 = 2;

/// Statements, by the schema that they are for.
pub(super) struct Statements {
    schema: String,
}

impl Statements {
    /// Of the tables in this schema, whose name is a plain word.
    pub(super) fn of(schema: &str) -> Self {
        debug_assert!(schema.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
        Self { schema: schema.to_owned() }
    }

    /// The name of the table that is made last.
    pub(super) fn last_table(&self) -> String {
        format!("\"{}\".writers", self.schema)
    }

    /// Creates what is absent. Many hosts may do it at once: the lock of the transaction has them come in turn.
    pub(super) fn create(&self) -> String {
        let Self { schema } = self;
        format!(
            "BEGIN;
             SELECT pg_advisory_xact_lock(hashtextextended('atoll schema', 0));
             CREATE SCHEMA IF NOT EXISTS \"{schema}\";
             CREATE TABLE IF NOT EXISTS \"{schema}\".entries (
                 bucket text COLLATE \"C\" NOT NULL, key bytea NOT NULL, version bigint NOT NULL, value bytea NOT NULL,
                 PRIMARY KEY (bucket, key));
             CREATE TABLE IF NOT EXISTS \"{schema}\".meta (
                 one boolean PRIMARY KEY DEFAULT true CHECK (one), format bigint NOT NULL, version bigint NOT NULL,
                 holder text NOT NULL DEFAULT '') WITH (fillfactor = 10);
             INSERT INTO \"{schema}\".meta (format, version) VALUES ({FORMAT}, 0) ON CONFLICT DO NOTHING;
             CREATE TABLE IF NOT EXISTS \"{schema}\".writers (
                 writer text PRIMARY KEY, batch bigint NOT NULL, seen timestamptz NOT NULL);
             COMMIT"
        )
    }

    pub(super) fn format(&self) -> String {
        format!("SELECT format FROM \"{}\".meta", self.schema)
    }

    pub(super) fn version(&self) -> String {
        format!("SELECT version FROM \"{}\".meta", self.schema)
    }

    /// Writes the name of the host that opens the data.
    pub(super) fn claim(&self) -> String {
        format!("UPDATE \"{}\".meta SET holder = $1 RETURNING version", self.schema)
    }

    /// The version of the latest commit, and who has opened the data last.
    pub(super) fn tenure(&self) -> String {
        format!("SELECT version, holder FROM \"{}\".meta", self.schema)
    }

    /// As [`Self::tenure`], with whether the transaction may write, and the first right that it lacks.
    pub(super) fn may_write(&self) -> String {
        let Self { schema } = self;
        let lacks = |table: &str, rights: &[&str]| {
            let one = |right: &&str| {
                format!(
                    "WHEN NOT has_table_privilege('\"{schema}\".{table}', '{right}') THEN '{right} on {schema}.{table}'"
                )
            };
            rights.iter().map(one).collect::<Vec<_>>().join(" ")
        };
        let all = ["SELECT", "INSERT", "UPDATE", "DELETE"];
        let (entries, meta) = (lacks("entries", &all), lacks("meta", &all[..1]) + " " + &lacks("meta", &all[2..3]));
        let writers = lacks("writers", &all);
        format!(
            "SELECT version, holder, current_setting('transaction_read_only') = 'off',
                 CASE {entries} {meta} {writers} END FROM \"{schema}\".meta"
        )
    }

    /// As [`Self::tenure`]; nobody else can change either until this transaction ends.
    pub(super) fn lock(&self) -> String {
        format!("SELECT version, holder FROM \"{}\".meta FOR UPDATE", self.schema)
    }

    /// Version, and value where it is wanted, of keys of several buckets.
    pub(super) fn before(&self) -> String {
        format!(
            "SELECT w.at, e.version, CASE WHEN w.wanted THEN e.value END
             FROM unnest($1::text[], $2::bytea[], $3::boolean[]) WITH ORDINALITY AS w (bucket, key, wanted, at)
             JOIN \"{}\".entries e ON e.bucket = w.bucket AND e.key = w.key",
            self.schema
        )
    }

    pub(super) fn put(&self) -> String {
        format!(
            "INSERT INTO \"{}\".entries (bucket, key, version, value)
             SELECT * FROM unnest($1::text[], $2::bytea[], $3::bigint[], $4::bytea[])
             ON CONFLICT (bucket, key) DO UPDATE SET version = excluded.version, value = excluded.value",
            self.schema
        )
    }

    pub(super) fn delete(&self) -> String {
        format!(
            "DELETE FROM \"{}\".entries e USING unnest($1::text[], $2::bytea[]) AS w (bucket, key)
             WHERE e.bucket = w.bucket AND e.key = w.key",
            self.schema
        )
    }

    /// Deletes at most $3 entries of a bucket, none of a later version than $2.
    pub(super) fn erase(&self) -> String {
        let Self { schema } = self;
        format!(
            "DELETE FROM \"{schema}\".entries e USING (SELECT key FROM \"{schema}\".entries
                 WHERE bucket = $1 AND version <= $2 ORDER BY key LIMIT $3::bigint) w
             WHERE e.bucket = $1 AND e.key = w.key"
        )
    }

    /// Notes the version, and the number of this writer's batch.
    pub(super) fn note(&self) -> String {
        let Self { schema } = self;
        format!(
            "WITH raised AS (UPDATE \"{schema}\".meta SET version = $1)
             INSERT INTO \"{schema}\".writers (writer, batch, seen) VALUES ($2, $3, now())
             ON CONFLICT (writer) DO UPDATE SET batch = excluded.batch, seen = excluded.seen"
        )
    }

    /// The number of a writer's last batch.
    pub(super) fn noted(&self) -> String {
        format!("SELECT batch FROM \"{}\".writers WHERE writer = $1", self.schema)
    }

    /// Forgets writers that have not written for a month: none of them still asks.
    pub(super) fn forget(&self) -> String {
        format!("DELETE FROM \"{}\".writers WHERE seen < now() - interval '30 days'", self.schema)
    }

    /// The values of some keys; none of them if they are more bytes than $3 together.
    pub(super) fn get(&self) -> String {
        format!(
            "SELECT w.at, e.version, CASE WHEN sum(octet_length(e.value)) OVER () <= $3::bigint THEN e.value END
             FROM unnest($2::bytea[]) WITH ORDINALITY AS w (key, at)
             JOIN \"{}\".entries e ON e.bucket = $1 AND e.key = w.key",
            self.schema
        )
    }

    /// A page: at most $4 - 1 entries of the $4 that are looked at, and at most $5 bytes unless the first alone has
    /// more. Each row says how many were looked at. `octet_length` does not read a value that is stored apart.
    pub(super) fn scan(&self) -> String {
        format!(
            "SELECT key, version, value, listed FROM (
                 SELECT key, version, value, count(*) OVER () AS listed, row_number() OVER w AS n,
                     sum(octet_length(key) + octet_length(value)) OVER w AS bytes
                 FROM (SELECT key, version, value FROM \"{}\".entries
                     WHERE bucket = $1 AND key >= $2 AND key < $3 ORDER BY key LIMIT $4::bigint) page
                 WINDOW w AS (ORDER BY key)
             ) measured WHERE n < $4::bigint AND (n = 1 OR bytes <= $5::bigint) ORDER BY key",
            self.schema
        )
    }

    pub(super) fn keys(&self) -> String {
        format!(
            "SELECT key FROM \"{}\".entries WHERE bucket = $1 AND key >= $2 AND key < $3 ORDER BY key
             LIMIT $4::bigint",
            self.schema
        )
    }
}
