//! How the admin is reached, and who may use it.

use super::operator::Operator;
use super::token::Token;
use std::net::SocketAddr;

/// How the admin is reached, and who may use it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The address that it listens on. The checks differ between loopback and other addresses.
    pub address: SocketAddr,
    /// The token of an operator who may do everything. Without a token of anybody, requests are admitted only on
    /// loopback.
    pub token: Option<Token>,
    /// The operators with tokens of their own.
    pub operators: Vec<Operator>,
    /// Whether it serves TLS.
    pub secure: bool,
}
