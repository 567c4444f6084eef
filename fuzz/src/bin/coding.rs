//! Codings of contents: any `Accept-Encoding` gives the best coding that it admits or none; any bytes are decoded or
//! refused, with no more output in a step than there is room for; and what was encoded comes back.
//!
//! The first line is the field; what follows are the bytes.
#![no_main]

use host::coding::{AcceptEncoding, ContentCoding, Decoder, Encoder, is_compressible};
use libfuzzer_sys::fuzz_target;

/// The most that is decoded of one input.
const MOST: usize = 1 << 20;

fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|&byte| byte == b'\n').unwrap_or(input.len());
    let (field, bytes) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let accept = AcceptEncoding::parse([field]);
    match accept.choose(ContentCoding::ALL) {
        Some(chosen) => {
            assert!(accept.weight(chosen) > 0);
            assert!(ContentCoding::ALL.iter().all(|other| accept.weight(*other) <= accept.weight(chosen)));
        }
        None => assert!(field != b"gzip" && field != b"*"),
    }
    is_compressible(field);
    for coding in ContentCoding::ALL {
        decode(coding, bytes);
        let (mut encoder, mut encoded) = (Encoder::new(coding), Vec::new());
        for piece in bytes.chunks(1000) {
            encoder.push(piece, &mut encoded).expect("it takes any bytes");
            encoder.flush(&mut encoded).expect("it flushes");
        }
        encoder.finish(&mut encoded).expect("it ends");
        assert_eq!(decode(coding, &encoded).as_deref(), Some(&bytes[..bytes.len().min(MOST)]), "{coding:?}");
    }
});

/// What `bytes` are without the coding; `None` if they are not of it.
fn decode(coding: ContentCoding, mut bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut decoder, mut room, mut output) = (Decoder::new(coding), [0; 777], Vec::new());
    while output.len() < MOST {
        let (read, made) = decoder.step(bytes, &mut room).ok()?;
        assert!(read <= bytes.len() && made <= room.len());
        output.extend_from_slice(&room[..made]);
        bytes = &bytes[read..];
        if bytes.is_empty() && made < room.len() {
            return decoder.is_whole().then_some(output);
        }
    }
    output.truncate(MOST);
    Some(output)
}
