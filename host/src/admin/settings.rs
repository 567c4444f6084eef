//! How the admin is reached, and who may use it.

use super::token::Token;
use std::net::SocketAddr;

/// How the admin is reached, and who may use it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address that it listens on. The checks differ between loopback and other addresses.
    pub address: SocketAddr,
    /// The token that operators must send. Without one, requests are admitted only on loopback.
    pub token: Option<Token>,
    /// Whether it serves TLS.
    pub secure: bool,
}
