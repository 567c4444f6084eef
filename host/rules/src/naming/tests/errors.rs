//! Messages that are no questions about the domain.

use super::{ReplyKind, question, reply};
use crate::naming::{MessageWay::Datagram, ServedDomain};
use simple_dns::{Packet, QTYPE, RCODE, TYPE};
use std::time::Duration;

/// The kind of the reply, its code, and whether it repeats a question. It is no longer than the message.
fn answered(message: &[u8]) -> (ReplyKind, RCODE, usize) {
    let reply = reply(message, Datagram).expect("a reply");
    assert!(reply.bytes.len() <= message.len(), "{reply:?}");
    let packet = Packet::parse(&reply.bytes).expect("it is read");
    assert_eq!(packet.id(), u16::from_be_bytes([message[0], message[1]]));
    (reply.kind, packet.rcode(), packet.questions.len())
}

#[test]
fn what_is_of_another_domain_is_refused() {
    for name in ["example.org", "internal", ".", "notatoll.internal", "atoll.internal.example"] {
        let message = question(name, TYPE::A.into(), Some(1232));
        assert_eq!(answered(&message), (ReplyKind::Refused, RCODE::Refused, 1), "{name}");
    }
    for transfer in [QTYPE::AXFR, QTYPE::IXFR] {
        assert_eq!(answered(&question("atoll.internal", transfer, None)).0, ReplyKind::Refused);
    }
    let mut chaos = question("users.atoll.internal", TYPE::A.into(), None);
    *chaos.last_mut().unwrap() = 3;
    assert_eq!(answered(&chaos).0, ReplyKind::Refused);
}

#[test]
fn a_type_that_nobody_knows_is_one_that_the_name_has_not() {
    let mut message = question("users.atoll.internal", TYPE::A.into(), None);
    let at = message.len() - 4;
    message[at..at + 2].copy_from_slice(&65_280_u16.to_be_bytes());
    assert_eq!(reply(&message, Datagram).unwrap().kind, ReplyKind::NoRecords);
}

#[test]
fn another_wish_is_not_implemented() {
    for opcode in [1_u8, 2, 4, 5, 15] {
        let mut message = question("users.atoll.internal", TYPE::A.into(), None);
        message[2] |= opcode << 3;
        let kind = (ReplyKind::NotImplemented, RCODE::NotImplemented, 0);
        assert_eq!(answered(&message), kind, "{opcode}");
    }
    let mut edns = question("users.atoll.internal", TYPE::A.into(), Some(1232));
    let version = edns.len() - 5;
    edns[version] = 1;
    // simple-dns takes the upper bits of the code from the other end of the TTL, so they are looked at here.
    assert_eq!(answered(&edns), (ReplyKind::NotImplemented, RCODE::NoError, 1));
    let bytes = reply(&edns, Datagram).unwrap().bytes;
    assert_eq!(bytes[bytes.len() - 6..], [1, 0, 0, 0, 0, 0], "BADVERS is 16 (RFC 6891, section 9)");
}

#[test]
fn what_cannot_be_read_is_malformed_and_what_is_a_reply_is_not_answered() {
    let message = question("users.atoll.internal", TYPE::A.into(), Some(1232));
    for length in 12..message.len() {
        assert_eq!(answered(&message[..length]), (ReplyKind::Malformed, RCODE::FormatError, 0), "{length} bytes");
    }
    for length in 0..12 {
        assert_eq!(reply(&message[..length], Datagram), None, "{length} bytes");
    }
    let changed = |at: usize, byte: u8| {
        let mut message = message.clone();
        message[at] = byte;
        message
    };
    assert_eq!(reply(&changed(2, 0x80), Datagram), None, "a reply");
    for (what, wrong) in [
        ("no question", changed(5, 0)),
        ("two questions", changed(5, 2)),
        ("records that are not there", changed(7, 255)),
        ("more records than there are", changed(10, 255)),
        ("a pointer in the question", changed(12, 0xc0)),
        ("a label of no kind", changed(12, 0x41)),
        ("more bytes", [message.as_slice(), &[0]].concat()),
        ("EDNS twice", {
            let mut twice = [message.as_slice(), &message[message.len() - 11..]].concat();
            twice[11] = 2;
            twice
        }),
        ("a long name", {
            let label = [&[63][..], &[b'a'; 63]].concat();
            [&message[..12], label.repeat(4).as_slice(), &[0, 0, 1, 0, 1]].concat()
        }),
    ] {
        assert_eq!(answered(&wrong).0, ReplyKind::Malformed, "{what}");
    }
}

#[test]
fn a_domain_is_of_labels_and_leaves_room_for_names() {
    let new = |name: &str| ServedDomain::new(name, Duration::from_secs(5));
    assert_eq!(new("Svc.Example.").unwrap().name(), "svc.example");
    assert!(new("internal").is_ok());
    for wrong in ["", ".", "a..b", "a b", "ä.b", "a/b", &"a".repeat(64), &["a"; 61].join(".")] {
        assert!(new(wrong).is_err(), "{wrong}");
    }
}
