//! The two ends of a request, which allocate nothing themselves: a client, and a plain HTTP server that stands for an
//! outside service.

use anyhow::{Context, bail, ensure};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

/// The longest answer that the client can read, in bytes.
const MOST: usize = 64 << 10;

/// A client with one connection, which it keeps.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Box<[u8]>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; MOST].into() })
    }

    /// Sends `request` unchanged and reads the whole answer, which must have this status.
    pub(crate) fn exchange(&mut self, request: &[u8], status: &str) -> anyhow::Result<()> {
        self.stream.write_all(request)?;
        let mut length = 0;
        while !is_whole(&self.buffer[..length])? {
            let read = self.stream.read(&mut self.buffer[length..])?;
            ensure!(read > 0, "the connection ended before the answer was complete");
            length += read;
        }
        let answer = &self.buffer[..length];
        let actual = answer.get(9..12).unwrap_or_default();
        ensure!(actual == status.as_bytes(), "{}", String::from_utf8_lossy(answer));
        Ok(())
    }
}

/// Whether this is a complete answer, with a `content-length` or in chunks.
fn is_whole(answer: &[u8]) -> anyhow::Result<bool> {
    let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(false) };
    let (head, body) = answer.split_at(head + 4);
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let length: usize = std::str::from_utf8(value)?.parse().context("a length")?;
            return Ok(body.len() >= length);
        }
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Ok(body.ends_with(b"0\r\n\r\n"));
        }
    }
    bail!("an answer without a length: {}", String::from_utf8_lossy(answer))
}

/// Answers every request on every connection with a small JSON document.
pub(crate) fn serve_plainly() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            thread::spawn(move || {
                let _ = stream.set_nodelay(true);
                let mut buffer = [0; 4096];
                let mut length = 0;
                // The requests here have no body.
                while let Ok(read @ 1..) = stream.read(&mut buffer[length..]) {
                    length += read;
                    if buffer[..length].ends_with(b"\r\n\r\n") {
                        length = 0;
                        if stream.write_all(ANSWER).is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    Ok(address)
}

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 27\r\n\r\n{\"message\": \"hello, world\"}";
