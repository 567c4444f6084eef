//! Which codings a client takes: `Accept-Encoding` (RFC 9110, section 12.5.3).

use super::content_coding::ContentCoding;

/// The weight of what has no `q`. Weights are in thousandths: `q=0.5` is 500.
const WHOLE: u16 = 1000;

/// Which codings a client takes, each with its weight.
///
/// A field that is broken in one member keeps the others. That is safe, since an answer without a coding is always
/// right: a member that cannot be read counts as absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AcceptEncoding {
    /// In the order of [`ContentCoding::ALL`]; `None` for one that is not named.
    codings: [Option<u16>; 3],
    identity: Option<u16>,
    /// The weight of all that is not named: `*`.
    others: Option<u16>,
}

impl AcceptEncoding {
    /// Reads the lines of the field. Of a coding that is named twice, the last one counts. Without a line a client
    /// takes anything by the letter of the RFC; in practice it knows no codings, so none is chosen.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut accept = Self::default();
        for member in lines.into_iter().flat_map(|line| line.split(|&byte| byte == b',')) {
            let mut parts = member.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            let weight = match (parts.next(), parts.next()) {
                (None, _) => Some(WHOLE),
                (Some(parameter), None) => weight(parameter),
                // There is no other parameter than `q`.
                (Some(_), Some(_)) => None,
            };
            let Some(weight) = weight else { continue };
            if name == b"*" {
                accept.others = Some(weight);
            } else if name.eq_ignore_ascii_case(b"identity") {
                accept.identity = Some(weight);
            } else if let Some(coding) = ContentCoding::parse(name) {
                accept.codings[coding as usize] = Some(weight);
            }
        }
        accept
    }

    /// The weight of `coding`; 0: the client does not take it.
    pub fn weight(&self, coding: ContentCoding) -> u16 {
        self.codings[coding as usize].or(self.others).unwrap_or(0)
    }

    /// The best of `offered` for this client: the one with the greatest weight, and of those the one that is offered
    /// first. `None` if it takes none, or has rather no coding (`identity`) than the best of them.
    pub fn choose(&self, offered: impl IntoIterator<Item = ContentCoding>) -> Option<ContentCoding> {
        let mut best = None;
        for coding in offered {
            let weight = self.weight(coding);
            if weight > best.map_or(0, |(weight, _)| weight) {
                best = Some((weight, coding));
            }
        }
        // `identity` that is not named is acceptable, and no wish of the client.
        best.filter(|(weight, _)| self.identity.is_none_or(|identity| identity <= *weight)).map(|(_, coding)| coding)
    }
}

/// The weight in `q=0.5`: 0 to 1 with at most three digits after the point (RFC 9110, section 12.4.2).
fn weight(parameter: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', value @ ..] = parameter else { return None };
    let (whole, digits) = match value {
        [b'0'] => (0, [].as_slice()),
        [b'1'] => (WHOLE, [].as_slice()),
        [b'0', b'.', digits @ ..] => (0, digits),
        [b'1', b'.', digits @ ..] if digits.iter().all(|digit| *digit == b'0') => (WHOLE, digits),
        _ => return None,
    };
    if digits.len() > 3 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let thousandths = digits.iter().zip([100, 10, 1]).map(|(digit, place)| u16::from(digit - b'0') * place);
    Some(whole + if whole == 0 { thousandths.sum() } else { 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ContentCoding::{Brotli, Gzip, Zstd};
    use proptest::prelude::*;

    fn chosen(lines: &[&str]) -> Option<ContentCoding> {
        AcceptEncoding::parse(lines.iter().map(|line| line.as_bytes())).choose([Zstd, Brotli, Gzip])
    }

    #[test]
    fn the_coding_is_the_one_that_the_client_likes_best() {
        let cases: [(&[&str], Option<ContentCoding>); 28] = [
            (&[], None),
            (&[""], None),
            (&["identity"], None),
            (&["deflate, compress"], None),
            (&["gzip"], Some(Gzip)),
            (&["x-gzip"], Some(Gzip)),
            (&["GZip"], Some(Gzip)),
            (&["gzip, deflate, br, zstd"], Some(Zstd)),
            (&["gzip, deflate, br"], Some(Brotli)),
            (&["gzip", "br"], Some(Brotli)),
            (&["gzip;q=1.0, br;q=0.9"], Some(Gzip)),
            (&["gzip;q=0.001"], Some(Gzip)),
            (&["gzip;q=0"], None),
            (&["gzip;q=0.000"], None),
            (&["br;q=0.5, gzip ; q=0.5"], Some(Brotli)),
            (&["*"], Some(Zstd)),
            (&["*;q=0"], None),
            (&["zstd;q=0, *"], Some(Brotli)),
            (&["gzip;q=0.5, *;q=0.4"], Some(Gzip)),
            (&["identity;q=1, gzip;q=0.5"], None),
            (&["identity, gzip"], Some(Gzip)),
            (&["identity;q=0.5, gzip;q=0.5"], Some(Gzip)),
            (&["identity;q=0"], None),
            (&["identity;q=0, *"], Some(Zstd)),
            (&[",, gzip ,"], Some(Gzip)),
            // What cannot be read counts as absent.
            (&["gzip;q=2"], None),
            (&["gzip;q=0.5;level=9, br;q=0.1234, zstd;q=-1"], None),
            (&["gzip;level=9"], None),
        ];
        for (lines, expected) in cases {
            assert_eq!(chosen(lines), expected, "{lines:?}");
        }
    }

    proptest! {
        /// Whatever a client sends: what is chosen has a weight, and no offered coding has a greater one.
        #[test]
        fn the_chosen_coding_is_acceptable_and_the_best(
            text in r"((gzip|br|zstd|x-gzip|identity|\*|é)?( ?; ?[qQ]=(0|1|0\.5|0\.25|1\.0|2|x))?,? ?){0,6}",
        ) {
            let accept = AcceptEncoding::parse([text.as_bytes()]);
            if let Some(chosen) = accept.choose(ContentCoding::ALL) {
                prop_assert!(accept.weight(chosen) > 0);
                prop_assert!(ContentCoding::ALL.iter().all(|other| accept.weight(*other) <= accept.weight(chosen)));
            }
        }
    }
}
