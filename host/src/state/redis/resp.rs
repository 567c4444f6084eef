//! The wire: requests and replies of RESP2, the protocol that every version of Redis and Valkey speaks.

use std::io;
use std::pin::Pin;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// The longest line; an error of the server is one.
const LONGEST_LINE: u64 = 64 << 10;
/// The largest text: more than any value with its version.
const LARGEST_TEXT: usize = 64 << 20;
/// The most replies in one.
const MOST: usize = 1 << 20;
/// How deep replies are in one another. Ours are one level deep.
const DEEPEST: usize = 4;

/// What the server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RespReply {
    /// Bytes, or a word such as `OK`.
    Text(Vec<u8>),
    Number(i64),
    /// There is nothing.
    Nil,
    Error(String),
    Many(Vec<RespReply>),
}

/// The arguments of one request.
#[derive(Debug, Clone, Default)]
pub(super) struct RespArguments {
    count: usize,
    bytes: Vec<u8>,
}

impl RespArguments {
    pub(super) fn of(arguments: &[&[u8]]) -> Self {
        arguments.iter().fold(Self::default(), |all, one| all.with(one))
    }

    pub(super) fn with(mut self, argument: impl AsRef<[u8]>) -> Self {
        self.push(argument);
        self
    }

    pub(super) fn push(&mut self, argument: impl AsRef<[u8]>) {
        self.push_parts(&[argument.as_ref()]);
    }

    /// One argument of several parts.
    pub(super) fn push_parts(&mut self, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        self.bytes.extend_from_slice(format!("${length}\r\n").as_bytes());
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.bytes.extend_from_slice(b"\r\n");
        self.count += 1;
    }

    /// The request, with these arguments after those of `first`.
    pub(super) fn after(&self, first: &Self) -> Vec<u8> {
        let header = format!("*{}\r\n", first.count + self.count);
        [header.as_bytes(), &first.bytes, &self.bytes].concat()
    }
}

impl RespReply {
    /// The bytes of a text; `None` for anything else.
    pub(super) fn text(self) -> Option<Vec<u8>> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The replies in it; none for anything else.
    pub(super) fn many(self) -> Vec<Self> {
        if let Self::Many(many) = self { many } else { Vec::new() }
    }
}

fn invalid(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the server does not speak RESP: {problem}"))
}

/// Reads one reply.
///
/// # Errors
/// The connection's; or what comes is no reply.
pub(super) async fn read_reply<R: AsyncBufRead + Unpin + Send>(read: &mut R) -> io::Result<RespReply> {
    read_nested(read, DEEPEST).await
}

fn read_nested<R: AsyncBufRead + Unpin + Send>(
    read: &mut R,
    depth: usize,
) -> Pin<Box<dyn Future<Output = io::Result<RespReply>> + Send + '_>> {
    Box::pin(async move {
        let line = read_line(read).await?;
        let (kind, rest) = line.split_first().ok_or_else(|| invalid("an empty line"))?;
        let text = || String::from_utf8_lossy(rest).into_owned();
        match kind {
            b'+' => Ok(RespReply::Text(rest.to_vec())),
            b'-' => Ok(RespReply::Error(text())),
            b':' => text().parse().map(RespReply::Number).map_err(|_| invalid("a number that is none")),
            b'$' => match length(&text(), LARGEST_TEXT)? {
                None => Ok(RespReply::Nil),
                Some(length) => {
                    let mut bytes = vec![0; length + 2];
                    read.read_exact(&mut bytes).await?;
                    bytes.truncate(length);
                    Ok(RespReply::Text(bytes))
                }
            },
            b'*' => match length(&text(), MOST)? {
                None => Ok(RespReply::Nil),
                Some(_) if depth == 0 => Err(invalid("replies too deep in one another")),
                Some(count) => {
                    // The count alone must not have memory taken.
                    let mut many = Vec::with_capacity(count.min(1024));
                    for _ in 0..count {
                        many.push(read_nested(read, depth - 1).await?);
                    }
                    Ok(RespReply::Many(many))
                }
            },
            _ => Err(invalid("a reply of an unknown kind")),
        }
    })
}

/// A line without its end.
async fn read_line<R: AsyncBufRead + Unpin + Send>(read: &mut R) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut limited = read.take(LONGEST_LINE);
    if limited.read_until(b'\n', &mut line).await? == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server has closed the connection"));
    }
    match line.strip_suffix(b"\r\n") {
        Some(whole) => Ok(whole.to_vec()),
        None => Err(invalid("a line without an end")),
    }
}

/// A length; `None` for -1, which says that there is nothing.
fn length(text: &str, most: usize) -> io::Result<Option<usize>> {
    match text {
        "-1" => Ok(None),
        _ => text.parse().ok().filter(|length| *length <= most).map(Some).ok_or_else(|| invalid("a length")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(mut text: &[u8]) -> io::Result<Vec<RespReply>> {
        let mut replies = Vec::new();
        while !text.is_empty() {
            replies.push(read_reply(&mut text).await?);
        }
        Ok(replies)
    }

    #[tokio::test]
    async fn replies_of_each_kind_are_read() {
        let text = b"+OK\r\n-ERR no\r\n:-7\r\n$3\r\na\r\n\r\n$-1\r\n*-1\r\n$0\r\n\r\n*2\r\n$1\r\nx\r\n*1\r\n$-1\r\n";
        let nested = RespReply::Many(vec![RespReply::Text(b"x".into()), RespReply::Many(vec![RespReply::Nil])]);
        let wanted = [
            RespReply::Text(b"OK".into()),
            RespReply::Error("ERR no".into()),
            RespReply::Number(-7),
            RespReply::Text(b"a\r\n".into()),
            RespReply::Nil,
            RespReply::Nil,
            RespReply::Text(Vec::new()),
            nested,
        ];
        assert_eq!(read(text).await.unwrap(), wanted);
    }

    #[tokio::test]
    async fn what_is_no_reply_is_an_error_and_takes_no_memory() {
        let deep = b"*1\r\n".repeat(DEEPEST + 2);
        for text in [
            &b"HTTP/1.1 400\r\n"[..],
            b"$99999999999\r\n",
            b"*99999999999\r\n",
            b"*1000000\r\n",
            b"$-2\r\n",
            b"$5\r\nab",
            b"+OK",
            b"\r\n",
            &deep,
        ] {
            assert!(read(text).await.is_err(), "{:?}", text.escape_ascii().to_string());
        }
    }

    #[test]
    fn a_request_counts_its_arguments_and_their_bytes() {
        let mut later = RespArguments::of(&[b"a\r\n"]);
        later.push_parts(&[b"b", b"", b"c"]);
        let request = later.after(&RespArguments::default().with("GET"));
        assert_eq!(request, b"*3\r\n$3\r\nGET\r\n$3\r\na\r\n\r\n$2\r\nbc\r\n");
    }
}
