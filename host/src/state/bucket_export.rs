//! The data of one service on their way out, in the form of a file.

use super::bucket_lines::{BucketHeader, add_entry, end_line};
use super::data_format::DataFormat;
use super::error::StateError;
use super::frozen_bucket::{FrozenBucket, ValueForm};
use super::store::Bucket;
use super::transaction::{Key, limit};
use bytes::Bytes;
use std::sync::Arc;

/// The data of one service as of one moment, piece by piece. It holds one piece in memory: a page of entries.
pub struct BucketExport {
    frozen: Arc<dyn FrozenBucket>,
    header: BucketHeader,
    form: ValueForm,
    stage: ExportStage,
    entries: u64,
}

/// What comes next.
enum ExportStage {
    Header,
    /// The entries after this key.
    Entries(Option<Key>),
    End,
    Done,
}

impl BucketExport {
    /// The data of `bucket` as they are now, with values in this form, and with the number of their format at the same
    /// moment.
    ///
    /// # Errors
    /// The store is closed, or the disk's.
    pub async fn begin(bucket: &Bucket, form: ValueForm) -> Result<Self, StateError> {
        let frozen = bucket.freeze().await?;
        let format = DataFormat::of(bucket).at(&*frozen).await?;
        let sealed = form == ValueForm::Stored && frozen.is_sealed();
        let header = BucketHeader::new(bucket.service().as_str(), frozen.version(), sealed, format);
        Ok(Self { frozen, header, form, stage: ExportStage::Header, entries: 0 })
    }

    /// What it is of.
    pub fn header(&self) -> &BucketHeader {
        &self.header
    }

    /// How many entries it has handed out.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// The next piece, whole lines; `None` after the last one.
    ///
    /// # Errors
    /// The disk's. Nothing follows then.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StateError> {
        match std::mem::replace(&mut self.stage, ExportStage::Done) {
            ExportStage::Header => {
                self.stage = ExportStage::Entries(None);
                Ok(Some(self.header.line().into()))
            }
            ExportStage::Entries(after) => {
                let page = self.frozen.scan(Key::new(), after, limit::PAGE, self.form).await?;
                self.entries += page.items.len() as u64;
                let mut text = Vec::new();
                page.items.into_iter().for_each(|entry| add_entry(&mut text, entry));
                self.stage = page.next.map_or(ExportStage::End, |next| ExportStage::Entries(Some(next)));
                Ok(Some(text.into()))
            }
            ExportStage::End => Ok(Some(end_line(self.entries).into())),
            ExportStage::Done => Ok(None),
        }
    }
}
