//! The two sockets of a name server.

use std::io;
use std::net::SocketAddr;
use tokio::net::{TcpListener, UdpSocket};

/// How many free ports of TCP are tried until one is free for UDP too.
const TRIES: usize = 32;

/// Binds UDP and TCP at one address. Port 0 is one that is free for both.
///
/// # Errors
/// That of the system, with the address.
pub(super) async fn bind(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let told = |way: &str, error: &io::Error| io::Error::new(error.kind(), format!("{address} by {way}: {error}"));
    let mut tries = 0;
    loop {
        let tcp = TcpListener::bind(address).await.map_err(|error| told("TCP", &error))?;
        match UdpSocket::bind(tcp.local_addr()?).await {
            Ok(udp) => return Ok((udp, tcp)),
            Err(error) if address.port() > 0 || tries == TRIES => return Err(told("UDP", &error)),
            Err(_) => tries += 1,
        }
    }
}
