//! All codings, there and back.

use super::{ContentCoding, Decoder, Encoder};
use proptest::prelude::*;

/// Decodes `input` in pieces, with `room` bytes for the output of a step; `None` if it is not whole.
fn decode(coding: ContentCoding, input: &[u8], piece: usize, room: usize) -> Option<Vec<u8>> {
    let (mut decoder, mut output, mut buffer) = (Decoder::new(coding), Vec::new(), vec![0; room]);
    for mut piece in input.chunks(piece.max(1)) {
        loop {
            let (read, made) = decoder.step(piece, &mut buffer).ok()?;
            assert!(made <= room, "no more than there is room for");
            output.extend_from_slice(&buffer[..made]);
            piece = &piece[read..];
            if piece.is_empty() && made < room {
                break;
            }
        }
    }
    decoder.is_whole().then_some(output)
}

fn encode(coding: ContentCoding, pieces: &[Vec<u8>], flush: bool) -> Vec<u8> {
    let (mut encoder, mut output) = (Encoder::new(coding), Vec::new());
    for piece in pieces {
        encoder.push(piece, &mut output).expect("it takes any bytes");
        if flush {
            encoder.flush(&mut output).expect("it flushes");
        }
    }
    encoder.finish(&mut output).expect("it ends");
    output
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_was_encoded_in_pieces_is_decoded_in_pieces(
        pieces in prop::collection::vec(prop::collection::vec(prop::num::u8::ANY, 0..700), 0..8),
        flush: bool,
        piece in 1_usize..900,
        room in 1_usize..900,
    ) {
        for coding in ContentCoding::ALL {
            let encoded = encode(coding, &pieces, flush);
            prop_assert_eq!(decode(coding, &encoded, piece, room), Some(pieces.concat()), "{:?}", coding);
            // No byte at all is an empty content.
            if encoded.len() > 1 {
                let cut_off = decode(coding, &encoded[..encoded.len() - 1], piece, room);
                prop_assert_eq!(cut_off, None, "cut off {:?}", coding);
            }
        }
    }

    #[test]
    fn no_bytes_are_a_panic(bytes in prop::collection::vec(prop::num::u8::ANY, 0..300), room in 1_usize..99) {
        for coding in ContentCoding::ALL {
            let begun = encode(coding, &[b"some text, some text, some text".to_vec()], false);
            let half = [&begun[..begun.len() / 2], &bytes[..]].concat();
            drop((decode(coding, &bytes, 7, room), decode(coding, &half, 7, room)));
        }
    }
}

#[test]
fn after_a_flush_everything_so_far_can_be_decoded() {
    for coding in ContentCoding::ALL {
        let (mut encoder, mut output) = (Encoder::new(coding), Vec::new());
        let (mut decoder, mut decoded) = (Decoder::new(coding), Vec::new());
        for event in ["one", "two", "three"] {
            encoder.push(event.as_bytes(), &mut output).expect("it takes any bytes");
            encoder.flush(&mut output).expect("it flushes");
            let (mut rest, mut room) = (&output[..], [0; 64]);
            while !rest.is_empty() {
                let (read, made) = decoder.step(rest, &mut room).expect("it is right so far");
                decoded.extend_from_slice(&room[..made]);
                rest = &rest[read..];
            }
            let (_, made) = decoder.step(&[], &mut room).expect("it is right so far");
            decoded.extend_from_slice(&room[..made]);
            output.clear();
            assert!(decoded.ends_with(event.as_bytes()), "{coding:?}: {event}");
        }
    }
}

#[test]
fn members_follow_each_other_where_the_coding_has_members() {
    let two = |coding| [encode(coding, &[b"one".to_vec()], false), encode(coding, &[b"two".to_vec()], false)].concat();
    for coding in [ContentCoding::Gzip, ContentCoding::Zstd] {
        assert_eq!(decode(coding, &two(coding), 5, 64).as_deref(), Some(&b"onetwo"[..]), "{coding:?}");
    }
    assert_eq!(decode(ContentCoding::Brotli, &two(ContentCoding::Brotli), 5, 64), None);
    assert_eq!(decode(ContentCoding::Gzip, b"", 5, 64).as_deref(), Some(&b""[..]));
}

#[test]
fn a_text_becomes_clearly_smaller() {
    let text = "a microservices platform in one process; ".repeat(500);
    for coding in ContentCoding::ALL {
        let encoded = encode(coding, &[text.clone().into_bytes()], false);
        assert!(encoded.len() * 20 < text.len(), "{coding:?}: {}", encoded.len());
    }
}
