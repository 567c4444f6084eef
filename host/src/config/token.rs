//! The admin's token: which texts are good enough where other machines can try them.

use super::reader::finding::ValueOrigin;
use super::reader::key::Sourced;
use super::reader::report::Report;
use crate::admin::Token;
use std::net::SocketAddr;

/// The admin's token. It has no key: a manifest is committed, and a secret must not be.
const ADMIN_TOKEN: &str = "ATOLL_ADMIN_TOKEN";
/// How an error says to make a token.
const MAKE: &str = "make one with `openssl rand -hex 32`";
/// The least strength of a token beyond loopback, in bits. Nobody can try so many texts.
const STRENGTH: usize = 128;
/// A random token of this strength has at least as many different characters.
const DIFFERENT: usize = 6;

/// What is wrong with a token, and how to mend it. Never with the token itself. `address`: where the admin listens, if
/// the token may be guessable where only this machine can try it. That of an operator never may: it proves who of
/// several people somebody is.
pub(super) fn weakness(token: &str, address: Option<SocketAddr>) -> Option<(String, String)> {
    let reachable = address.is_none_or(|address| !address.ip().to_canonical().is_loopback());
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = "must be visible ASCII without spaces: it is sent in a header".to_owned();
        return Some((message, format!("{MAKE}; look for a stray newline")));
    }
    (reachable && is_guessable(token)).then(|| {
        let guess = format!("can be guessed: a text like this has at most {} bits", strength(token));
        match address {
            Some(address) => {
                let why = format!("{address} can be reached from other machines, so it needs {STRENGTH}");
                (format!("{guess}, and {why}"), format!("{MAKE}, or listen on 127.0.0.1"))
            }
            None => (format!("{guess}, and it needs {STRENGTH}"), MAKE.to_owned()),
        }
    })
}

/// The admin's token. Without a token, everybody who reaches the admin can replace services, so only this machine may
/// reach it. A token that can be guessed is as good as none.
///
/// `operators`: whether operators have tokens of their own, which are as good.
pub(super) fn read(
    address: &Sourced<SocketAddr>,
    operators: bool,
    env: &dyn Fn(&str) -> Option<String>,
    report: &Report,
) -> Option<Token> {
    let reachable = !address.value.ip().to_canonical().is_loopback();
    let token = env(ADMIN_TOKEN).filter(|token| !token.is_empty());
    match &token {
        Some(token) => {
            if let Some((message, help)) = weakness(token, Some(address.value)) {
                report.push(ValueOrigin::Variable(ADMIN_TOKEN), message, help);
            }
        }
        None if reachable && !operators => {
            let message =
                format!("{} can be reached from other machines, and so the admin demands a token", address.value);
            report.push(address.origin.clone(), message, format!("set {ADMIN_TOKEN} ({MAKE}), or listen on 127.0.0.1"));
        }
        None => {}
    }
    token.map(|token| Token::new(&token))
}

fn is_guessable(token: &str) -> bool {
    strength(token) < STRENGTH
}

/// The most bits that a token of these characters can have: what it has if each was chosen at random. The true strength
/// of a text that a person made up is lower, and nobody can compute it.
fn strength(token: &str) -> usize {
    let mut different = token.as_bytes().to_vec();
    different.sort_unstable();
    different.dedup();
    if different.len() < DIFFERENT {
        return different.len();
    }
    let all = |is_one: fn(&u8) -> bool| different.iter().all(is_one);
    // In tenths of a bit for each character.
    let each = if all(u8::is_ascii_digit) {
        33
    } else if all(|byte| byte.is_ascii_hexdigit() || *byte == b'-') {
        40
    } else if all(|byte| !byte.is_ascii_uppercase()) || all(|byte| !byte.is_ascii_lowercase()) {
        50
    } else {
        60
    };
    token.bytes().filter(|byte| *byte != b'-').count() * each / 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_token_of_128_bits_is_strong_enough_in_each_usual_form_and_a_shorter_one_is_not() {
        for (good, form) in [
            ("00112233445566778899aabbccddeeff", "openssl rand -hex 16"),
            ("b9f4a1e0-5c6d-4d0a-9b7e-0c1d2e3f4a5b", "a UUID"),
            ("q7Zt0mJx3bV9cKfLh2WnYA==", "openssl rand -base64 16"),
            ("q7Zt0mJx3bV9cKfLh2WnYA", "16 bytes in base64url"),
            ("mfrggzdfmztwq2lknnwg23tpob", "16 bytes in base32"),
            ("314159265358979323846264338327950288419", "39 digits"),
        ] {
            assert!(!is_guessable(good), "{form}: {good} has {} bits", strength(good));
        }
        let long = "a".repeat(1000);
        for bad in
            ["admin", "hunter2", "s3cret-token", "correct-horse-battery", "00112233445566778899aabbccddee", &long]
        {
            assert!(is_guessable(bad), "{bad} has {} bits", strength(bad));
        }
    }
}
