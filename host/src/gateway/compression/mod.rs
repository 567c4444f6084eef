//! A wing: the compression of answers, the last step before an answer leaves the gateway.

mod answer_coding;
mod answer_compression;
mod compressed_body;
#[cfg(test)]
mod tests;

pub(super) use answer_coding::AnswerCoding;
pub use answer_compression::AnswerCompression;
