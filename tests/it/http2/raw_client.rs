//! An HTTP/2 client that sends frames as the test writes them.

use crate::it::atoll::TIMEOUT;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 0x1;
pub const ACK: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;
pub const PADDED: u8 = 0x8;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// One frame that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub content: Vec<u8>,
}

impl Frame {
    /// The error code of RST_STREAM or GOAWAY.
    pub fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.content[at..at + 4].try_into().unwrap())
    }

    /// The status of an answer, where the static table of RFC 7541, appendix A, has it.
    pub fn status(&self) -> u16 {
        let first = self.content.iter().find(|byte| !(0x20..0x40).contains(*byte)).copied();
        [200, 204, 206, 304, 400, 404, 500]
            .get(usize::from(first.unwrap_or(0)).wrapping_sub(0x88))
            .copied()
            .unwrap_or(0)
    }
}

/// The bytes of a frame (RFC 9113, section 4.1).
pub fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), content].concat()
}

/// A header block of literals without indexing (RFC 7541, section 6.2.2).
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            let mut length = text.len();
            if length < 127 {
                bytes.push(u8::try_from(length).unwrap());
            } else {
                bytes.push(127);
                length -= 127;
                while length >= 128 {
                    bytes.push(0x80 | u8::try_from(length % 128).unwrap());
                    length /= 128;
                }
                bytes.push(u8::try_from(length).unwrap());
            }
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

/// The fields of a request with this method and path, and these further fields.
pub fn request(method: &str, path: &str, further: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "shop")];
    block(&[&pseudo[..], further].concat())
}

/// A whole GET on `stream`.
pub fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &request("GET", path, &[]))
}

/// A connection.
pub struct RawClient {
    stream: TcpStream,
    received: Vec<u8>,
}

impl RawClient {
    /// Connects and sends nothing.
    pub async fn connect(gateway: &str) -> Self {
        let stream = TcpStream::connect(gateway.strip_prefix("http://").unwrap()).await.unwrap();
        Self { stream, received: Vec::new() }
    }

    /// Connects, and sends the preface with these settings.
    pub async fn start(gateway: &str, settings: &[u8]) -> Self {
        let mut client = Self::connect(gateway).await;
        client.send(&[PREFACE, &frame(SETTINGS, 0, 0, settings)].concat()).await;
        client
    }

    /// Sends bytes, if the other end takes them still.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        timeout(TIMEOUT, self.stream.write_all(bytes)).await.expect("it takes bytes").is_ok()
    }

    /// The next frame; `None` at the end of the connection.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let [a, b, c, kind, flags, d, e, f, g, rest @ ..] = &self.received[..] {
                let length = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
                if let Some(content) = rest.get(..length) {
                    let stream = u32::from_be_bytes([*d, *e, *f, *g]);
                    let frame = Frame { kind: *kind, flags: *flags, stream, content: content.to_vec() };
                    self.received.drain(..9 + length);
                    return Some(frame);
                }
            }
            match timeout(TIMEOUT, self.stream.read_buf(&mut self.received)).await.expect("a frame in time") {
                Ok(1..) => {}
                Ok(0) | Err(_) => return None,
            }
        }
    }

    /// The next frame of this kind; `None` at the end of the connection.
    pub async fn next_of(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// Whether the connection answers a PING. What comes before the answer is passed over.
    pub async fn is_alive(&mut self) -> bool {
        let content = b"is alive";
        self.send(&frame(PING, 0, 0, content)).await;
        loop {
            match self.next().await {
                Some(frame) if frame.kind == PING && frame.content == content => return true,
                Some(_) => {}
                None => return false,
            }
        }
    }

    /// The code of the GOAWAY with which the connection ends; `None` if it ends without one.
    pub async fn end(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                code = Some(frame.code());
            }
        }
        code
    }
}
