//! Where the frames of a WebSocket end: between two of them the host may put one of its own.

/// Follows the frames that one end sends, by their headers alone (RFC 6455, section 5.2).
#[derive(Debug, Default)]
pub(super) struct FrameBoundary {
    /// What has come of a header; the longest has 14 bytes.
    header: [u8; 14],
    /// How many bytes of the header have come.
    have: usize,
    /// How many bytes of the content have not come yet.
    content: u64,
    /// Whether a `Close` has come: no frame may follow it.
    closed: bool,
}

impl FrameBoundary {
    /// Takes the next bytes into account.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.content > 0 {
                let skipped = usize::try_from(self.content).unwrap_or(usize::MAX).min(bytes.len());
                self.content -= skipped as u64;
                bytes = &bytes[skipped..];
                continue;
            }
            self.header[self.have] = bytes[0];
            self.have += 1;
            bytes = &bytes[1..];
            if self.have >= 2 && self.have == self.header_length() {
                self.closed |= self.header[0] & 0x0f == 8;
                self.content = self.content_length();
                self.have = 0;
            }
        }
    }

    /// Whether the last frame is whole, and no other has begun.
    pub(super) fn is_between(&self) -> bool {
        self.have == 0 && self.content == 0
    }

    /// Whether a `Close` has passed.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// The length of the header whose first two bytes have come.
    fn header_length(&self) -> usize {
        let mask = if self.header[1] & 0x80 == 0 { 0 } else { 4 };
        mask + match self.header[1] & 0x7f {
            126 => 4,
            127 => 10,
            _ => 2,
        }
    }

    /// The length that a whole header tells.
    fn content_length(&self) -> u64 {
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte));
        match self.header[1] & 0x7f {
            126 => number(&self.header[2..4]),
            127 => number(&self.header[2..10]),
            short => u64::from(short),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One frame, as RFC 6455, section 5.2, writes it.
    fn frame(opcode: u8, mask: bool, length: usize) -> Vec<u8> {
        let masked = if mask { 0x80 } else { 0 };
        let mut bytes = vec![0x80 | opcode];
        match length {
            0..126 => bytes.push(masked | u8::try_from(length).expect("below 126")),
            126..0x1_0000 => {
                bytes.push(masked | 126);
                bytes.extend(u16::try_from(length).expect("below 65,536").to_be_bytes());
            }
            _ => {
                bytes.push(masked | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(if mask { vec![7; 4] } else { Vec::new() });
        bytes.extend(vec![0x88; length]);
        bytes
    }

    proptest! {
        #[test]
        fn each_end_of_a_frame_is_found_however_the_bytes_are_cut(
            frames in prop::collection::vec((0_u8..3, any::<bool>(), 0_usize..70_000), 1..4),
            cut in 1_usize..4000,
        ) {
            let mut boundary = FrameBoundary::default();
            for (opcode, mask, length) in frames {
                let bytes = frame(opcode, mask, length);
                let (last, rest) = bytes.split_last().expect("a frame has a header");
                for piece in rest.chunks(cut) {
                    boundary.pass(piece);
                    prop_assert!(!boundary.is_between());
                }
                boundary.pass(&[*last]);
                prop_assert!(boundary.is_between() && !boundary.is_closed());
            }
            boundary.pass(&frame(8, false, 2));
            prop_assert!(boundary.is_between() && boundary.is_closed());
        }
    }
}
