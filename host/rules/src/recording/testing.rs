//! A recorded request, and its parts, for tests of this room and of the floors above.

use super::*;
use std::collections::BTreeMap;

/// The bytes of a text.
pub fn blob(text: &str) -> Blob {
    text.to_owned().into()
}

/// A question and its answer.
pub fn exchange(question: RecordedQuestion, answer: RecordedReply, order: u32) -> RecordedExchange {
    RecordedExchange { question, answer: Some(answer), order, at_once: false }
}

/// The reading of a key.
pub fn get(key: &str) -> RecordedQuestion {
    RecordedQuestion::Get { keys: vec![blob(key)] }
}

/// A value that was read, with its version.
pub fn found(value: &str, version: u64) -> RecordedReply {
    RecordedReply::Values(vec![Some((blob(value), version))])
}

/// A write of one key.
pub fn commit(key: &str, value: &str) -> RecordedQuestion {
    let writes = vec![(blob(key), Some(blob(value)))];
    RecordedQuestion::Commit(RecordedCommit { writes, ..RecordedCommit::default() })
}

/// A call of another service.
pub fn call(argument: &str) -> RecordedQuestion {
    let (service, function) = ("users".into(), "shop:users/users@1.0.0#get".into());
    RecordedQuestion::Call { service, function, arguments: vec![blob(argument)] }
}

/// An answer with status 200 and JSON.
pub fn answered(body: &str) -> RecordedOutcome {
    let headers = vec![("content-type".into(), blob("application/json")), ("date".into(), blob("today"))];
    RecordedOutcome::Http { status: 200, headers, body: blob(body) }
}

/// A request that reads, calls and writes.
pub fn recording() -> Recording {
    Recording {
        number: 0,
        request: "r1".into(),
        service: "orders".into(),
        revision: "a".repeat(64),
        began: 1_700_000_000_000,
        deterministic: true,
        memory: 1 << 20,
        depth: 0,
        call: RecordedCall::Http {
            method: "POST".into(),
            target: blob("/orders?token=abcdefgh"),
            headers: vec![("authorization".into(), blob("Bearer abcdefgh12")), ("accept".into(), blob("*/*"))],
            body: vec![blob("{\"pass"), blob("word\":\"pw\",\"user\":7}")],
            secure: true,
        },
        caller: None,
        event: None,
        config: BTreeMap::from([("page_size".into(), blob("50"))]),
        env: BTreeMap::from([("DB".into(), blob("postgres"))]),
        secrets: BTreeMap::new(),
        inputs: RecordedInputs { times: vec![1, 2], random: vec![vec![1, 2, 3].into()], ..RecordedInputs::default() },
        exchanges: vec![
            exchange(get("user/7"), found(r#"{"name":"Ann"}"#, 3), 1),
            exchange(call("7"), RecordedReply::Result(Some(blob(r#"{"ok":{"email":"a@b.c"}}"#))), 0),
            exchange(
                commit("order/42", r#"{"total":1200}"#),
                RecordedReply::Change { version: 9, sums: Vec::new() },
                2,
            ),
        ],
        outcome: answered(r#"{"id":42,"total":1200}"#),
        masked: 0,
    }
}
