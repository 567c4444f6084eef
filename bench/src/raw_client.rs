//! An HTTP client with little overhead: processor time that the client uses is not available to the servers beside
//! it.
//!
//! It sends prepared bytes, and reads of the answer only the status and the length.

use anyhow::{Context, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest answer that the client reads, in bytes.
const LONGEST: usize = 1 << 20;

/// A kept connection, with one request at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// # Errors
    /// If nothing listens at `address`: `127.0.0.1:…`.
    pub(crate) async fn open(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| address.to_owned())?;
        // With Nagle's algorithm, the kernel's delayed acknowledgement would be measured.
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 << 10) })
    }

    /// Sends `request`, head and body. Returns the status and the whole body.
    ///
    /// # Errors
    /// If the connection breaks, or the answer has no `content-length`.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<(u16, &[u8])> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let (status, body) = loop {
            if let Some(end) = end_of_head(&self.buffer) {
                let (status, length) = read_head(&self.buffer[..end])?;
                ensure!(length <= LONGEST, "an answer of {length} bytes");
                break (status, end..end + length);
            }
            ensure!(self.buffer.len() < LONGEST, "a head without end");
            self.fill().await?;
        };
        while self.buffer.len() < body.end {
            self.fill().await?;
        }
        ensure!(self.buffer.len() == body.end, "the server sent more than one answer");
        Ok((status, &self.buffer[body]))
    }

    async fn fill(&mut self) -> anyhow::Result<()> {
        ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the server has closed the connection");
        Ok(())
    }
}

/// Builds a request with head and body.
pub(crate) fn request(line: &str, address: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("{line} HTTP/1.1\r\nhost: {address}\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
    }
    format!("{text}\r\n{body}").into_bytes()
}

/// Where the body begins.
fn end_of_head(buffer: &[u8]) -> Option<usize> {
    buffer.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// The status, and the length of the body.
fn read_head(head: &[u8]) -> anyhow::Result<(u16, usize)> {
    let head = std::str::from_utf8(head).context("a head that is no text")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|status| status.parse().ok());
    let status = status.context("an answer without a status")?;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            return Ok((status, value.trim().parse().context("a content-length that is no number")?));
        }
    }
    bail!("an answer without content-length: {head}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn answers_are_read_completely_one_after_the_other() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = vec![0; 1000];
            for answer in [
                &["HTTP/1.1 200 OK\r\nContent-", "Length: 5\r\n\r\nhe", "llo"][..],
                &["HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"],
                &["HTTP/1.1 200 OK\r\n\r\n"],
            ] {
                let read = stream.read(&mut seen).await.unwrap();
                assert!(seen[..read].starts_with(b"GET /a HTTP/1.1\r\nhost: x\r\n"));
                for part in answer {
                    stream.write_all(part.as_bytes()).await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        });
        let mut connection = Connection::open(&address).await.unwrap();
        let request = request("GET /a", "x", &[("accept", "*/*")], "");
        assert_eq!(connection.exchange(&request).await.unwrap(), (200, &b"hello"[..]));
        assert_eq!(connection.exchange(&request).await.unwrap(), (404, &b""[..]));
        assert!(connection.exchange(&request).await.is_err(), "an answer without a content-length is an error");
        server.await.unwrap();
        assert!(connection.exchange(&request).await.is_err(), "a closed connection is an error");
    }
}
