//! An HTTP client that sends and reads plain bytes, for the tests of the rooms that serve HTTP.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a test waits for anything before it fails.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_secs(20);

/// A client's end of a connection.
pub(crate) struct WireClient {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

/// One answer as it came over the wire.
#[derive(Debug)]
pub(crate) struct WireAnswer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the body reached its announced end. A body without an announced end never does.
    pub(crate) whole: bool,
}

impl WireAnswer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of text")
    }
}

impl WireClient {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(addr).await.expect("a connection"), buffer: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within(self.stream.write_all(bytes.as_ref())).await.expect("bytes are taken");
    }

    /// Sends a request and waits for the answer.
    pub(crate) async fn request(&mut self, bytes: impl AsRef<[u8]>) -> WireAnswer {
        self.send(bytes).await;
        self.answer().await
    }

    /// The next answer, with its body.
    pub(crate) async fn answer(&mut self) -> WireAnswer {
        let mut answer = self.head().await;
        let bodiless = answer.status == 204 || answer.status == 304;
        if bodiless {
            answer.whole = true;
        } else if let Some(length) = answer.header("content-length") {
            let length = length.parse().expect("a number");
            answer.whole = self.fill(|buffer| buffer.len() >= length).await;
            let length = length.min(self.buffer.len());
            answer.body = self.buffer.drain(..length).collect();
        } else if answer.header("transfer-encoding").is_some() {
            answer.whole = self.chunks(&mut answer.body).await;
        } else {
            self.fill(|_| false).await;
            answer.body = std::mem::take(&mut self.buffer);
        }
        answer
    }

    /// The head of the next answer alone, as for a `HEAD` request.
    pub(crate) async fn head(&mut self) -> WireAnswer {
        let end = |buffer: &[u8]| buffer.windows(4).position(|w| w == b"\r\n\r\n");
        assert!(self.fill(|buffer| end(buffer).is_some()).await, "closed without an answer: {:?}", self.rest());
        let end = end(&self.buffer).expect("it was found");
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8(head).expect("a head of text");
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().and_then(|line| line.get(9..12)).and_then(|code| code.parse().ok());
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        WireAnswer { status: status.expect("a status line"), headers, body: Vec::new(), whole: false }
    }

    /// Waits until the other end has closed the connection; returns what it sent before.
    pub(crate) async fn closed(&mut self) -> String {
        self.fill(|_| false).await;
        self.rest()
    }

    /// How the other end closes the connection; an error is a reset.
    pub(crate) async fn ending(&mut self) -> io::Result<()> {
        let mut sink = Vec::new();
        within(self.stream.read_to_end(&mut sink)).await.map(|_| ())
    }

    fn rest(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }

    async fn chunks(&mut self, body: &mut Vec<u8>) -> bool {
        loop {
            let line = |buffer: &[u8]| buffer.windows(2).position(|w| w == b"\r\n");
            if !self.fill(|buffer| line(buffer).is_some()).await {
                return false;
            }
            let end = line(&self.buffer).expect("it was found");
            let size =
                std::str::from_utf8(&self.buffer[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
            let size = size.expect("a chunk's size");
            let whole = end + 2 + size + 2;
            if !self.fill(|buffer| buffer.len() >= whole).await {
                return false;
            }
            body.extend(&self.buffer[end + 2..end + 2 + size]);
            self.buffer.drain(..whole);
            if size == 0 {
                return true;
            }
        }
    }

    /// Reads until `enough` holds; `false` if the other end closed the connection before.
    async fn fill(&mut self, enough: impl Fn(&[u8]) -> bool) -> bool {
        while !enough(&self.buffer) {
            match within(self.stream.read_buf(&mut self.buffer)).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return false,
            }
        }
        true
    }
}

/// Awaits `future`, for [`TEST_TIMEOUT`] at most.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    timeout(TEST_TIMEOUT, future).await.expect("in time")
}
